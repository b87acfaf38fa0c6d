"""A folder with a registry in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metagan.errors import RegistryError
from metagan.registry.models import Registry
from metagan.registry.read import read_registry

VALID = """\
site:
  title: These Birds Do Not Exist
  base_url: https://user.github.io/birds
subjects:
  hummingbird:
    title: Hummingbird
    weights: birds.pkl
    licence: CC0-1.0
    source: https://example.org/birds
"""

Write = Callable[[str | bytes], Path]
Read = Callable[[str], Registry]
Messages = Callable[[str | bytes], list[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights file and a corpus, in the current folder."""
    (tmp_path / "birds.pkl").touch()
    (tmp_path / "birds.txt").write_text("A bird sings.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes registry.yaml."""

    def write_registry(content: str | bytes) -> Path:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        (folder / "registry.yaml").write_bytes(data)
        return Path("registry.yaml")

    return write_registry


@pytest.fixture
def read(write: Write) -> Read:
    """Reads text as a registry."""
    return lambda text: read_registry(write(text))


@pytest.fixture
def messages(write: Write) -> Messages:
    """What is wrong with text as a registry, a message each."""

    def read_problems(content: str | bytes) -> list[str]:
        with pytest.raises(RegistryError) as caught:
            read_registry(write(content))
        return [str(problem) for problem in caught.value.problems]

    return read_problems
