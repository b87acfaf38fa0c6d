"""Folders and zips of pictures, packed."""

import io
import json
import os
import stat
import struct
import sys
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.datasets import store
from metagan.datasets.decode import Fit
from metagan.datasets.labels import labels_by_name
from metagan.datasets.pack import pack
from metagan.datasets.source import PictureSource
from metagan.errors import DatasetError, OptionError
from metagan.values import LabelSpace
from tests.datasets.build import encoded, folder, name, pixels, png, zipped

FIT = Fit(16)


def test_square_pictures_of_the_right_size_come_back_pixel_by_pixel(tmp_path):
    pictures = folder(tmp_path / "in", {f"p{i}.png": png(16, i) for i in range(4)})
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert (report.packed, report.skipped, report.cut, report.enlarged) == (4, [], 0, 0)
    source = PictureSource(tmp_path / "out.zip", 16)
    source.check()
    for index in range(4):
        assert np.array_equal(source.pixels(index), pixels(16, index).transpose(2, 0, 1))


def test_the_zip_is_what_the_official_tool_writes(tmp_path):
    pack(folder(tmp_path / "in", {"a.png": png(), "b.png": png()}), tmp_path / "out.zip", FIT)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == [name(0), name(1), "dataset.json", "metagan.json"]
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        assert archive.read("dataset.json") == b'{"labels": null}'
        assert Image.open(io.BytesIO(archive.read(name(0)))).mode == "RGB"
        facts = json.loads(archive.read("metagan.json"))
    assert (facts["fit"], facts["background"], facts["resolution"]) == ("crop", "#ffffff", 16)


def test_a_zip_of_the_official_tool_is_packed_again_with_its_labels(tmp_path):
    labels = [[name(i), [3, 0, 7][i]] for i in range(3)]
    official = zipped(tmp_path / "in.zip", {name(i): png(32, i) for i in range(3)}, labels)
    report = pack(official, tmp_path / "out.zip", FIT)
    assert report.labels == {"0": 1, "3": 1, "7": 1}
    source = PictureSource(tmp_path / "out.zip")
    assert [int(source.label(i).argmax()) for i in range(3)] == [3, 0, 7]
    assert pack(official, tmp_path / "out.zip", FIT, labels="none").labels == {}
    assert PictureSource(tmp_path / "out.zip").label_count == 0


def test_label_vectors_pass_through(tmp_path):
    official = zipped(tmp_path / "in.zip", {name(0): png()}, [[name(0), [0.25, 0.75]]])
    pack(official, tmp_path / "out.zip", FIT)
    assert PictureSource(tmp_path / "out.zip").label(0).tolist() == [0.25, 0.75]


def test_names_of_a_foreign_dataset_json_are_kept(tmp_path):
    files = {"a.png": png(), "b.png": png()}
    for labels, names, told in (
        ([["a.png", 1], ["b.png", 0]], ["red", "blue"], LabelSpace(("blue", "red"))),
        ([["a.png", [0.5, 2]], ["b.png", [0.25, 1]]], ["age", "tilt"],
         LabelSpace(("age", "tilt"), ((0.25, 0.5), (1, 2)))),
        ([["a.png", [0, 1]], ["b.png", [1, 0]]], ["red", "blue"], LabelSpace(("red", "blue"))),
    ):  # fmt: skip
        document = json.dumps({"labels": labels, "label_names": names}).encode()
        pictures = folder(tmp_path / "in", files | {"dataset.json": document})
        report = pack(pictures, tmp_path / "out.zip", FIT)
        assert PictureSource(tmp_path / "out.zip").label_space == told
        assert bool(report.labels) == isinstance(labels[0][1], int)
        assert PictureSource(pictures).label_space.names == tuple(names)


