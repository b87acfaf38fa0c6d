"""README and docs/ tell the truth: generated parts are current, examples are valid, links lead somewhere."""

import re
from pathlib import Path

import pytest
from cogapp import Cog
from jsonschema import Draft202012Validator

from metagan.errors import RegistryError
from metagan.registry.read import read_registry
from metagan.registry.schema import schema
from metagan.registry.tree import read_tree

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/*.md")])
REGISTRY = ROOT / "docs" / "registry.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", REGISTRY.read_text(), re.DOTALL | re.MULTILINE)
EXAMPLES = [block for block in BLOCKS if re.search(r"^subjects:", block, re.MULTILINE)]


def names(pages):
    return [str(page.relative_to(ROOT)) for page in pages]


def check(page):
    return Cog().main(["cog", "-I", str(ROOT), "--check", str(page)])


def anchors(page):
    """The headings of a page, as GitHub writes them into addresses."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short_and_has_no_program_in_it():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    for page in PAGES:
        for block in re.findall(r"\[\[\[cog(.*?)\]\]\]", page.read_text(), re.DOTALL):
            assert "\n" not in block, f"{page.name}: move the program to scripts/docs_tables.py"


def test_the_generated_parts_of_the_registry_page_are_up_to_date_and_a_stale_one_is_found(tmp_path):
    assert check(REGISTRY) == 0, "run `make docs`"
    stale = tmp_path / "registry.md"
    stale.write_text(
        REGISTRY.read_text().replace("| `psi` | a number from -2 to 2 |", "| `psi` | a number |")
    )
    assert check(stale) != 0


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_within_the_repository_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}"


@pytest.mark.parametrize("example", EXAMPLES[:-1])
def test_the_examples_are_valid_for_metagan_and_for_editors(example, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "hummingbirds.pkl").touch()
    (tmp_path / "hummingbirds.txt").touch()
    path = tmp_path / "registry.yaml"
    path.write_text(example)
    assert read_registry(path).subjects
    assert list(Draft202012Validator(schema()).iter_errors(read_tree(path).value)) == []


def test_the_example_of_mistakes_has_mistakes(tmp_path):
    (tmp_path / "registry.yaml").write_text(EXAMPLES[-1])
    with pytest.raises(RegistryError):
        read_registry(tmp_path / "registry.yaml")
