"""A new project, as `metagan init` lays it out."""

import re
from pathlib import Path

import pytest
import yaml

from metagan.cli.init import scaffold
from metagan.errors import OptionError, RegistryError
from metagan.registry.read import read_registry
from metagan.site.pages.templates import default_templates_dir, static_files


@pytest.fixture
def project(tmp_path):
    scaffold(tmp_path / "apes")
    return tmp_path / "apes"


@pytest.fixture
def workflow(project):
    return yaml.safe_load((project / ".github/workflows/pages.yml").read_text())


def test_the_registry_holds_at_once_and_needs_no_network(project):
    registry = read_registry(project / "registry.yaml")
    assert registry.site.base_url.endswith("/")
    (subject,) = registry.subjects
    assert subject.weights.text == "bundled:apes"
    assert len(subject.seeds) == 100


def test_what_the_registry_only_mentions_is_right_too(project):
    path = project / "registry.yaml"
    text = re.sub(r"^( *)# (?=( *)[a-z0-9_]+: )", r"\1", path.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^( *)# (?=(theme|hummingbird):$)", r"\1", text, flags=re.MULTILINE)
    path.write_text(text.replace("sha256: 64 hex digits", "sha256: " + "0" * 64))
    (project / "apes.txt").write_text("An ape is an ape.\n")
    (project / "weights").mkdir()
    (project / "weights/hummingbirds.pkl").write_bytes(b"weights")
    registry = read_registry(path)
    assert [subject.slug for subject in registry.subjects] == ["ape", "hummingbird"]
    assert registry.subjects[0].text is not None
    assert registry.site.author == "Your Name"


def test_a_mistake_in_the_laid_out_registry_is_found(project):
    path = project / "registry.yaml"
    path.write_text(path.read_text().replace("psi: 0.7", "psy: 0.7"))
    with pytest.raises(RegistryError):
        read_registry(path)


def test_templates_are_copied_byte_for_byte_where_they_are_asked_for(project, tmp_path):
    assert not (project / "templates").exists()
    project = tmp_path / "own"
    scaffold(project, templates=True)
    default = default_templates_dir()
    for file in default.rglob("*"):
        inside = file.relative_to(default)
        if file.is_file() and not inside.name.startswith("."):
            assert (project / "templates" / inside).read_bytes() == file.read_bytes()
    assert static_files(project / "templates").keys() == static_files(None).keys()


def test_builds_and_their_work_folder_are_ignored_by_git(project):
    assert {"/build/", "/.metagan/"} <= set((project / ".gitignore").read_text().splitlines())


def test_the_workflow_may_do_no_more_than_publishing_needs(workflow):
    build, deploy = workflow["jobs"]["build"], workflow["jobs"]["deploy"]
    assert workflow["permissions"] == {"contents": "read"}
    assert build["permissions"] == {"contents": "read", "pages": "write"}
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    assert deploy["needs"] == "build"
    assert deploy["environment"] == {
        "name": "github-pages",
        "url": "${{ steps.deployment.outputs.page_url }}",
    }
    assert workflow["concurrency"] == {"group": "pages", "cancel-in-progress": False}
    assert set(workflow[True]) == {"push", "workflow_dispatch"}  # YAML 1.1 reads `on` as true


def test_every_action_is_pinned_to_a_commit_with_its_version_beside(project, workflow):
    text = (project / ".github/workflows/pages.yml").read_text()
    pins = re.findall(r"uses: (actions/[a-z-]+)@([0-9a-f]{40}) # v(\d+)\.\d+\.\d+$", text, flags=re.MULTILINE)
    assert len(pins) == text.count("uses:")
    majors = {action.removeprefix("actions/"): int(major) for action, _, major in pins}
    assert majors == {
        "checkout": 7, "setup-python": 7, "cache": 6,
        "configure-pages": 6, "upload-pages-artifact": 5, "deploy-pages": 5,
    }  # fmt: skip


def test_the_workflow_builds_strictly_for_the_address_that_pages_gives(workflow):
    steps = workflow["jobs"]["build"]["steps"]
    (build,) = [step for step in steps if "metagan build" in step.get("run", "")]
    assert "--strict" in build["run"]
    assert '--base-url "$BASE_URL"' in build["run"]
    assert build["env"]["BASE_URL"] == "${{ steps.pages.outputs.base_url }}/"
    (configure,) = [step for step in steps if step.get("id") == "pages"]
    assert configure["uses"].startswith("actions/configure-pages@")
    assert steps.index(configure) < steps.index(build)
    assert steps[-1]["with"]["path"] == "build"


def test_no_expression_is_pasted_into_a_shell_command(workflow):
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_the_workflow_installs_a_pinned_version(workflow):
    assert re.fullmatch(r"git\+https://github\.com/[\w/-]+@v\d+\.\d+\.\d+", workflow["env"]["METAGAN"])


def test_nothing_that_is_there_is_overwritten_and_everything_in_the_way_is_named(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/index.html").write_text("mine")
    (tmp_path / "registry.yaml").symlink_to("nowhere")
    with pytest.raises(OptionError) as caught:
        scaffold(tmp_path, templates=True)
    assert str(caught.value).splitlines()[1:3] == ["  registry.yaml", "  templates/index.html"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["index.html", "registry.yaml", "templates"]
    assert (tmp_path / "templates/index.html").read_text() == "mine"


def test_a_file_where_a_folder_is_wanted_is_in_the_way(tmp_path):
    (tmp_path / ".github").write_text("a file")
    with pytest.raises(OptionError, match=r"\n  \.github\n"):
        scaffold(tmp_path)
    with pytest.raises(OptionError, match="this is a file"):
        scaffold(tmp_path / ".github")


def test_other_files_and_a_gitignore_may_be_there_and_stay(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    written = scaffold(tmp_path)
    assert Path("registry.yaml") in written
    assert Path(".gitignore") not in written
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n"
    assert (tmp_path / "README.md").read_text() == "mine"


def test_many_files_in_the_way_are_not_all_listed(project):
    (project / "registry.yaml").unlink()
    for path in (".github/workflows/pages.yml", ".gitignore"):
        (project / path).unlink()
    scaffold(project, templates=True)
    with pytest.raises(OptionError, match=r"and \d+ more"):
        scaffold(project, templates=True)