@pytest.mark.parametrize("names", ["red", [1, 2], ["red"], ["red", ""], {}, ["red", "x" * 1_000_000]])
def test_names_that_are_none_are_refused(tmp_path, names):
    document = json.dumps({"labels": [["a.png", 1], ["b.png", 0]], "label_names": names}).encode()
    pictures = folder(tmp_path / "in", {"a.png": png(), "b.png": png(), "dataset.json": document})
    with pytest.raises(DatasetError, match="label_names: "):
        pack(pictures, tmp_path / "out.zip", FIT)


def test_labels_from_sub_folders(tmp_path):
    files = {f"{kind}/deep/{i}.png": png(16, i) for kind in ("poppy", "plain") for i in range(2)}
    pictures = folder(tmp_path / "in", files | {"stray.png": png()})
    report = pack(pictures, tmp_path / "out.zip", FIT, labels="folders")
    assert report.labels == {"plain": 2, "poppy": 2}
    assert report.skipped == [("stray.png", "not in a sub-folder, so it has no label")]
    source = PictureSource(tmp_path / "out.zip")
    assert source.label_names == ("plain", "poppy")
    assert [int(source.label(i).argmax()) for i in range(4)] == [0, 0, 1, 1]
    again = pack(tmp_path / "out.zip", tmp_path / "again.zip", Fit(8))
    assert again.labels == report.labels, "names survive a second packing"


LISTINGS = [
    ("birds/", lambda n: n),  # a zip of a folder, as desktops make it
    ("Desktop/birds/", lambda n: n),
    ("./", lambda n: n),
    ("birds/", lambda n: f"./{n}"),
    ("birds/", lambda n: f"birds/{n}"),
    ("", lambda n: n.replace("/", "\\")),
]


@pytest.mark.parametrize("written", ["forward", "backward"])
@pytest.mark.parametrize(("top", "listed"), LISTINGS)
def test_labels_are_found_below_a_top_folder_and_however_names_are_written(tmp_path, top, listed, written):
    def member(inside: str) -> str:
        return (top + inside).replace("/", "\\") if written == "backward" else top + inside

    labels = [[listed(name(i)), i % 2] for i in range(4)] + [["gone.png", 1]]
    files = {member(name(i)): png(16, i) for i in range(4)} | {"__MACOSX/._x": b"x", ".DS_Store": b"x"}
    files[member("dataset.json")] = json.dumps({"labels": labels}).encode()
    source = zipped(tmp_path / "in.zip", files)
    report = pack(source, tmp_path / "out.zip", FIT)
    assert (report.labels, report.unused_labels) == ({"0": 2, "1": 2}, ("gone.png",))
    direct = PictureSource(source)
    assert [int(direct.label(i).argmax()) for i in range(4)] == [0, 1, 0, 1]
    assert direct.left_out() == ["1 label is for no picture here, such as gone.png"]


def test_a_label_listed_in_composed_letters_finds_a_name_in_decomposed_ones(tmp_path):
    source = zipped(tmp_path / "in.zip", {"cafe\u0301.png": png()}, [["caf\u00e9.png", 3]])
    assert pack(source, tmp_path / "out.zip", FIT).labels == {"3": 1}


@pytest.mark.parametrize("top", ["", "flowers/"])
def test_sub_folders_below_a_top_folder_are_the_labels(tmp_path, top):
    files = {f"{top}{kind}/{i}.png": png(16, i) for kind in ("rose", "tulip") for i in range(2)}
    as_zip = zipped(tmp_path / "in.zip", {name.replace("/", "\\"): data for name, data in files.items()})
    for pictures in (folder(tmp_path / "in", files), as_zip):
        report = pack(pictures, tmp_path / "out.zip", FIT, labels="folders")
        assert report.labels == {"rose": 2, "tulip": 2}
    only = folder(tmp_path / "one", {f"{top}rose/{i}.png": png(16, i) for i in range(2)})
    assert pack(only, tmp_path / "out.zip", FIT, labels="folders").labels == {"rose": 2}


