"""What is said where the extra metagan[collection] is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from metagan.collection.needs import need
from metagan.collection.report import write_report
from metagan.collection.sources.dicebear import DicebearSource
from metagan.collection.sources.made import fetch_made
from metagan.errors import CollectionError
from tests.collection.making import FIVE, write

MODULES = ["dicebear", "dicebear_styles", "imagehash", "polars", "resvg_py", "tenacity"]


@pytest.mark.parametrize("module", MODULES)
def test_each_library_that_is_missing_is_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CollectionError, match="which is not installed") as raised:
        need(module)
    assert raised.value.fix == "pip install 'metagan[collection]'"


def test_a_report_without_polars_and_a_fetch_without_dicebear_write_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    five = write(tmp_path / "five", FIVE)
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(sys.modules, "dicebear", None)
    with pytest.raises(CollectionError, match="polars"):
        write_report([five], tmp_path / "report")
    with pytest.raises(CollectionError, match="dicebear-core"):
        fetch_made(DicebearSource("x", "waves", 2), tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["five"]
