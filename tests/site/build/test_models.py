"""The generators that a built site gives to browsers: when, which, where, and what is said of them."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from metagan.errors import RegistryError
from metagan.export import web
from metagan.registry.read import read_registry
from metagan.site.build import models
from metagan.site.build.preflight import preflight
from tests.site.live_site import REGISTRY, build

SMALL = REGISTRY.partition("  blob:")[2].partition("  alien:")[0]
BLOB = f"{REGISTRY.partition('subjects:')[0]}subjects:\n  blob:{SMALL}"
ALIEN = BLOB.replace("tf_ada_cond16.pkl", "sg3t_cond16.pkl")


def api(folder: Path, slug: str = "blob") -> dict:
    return json.loads((folder / f"build/api/{slug}.json").read_text())


def test_a_model_lies_under_its_hash_and_the_api_says_so(tmp_path):
    assert build(tmp_path, BLOB).live == 1
    said = api(tmp_path)["live"]
    (file,) = (tmp_path / "build/models").iterdir()
    data = file.read_bytes()
    content = gzip.decompress(data)
    assert file.name == f"{said['sha256']}.bin.gz"
    assert said["weights"] == f"https://someone.example/my/apes/models/{file.name}"
    assert (said["file_size"], said["size"]) == (len(data), len(content))
    assert said["file_sha256"] == hashlib.sha256(data).hexdigest()
    assert said["sha256"] == hashlib.sha256(content).hexdigest()
    assert (said["precision"], said["off_by_one"] <= 0.05) == ("fp16", True)
    assert (tmp_path / "build/static/live/kernel.wasm").read_bytes()[:4] == b"\0asm"
    summary = json.loads((tmp_path / "build/api/subjects.json").read_text())["subjects"][0]
    assert summary["live"] == said


def test_an_unchanged_model_is_not_exported_again(tmp_path, monkeypatch):
    build(tmp_path, BLOB)
    before = api(tmp_path)["live"]
    monkeypatch.setattr(web, "make_web_weights", lambda *_: pytest.fail("exported again"))
    assert not build(tmp_path, BLOB.replace("images: 3", "images: 4")).unchanged
    assert api(tmp_path)["live"] == before
    monkeypatch.undo()
    build(tmp_path, f"{BLOB}    noise: none\n")
    assert api(tmp_path)["live"]["sha256"] != before["sha256"]
    assert len(list((tmp_path / "build/models").iterdir())) == 1


def test_two_subjects_with_the_same_weights_share_a_model(tmp_path):
    build(tmp_path, f"{BLOB}  other:{SMALL}")
    assert len(list((tmp_path / "build/models").iterdir())) == 1


def test_a_subject_that_says_never_has_none(tmp_path):
    assert build(tmp_path, f"{BLOB}    live: never\n").live == 0
    assert api(tmp_path)["live"] is None
    assert not (tmp_path / "build/models").exists()
    assert not (tmp_path / "build/static/live/kernel.wasm").exists()
    assert not (tmp_path / "build/blob/wall").exists()


def test_defaults_may_say_never(tmp_path):
    build(tmp_path, BLOB.replace("subjects:", "defaults:\n  live: never\nsubjects:"))
    assert api(tmp_path)["live"] is None


def test_a_large_generator_is_left_out_unless_it_is_always_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "LARGEST_BYTES", 20_000)
    build(tmp_path, BLOB)
    assert api(tmp_path)["live"] is None
    about = (tmp_path / "build/blob/about/index.html").read_text()
    assert "the generator is large" in about
    build(tmp_path, f"{BLOB}    live: always\n")
    assert api(tmp_path)["live"] is not None


@pytest.mark.parametrize(
    ("registry", "why"),
    [
        (ALIEN, "it is a stylegan3, want a stylegan2"),
        (f"{BLOB}    noise: random\n", "noise 'random' is drawn anew"),
    ],
)
def test_a_generator_that_browsers_don_t_know_is_an_error_where_it_is_always_wanted(tmp_path, registry, why):
    text = f"{registry}    live: always\n"
    with pytest.raises(RegistryError) as error:
        build(tmp_path, text)
    assert why in str(error.value)
    assert f"registry.yaml:{len(text.splitlines())}:11: subjects.blob.live" in str(error.value)
    assert "fix: write `live: auto`" in str(error.value)
    (problem,) = preflight(tmp_path / "registry.yaml", None, offline=True).problems
    assert str(problem) == str(error.value)
    assert not (tmp_path / "build").exists()


def test_check_has_nothing_against_one_that_may_stay_with_prepared_pictures(tmp_path):
    (tmp_path / "registry.yaml").write_text(ALIEN)
    assert preflight(tmp_path / "registry.yaml", None, offline=True).problems == ()
    assert build(tmp_path, ALIEN).live == 0


def test_another_word_than_the_three_is_refused(tmp_path):
    path = tmp_path / "registry.yaml"
    path.write_text(f"{BLOB}    live: sometimes\n")
    with pytest.raises(RegistryError, match=r"subjects\.blob\.live: want auto, always or never, got"):
        read_registry(path)


def test_a_damaged_kept_model_is_exported_again(tmp_path):
    build(tmp_path, BLOB)
    (kept,) = (tmp_path / ".metagan/build/models").glob("*.bin.gz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:100])
    build(tmp_path, BLOB.replace("images: 3", "images: 4"))
    assert kept.read_bytes() == whole
    (file,) = (tmp_path / "build/models").iterdir()
    assert file.read_bytes() == whole


def test_a_generator_that_float16_changes_too_much_goes_as_float32(tmp_path, monkeypatch):
    monkeypatch.setitem(web.TOLERANCE, "fp16", -1)
    build(tmp_path, BLOB)
    assert api(tmp_path)["live"]["precision"] == "fp32"