def test_labels_that_are_there_and_not_used_are_reported(tmp_path):
    files = {f"{kind}/{i}.png": png(16, i) for kind in ("rose", "tulip") for i in range(2)}
    pictures = folder(tmp_path / "in", files | {"kinds.csv": b"rose/0.png,red\n", "notes.csv": b"a,b\n"})
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert report.unread_labels == ("kinds.csv", "the sub-folders' names (rose, tulip)")
    result = CliRunner().invoke(
        metagan, ["dataset", "pack", str(pictures), "--out", str(tmp_path / "o.zip"), "--workers", "0"]
    )
    assert "labels not used: kinds.csv; the sub-folders' names (rose, tulip). --labels" in result.stdout
    labelled = folder(pictures, {"dataset.json": json.dumps({"labels": [["rose/0.png", 1]]}).encode()})
    report = pack(labelled, tmp_path / "out.zip", FIT, labels="none")
    assert report.unread_labels == ("dataset.json", "kinds.csv")
    inner = folder(tmp_path / "two", {"a/1.png": png(), "b/2.png": png()})
    folder(inner, {"a/dataset.json": json.dumps({"labels": [["1.png", 1]]}).encode()})
    assert pack(inner, tmp_path / "out.zip", FIT).unread_labels[0] == "a/dataset.json"


def test_a_dataset_json_with_a_trailing_comma_can_be_left_aside(tmp_path):
    files = {f"{kind}/{i}.png": png(16, i) for kind in ("rose", "tulip") for i in range(2)}
    pictures = folder(tmp_path / "in", files | {"dataset.json": b'{"labels": [["rose/0.png", 1],]}'})
    with pytest.raises(
        DatasetError, match=r"dataset\.json: .*\n  fix: mend it, or pack with `--labels folders`"
    ):
        pack(pictures, tmp_path / "out.zip", FIT)
    report = pack(pictures, tmp_path / "out.zip", FIT, labels="folders")
    assert report.labels == {"rose": 2, "tulip": 2}
    assert report.unread_labels == ("dataset.json",)


def test_two_labels_for_one_picture_are_refused(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"a.png": png()}, [["a.png", 1], [".\\a.png", 2]])
    with pytest.raises(DatasetError, match=r"labels\[1\]: a.png has another label before, the number 1, not"):
        pack(pictures, tmp_path / "out.zip", FIT)


def test_a_label_that_is_no_number_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"labels\[0\]: want a number, got nan"):
        labels_by_name([["a.png", float("nan")]], "dataset.json")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_folders_whose_names_are_no_text_become_labels(tmp_path):
    pictures = folder(tmp_path / "in", {f"{kind}/1.png": png() for kind in ("caf\udce9", "tea")})
    as_zip = tmp_path / "in.zip"
    with zipfile.ZipFile(as_zip, "w") as archive:
        archive.writestr("cafX/1.png", png())
        archive.writestr("tea/1.png", png())
    as_zip.write_bytes(as_zip.read_bytes().replace(b"cafX", b"caf\xe9"))  # as Unix archivers keep it
    for source in (pictures, as_zip):
        report = pack(source, tmp_path / "out.zip", FIT, labels="folders")
        assert report.labels == {"caf\\xe9": 1, "tea": 1}
        assert PictureSource(tmp_path / "out.zip").label_names == ("caf\\xe9", "tea")
    as_zip.write_bytes(
        as_zip.read_bytes().replace(b"caf\xe9", "mé".encode() + b"x")
    )  # UTF-8 without its flag
    assert pack(as_zip, tmp_path / "out.zip", FIT, labels="folders").labels == {"m\u00e9x": 1, "tea": 1}


def test_a_label_whose_pictures_are_all_broken_takes_no_number(tmp_path):
    pictures = folder(tmp_path / "in", {"a/1.png": b"broken", "b/1.png": png(), "c/1.png": png()})
    report = pack(pictures, tmp_path / "out.zip", FIT, labels="folders")
    assert report.labels == {"b": 1, "c": 1}
    assert PictureSource(tmp_path / "out.zip").label_count == 2


