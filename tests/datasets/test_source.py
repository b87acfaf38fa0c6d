"""Packed datasets read back."""

import multiprocessing
import os
import pickle
import struct
import threading
import zlib

import numpy as np
import pytest

from metagan.datasets.archive import picture_name
from metagan.datasets.source import PictureSource
from metagan.errors import DatasetError
from tests.datasets.build import folder, name, pixels, png, zipped


def members(count=3, side=16):
    return {name(index): png(side, index) for index in range(count)}


def test_names_are_the_official_tool_s():
    assert [picture_name(i) for i in (0, 999, 1000, 1234567)] == [name(i) for i in (0, 999, 1000, 1234567)]
    assert picture_name(1234567) == "01234/img01234567.png"


def test_a_zip_and_a_folder_of_the_same_files_give_the_same_pictures(tmp_path):
    sources = [
        PictureSource(zipped(tmp_path / "a.zip", members())),
        PictureSource(folder(tmp_path / "a", members())),
    ]
    for source in sources:
        assert (len(source), source.resolution, source.label_count, source.label_names) == (3, 16, 0, ())
        picture, label = source.get(2)
        assert picture.dtype == np.uint8
        assert np.array_equal(picture, pixels(16, 2).transpose(2, 0, 1))
        assert label.shape == (0,)
        source.check()


def test_label_numbers_become_one_hot_vectors_in_the_pictures_order(tmp_path):
    labels = [[name(2), 4], [name(0), 1], [name(1), 0]]
    source = PictureSource(zipped(tmp_path / "a.zip", members(), labels))
    assert source.label_count == 5
    assert [int(source.get(i)[1].argmax()) for i in range(3)] == [1, 0, 4]
    assert source.get(2)[1].tolist() == [0, 0, 0, 0, 1]
    assert source.table.counts().tolist() == [1, 1, 0, 0, 1]
    assert source.label_names == ("0", "1", "2", "3", "4")
    assert PictureSource(source.path, labelled=False).label_count == 0


def test_label_vectors_are_kept_as_they_are(tmp_path):
    labels = [[name(i), [i / 2, 1.0]] for i in range(3)]
    source = PictureSource(zipped(tmp_path / "a.zip", members(), labels))
    assert source.label(1).tolist() == [0.5, 1.0]
    assert source.label_count == 2


def test_labels_null_means_none(tmp_path):
    assert PictureSource(zipped(tmp_path / "a.zip", members(), None)).label_count == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[name(0), 1]], r"2 of 3 pictures have no label \(00000/img00000001.png"),
        ([[name(i), -1] for i in range(3)], "whole numbers from 0"),
        ([[name(i), [1.0] * (i + 1)] for i in range(3)], "lists of numbers of one length"),
        ([[name(i), [10**400]] for i in range(3)], "lists of numbers"),
        ([[name(i), True] for i in range(3)], "whole numbers"),
        ([name(0)], r"labels\[0\]: got"),
        ("six", "labels: got str"),
    ],
)
def test_labels_that_fit_no_pictures_are_refused(tmp_path, labels, message):
    with pytest.raises(DatasetError, match=message):
        PictureSource(zipped(tmp_path / "a.zip", members(), labels))


def test_a_damaged_dataset_json_is_named(tmp_path):
    with pytest.raises(
        DatasetError, match=r"a\.zip: dataset\.json: .*\n  fix: mend it, or pack with `--labels folders`"
    ):
        PictureSource(zipped(tmp_path / "a.zip", members() | {"dataset.json": b"{"}))


def test_grey_pictures_of_the_official_tool_become_rgb(tmp_path):
    source = PictureSource(zipped(tmp_path / "a.zip", {name(0): png(8, mode="L")}))
    picture = source.pixels(0)
    assert picture.shape == (3, 8, 8)
    assert (picture[0] == picture[2]).all()


