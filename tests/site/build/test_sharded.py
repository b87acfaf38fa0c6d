"""A site over a run of shards: its files don't grow with the pictures, and each picture can be found."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.errors import MetaganError, RegistryError
from metagan.registry.read import read_registry
from metagan.seeds import SeedRanges
from metagan.site.build.build import BuildOptions, BuildReport, build_site
from metagan.site.build.sharded import find_runs
from metagan.site.pages import render
from metagan.site.publish.plan import check_github_limits, site_files
from tests.site.live_site import Silent
from tests.site.sharded import colour_of, write_registry, write_run

SHARDS = (range(150), range(150, 300), range(1000, 1100))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"), *SHARDS)


def build(folder: Path, **options: object) -> BuildReport:
    extra = options.pop("extra", "exclude: 3,160-169")
    registry = write_registry(folder, extra=extra, pages=options.pop("pages", False))
    return build_site(BuildOptions.read(registry, folder / "site", **options), Silent())


def colour_in(picture: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("RGB").getpixel((0, 0))


def test_the_index_on_the_site_leads_to_each_picture_s_bytes(tmp_path: Path, run: Path) -> None:
    outcome = build(tmp_path, pictures=run.parent)
    assert outcome.pictures == 400 - 11
    folder = tmp_path / "site" / "pictures" / "blob" / "shards"
    listed = json.loads((folder / "manifest.json").read_bytes())
    assert listed["shards"] == [[0, 149], [150, 299], [1000, 1099]] and listed["type"] == "image/png"
    for first, last in listed["shards"]:
        name = f"{first:010d}-{last:010d}"
        zipped, rows = (folder / f"{name}.zip").read_bytes(), (folder / f"{name}.bin").read_bytes()
        assert zipped == (run / f"{name}.zip").read_bytes() and len(rows) == 44 * (last - first + 1)
        for offset, length, sha256 in struct.iter_unpack("<QI32s", rows):
            picture = zipped[offset : offset + length]
            assert hashlib.sha256(picture).digest() == sha256
        assert colour_in(picture) == colour_of(last)


def test_pages_have_the_first_pictures_as_files_and_do_not_list_the_others(tmp_path: Path, run: Path) -> None:
    build(tmp_path, pictures=run)
    site = tmp_path / "site"
    page = (site / "blob" / "index.html").read_text()
    data = json.loads(re.search(r'id="album">(.*?)</script>', page)[1])["subjects"][0]
    assert data["seeds"] == "0-2,4-159,170-299,1000-1099"
    assert data["psi"] == 0.5 and data["shards"] == "pictures/blob/shards/manifest.json"
    files = {path.stem for path in (site / "pictures" / "blob").glob("*.png") if path.stem.isdecimal()}
    assert {"0", "2", "4", "48", "1099", "1070"} <= files and not {"3", "160"} & files and len(files) < 110
    assert set(re.findall(r"<img src=\"\.\./pictures/blob/(\d+)\.png", page)) <= files
    feeds = (site / "feed.xml").read_text() + (site / "today" / "feed.xml").read_text()
    assert set(re.findall(r"pictures/blob/(\d+)\.", feeds)) <= files and "seed=1099" in feeds
    assert not (site / "blob" / "5").exists()
    api = json.loads((site / "api" / "blob.json").read_bytes())
    assert "pictures" not in api and api["seeds"] == data["seeds"] and api["count"] == 389
    assert "img-src 'self' blob:; connect-src 'self';" in page


def test_a_second_build_has_nothing_to_do_and_more_shards_are_more_pictures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", range(60))
    assert not build(tmp_path, pictures=run.parent).unchanged
    assert build(tmp_path, pictures=run.parent).unchanged
    for path in run.iterdir():
        path.unlink()
    run.rmdir()
    write_run(tmp_path / "runs", range(60), range(60, 80))
    outcome = build(tmp_path, pictures=run.parent)
    assert (outcome.unchanged, outcome.pictures) == (False, 79)


def test_every_picture_can_be_a_file_of_a_folder_of_a_thousand(tmp_path: Path, run: Path) -> None:
    build(tmp_path, pictures=run, layout="files")
    folder = tmp_path / "site" / "pictures" / "blob"
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"0", "1"}
    assert len(list(folder.glob("0/*.png"))) == 289 and len(list(folder.glob("1/*.png"))) == 100
    assert colour_in((folder / "1" / "1042.png").read_bytes()) == colour_of(1042)
    page = (tmp_path / "site" / "blob" / "index.html").read_text()
    assert '"folder": 1000' in page and "img-src 'self';" in page
    assert "1000" in json.loads((tmp_path / "site" / "api" / "blob.json").read_bytes())["image"]


def test_shards_elsewhere_stay_there(tmp_path: Path, run: Path) -> None:
    build(tmp_path, pictures=run.parent, pictures_url="https://pictures.example.net/all/")
    folder = tmp_path / "site" / "pictures" / "blob" / "shards"
    assert not list(folder.glob("*.zip"))
    zips = json.loads((folder / "manifest.json").read_bytes())["zips"]
    assert zips == f"https://pictures.example.net/all/{run.name}/"
    page = (tmp_path / "site" / "blob" / "index.html").read_text()
    assert "connect-src 'self' https://pictures.example.net;" in page
    build(tmp_path, pictures=run, pictures_url="https://example.org/blobs/runs/")
    assert json.loads((folder / "manifest.json").read_bytes())["zips"] == "../../../runs/"
    assert "connect-src 'self';" in (tmp_path / "site" / "blob" / "index.html").read_text()


def test_the_registry_can_name_the_run(tmp_path: Path, run: Path) -> None:
    extra = f"shards:\n  run: {run.parent}\n  layout: files\n"
    assert build(tmp_path, extra=extra).pictures == 400
    assert build(tmp_path, extra=extra, images=200, pictures=run).pictures == 200
    with pytest.raises(RegistryError, match=r"registry.yaml:14:12: .*want the folder or address of a run"):
        read_registry(write_registry(tmp_path, extra="shards:\n  run: nowhere\n"))


def test_what_is_excluded_from_shards_is_said_to_stay_in_them(tmp_path: Path, run: Path) -> None:
    outcome = build(tmp_path, pictures=run)
    assert any("stay in the shards" in warning and "layout: files" in warning for warning in outcome.warnings)
    with pytest.raises(RegistryError, match=r"exclude: all pictures of its run of shards are excluded"):
        build(tmp_path, pictures=run, extra="exclude: 0-1099")


def test_sitemaps_are_split(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "SITEMAP_LIMIT", 150)
    build(tmp_path, pictures=run, pages=True)
    site = tmp_path / "site"
    assert (site / "pictures" / "blob" / "0.card.jpg").is_file()
    names = re.findall(r"blobs/(sitemap-\d+\.xml)", (site / "sitemap.xml").read_text())
    counts = [(site / name).read_text().count("<loc>") for name in names]
    assert counts[:2] == [150, 150] and len(counts) == 3 and sum(counts) == 389 + 5
    assert "blob/?seed=1099" in (site / names[2]).read_text()


def refusal(folder: Path, **options: object) -> str:
    with pytest.raises(MetaganError) as caught:
        build(folder, **options)
    assert not (folder / "site").exists()
    return str(caught.value)


def test_what_is_no_run_of_the_subject_is_refused(tmp_path: Path, run: Path) -> None:
    assert "there is no run of shards here" in refusal(tmp_path, pictures=tmp_path)
    assert "no such folder" in refusal(tmp_path, pictures=tmp_path / "none")
    assert "--layout belongs to --pictures" in refusal(tmp_path, layout="files")
    other = write_run(tmp_path / "other", range(2), weights="0" * 64)
    assert "no run there has pictures of a generator" in refusal(tmp_path, pictures=other)
    extra = f"shards:\n  run: {other}\n"
    assert "registry.yaml:14:7: subjects.blob.shards" in refusal(tmp_path, extra=extra)
    write_run(tmp_path / "two", range(2), psi=0.1)
    write_run(tmp_path / "two", range(2), psi=0.2)
    said = refusal(tmp_path, pictures=tmp_path / "two")
    assert "several runs have pictures of its generator: blob-" in said and "name the folder of one" in said
    enlarged = write_run(tmp_path / "enlarged", range(2), upscaler="1" * 64)
    assert "enlarged by another upscaler" in refusal(tmp_path, pictures=enlarged)
    assert "no shards yet" in refusal(tmp_path, pictures=write_run(tmp_path / "empty"))
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "manifest.json").write_text("{}")
    assert "not a manifest of shards" in refusal(tmp_path, pictures=tmp_path / "file")


def test_damage_is_found_before_the_site_is_replaced(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", range(60))
    zipped, index = run / "0000000000-0000000059.zip", run / "0000000000-0000000059.jsonl"
    content, rows = zipped.read_bytes(), index.read_bytes()
    damaged = bytearray(content)
    damaged[json.loads(rows.splitlines()[7])["offset"] + 60] ^= 1
    zipped.write_bytes(damaged)
    assert "the picture of seed 7 is missing or damaged" in refusal(tmp_path, pictures=run)
    zipped.unlink()
    assert "the picture of seed 7 is missing or damaged" in refusal(tmp_path, pictures=run)
    zipped.write_bytes(content)
    build(tmp_path, pictures=run)
    kept = tmp_path / ".metagan" / "site" / "shards" / run.name / "0000000000-0000000059.bin"
    kept.write_bytes(b"\xff" * kept.stat().st_size)
    shutil.rmtree(tmp_path / "site")
    assert "is missing or damaged" in refusal(tmp_path, pictures=run, layout="files")
    build(tmp_path, pictures=run, layout="files")  # the run's own index was read again
    shutil.rmtree(tmp_path / "site")
    index.write_bytes(rows[:-20])
    kept.unlink()
    assert "this index is missing or damaged" in refusal(tmp_path, pictures=run)


def test_runs_on_s3_are_found_and_browsers_get_their_public_address(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    import fsspec

    files = fsspec.filesystem("memory")
    files.put(f"{run.parent}/", "/sharded-site/", recursive=True)
    ((place, _),) = find_runs("memory://sharded-site")
    assert place == f"memory://sharded-site/{run.name}"
    assert "browsers can't read memory:// addresses" in refusal(tmp_path, pictures="memory://sharded-site")
    build(tmp_path, pictures="memory://sharded-site", pictures_url="https://cdn.example/s/")
    listed = json.loads((tmp_path / "site/pictures/blob/shards/manifest.json").read_bytes())
    assert listed["zips"] == f"https://cdn.example/s/{run.name}/"


def test_a_site_can_be_built_onto_a_storage(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    write_registry(tmp_path)
    monkeypatch.chdir(tmp_path)
    options = ["build", "--pictures", str(run), "--out", "memory://built-site"]
    result = CliRunner().invoke(metagan, options, catch_exceptions=False)
    assert (
        result.stdout.startswith("build: 1 subject, 400 pictures")
        and "memory://built-site: " in result.stdout
    )
    files = fsspec.filesystem("memory")
    for name in ("index.html", "pictures/blob/shards/0000000150-0000000299.bin"):
        assert files.cat(f"/built-site/{name}") == (tmp_path / "build" / name).read_bytes()
    again = CliRunner().invoke(metagan, options, catch_exceptions=False)
    assert "memory://built-site: 0 files sent, 0 removed" in again.stdout


def test_shards_that_are_too_much_for_github_are_to_lie_elsewhere(tmp_path: Path, run: Path) -> None:
    build(tmp_path, pictures=run)
    with pytest.raises(MetaganError) as caught:
        check_github_limits(site_files(tmp_path / "site"), site_bytes=1000)
    assert "would fit" not in str(caught.value)
    assert "fix: keep shards on a storage and state its address" in str(caught.value)


def test_seeds_are_kept_as_ranges() -> None:
    seeds = SeedRanges([range(10, 20), range(5), range(4, 8), range(0)])
    assert seeds.ranges == (range(8), range(10, 20)) and len(seeds) == 18
    assert list(seeds) == [*range(8), *range(10, 20)] == [seeds[place] for place in range(18)]
    assert (seeds[-1], seeds[16:], 8 in seeds, 9 in seeds) == (19, (18, 19), False, False)
    left = seeds.without([range(3, 12), range(15, 16), range(19, 90)])
    assert left.ranges == (range(3), range(12, 15), range(16, 19))
    assert left.first(4).ranges == (range(3), range(12, 13))
    assert len(SeedRanges([range(2**32)])) == 2**32