@pytest.mark.parametrize("heading", ["", "file,label\n", "\ufeffFilename,kind,notes\n"])
def test_labels_from_a_csv(tmp_path, heading):
    pictures = folder(tmp_path / "in", {"x/a.png": png(), "b.png": png(), "c.png": png()})
    table = tmp_path / "labels.csv"
    table.write_text(heading + "a.png,sesame\n./b.png,poppy,old\ngone.png,poppy\n", "utf-8")
    report = pack(pictures, tmp_path / "out.zip", FIT, labels=str(table))
    assert report.labels == {"poppy": 1, "sesame": 1}
    assert report.skipped == [("c.png", "no label in labels.csv")]
    assert report.unused_labels == ("gone.png",)


@pytest.mark.parametrize(
    ("text", "space"),
    [("file,age,tilt\na.png,0.5,2\nb.png,0.25,1,\n", LabelSpace(("age", "tilt"), ((0.25, 0.5), (1, 2)))),
     ("image_id,angle\na.png,0.5\nb.png,0.25\n", LabelSpace(("angle",), ((0.25, 0.5),))),
     ("a.png, 0.5 \nb.png,-1e1\n", LabelSpace((), ((-10, 0.5),))),
     ("a.png,0,1\nb.png,1,0\n", LabelSpace()),
     ("a.png,1,1\nb.png,1,0\n", LabelSpace((), ((1, 1), (0, 1)))),
     ("file,kind,split\na.png,red,0.5\nb.png,blue,1\n", LabelSpace(("blue", "red"))),
     ("a.png,1.5\nb.png,x\n", LabelSpace(("1.5", "x")))],
)  # fmt: skip
def test_numbers_in_a_csv_are_labels_of_numbers(tmp_path, text, space):
    pictures = folder(tmp_path / "in", {"a.png": png(16, 1), "b.png": png(16, 2)})
    (tmp_path / "l.csv").write_text(text)
    pack(pictures, tmp_path / "out.zip", FIT, labels=str(tmp_path / "l.csv"))
    assert PictureSource(tmp_path / "out.zip").label_space == space


def test_a_csv_of_numbers_that_are_none_is_refused(tmp_path):
    pictures = folder(tmp_path / "in", {"a.png": png(), "b.png": png()})
    (tmp_path / "l.csv").write_text("a.png,1,2\nb.png,nan,2\n")
    with pytest.raises(DatasetError, match=r"l\.csv:2: want finite numbers, got 'b\.png,nan,2'"):
        pack(pictures, tmp_path / "out.zip", FIT, labels=str(tmp_path / "l.csv"))


def test_whole_numbers_in_a_csv_keep_their_value(tmp_path):
    pictures = folder(tmp_path / "in", {"a.png": png(), "b.png": png()})
    (tmp_path / "l.csv").write_text("a.png,2\nb.png,10\n")
    pack(pictures, tmp_path / "out.zip", FIT, labels=str(tmp_path / "l.csv"))
    source = PictureSource(tmp_path / "out.zip")
    assert [int(source.label(i).argmax()) for i in range(2)] == [2, 10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png\nb.png\n", r"l\.csv:1: want file,label, got 'a.png'\n.*l\.csv:2:"),
        ("", "no lines of file,label"),
        ("q.png,1\n", "its 1 line matches no picture.*'q.png'"),
    ],
)
def test_a_csv_that_labels_nothing_is_refused(tmp_path, text, message):
    pictures = folder(tmp_path / "in", {"a.png": png()})
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        pack(pictures, tmp_path / "out.zip", FIT, labels=str(tmp_path / "l.csv"))
    with pytest.raises(
        DatasetError,
        match=r"none\.csv: can't be read .No such file or directory.\n  fix: use none, auto, folders or a",
    ):
        pack(pictures, tmp_path / "out.zip", FIT, labels=str(tmp_path / "none.csv"))
    with pytest.raises(DatasetError, match="no picture is in a sub-folder"):
        pack(pictures, tmp_path / "out.zip", FIT, labels="folders")


