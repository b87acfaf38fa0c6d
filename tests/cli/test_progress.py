"""Bars on stderr."""

import io
from threading import Event

import pytest
from rich.console import Console

from metagan.cli import progress
from metagan.fetch.transfer import Transfer


def shown(monkeypatch, act, *, terminal: bool = True) -> str:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=120)
    monkeypatch.setattr(progress, "Console", lambda stderr: console)
    with progress.stages() as stages:
        act(stages)
    return screen.getvalue()


def download(stages: progress.Stages) -> None:
    stages.transfer(Transfer("birds.pkl", 500_000, None))
    stages.transfer(Transfer("birds.pkl", 1_500_000, 3_000_000))


def draw(stages: progress.Stages) -> None:
    stages.begin("pictures", 12)
    stages.advance(7)


def test_a_terminal_shows_what_is_downloaded_and_how_much_of_it(monkeypatch):
    text = shown(monkeypatch, download)
    assert "downloading birds.pkl" in text
    assert "1500000" in text.replace(",", "")


def test_a_terminal_shows_how_many_are_done(monkeypatch):
    text = shown(monkeypatch, draw)
    assert "pictures" in text
    assert "7/12" in text.replace(" ", "")


@pytest.mark.parametrize("act", [download, draw])
def test_anything_but_a_terminal_stays_silent(monkeypatch, act):
    assert shown(monkeypatch, act, terminal=False) == ""


def test_a_transfer_says_in_a_file_each_minute_how_far_it_is(monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    said = []
    told = Event()
    monkeypatch.setattr(progress.click, "echo", lambda text, err: (said.append(text), told.set()))
    with progress.transferring("publishing to s3://apes") as sent:
        assert told.wait(30)
        told.clear()
        sent(12_300_000, 45_000_000)
        while "12.3" not in said[-1]:
            assert told.wait(30)
            told.clear()
    assert said[0].startswith("publishing to s3://apes: under way after ")
    assert said[-1] == "publishing to s3://apes: 12.3 of 45.0 MB after 0 min"
