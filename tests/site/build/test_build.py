"""The build: what it makes, keeps, removes, refuses, and what an interruption leaves."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import BuildError, BuildLockedError, MetaganError, OptionError, RegistryError
from metagan.live import KERNEL
from metagan.registry.read import read_registry
from metagan.site.build import build as build_module
from metagan.site.build import build_dir, pictures
from metagan.site.build.build import BuildOptions, BuildReport, build_site
from metagan.site.build.build_dir import BuildDir
from metagan.site.build.gather import _digest_of_code
from metagan.site.build.picture_cache import chunks_with_gaps
from metagan.site.manifest import MANIFEST
from tests.site.live_site import Silent

GOLDEN = Path(__file__).parents[2] / "golden" / "sg2ada_cuda16.pkl"  # 16x16, two classes


def write_registry(folder: Path, *, images: object = 12, psi: float = 0.7, extra: str = "") -> Path:
    shutil.copyfile(GOLDEN, folder / "blob.pkl")
    path = folder / "registry.yaml"
    path.write_text(
        textwrap.dedent(f"""\
            site:
              title: Blobs
              base_url: https://example.org/blobs/
            subjects:
              blob:
                title: Blob
                weights: blob.pkl
                licence: CC0-1.0
                source: made up
                class: 1
                images: {images}
                psi: {psi}
            """)
        + textwrap.indent(textwrap.dedent(extra), "    ")
    )
    return path


def build(folder: Path, *, out: str = "build", **options) -> BuildReport:
    registry = read_registry(folder / "registry.yaml")
    return build_site(BuildOptions(registry, folder / out, device="cpu", **options), Silent())


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(autouse=True)
def fixed_day(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")


def test_a_build_on_another_day_brings_its_picture_of_the_day_and_draws_nothing(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    assert build(tmp_path).unchanged
    manifest = tmp_path / "build" / MANIFEST
    manifest.write_text(manifest.read_text().replace("2026-09-21", "2026-09-20"))
    later = build(tmp_path)
    assert (later.unchanged, later.drawn) == (False, 0)
    assert build(tmp_path).unchanged


def test_a_site_s_icons_are_made_from_its_first_picture_and_say_so(tmp_path):
    write_registry(tmp_path, images=2)
    build(tmp_path)
    icons = json.loads((tmp_path / "build/manifest.webmanifest").read_text())["icons"]
    assert [one["sizes"] for one in icons] == ["192x192", "512x512", "512x512", "any"]
    icon = Image.open(tmp_path / "build" / icons[1]["src"])
    picture = Image.open(tmp_path / "build/pictures/blob/0.webp").convert("RGB")
    assert np.array_equal(np.asarray(icon)[16::32, 16::32], np.asarray(picture))
    assert 'metagan:seed="0"' in icon.info["XML:com.adobe.xmp"]


def test_a_site_has_its_pages_and_pictures_and_a_manifest_of_them(tmp_path):
    write_registry(tmp_path)
    outcome = build(tmp_path)
    site = tmp_path / "build"
    assert (outcome.subjects, outcome.pictures, outcome.drawn) == (1, 12, 12)
    for name in ("index.html", "404.html", "blob/index.html", "blob/11/index.html", "blob/about/index.html",
                 "subjects/index.html", "today/index.html", "today/feed.xml", "manifest.webmanifest",
                 "blob/11/oembed.json", "feed.xml", "sitemap.xml", "robots.txt", "api/blob.json",
                 "pictures/blob/11.webp", "pictures/blob/11.card.jpg"):  # fmt: skip
        assert (site / name).is_file(), name
    manifest = BuildDir(site).manifest()
    there = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()}
    assert manifest.files.keys() == there - {MANIFEST}
    assert outcome.files == len(manifest.files)


def test_previews_of_links_are_cards_made_again_when_their_words_change(tmp_path):
    path = write_registry(tmp_path)
    build(tmp_path)
    page = (tmp_path / "build/blob/11/index.html").read_text()
    assert 'content="https://example.org/blobs/pictures/blob/11.card.jpg"' in page
    assert 'href="../../pictures/blob/11.card.jpg" download="blob-11-card.jpg">Card</a>' in page
    assert 'og:image:width" content="1200"' in page and 'og:image:height" content="630"' in page
    with Image.open(tmp_path / "build/pictures/blob/11.card.jpg") as image:
        assert image.size == (1200, 630)
        assert b'metagan:seed="11"' in image.info["xmp"]
    former = (tmp_path / "build/pictures/blob/11.card.jpg").read_bytes()
    path.write_text(path.read_text().replace("title: Blobs", "title: Bubbles"))
    assert build(tmp_path).drawn == 0
    assert (tmp_path / "build/pictures/blob/11.card.jpg").read_bytes() != former
    assert len(list((tmp_path / ".metagan/build/cards").iterdir())) == 1  # the former are gone


def test_a_second_build_has_nothing_to_do_and_touches_nothing(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    before = (tmp_path / "build").stat()
    outcome = build(tmp_path)
    assert outcome.unchanged
    assert outcome.drawn == 0
    assert (tmp_path / "build").stat().st_ino == before.st_ino


def test_a_file_that_went_missing_or_has_another_byte_is_put_back_without_drawing(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    whole = digest(tmp_path / "build")
    page = tmp_path / "build/index.html"
    page.write_bytes(page.read_bytes().replace(b"<", b"[", 1))  # the same size
    assert not build(tmp_path).unchanged
    assert digest(tmp_path / "build") == whole
    (tmp_path / "build/blob/index.html").unlink()
    (tmp_path / "build/pictures/blob/3.webp").unlink()
    outcome = build(tmp_path)
    assert (outcome.unchanged, outcome.drawn) == (False, 0)
    assert digest(tmp_path / "build") == whole


def test_only_what_changed_is_drawn_again_and_what_is_unwanted_goes(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    write_registry(tmp_path, images=14, extra="exclude: [3]")
    outcome = build(tmp_path)
    assert outcome.drawn == 3  # 12, 13 and 14, since 3 is excluded
    site = tmp_path / "build"
    assert not (site / "pictures/blob/3.webp").exists()
    assert not (site / "blob/3").exists()
    assert (site / "blob/14/index.html").is_file()
    write_registry(tmp_path, images=14, extra="exclude: [3]", psi=0.9)
    assert build(tmp_path).drawn == 14
    for kind in ("pictures", "cards"):
        (folder,) = (tmp_path / ".metagan/build" / kind).iterdir()
        assert len(list(folder.iterdir())) == 14, "those of the former psi are removed"


def test_another_precision_draws_all_again_and_the_former_s_pictures_are_not_mixed_in(tmp_path):
    write_registry(tmp_path)
    assert build(tmp_path).drawn == 12
    assert build(tmp_path, precision="bf16").drawn == 12
    assert build(tmp_path, precision="bf16").unchanged


def test_a_new_word_in_a_template_draws_no_picture(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "robots.txt").write_text("User-agent: nobody\n")
    assert build(tmp_path, templates=templates).drawn == 0
    assert (tmp_path / "build/robots.txt").read_text() == "User-agent: nobody\n"
    (templates / "robots.txt").write_text("User-agent: somebody\n")
    assert not build(tmp_path, templates=templates).unchanged
    assert (tmp_path / "build/robots.txt").read_text() == "User-agent: somebody\n"


def test_an_emptied_picture_is_drawn_again_and_one_changed_on_the_site_is_not_kept(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    whole = digest(tmp_path / "build")
    (cache,) = (tmp_path / ".metagan/build/pictures").iterdir()
    (cache / "5.webp").write_bytes(b"")
    (tmp_path / "build/pictures/blob/3.webp").write_bytes(b"optimised to death")
    assert build(tmp_path).drawn == 1
    assert digest(tmp_path / "build") == whole


def test_another_title_draws_nothing(tmp_path):
    path = write_registry(tmp_path)
    build(tmp_path)
    path.write_text(path.read_text().replace("title: Blob\n", "title: Drop\n").replace("  blob:", "  drop:"))
    assert build(tmp_path).drawn == 0
    assert "Drop" in (tmp_path / "build/drop/index.html").read_text()


def test_a_site_that_shows_less_than_its_registry_keeps_the_other_pictures(tmp_path):
    path = write_registry(tmp_path)
    second = (
        path.read_text().split("subjects:\n")[1].replace("blob:", "drop:").replace("psi: 0.7", "psi: 0.1")
    )
    path.write_text(path.read_text() + second)
    assert build(tmp_path).drawn == 24
    assert build(tmp_path, subjects=("drop",)).drawn == 0
    assert build(tmp_path).drawn == 0


def test_what_would_stop_a_build_is_said_for_every_subject_before_the_first_picture(tmp_path):
    path = write_registry(tmp_path)
    second = path.read_text().split("subjects:\n")[1].replace("blob:", "drop:").replace("    class: 1\n", "")
    third = (
        second.replace("drop:", "fish:")
        .replace("blob.pkl", "fish.pkl")
        .replace("psi: 0.7", "psi: 0.7\n    class: 7")
    )
    shutil.copyfile(GOLDEN, tmp_path / "fish.pkl")
    path.write_text(path.read_text() + second + third)
    with pytest.raises(RegistryError) as caught:
        build(tmp_path)
    assert [problem.what.split(":")[0] for problem in caught.value.problems] == [
        "subjects.drop.class",
        "subjects.fish.class",
    ]
    (tmp_path / "fish.pkl").write_bytes(b"")
    (tmp_path / "blob.pkl").write_bytes(b"no weights")
    with pytest.raises(RegistryError) as caught:
        build(tmp_path)
    assert len(caught.value.problems) == 3
    assert not list((tmp_path / ".metagan/build").glob("pictures/*/*.webp"))


def test_batches_are_cut_from_all_wanted_seeds():
    wanted = list(range(10, 20))
    assert chunks_with_gaps(wanted, {13, 19}, 4) == [(10, 11, 12, 13), (18, 19)]
    assert chunks_with_gaps(wanted, set(), 4) == []


# Interruptions


COMMAND = "import sys; from metagan.cli import main; sys.argv[0] = 'metagan'; main()"


def start(folder: Path, out: str = "build") -> subprocess.Popen:
    command = [sys.executable, "-c", COMMAND, "build", "-r", folder / "registry.yaml", "--out", folder / out]
    return subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.DEVNULL)


def test_a_build_killed_at_any_moment_leaves_the_former_site_and_resumes_to_the_same_bytes(tmp_path):
    write_registry(tmp_path, images=150)
    former, place = tmp_path / "build", BuildDir(tmp_path / "build")
    assert start(tmp_path).wait() == 0
    old = digest(former)
    write_registry(tmp_path, images=150, psi=0.4)
    began = time.monotonic()
    assert start(tmp_path, out="straight").wait() == 0
    whole_s = time.monotonic() - began
    straight = digest(tmp_path / "straight")
    kills = 0
    for share in (0.15, 0.3, 0.45, 0.6, 0.75):
        process = start(tmp_path)
        time.sleep(share * whole_s)  # in whatever stage the machine has reached by then
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
        assert digest(former) in (old, straight), "neither the former site nor the next one"
        assert place.manifest().is_whole(former)
    assert kills >= 1
    assert start(tmp_path).wait() == 0
    assert digest(former) == straight


def test_a_swap_that_was_cut_off_between_two_renames_is_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(build_dir, "_exchange", lambda *_: False)
    write_registry(tmp_path)
    build(tmp_path)
    whole = digest(tmp_path / "build")
    staging = BuildDir(tmp_path / "build").staging
    staging.mkdir(exist_ok=True)
    (tmp_path / "build").rename(staging.with_name("next.old"))
    assert build(tmp_path).unchanged
    assert digest(tmp_path / "build") == whole
    write_registry(tmp_path, psi=0.2)
    build(tmp_path)
    assert digest(tmp_path / "build") != whole
    assert not staging.exists()


def test_a_second_build_at_the_same_time_is_refused(tmp_path):
    write_registry(tmp_path)
    with (
        BuildDir(tmp_path / "build").locked(),
        pytest.raises(BuildLockedError, match="another build is running"),
    ):
        build(tmp_path)
    build(tmp_path)


def test_a_full_disk_is_said_so_and_keeps_what_is_finished(tmp_path, monkeypatch):
    write_registry(tmp_path)
    write, budget = pictures.write_bytes, [10]

    def filling(path: Path, data: bytes) -> None:
        budget[0] -= 1
        if budget[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(pictures, "write_bytes", filling)
    with pytest.raises(BuildError, match="No space left on device; finished pictures are kept"):
        build(tmp_path)
    assert not (tmp_path / "build").exists()
    budget[0] = 10**6
    outcome = build(tmp_path)
    assert 0 < outcome.drawn < 12


# Folders that aren't ours


def test_a_folder_with_other_peoples_files_is_refused_untouched(tmp_path):
    write_registry(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/thesis.txt").write_text("years of work")
    with pytest.raises(BuildError, match="contains files that metagan did not build"):
        build(tmp_path)
    assert (tmp_path / "build/thesis.txt").read_text() == "years of work"
    with pytest.raises(BuildError, match="is a file\n  fix: choose a folder"):
        build(tmp_path, out="blob.pkl")


def test_a_file_that_somebody_added_is_kept_with_a_warning_that_strict_refuses(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    (tmp_path / "build/CNAME").write_text("blobs.example.org")
    write_registry(tmp_path, images=13)
    with pytest.raises(BuildError, match="--strict"):
        build(tmp_path, strict=True)
    outcome = build(tmp_path)
    assert "kept files that metagan did not make: CNAME" in outcome.warnings[0]
    assert (tmp_path / "build/CNAME").read_text() == "blobs.example.org"
    assert build(tmp_path).unchanged


@pytest.mark.parametrize("name", ["b2/notes.txt", "b2", "b2/index.html", "b2/index.html/notes.txt"])
def test_a_file_of_others_that_the_new_site_has_no_room_for_stops_the_build(tmp_path, name):
    write_registry(tmp_path)
    build(tmp_path)
    mine = tmp_path / "build" / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    before = digest(tmp_path / "build")
    registry = (tmp_path / "registry.yaml").read_text()
    (tmp_path / "registry.yaml").write_text(
        registry + registry.partition("subjects:\n")[2].replace("blob:", "b2:")
    )
    if name == "b2/notes.txt":  # a folder of both is no clash
        assert "kept files that metagan did not make: b2/notes.txt" in build(tmp_path).warnings[0]
        assert mine.read_text() == "mine"
        return
    with pytest.raises(
        BuildError, match=rf"others of their names: {name}; nothing was changed\n  fix: move them"
    ):
        build(tmp_path)
    assert digest(tmp_path / "build") == before


def test_what_others_put_into_the_work_folder_stays(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    work = tmp_path / ".metagan/build"
    (cache,) = (work / "pictures").iterdir()
    mine = [work / "pictures/holiday/1.png", work / "models/notes.txt", cache / "notes.txt"]
    for file in mine:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    write_registry(tmp_path, psi=0.6)
    build(tmp_path)
    assert [file.read_text() for file in mine] == ["mine"] * 3
    assert [path.name for path in cache.iterdir()] == ["notes.txt"]


def test_a_link_to_a_folder_that_somebody_added_is_kept_too(tmp_path):
    write_registry(tmp_path)
    build(tmp_path)
    (tmp_path / "press").mkdir()
    (tmp_path / "press/logo.txt").write_text("logo")
    (tmp_path / "build/press").symlink_to(tmp_path / "press")
    write_registry(tmp_path, images=13)
    assert "kept files that metagan did not make: press" in build(tmp_path).warnings[0]
    assert (tmp_path / "build/press").readlink() == tmp_path / "press"


@pytest.mark.parametrize("epoch", ["yesterday", "1e9", "9" * 30])
def test_a_date_that_is_none_is_refused_with_the_way_out(tmp_path, monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    write_registry(tmp_path)
    with pytest.raises(
        OptionError, match=r"SOURCE_DATE_EPOCH: want seconds since 1970, got .*\n  fix: set it"
    ):
        build(tmp_path)
    assert not (tmp_path / "build").exists()


def test_an_unknown_licence_is_a_warning_that_stays(tmp_path):
    path = write_registry(tmp_path)
    path.write_text(path.read_text().replace("CC0-1.0", "unknown"))
    assert "blob: its licence is unknown" in build(tmp_path).warnings[0]
    assert "blob: its licence is unknown" in build(tmp_path).warnings[0]
    with pytest.raises(BuildError, match="licence is unknown"):
        build(tmp_path, strict=True)


def test_a_corpus_too_small_for_new_lines_is_a_warning(tmp_path):
    (tmp_path / "lines.txt").write_text("One line only.\n")
    write_registry(tmp_path, extra="text: {corpus: lines.txt}")
    assert any("lines.txt" in warning for warning in build(tmp_path).warnings)
    assert "One line only." in (tmp_path / "build/blob/0/index.html").read_text()


def test_chosen_subjects_make_a_site_of_their_own(tmp_path):
    path = write_registry(tmp_path)
    second = path.read_text().split("subjects:\n")[1].replace("blob:", "drop:").replace("Blob", "Drop")
    path.write_text(path.read_text() + second)
    assert build(tmp_path).subjects == 2
    outcome = build(tmp_path, subjects=("drop", "drop"))
    assert outcome.subjects == 1
    assert not (tmp_path / "build/blob").exists()


def test_a_build_with_nothing_to_do_never_imports_torch(tmp_path):
    write_registry(tmp_path)
    assert start(tmp_path).wait() == 0
    script = (
        "import sys; from metagan.cli import metagan; "
        f"metagan(['build', '-r', {str(tmp_path / 'registry.yaml')!r}, '--out', {str(tmp_path / 'build')!r}], "
        "standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], check=False, stdout=subprocess.DEVNULL).returncode == 0
    )


def test_weights_that_change_during_the_build_are_not_drawn_under_the_former_ones_name(tmp_path, monkeypatch):
    write_registry(tmp_path)
    weights = tmp_path / "blob.pkl"

    def read(path):
        checkpoint = read_checkpoint(path)
        shutil.copyfile(GOLDEN.with_name("tf_ada_cond16.pkl"), tmp_path / "new.pkl")
        (tmp_path / "new.pkl").replace(weights)  # as training does
        return checkpoint

    build(tmp_path, out="first")  # facts about the weights are known
    shutil.rmtree(tmp_path / "first")
    monkeypatch.setattr("metagan.site.build.pictures.read_checkpoint", read)
    with pytest.raises(
        MetaganError, match=r"blob\.pkl: the weights changed during the build\n  fix: build again"
    ):
        build(tmp_path)
    assert not list(tmp_path.rglob("build*/**/*.webp"))


def test_icons_of_one_s_own_stay(tmp_path):
    write_registry(tmp_path)
    own = tmp_path / "templates" / "static" / "icon-192.png"
    own.parent.mkdir(parents=True)
    Image.new("RGB", (192, 192), "red").save(own)
    build(tmp_path, templates=tmp_path / "templates")
    static = tmp_path / "build" / "static"
    assert (static / "icon-192.png").read_bytes() == own.read_bytes()
    assert (static / "icon-512.png").is_file()


def test_a_mounted_folder_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    write_registry(tmp_path)
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "build")
    with pytest.raises(BuildError, match=r"a volume is mounted there.*\n  fix: .*--out .*build/site"):
        build(tmp_path)


def test_shaders_belong_to_what_a_build_is_made_of(tmp_path, monkeypatch):
    shutil.copytree(KERNEL, tmp_path / "kernel")
    monkeypatch.setattr("metagan.live.KERNEL", tmp_path / "kernel")
    before = _digest_of_code()
    (tmp_path / "kernel" / "webgpu" / "layer.wgsl").write_text("changed")
    assert _digest_of_code() != before


def test_folders_of_others_keep_their_emptiness_and_mode_and_late_files_stay(tmp_path, monkeypatch):
    write_registry(tmp_path)
    build(tmp_path)
    site = tmp_path / "build"
    (site / ".git" / "refs").mkdir(parents=True)
    (site / ".git" / "HEAD").write_text("ref")
    (site / ".git").chmod(0o700)
    check = build_module.check_links

    def check_slowly(*arguments):
        (site / "late.txt").write_text("saved while the site was checked")
        return check(*arguments)

    monkeypatch.setattr(build_module, "check_links", check_slowly)
    write_registry(tmp_path, images=10)
    build(tmp_path)
    assert (site / ".git" / "refs").is_dir()
    assert (site / ".git").stat().st_mode & 0o777 == 0o700
    assert (site / "late.txt").read_text() == "saved while the site was checked"
    assert not (site / "blob" / "11").exists(), "folders of former pages go"