def nasty_files():
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s2I5BI", 13, b"IHDR", 99999, 99999, 8, 2, 0, 0, 0, 0)
    return {
        "1.png": png(20),
        "2.jpg": b"I am a text file",
        "3.jpg": encoded(Image.fromarray(pixels(300)), "JPEG")[:2000],
        "4.png": bomb,
        "5": encoded(Image.fromarray(pixels(30)), "WEBP"),
        "6.png": b"",
        "notes.txt": b"not a picture, and named so",
        ".DS_Store": b"x",
        "__MACOSX/._1.png": b"x",
    }


@pytest.mark.parametrize("as_zip", [True, False])
def test_what_cannot_be_read_is_left_out_and_listed_with_the_reason(tmp_path, as_zip):
    files = nasty_files()
    pictures = zipped(tmp_path / "in.zip", files) if as_zip else folder(tmp_path / "in", files)
    report = pack(pictures, tmp_path / "out.zip", FIT, workers=2)
    assert (report.packed, report.ignored) == (2, 3)
    reasons = dict(report.skipped)
    assert set(reasons) == {"2.jpg", "3.jpg", "4.png", "6.png"}
    assert "not a picture" in reasons["2.jpg"]
    assert "truncated" in reasons["3.jpg"]
    assert len(PictureSource(tmp_path / "out.zip", 16)) == 2


def test_pictures_are_not_replaced_by_what_is_packed_of_them(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"0.png": png(16, 0)})
    before = pictures.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OptionError, match="is what is read, and would be lost"):
        pack(pictures, tmp_path / "link" / "in.zip", FIT)
    assert pictures.read_bytes() == before


def test_one_of_the_pictures_is_not_replaced_by_the_dataset(tmp_path):
    pictures = folder(tmp_path / "in", {"0.png": png(16, 0), "1.png": png(16, 1)})
    with pytest.raises(DatasetError, match=r"1\.png: it is no dataset, and would be lost"):
        pack(pictures, pictures / "1.png", FIT)
    assert (pictures / "1.png").read_bytes() == png(16, 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.png,red\nb.png,\n", r"l\.csv:2: want file,label, got 'b\.png,'"),
        ("a.png,0.2,1\nb.png,0.3,O.5\nc.png,0.4,0.1\n", r"l\.csv:2: want 2 numbers as in most lines"),
        ("a.png,0.2,1\nb.png,0.3\nc.png,0.4,0.1\n", r"l\.csv:2: want 2 numbers as in most lines"),
        ("a.png,red\nb.png,red\na.png,blue\n", "a.png has two labels, 'red' and 'blue'"),
    ],
)
def test_lines_that_would_change_what_labels_are_refused(tmp_path, text, says):
    pictures = folder(tmp_path / "in", {"a.png": png(16, 0), "b.png": png(16, 1), "c.png": png(16, 2)})
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DatasetError, match=says):
        pack(pictures, tmp_path / "out.zip", FIT, labels=str(tmp_path / "l.csv"))


