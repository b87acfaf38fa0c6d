"""The weights that come with metagan."""

import pytest

from metagan.errors import OptionError
from metagan.registry import weights_ref


def test_a_name_leads_to_its_file(tmp_path, monkeypatch):
    (tmp_path / "apes.safetensors").touch()
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr("metagan.weights.__path__", [str(tmp_path)])
    assert weights_ref.bundled_names() == ["apes"]
    assert weights_ref.bundled_weights("apes") == tmp_path / "apes.safetensors"


def test_an_unknown_name_is_answered_with_the_names_there_are(tmp_path, monkeypatch):
    for name in ("apes", "bagels"):
        (tmp_path / f"{name}.safetensors").touch()
    monkeypatch.setattr("metagan.weights.__path__", [str(tmp_path)])
    with pytest.raises(OptionError) as caught:
        weights_ref.bundled_weights("bagel")
    assert str(caught.value) == (
        "there are no bundled weights named 'bagel'\n"
        "  fix: did you mean bundled:bagels? there are: bundled:apes, bundled:bagels"
    )


def test_a_name_that_is_a_path_leads_nowhere(tmp_path, monkeypatch):
    (tmp_path / "apes.safetensors").touch()
    (tmp_path / "in").mkdir()
    monkeypatch.setattr("metagan.weights.__path__", [str(tmp_path / "in")])
    with pytest.raises(OptionError, match="there are: none in this installation"):
        weights_ref.bundled_weights("../apes")