def test_another_resolution_than_asked_for_is_refused_with_the_command_that_helps(tmp_path):
    path = zipped(tmp_path / "a.zip", members())
    assert PictureSource(path, 16).resolution == 16
    with pytest.raises(
        DatasetError, match=r"16x16 pixels, but 32x32 was requested\n  fix: .*pack .*--resolution 32"
    ):
        PictureSource(path, 32)


@pytest.mark.parametrize("side", [12, 1])
def test_a_side_that_is_no_power_of_two_is_refused(tmp_path, side):
    with pytest.raises(DatasetError, match="power of two"):
        PictureSource(zipped(tmp_path / "a.zip", members(1, side)))


def test_every_picture_that_cannot_be_used_is_named_before_training(tmp_path):
    bomb = bytearray(png(16))
    bomb[16:24] = struct.pack(">II", 30_000, 30_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    files = members() | {
        name(3): png(32),
        name(4): png(16)[:60],
        name(5): png(16, mode="RGBA"),
        name(6): b"text",
        name(7): bomb,
    }
    source = PictureSource(zipped(tmp_path / "a.zip", files))
    with pytest.raises(DatasetError) as caught:
        source.check()
    message = str(caught.value)
    assert "5 of 8 pictures can't be used" not in message, "a cut file's header is whole; it fails when read"
    assert "4 of 8 pictures" in message
    for index, reason in [(3, "32x32 pixels, want 16x16"), (5, "mode RGBA"), (6, "cannot identify"), (7, "")]:
        assert f"{name(index)}: {reason}" in message
    with pytest.raises(DatasetError, match=name(4)):
        source.get(4)


def test_a_long_list_of_bad_pictures_is_cut(tmp_path):
    files = members(1) | {name(i): png(8) for i in range(1, 15)}
    with pytest.raises(DatasetError, match="and 4 more"):
        PictureSource(zipped(tmp_path / "a.zip", files)).check()


def test_a_picture_removed_since_is_named(tmp_path):
    source = PictureSource(folder(tmp_path / "a", members()))
    (tmp_path / "a" / name(1)).unlink()
    with pytest.raises(DatasetError, match=f"{name(1)}: missing"):
        source.get(1)
    with pytest.raises(IndexError):
        source.get(3)


def test_what_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no such folder or zip"):
        PictureSource(tmp_path / "none")
    with pytest.raises(DatasetError, match="neither a folder nor a zip"):
        PictureSource(tmp_path / "text.zip")
    with pytest.raises(DatasetError, match="it holds no files"):
        PictureSource(tmp_path / "empty")
    for count, said in enumerate(
        ("holds one file, which is no picture", "holds 2 files, none of which is a picture")
    ):
        (tmp_path / "empty" / f"{count}.txt").touch()
        with pytest.raises(DatasetError, match=said):
            PictureSource(tmp_path / "empty")


def test_a_damaged_member_is_named_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "a.zip", members())
    data = bytearray(path.read_bytes())
    data[data.index(png(16, 1)) + 100] ^= 255
    path.write_bytes(data)
    source = PictureSource(path)
    source.get(2)
    with pytest.raises(DatasetError, match=rf"{name(1)}: damaged in the zip \(Bad CRC"):
        source.get(1)


def test_a_source_can_be_pickled_after_use(tmp_path):
    source = PictureSource(zipped(tmp_path / "a.zip", members()))
    source.get(0)
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.get(1)[0], source.get(1)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_opens_the_zip_for_itself(tmp_path):
    source = PictureSource(zipped(tmp_path / "a.zip", members()))
    source.get(0)
    parent = source._store._archive
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    def child():
        source.get(1)
        results.put(source._store._archive is not parent)

    process = context.Process(target=child)
    process.start()
    assert results.get(timeout=120)
    process.join(120)


def test_threads_share_a_source(tmp_path):
    source = PictureSource(zipped(tmp_path / "a.zip", members(8)))
    wrong = []

    def read():
        for _ in range(30):
            for index in range(8):
                if not np.array_equal(source.pixels(index), pixels(16, index).transpose(2, 0, 1)):
                    wrong.append(index)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