def test_a_name_that_comes_twice_in_a_zip_is_said(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"0.png": png(16, 0), "1.png": png(16, 1)})
    with zipfile.ZipFile(pictures, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("0.png", png(16, 2))
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert (report.packed, report.repeated) == (2, ("0.png",))
    says = "1 name more than once in the zip, and the last file is read: such as 0.png"
    assert PictureSource(pictures).left_out() == [says]
    command = ["dataset", "pack", str(pictures), "--out", str(tmp_path / "o.zip"), "--workers", "0"]
    assert f"  warning: {says}\n" in CliRunner().invoke(metagan, command).stdout


def test_a_dataset_among_its_own_pictures_is_never_taken_in(tmp_path):
    pictures = folder(tmp_path / "in", {"0.png": png(16, 0), "sub/1.png": png(16, 1)})
    for called in ("set.zip", "sub/set", "set.png"):
        first = pack(pictures, pictures / called, FIT)
        second = pack(pictures, pictures / called, FIT)
        assert (second.packed, second.skipped, second.ignored) == (2, [], 0)
        assert first == second
        (pictures / called).unlink()


def test_labels_are_not_replaced_by_what_is_packed(tmp_path):
    pictures = folder(tmp_path / "in", {"0.png": png(16, 0)})
    (tmp_path / "labels.csv").write_text("0.png,1\n")
    with pytest.raises(OptionError, match="is what is read"):
        pack(pictures, tmp_path / "labels.csv", FIT, labels=str(tmp_path / "labels.csv"))


def test_labels_are_read_from_regular_files_only(tmp_path):
    pictures = folder(tmp_path / "in", {"0.png": png(16, 0)})
    os.mkfifo(tmp_path / "pipe")
    for labels in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(DatasetError, match="it is no regular file"):
            pack(pictures, tmp_path / "out.zip", FIT, labels=str(labels))


def test_a_dataset_json_is_no_ignored_file(tmp_path):
    listed = json.dumps({"labels": [["0.png", 0], ["1.png", 1]]}).encode()
    files = {"0.png": png(16, 0), "1.png": png(16, 1), "dataset.json": listed, "metagan.json": b"{}"}
    pictures = folder(tmp_path / "in", files | {"notes.txt": b"x"})
    report = pack(pictures, tmp_path / "out.zip", FIT, labels="auto")
    assert (report.packed, report.ignored) == (2, 1)


def test_the_same_pictures_give_the_same_bytes_whatever_the_number_of_processes(tmp_path):
    pictures = folder(tmp_path / "in", {f"{i}.png": png(20, i) for i in range(20)})
    for workers in (0, 2):
        pack(pictures, tmp_path / f"{workers}.zip", FIT, workers=workers)
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_names_that_climb_out_of_a_zip_are_only_names(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    pictures = zipped(inside / "in.zip", {"../../evil.png": png(), "/abs.png": png(), "C:\\x.png": png()})
    report = pack(pictures, inside / "out.zip", FIT)
    assert report.packed + len(report.skipped) + report.ignored == 3
    assert report.packed >= 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "in.zip", "out.zip"]


def test_a_zip_bomb_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 1 << 20)
    files = {"bomb.png": b"\0" * (3 << 20), "good.png": png()}
    pictures = zipped(tmp_path / "in.zip", files, method=zipfile.ZIP_DEFLATED)
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert report.packed == 1
    assert report.skipped[0][0] == "bomb.png"
    assert "3 MiB" in report.skipped[0][1]


def test_a_size_that_lies_about_a_zip_member_is_found_out(tmp_path):
    pictures = zipped(
        tmp_path / "in.zip", {"a.png": b"\0" * 100_000, "b.png": png()}, method=zipfile.ZIP_DEFLATED
    )
    data = bytearray(pictures.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 50)
    pictures.write_bytes(data)
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert report.packed == 1
    assert "damaged in the zip" in dict(report.skipped)["a.png"]


def test_an_encrypted_member_is_left_out(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"a.png": png(), "b.png": png()})
    data = bytearray(pictures.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    pictures.write_bytes(data)
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert "encrypted" in dict(report.skipped)["a.png"]


def test_a_truncated_zip_is_named(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"a.png": png(), "b.png": png()})
    pictures.write_bytes(pictures.read_bytes()[:-60])
    with pytest.raises(DatasetError, match=r"neither a folder nor a zip|a damaged zip"):
        pack(pictures, tmp_path / "out.zip", FIT)


