"""Listings of the pictures that a discriminator takes for real most readily."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.lab.rank import Ranker, RankOptions, read_discriminator
from metagan.sampling.target import find_target, open_sampler

GOLDEN = (
    Path(__file__).parents[1] / "golden" / "sg2ada_cuda16.pkl"
)  # 16x16, two classes, with its discriminator


def test_pick_critic_lists_those_that_the_discriminator_takes_for_real(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["collection", "listing", str(GOLDEN), "--class", "1", "--count", "3", "--first-seed", "5"]
    result = CliRunner().invoke(metagan, [*words, "--pick", "critic", "--out", str(out), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    target = find_target(str(GOLDEN), tmp_path / "registry.yaml")
    sampler, settings = open_sampler(target, "cpu"), target.settings(label=1)
    ranker = Ranker(sampler, settings, RankOptions(), discriminator=read_discriminator(GOLDEN))
    scores = sorted(ranker.score(range(5, 35)), key=lambda one: -(one.logit or 0))
    listed = json.loads((out / "listing.json").read_text())
    assert [token["seed"] for token in listed["tokens"]] == [one.seed for one in scores[:3]]


@pytest.mark.parametrize(
    ("weights", "options", "words"),
    [
        ("bundled:bagels", ["--pick", "critic"], "discriminator"),
        (str(GOLDEN), ["--discriminator", str(GOLDEN)], "--discriminator needs --pick critic"),
        (str(GOLDEN), ["--pick", "critic", "--discriminator", "nowhere"], "there is no such file"),
    ],
)
def test_a_critic_that_is_not_there_is_said(
    tmp_path: Path, weights: str, options: list[str], words: str
) -> None:
    label = ["--class", "1"] if weights == str(GOLDEN) else []
    command = ["collection", "listing", weights, *label, *options, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(metagan, [*command, "--count", "1", "--device", "cpu"])
    assert result.exit_code != 0
    assert words in result.output + str(result.exception)
    assert not (tmp_path / "out").exists()
