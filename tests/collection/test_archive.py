"""Archives in a folder and on a storage that speaks S3."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from metagan.cli import metagan
from metagan.collection import store
from metagan.collection.archive import read_archive, write_archive
from metagan.collection.sources.dicebear import DicebearSource
from metagan.collection.sources.made import fetch_made
from metagan.collection.store import open_collection
from metagan.errors import CollectionError
from tests.collection.making import contents


@pytest.fixture(scope="module")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_made(
        DicebearSource("icons", "icons", 5, 16), tmp_path_factory.mktemp("made") / "icons"
    ).collection.path


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patched.setenv("AWS_ACCESS_KEY_ID", "test")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("nft-assets-bucket")
        yield "s3://nft-assets-bucket/nft-assets"
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def test_a_folder_holds_three_zips_that_give_the_collection_back(icons: Path, tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"weights")
    written = write_archive(icons, "icons", str(tmp_path / "archive"), tmp_path / "best.safetensors")
    kinds = ("archive", "metadata_archive", "generator")
    assert written == [f"{tmp_path}/archive/icons/icons_{kind}.zip" for kind in kinds]
    assert read_archive("icons", str(tmp_path / "archive"), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(icons)
    assert read_archive("apes", str(tmp_path / "archive"), tmp_path / "none") is None


def test_the_same_collection_gives_the_same_zips(icons: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_archive(icons, "icons", str(tmp_path / name))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_storage_that_speaks_s3_gives_the_collection_back(icons: Path, bucket: str, tmp_path: Path) -> None:
    assert read_archive("icons", bucket, tmp_path / "early") is None
    write_archive(icons, "icons", bucket)
    keys = fsspec.filesystem("s3").find(bucket)
    assert sorted(key.rpartition("/")[2] for key in keys) == [
        "icons_archive.zip",
        "icons_metadata_archive.zip",
    ]
    assert read_archive("icons", bucket, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(icons)


def test_fetch_reads_the_archive_first_and_writes_it_at_the_end(
    icons: Path, bucket: str, tmp_path: Path
) -> None:
    place = f"{bucket}/fetched"
    options = [
        "--from",
        "dicebear:icons",
        "--count",
        "5",
        "--size",
        "16",
        "--workers",
        "0",
        "--archive",
        place,
    ]
    for name in ("first", "second"):
        result = CliRunner().invoke(
            metagan, ["collection", "fetch", "icons", *options, "--out", str(tmp_path / name)]
        )
        assert result.exit_code == 0, result.output + str(result.exception)
        assert (f"read from {place}" in result.output) == (name == "second")
    assert contents(tmp_path / "first/images") == contents(tmp_path / "second/images")
    assert (tmp_path / "first/collection.json").read_bytes() == (
        tmp_path / "second/collection.json"
    ).read_bytes()


def test_a_bucket_that_is_not_there_says_the_way_out(icons: Path, bucket: str) -> None:
    with pytest.raises(CollectionError, match="check the address"):
        write_archive(icons, "icons", f"{bucket.replace('nft-assets-bucket', 'no-such-bucket')}")


@pytest.mark.parametrize("slug", ["../x", "a/b", "..", ""])
def test_slugs_that_lead_elsewhere(icons: Path, tmp_path: Path, slug: str) -> None:
    with pytest.raises(CollectionError, match="no name for an archive"):
        write_archive(icons, slug, str(tmp_path))


def changed(archive: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(archive) as old:
        members = {one: old.read(one) for one in old.namelist()} | {name: data}
    with zipfile.ZipFile(archive, "w") as new:
        for member, value in members.items():
            new.writestr(member, value)


@pytest.mark.parametrize(
    ("kind", "name", "data", "words"),
    [
        ("metadata_archive", "../../evil", b"x", "in an archive"),
        (
            "metadata_archive",
            "items.jsonl",
            b'{"id":"0","file":"images/../../x.png"}\n',
            "outside of the collection",
        ),
        (
            "metadata_archive",
            "items.jsonl",
            b'{"id":"0","file":"images/a\\u0000b"}\n',
            "outside of the collection",
        ),
        ("archive", "images/0.png", b"other", "another picture"),
    ],
)
def test_archives_that_were_tampered_with(
    icons: Path, tmp_path: Path, kind: str, name: str, data: bytes, words: str
) -> None:
    write_archive(icons, "icons", str(tmp_path))
    changed(tmp_path / f"icons/icons_{kind}.zip", name, data)
    with pytest.raises(CollectionError, match=words):
        read_archive("icons", str(tmp_path), tmp_path / "out")


def test_a_damaged_member_by_another_program(icons: Path, tmp_path: Path) -> None:
    write_archive(icons, "icons", str(tmp_path))
    file = tmp_path / "icons/icons_metadata_archive.zip"
    with zipfile.ZipFile(file) as old:
        members = {one: old.read(one) for one in old.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as new:
        for member, value in members.items():
            new.writestr(member, value)
    data = bytearray(file.read_bytes())
    at = data.index(b"items.jsonl") + len("items.jsonl") + 4
    data[at : at + 40] = b"\xff" * 40
    file.write_bytes(data)
    with pytest.raises(CollectionError, match="damaged"):
        read_archive("icons", str(tmp_path), tmp_path / "out")


@pytest.mark.parametrize("place", [0.1, 0.15, 0.2])
def test_bits_that_flipped_in_an_archive(icons: Path, tmp_path: Path, place: float) -> None:
    write_archive(icons, "icons", str(tmp_path))
    file = tmp_path / "icons/icons_metadata_archive.zip"
    data = bytearray(file.read_bytes())
    at = int(place * len(data))
    data[at : at + 8] = bytes(byte ^ 0x55 for byte in data[at : at + 8])
    file.write_bytes(data)
    with pytest.raises(CollectionError, match="damaged"):
        read_archive("icons", str(tmp_path), tmp_path / "out")


def test_a_line_without_end_is_not_read(icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_LINE_BYTES", 1 << 20)
    write_archive(icons, "icons", str(tmp_path))
    changed(tmp_path / "icons/icons_metadata_archive.zip", "items.jsonl", bytes(2 << 20))
    with pytest.raises(
        CollectionError, match=r"items.jsonl:1: want at most 1,048,576 bytes in a line, got 2,097,152"
    ):
        read_archive("icons", str(tmp_path), tmp_path / "out")


def test_a_link_in_place_of_a_picture_takes_no_other_file_into_the_archive(
    icons: Path, tmp_path: Path
) -> None:
    own = tmp_path / "icons"
    shutil.copytree(icons, own)
    picture = next(iter(open_collection(own).items)).file
    (tmp_path / "kept").write_bytes((own / str(picture)).read_bytes())
    (tmp_path / "secret.txt").write_text("secret")
    for target, words in (("kept", ""), ("secret.txt", "another file than items.jsonl says")):
        (own / str(picture)).unlink()
        (own / str(picture)).symlink_to(tmp_path / target)
        with pytest.raises(CollectionError, match=words) if words else nullcontext():
            write_archive(own, "icons", str(tmp_path / "archive"))


def test_a_damaged_archive(icons: Path, tmp_path: Path) -> None:
    write_archive(icons, "icons", str(tmp_path))
    (tmp_path / "icons/icons_archive.zip").write_bytes(b"PK but no more")
    with pytest.raises(CollectionError, match="damaged"):
        read_archive("icons", str(tmp_path), tmp_path / "out")
