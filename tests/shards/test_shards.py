"""Shards of pictures in a folder and on a storage that speaks S3."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
from pathlib import Path

import fsspec
import httpx2
import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from metagan.cli import metagan
from metagan.errors import MetaganError, OptionError
from metagan.shards.draw import ShardWriter
from metagan.shards.manifest import missing_shards, shards_in
from metagan.storage import Storage


def sample(*options: str, what: str = "bundled:apes") -> str:
    result = CliRunner().invoke(metagan, ["sample", what, "--shards", "5", *options])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*/*")) if path.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run of 12 pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    assert "12 pictures in 3 shards, 3 drawn now" in sample("--seeds", "0-11", "--out", str(folder))
    return contents(folder)


def put(files: dict[str, bytes], out: Path, run: str) -> Path:
    (out / run).mkdir(parents=True)
    for name, data in files.items():
        (out / run / name).write_bytes(data)
    return out / run


@pytest.fixture
def run(drawn: dict[str, bytes], tmp_path: Path) -> Path:
    """A copy of that run, in a folder of its own."""
    first = CliRunner().invoke(
        metagan, ["sample", "bundled:apes", "--shards", "5", "--seeds", "0", "--out", str(tmp_path / "name")]
    )
    return put(drawn, tmp_path / "out", Path(first.stdout.partition(": ")[0]).name)


def test_a_range_of_an_uncompressed_zip_is_the_picture_that_sample_writes(
    drawn: dict[str, bytes], tmp_path: Path
) -> None:
    CliRunner().invoke(
        metagan,
        ["sample", "bundled:apes", "--seeds", "0-11", "--format", "webp", "--out", str(tmp_path)],
        catch_exceptions=False,
    )
    seeds = []
    for name in (name for name in drawn if name.endswith(".jsonl")):
        packed = drawn[name.replace(".jsonl", ".zip")]
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert archive.testzip() is None
        for row in map(json.loads, drawn[name].splitlines()):
            picture = packed[row["offset"] : row["offset"] + row["length"]]
            assert picture == (tmp_path / f"seed{row['seed']:04d}.webp").read_bytes()
            assert hashlib.sha256(picture).hexdigest() == row["sha256"]
            assert b"metagan:seed=" in Image.open(io.BytesIO(picture)).info["xmp"]
            seeds.append(row["seed"])
    assert seeds == list(range(12))
    manifest = json.loads(drawn["manifest.json"])
    assert manifest["pictures"] == 12 and manifest["shards"] == [[0, 4], [5, 9], [10, 11]]


def test_the_same_command_again_draws_what_is_missing_and_gives_the_same_files(
    run: Path, drawn: dict[str, bytes]
) -> None:
    (run / "0000000005-0000000009.zip").unlink()
    (run / "0000000005-0000000009.jsonl").unlink()
    (run / "0000000010-0000000011.jsonl").unlink()  # killed between the two: the zip is kept
    before = (run / "0000000010-0000000011.zip").stat().st_mtime_ns
    assert "3 shards, 1 drawn now" in sample("--seeds", "0-11", "--out", str(run.parent))
    assert contents(run.parent) == drawn
    assert (run / "0000000010-0000000011.zip").stat().st_mtime_ns == before
    assert "3 shards, 0 drawn now" in sample("--seeds", "0-11", "--out", str(run.parent))


def test_more_seeds_are_more_shards_of_the_same_run(run: Path, drawn: dict[str, bytes]) -> None:
    assert "16 pictures in 5 shards, 2 drawn now" in sample("--seeds", "0-15", "--out", str(run.parent))
    now = contents(run.parent)
    assert {name: now[name] for name in drawn if name != "manifest.json"} == {
        name: data for name, data in drawn.items() if name != "manifest.json"
    }
    assert {"0000000012-0000000014.zip", "0000000015-0000000015.zip"} <= set(now)


def test_another_setting_is_a_run_beside_the_first(run: Path, drawn: dict[str, bytes]) -> None:
    sample("--seeds", "0-1", "--psi", "0.5", "--out", str(run.parent))
    sample("--seeds", "0-1", "--format", "png", "--out", f"file://{run.parent}")
    assert len(list(run.parent.iterdir())) == 3
    assert {path.name: path.read_bytes() for path in run.iterdir()} == drawn


@pytest.mark.parametrize("where", ["picture", "directory", "encrypted", "index"])
def test_verify_finds_a_flipped_bit_and_draws_the_shard_again(
    run: Path, drawn: dict[str, bytes], where: str
) -> None:
    name = "0000000005-0000000009" + (".jsonl" if where == "index" else ".zip")
    damaged = bytearray(drawn[name])
    first = drawn[name].find(b"PK\x01\x02")
    damaged[
        {"picture": 5000, "directory": len(damaged) - 30, "encrypted": first + 8, "index": 40}[where]
    ] ^= 1
    (run / name).write_bytes(damaged)
    assert "0 drawn now" in sample("--seeds", "0-11", "--out", str(run.parent))
    assert "1 drawn now" in sample("--seeds", "0-11", "--out", str(run.parent), "--verify")
    assert contents(run.parent) == drawn


def test_a_zip_without_index_that_is_damaged_is_drawn_again(run: Path, drawn: dict[str, bytes]) -> None:
    (run / "0000000010-0000000011.jsonl").unlink()
    (run / "0000000010-0000000011.zip").write_bytes(drawn["0000000010-0000000011.zip"][:-99])
    assert "1 drawn now" in sample("--seeds", "0-11", "--out", str(run.parent))
    assert contents(run.parent) == drawn


def test_s3_gets_the_same_bytes(bucket: str, drawn: dict[str, bytes]) -> None:
    assert "3 drawn now" in sample("--seeds", "0-11", "--out", f"{bucket}/apes")
    assert "0 drawn now" in sample("--seeds", "0-11", "--out", f"{bucket}/apes", "--verify")
    files = fsspec.filesystem("s3")
    assert {path.rpartition("/")[2]: files.cat_file(path) for path in files.find("pictures")} == drawn


def test_only_one_writer_creates_a_file(bucket: str, tmp_path: Path) -> None:
    for place in (bucket, str(tmp_path / "new")):
        storage = Storage(place, OptionError)
        assert storage.create("run/a.zip", b"first")
        assert not storage.create("run/a.zip", b"second")
        assert storage.read("run/a.zip") == b"first"
        assert storage.read_range("run/a.zip", 1, 3) == b"ir"
        assert storage.sizes("run") == {"a.zip": 5}
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["a.zip"]


def test_what_another_program_wrote_after_a_listing_is_read(bucket: str) -> None:
    storage, other = Storage(bucket, OptionError), fsspec.filesystem("s3", skip_instance_cache=True)
    storage.write("a", b"1")
    assert storage.sizes() == {"a": 1}
    other.pipe_file("pictures/b", b"2")
    assert storage.read("b") == b"2"


class Busy(MemoryFileSystem):
    """A storage that answers SLOW_DOWN to the first requests."""

    protocol = "busy"
    left = 0

    def pipe_file(self, path, value, mode="overwrite", **options):
        if Busy.left:
            Busy.left -= 1
            raise OSError(errno.EBUSY, "Please reduce your request rate.")
        super().pipe_file(path, value, mode=mode, **options)


def test_a_busy_storage_is_asked_again_for_as_long_as_one_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("busy", Busy, clobber=True)
    Busy.left = 3
    Storage("busy://pictures", OptionError, patience_s=60).write("a", b"1")
    assert Busy.left == 0
    Busy.left = 10**6
    with pytest.raises(OptionError, match="reduce your request rate"):
        Storage("busy://pictures", OptionError, patience_s=0.1).write("a", b"2")
    impatient = Storage("busy://pictures", OptionError, patience_s=600)
    impatient.give_up()
    with pytest.raises(OptionError, match="reduce your request rate"):
        impatient.create("b", b"2")


def refusal(*options: str) -> str:
    with pytest.raises(MetaganError) as caught:
        sample("--seeds", "0-11", *options)
    return str(caught.value)


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    assert refusal("--out", "s3://no-such-bucket/apes") == (
        "s3://no-such-bucket/apes: there is no bucket no-such-bucket\n  fix: create it first, or correct the address"
    )


def test_absent_and_wrong_credentials_are_said_and_never_shown(
    bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    httpx2.post(f"{s3_endpoint}/moto-api/reset-auth", content=b"0")  # from here on moto looks at keys
    said = refusal("--out", f"{bucket}/apes")
    httpx2.post(f"{s3_endpoint}/moto-api/reset-auth", content=b"1000000000")
    assert "PermissionError" in said and "AKIAONLYATEST" not in said and "a-secret" not in said
    said = refusal("--out", "s3://AKIAINADDRESS:hush@pictures/apes")
    assert "AKIAINADDRESS" not in said and "hush" not in said
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.filesystem("s3").clear_instance_cache()
    assert refusal("--out", f"{bucket}/apes").startswith(f"{bucket}/apes: no credentials were found")


def test_a_place_that_can_not_be_written_to_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    words = ["sample", "bundled:apes", "--shards", "4", "--out", str(tmp_path / "file" / "out")]
    result = CliRunner().invoke(metagan, words)
    assert result.exit_code == 2
    assert "a file is there, where a folder has to be" in " ".join(result.stderr.split())


class ReadOnly(MemoryFileSystem):
    """A storage that may be read and listed, and no more."""

    protocol = "readonly"

    def pipe_file(self, path, value, mode="overwrite", **options):
        raise PermissionError("Access Denied")


def test_a_storage_that_can_only_be_read_is_refused_before_the_first_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsspec.register_implementation("readonly", ReadOnly, clobber=True)
    monkeypatch.setattr(ShardWriter, "write", lambda *_: pytest.fail("a picture was drawn"))
    said = refusal("--out", "readonly://pictures/apes")
    assert said.startswith("readonly://pictures/apes/apes-") and "PermissionError: Access Denied" in said
    assert "check the address, your permissions there" in said


def test_the_folder_of_a_run_is_not_the_folder_of_runs(run: Path) -> None:
    said = refusal("--out", str(run), "--psi", "0.5")
    assert "this is the folder of a run's shards" in said and f"try --out {run.parent}" in said


def test_a_manifest_of_another_run_is_not_overwritten(run: Path) -> None:
    other = json.loads((run / "manifest.json").read_bytes())
    other["settings"]["psi"] = 0.25
    (run / "manifest.json").write_text(json.dumps(other))
    assert "another run's manifest" in refusal("--out", str(run.parent))
    (run / "manifest.json").write_text("{}")
    assert "not a manifest of shards" in refusal("--out", str(run.parent))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sheet", "a.png", "--out", "a"], "--sheet is not for shards"),
        ([], "shards want an --out"),
        (["--seeds", "0-4294967296", "--out", "a"], "want seeds from 0 to 4294967295"),
        (["--on", "nowhere", "--out", "a"], "want local, ray, ray://HOST:PORT or HOST:PORT"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str], said: str) -> None:
    result = CliRunner().invoke(metagan, ["sample", "bundled:apes", "--shards", "5", *options])
    assert result.exit_code == 2 and said in result.output


def test_missing_seeds_are_divided_at_multiples_and_gaps() -> None:
    there = [range(1000, 1500)]
    assert missing_shards([*range(2100), 7], there, 1000) == [
        range(1000),
        range(1500, 2000),
        range(2000, 2100),
    ]
    assert missing_shards([9, 3, 4], [], 1000) == [range(3, 5), range(9, 10)]
    assert missing_shards(range(5), [range(10)], 1000) == []


def test_a_listing_tells_finished_shards_from_others() -> None:
    names = [
        "0000000000-0000000999.zip",
        "0000000000-0000000999.jsonl",
        "0000001000-0000001999.zip",
        ".x.tmp",
    ]
    assert shards_in(names) == ([range(1000)], [range(1000, 2000)])