def test_a_zip_of_a_version_that_is_not_known_is_named(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"a.png": png()})
    data = bytearray(pictures.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 142  # version needed to extract: 14.2
    pictures.write_bytes(data)
    with pytest.raises(DatasetError, match=r"a damaged zip .*14\.2"):
        pack(pictures, tmp_path / "out.zip", FIT)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in the file system")
def test_a_pipe_is_no_zip(tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DatasetError, match="it is no regular file"):
        pack(tmp_path / "pipe.zip", tmp_path / "out.zip", FIT)


def test_names_that_would_steer_a_terminal_are_shown_harmless(tmp_path):
    pictures = zipped(tmp_path / "in.zip", {"a.png": png(), "\x1b[2Jevil\n.png": b"x"})
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert report.skipped[0][0] == "\\x1b[2Jevil\\n.png"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no text")
def test_file_names_that_are_no_text_can_be_reported(tmp_path):
    pictures = folder(tmp_path / "in", {"a.png": png()})
    (pictures / "b\udcff.png").write_bytes(b"x")
    result = CliRunner().invoke(
        metagan, ["dataset", "pack", str(pictures), "--out", str(tmp_path / "o.zip"), "--workers", "0"]
    )
    assert result.exit_code == 0, result.output
    assert "b\\xff.png: not a picture" in result.stdout


def test_what_holds_no_picture_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "empty").mkdir()
    texts = folder(tmp_path / "texts", {"a.txt": b"x"})
    broken = folder(tmp_path / "broken", {f"{i}.png": b"x" for i in range(7)})
    out = tmp_path / "out.zip"
    for pictures, message in [
        (tmp_path / "none", "no such folder or zip"),
        (tmp_path / "empty", r"it contains no pictures \(0 other files\)"),
        (texts, r"it contains no pictures \(1 other file\)"),
        (
            broken,
            r"its 7 files could not be packed; nothing was written\n  0.png: not a picture(?s:.)*and 2 more",
        ),
    ]:
        with pytest.raises(DatasetError, match=message):
            pack(pictures, out, FIT)
    assert not list(tmp_path.glob("*out.zip*"))


