"""What commands draw from: a subject or a file, with the subject's settings unless others are asked for."""

import hashlib
from pathlib import Path

import pytest

from metagan.errors import HashMismatchError, OptionError
from metagan.sampling.sampler import Settings
from metagan.sampling.target import find_target, open_sampler

GOLDEN = Path(__file__).parents[1] / "golden"
WEIGHTS = GOLDEN / "ros_train16.pt"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.yaml"
    path.write_text(
        f"""\
site: {{title: Toys, base_url: "https://example.org/"}}
defaults: {{psi: 0.5, noise: none}}
subjects:
  toy: {{title: Toy, weights: "{WEIGHTS}", licence: CC0-1.0, source: here, psi: 0.25, class: 3}}
  plain: {{title: Toy, weights: "{WEIGHTS}", licence: unknown, source: here}}
"""
    )
    return path


def test_a_subject_is_drawn_as_the_registry_says(registry):
    target = find_target("toy", registry)
    assert (target.name, target.weights, target.licence, target.source) == ("toy", WEIGHTS, "CC0-1.0", "here")
    assert target.settings() == Settings(psi=0.25, label=3, noise="none")
    assert find_target("plain", registry).settings() == Settings(psi=0.5, noise="none")


def test_a_subject_s_file_must_have_the_hash_that_is_given(registry):
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert find_target("toy", registry, sha256.upper()).weights == WEIGHTS
    with pytest.raises(HashMismatchError):
        find_target("toy", registry, "0" * 64)


def test_what_is_asked_for_comes_before_what_the_subject_says(registry):
    asked = find_target("toy", registry).settings(psi=0.0, label=0, noise="random")
    assert asked == Settings(psi=0.0, label=0, noise="random")


def test_a_file_is_drawn_without_truncation_and_needs_no_registry(tmp_path):
    target = find_target(str(WEIGHTS), tmp_path / "registry.yaml")
    assert (target.name, target.weights, target.upscaler) == ("ros_train16.pt", WEIGHTS, None)
    assert target.settings() == Settings(psi=1.0, label=None, noise="const")


@pytest.mark.parametrize(
    ("what", "upscale", "words"),
    [
        ("toy", None, "'toy' is not a weights file, and there is no .*registry.yaml"),
        ("ftp://host/toy.pt", None, r"SUBJECT\|WEIGHTS: want .*"),
        (str(WEIGHTS), "ftp://host/toy.pt", r"--upscale: want "),
    ],
)
def test_what_is_neither_a_file_nor_a_subject_is_refused_with_a_way_out(tmp_path, what, upscale, words):
    with pytest.raises(OptionError, match=words):
        find_target(what, tmp_path / "registry.yaml", upscale=upscale)


def test_what_had_to_be_made_up_is_noted(tmp_path):
    notes = []
    sampler = open_sampler(find_target(str(WEIGHTS), tmp_path), "cpu", 2, note=notes.append)
    assert (sampler.batch, sampler.precision) == (2, "fp32")
    assert [note.partition(": ")[0] for note in notes] == ["ros_train16.pt"]
