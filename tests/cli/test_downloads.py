"""Bars for downloads."""

import io

import pytest
from rich.console import Console

from metagan.checkpoints.transfer import Transfer
from metagan.cli import downloads


def show(monkeypatch, *, terminal):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    monkeypatch.setattr(downloads, "Console", lambda stderr: console)
    with downloads.show_downloads() as tell:
        tell(Transfer("birds.pkl", 500_000, None))
        tell(Transfer("birds.pkl", 1_500_000, 3_000_000))
    return screen.getvalue()


def test_a_terminal_shows_name_and_size(monkeypatch):
    shown = show(monkeypatch, terminal=True)
    assert "birds.pkl" in shown
    assert "1.5/3.0 MB" in shown


def test_anything_but_a_terminal_stays_silent(monkeypatch):
    assert show(monkeypatch, terminal=False) == ""


def test_nothing_is_shown_when_nothing_is_downloaded(capfd):
    with downloads.show_downloads():
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("totals", [(None, None), (10, 10)])
def test_two_files_have_a_bar_each(monkeypatch, totals):
    screen = io.StringIO()
    monkeypatch.setattr(
        downloads, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=100)
    )
    with downloads.show_downloads() as tell:
        for name, total in zip("ab", totals, strict=True):
            tell(Transfer(f"{name}.pkl", 5, total))
    assert "a.pkl" in screen.getvalue()
    assert "b.pkl" in screen.getvalue()