def test_odd_files_in_a_folder_are_left_out(tmp_path):
    pictures = folder(tmp_path / "in", {"a.png": png()})
    (pictures / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    import os

    os.mkfifo(pictures / "pipe.png")
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert report.packed == 1
    assert dict(report.skipped) == {"dangling.png": "missing", "pipe.png": "not a regular file"}


def test_an_interrupted_packing_leaves_the_old_file_and_nothing_else(tmp_path):
    pictures = folder(tmp_path / "in", {"a.png": png(), "b.png": png()})
    out = tmp_path / "out" / "o.zip"
    folder(tmp_path, {"out/o.zip": b"old"})

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(pictures, out, FIT, advance=stop)
    assert [path.name for path in out.parent.iterdir()] == ["o.zip"]
    assert out.read_bytes() == b"old"


def test_a_full_disk_is_an_error_with_a_way_out(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(DatasetError, match=r"can't be written.*No space left.*\n  fix: free some space"):
        pack(folder(tmp_path / "in", {"a.png": png()}), tmp_path / "out.zip", FIT)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_command_packs_and_reports(tmp_path):
    files = {
        "a/1.png": png(20),
        "a/2.png": encoded(Image.new("RGB", (30, 10)), "PNG"),
        "b/3.png": b"x",
        "b/4.png": png(8),
    }
    pictures = folder(tmp_path / "in", files)
    out = tmp_path / "out.zip"
    options = [
        "--out",
        str(out),
        "--resolution",
        "16",
        "--labels",
        "folders",
        "--fit",
        "pad",
        "--background",
        "#102030",
    ]
    result = CliRunner().invoke(metagan, ["dataset", "pack", str(pictures), *options, "--workers", "0"])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith(f"{out}: 3 pictures of 16x16")
    assert "  2 padded to a square" in result.stdout
    assert "enlarged" not in result.stdout
    assert "  2 labels: a 2, b 1" in result.stdout
    assert "    b/3.png: not a picture of a known format" in result.stdout
    assert PictureSource(out).pixels(1)[:, 0, 0].tolist() == [0x10, 0x20, 0x30]
    result = CliRunner().invoke(
        metagan, ["dataset", "pack", str(pictures), *options, "--workers", "0", "--json"]
    )
    assert json.loads(result.stdout)["packed"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resolution", "48"], "nearest are 32 and 64"),
        (["--background", "bluish"], "want a colour such as"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(tmp_path, options, message):
    result = CliRunner().invoke(metagan, ["dataset", "pack", str(tmp_path), "--out", "o.zip", *options])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_exact_duplicates_are_reported_and_dropped_on_request(tmp_path):
    again = encoded(Image.open(io.BytesIO(png(16, 1))), "BMP")
    pictures = folder(tmp_path / "in", {"a.png": png(16, 1), "b.bmp": again, "c.png": png(16, 2)})
    report = pack(pictures, tmp_path / "out.zip", FIT)
    assert (report.packed, report.duplicates) == (3, [("b.bmp", "a.png")])
    report = pack(pictures, tmp_path / "out.zip", FIT, drop_duplicates=True)
    assert (report.packed, report.duplicates) == (2, [("b.bmp", "a.png")])
    command = ["dataset", "pack", str(pictures), "--out", str(tmp_path / "o.zip"), "--workers", "0"]
    assert (
        "  1 exact duplicate of another, such as b.bmp of a.png"
        in CliRunner().invoke(metagan, command).stdout
    )
    dropped = CliRunner().invoke(metagan, [*command, "--duplicates", "drop"]).stdout
    assert "2 pictures of 64x64" in dropped
    assert "  1 exact duplicate of another, left out, such as b.bmp of a.png" in dropped


def test_dark_pictures_of_sixteen_bits_are_reported_and_stretched_on_request(tmp_path):
    dim = Image.fromarray((np.mgrid[0:16, 0:16][1] * 4095 // 15).astype(np.uint16))
    pictures = folder(tmp_path / "in", {"dim.png": encoded(dim, "PNG"), "plain.png": png()})
    command = ["dataset", "pack", str(pictures), "--out", str(tmp_path / "o.zip"), "--workers", "0"]
    command += ["--resolution", "16"]
    assert (
        "warning: 1 with 16 bits comes out dark, because it uses fewer"
        in CliRunner().invoke(metagan, command).stdout
    )
    assert PictureSource(tmp_path / "o.zip").pixels(0).max() < 20
    assert "  1 stretched from 12 bits" in CliRunner().invoke(metagan, [*command, "--stretch"]).stdout
    assert PictureSource(tmp_path / "o.zip").pixels(0).max() == 255


def test_training_refuses_pictures_with_alpha_in_a_sentence(tmp_path):
    pictures = folder(tmp_path / "in", {"a.png": png(16, mode="RGBA")})
    pack(pictures, tmp_path / "out.zip", Fit(16, alpha="keep"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert Image.open(io.BytesIO(archive.read(name(0)))).mode == "RGBA"
        assert json.loads(archive.read("metagan.json"))["alpha"] == "keep"
    with pytest.raises(DatasetError, match=r"three colours and no transparency; pack it with --alpha over"):
        PictureSource(tmp_path / "out.zip").check()


def test_the_written_zip_is_readable_by_others(tmp_path):
    pack(folder(tmp_path / "in", {"a.png": png()}), tmp_path / "out.zip", FIT)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        archive.extractall(tmp_path / "there")
    assert stat.S_IMODE((tmp_path / "there" / name(0)).stat().st_mode) & 0o400
    assert len(PictureSource(tmp_path / "there", 16)) == 1
