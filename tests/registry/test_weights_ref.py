"""Where weights come from, as people write it."""

import os
import socket
from pathlib import Path

import pytest

from metagan.registry.weights_ref import WeightsRef, is_remote, parse_weights
from metagan.values import InvalidValueError


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("https://example.org/a/b.pkl?x=1", "https", "https://example.org/a/b.pkl?x=1"),
        ("http://127.0.0.1:8000/b.pkl", "https", "http://127.0.0.1:8000/b.pkl"),
        ("http://[::1]:8000/b.pkl", "https", "http://[::1]:8000/b.pkl"),
        ("hf://owner/repo/b.pkl", "hf", "owner/repo/b.pkl"),
        ("hf://owner/repo@main/a/b.pkl", "hf", "owner/repo@main/a/b.pkl"),
    ],
)
def test_remote_weights_are_told_apart_by_their_scheme(tmp_path, text, kind, location):
    assert parse_weights(text, tmp_path, "A" * 64) == WeightsRef(kind, location, "a" * 64, text)
    assert is_remote(text)


def test_paths_start_at_the_folder_or_at_home_or_at_the_root(tmp_path, monkeypatch):
    file = tmp_path / "sub" / "b.pkl"
    file.parent.mkdir()
    file.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("sub/b.pkl", "../" + tmp_path.name + "/sub/b.pkl", "~/sub/b.pkl", str(file)):
        assert parse_weights(text, tmp_path) == WeightsRef("path", str(file), None, text)
        assert not is_remote(text)


def test_bundled_weights_keep_their_name(tmp_path, monkeypatch):
    monkeypatch.setattr("metagan.registry.weights_ref.bundled_names", lambda: ["apes"])
    assert parse_weights("bundled:apes", tmp_path) == WeightsRef("bundled", "apes", None, "bundled:apes")


def test_what_is_no_regular_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")  # a short path: the kernel takes few characters
        for name, kind in {"/dev/zero": "a device", "pipe": "a pipe", "socket": "a socket"}.items():
            with pytest.raises(
                InvalidValueError, match=f"want a regular file, got '{name}', which is {kind}"
            ):
                parse_weights(name, tmp_path)
