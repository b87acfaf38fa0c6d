"""Picking the best seeds of a run of shards that don't look alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.errors import MetaganError
from metagan.shards.manifest import RunManifest, RunSettings, index_name
from metagan.shards.pick import pick
from metagan.shards.shard import Row, difference_hash, encode_index

HASHES = {seed: int(np.random.default_rng(seed).integers(0, 2**64, dtype=np.uint64)) for seed in range(40)}
HASHES[7] = HASHES[30] ^ 0b1111  # looks like 30, by four bits
HASHES[8] = HASHES[30] ^ 0b11111


@pytest.fixture
def run(tmp_path: Path) -> Path:
    settings = RunSettings(
        name="apes", weights="0" * 64, psi=1, noise="const", format="webp", program="none", version="0"
    )
    shards = (range(25), range(25, 40))
    for seeds in shards:
        rows = [
            Row(seed=seed, offset=36, length=9, sha256="0" * 64, dhash=f"{HASHES[seed]:016x}")
            for seed in seeds
        ]
        (tmp_path / index_name(seeds)).write_bytes(encode_index(rows))
    ends = tuple((seeds[0], seeds[-1]) for seeds in shards)
    manifest = RunManifest(settings=settings, width=8, height=8, pictures=40, shards=ends)
    (tmp_path / "manifest.json").write_bytes(manifest.encode())
    return tmp_path


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Higher seeds are better; 39 is a copy, 38 has no score."""
    rows = [
        {"seed": seed, "logit": seed / 10, "distance": seed * 2.0, "copy": seed == 39} for seed in range(38)
    ]
    rows.append({"seed": 39, "logit": 9.0, "distance": 0.1, "copy": True})
    path = tmp_path / "scores.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [{"task": "any"}, *rows]))
    return path


def picked(*options: str) -> list[int]:
    result = CliRunner().invoke(metagan, ["pick", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [int(seed) for seed in result.stdout.split(",")]


def test_the_best_come_first_and_what_looks_like_a_better_one_is_passed_over(run: Path, scores: Path) -> None:
    best = picked(str(run), "--scores", str(scores), "--apart", "5")
    assert best == [seed for seed in range(37, -1, -1) if seed != 7]
    farther = picked(str(run), "--scores", str(scores), "--apart", "6", "--keep", "35")
    assert farther == [seed for seed in range(37, 0, -1) if seed not in (7, 8)]
    assert 7 in picked(str(run), "--scores", str(scores), "--apart", "0")


def test_distances_are_better_the_smaller_they_are(run: Path, scores: Path) -> None:
    assert picked(str(run), "--scores", str(scores), "--by", "distance", "--keep", "3") == [0, 1, 2]


def test_a_last_line_that_was_cut_off_is_left_aside(run: Path, scores: Path) -> None:
    before = picked(str(run), "--scores", str(scores), "--keep", "3")
    with scores.open("a") as file:
        file.write('{"seed": 3, "lo')
    assert picked(str(run), "--scores", str(scores), "--keep", "3") == before
    refused = CliRunner().invoke(metagan, ["pick", str(run), "--out", str(run / "manifest.json")])
    assert "would be lost" in str(refused.exception)


def test_without_scores_lower_seeds_come_first_and_a_file_is_written(run: Path) -> None:
    out = run / "seeds.txt"
    result = CliRunner().invoke(metagan, ["pick", str(run), "--keep", "10", "--out", str(out)])
    assert out.read_text() == "0,1,2,3,4,5,6,7,9,10\n"
    assert f"{out}: 10 of 40 seeds; 1 looks like a better one" in result.stdout


def test_picking_agrees_with_comparing_each_with_each() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**16, 6000, dtype=np.uint64)  # 16 bits only: many are near
    seeds = np.arange(6000)
    kept: list[int] = []
    for place, each in enumerate(hashes.tolist()):
        if all((each ^ int(hashes[other])).bit_count() >= 5 for other in kept):
            kept.append(place)
    found = pick(seeds, hashes, None, keep=6000, apart=5)
    assert list(found.seeds) == kept and found.alike == 6000 - len(kept)


def test_near_pictures_have_near_hashes(tmp_path: Path) -> None:
    from PIL import Image

    grey = np.random.default_rng(5).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    large = Image.fromarray(grey).resize((256, 256), Image.Resampling.BICUBIC)
    other = Image.fromarray(grey[::-1]).resize((256, 256), Image.Resampling.BICUBIC)
    bits = []
    for name, image, options in (
        ("a.png", large, {}),
        ("a.jpg", large, {"quality": 40}),
        ("b.png", other, {}),
    ):
        image.save(tmp_path / name, **options)
        bits.append(int(difference_hash((tmp_path / name).read_bytes()), 16))
    assert (bits[0] ^ bits[1]).bit_count() <= 2 and (bits[0] ^ bits[2]).bit_count() > 10


def test_what_can_not_be_read_is_named(run: Path, scores: Path, tmp_path: Path) -> None:
    def refusal(*options: str) -> str:
        result = CliRunner().invoke(metagan, ["pick", *options])
        assert isinstance(result.exception, MetaganError), result.output
        return str(result.exception)

    assert "there is no manifest.json" in refusal(str(tmp_path / "none"))
    assert "no scores that `metagan rank` wrote" in refusal(str(run), "--scores", str(run / "manifest.json"))
    index = run / index_name(range(25, 40))
    index.write_bytes(index.read_bytes()[:-10])
    assert f"{index}: this index is missing or damaged" in refusal(str(run))
