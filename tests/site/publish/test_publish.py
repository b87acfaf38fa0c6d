"""What goes to a host, the host's limits, and publishing to folders and storages."""

import json
import re
import textwrap
from pathlib import Path

import fsspec
import pytest

from metagan.errors import PublishError
from metagan.site.manifest import MANIFEST
from metagan.site.publish import storage
from metagan.site.publish.plan import (
    SiteFile,
    check_github_limits,
    make_plan,
    site_files,
    subject_sizes,
)
from metagan.site.publish.record import RECORD
from metagan.site.publish.storage import open_storage, publish_to_storage
from metagan.values import format_bytes
from tests.site.publish.built import built

FILES = {
    "index.html": "home",
    "404.html": "lost",
    "bagel/index.html": "bagel",
    "bagel/42/index.html": "bagel 42",
    "api/bagel.json": "{}",
    "pictures/bagel/42.webp": "picture",
    "static/site.css": "body {}",
    "sitemap.xml": "<urlset/>",
}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def site(tmp_path):
    return built(write(tmp_path / "build", FILES))


@pytest.fixture(params=["folder", "memory"])
def target(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "public")
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    return "memory://bucket/apes"


def publish(site, target, dry_run=False, overwrite=False):
    return publish_to_storage(
        site, target, dry_run=dry_run, overwrite=overwrite, sent=lambda done, total: None
    )


def there(target):
    place = open_storage(target)
    return {
        path: place.filesystem.cat_file(f"{place.root}/{path}").decode() for path in place.contents().sizes
    }


def paths(files):
    return {file.path for file in files}


def test_a_first_publish_puts_everything_there(site, target):
    plan = publish(site, target)
    assert paths(plan.new) == set(FILES)
    found = there(target)
    manifest = json.loads(found.pop(RECORD))
    assert found == FILES
    assert set(manifest["files"]) == set(FILES)


def test_a_second_publish_sends_only_what_changed_and_removes_only_its_own(site, target):
    publish(site, target)
    place = open_storage(target)
    place.filesystem.pipe_file(f"{place.root}/notes/mine.txt", b"mine") if not place.is_local else write(
        site.parent / "public", {"notes/mine.txt": "mine"}
    )
    (site / "index.html").write_text("HOME")  # the same size
    (site / "new.html").write_text("new")
    (site / "bagel/42/index.html").unlink()
    (site / "pictures/bagel/42.webp").unlink()
    plan = publish(built(site), target)
    assert (paths(plan.new), paths(plan.changed)) == ({"new.html"}, {"index.html"})
    assert plan.removed == ("bagel/42/index.html", "pictures/bagel/42.webp")
    found = there(target)
    assert found["index.html"] == "HOME"
    assert found["notes/mine.txt"] == "mine"
    assert not {"bagel/42/index.html", "pictures/bagel/42.webp"} & set(found)
    assert publish(site, target).is_empty


def test_folders_that_are_empty_after_a_removal_go_too_but_no_others(site, tmp_path):
    public = tmp_path / "public"
    publish(site, str(public))
    (public / "bagel" / "mine").mkdir()
    (site / "bagel/42/index.html").unlink()
    (site / "bagel/index.html").unlink()
    (site / "pictures/bagel/42.webp").unlink()
    publish(built(site), str(public))
    assert not (public / "pictures").exists()
    assert (public / "bagel" / "mine").is_dir()
    assert not (public / "bagel" / "42").exists()


def test_a_dry_run_changes_nothing(site, target):
    plan = publish(site, target, dry_run=True)
    assert paths(plan.new) == set(FILES)
    assert there(target) == {}


def test_what_was_lost_or_cut_short_there_is_sent_again(site, target):
    publish(site, target)
    place = open_storage(target)
    place.filesystem.rm_file(f"{place.root}/static/site.css")
    place.filesystem.pipe_file(f"{place.root}/404.html", b"lo")
    plan = publish(site, target)
    assert (paths(plan.new), paths(plan.changed)) == ({"static/site.css"}, {"404.html"})
    assert there(target)["404.html"] == "lost"


def test_somebody_elses_files_are_not_overwritten_unless_forced(site, target):
    place = open_storage(target)
    if place.is_local:
        write(site.parent / "public", {"index.html": "mine", "other.txt": "mine"})
    else:
        place.filesystem.pipe({f"{place.root}/index.html": b"mine", f"{place.root}/other.txt": b"mine"})
    for dry_run in (True, False):
        with pytest.raises(
            PublishError, match=r"metagan did not publish them:\n  index\.html\n  fix: .*--force"
        ):
            publish(site, target, dry_run=dry_run)
    assert there(target) == {"index.html": "mine", "other.txt": "mine"}
    assert paths(publish(site, target, overwrite=True).changed) == {"index.html"}
    assert there(target)["other.txt"] == "mine"


def test_pages_are_sent_after_what_they_show_and_the_front_page_last(site):
    uploads = [file.path for file in make_plan("x", site_files(site), {}, ()).uploads]
    pages = [path for path in uploads if path.endswith(".html")]
    assert uploads[-len(pages) :] == pages
    assert pages[0] == "bagel/42/index.html"
    assert pages[-1] == "index.html"


class Broken(Exception):
    """What a storage's package may raise; nothing that Python knows."""


def test_a_publish_that_breaks_off_links_to_nothing_missing_and_is_taken_up_again(site, target, monkeypatch):
    publish(site, target)
    write(
        site, {"pictures/bagel/43.webp": "new picture", "bagel/43/index.html": "bagel 43", "index.html": "43"}
    )
    built(site)
    monkeypatch.setattr(storage, "BATCH", 1)
    sent = []
    original = storage.StorageTarget.put

    def put(self, files):
        if sent and sent[-1] == "pictures/bagel/43.webp":
            raise Broken("connection lost")
        sent.extend(file.path for file in files)
        original(self, files)

    with monkeypatch.context() as patch:
        patch.setattr(storage.StorageTarget, "put", put)
        with pytest.raises(PublishError, match="Broken: connection lost"):
            publish(site, target)
    found = there(target)
    assert found["index.html"] == "home"
    assert found["pictures/bagel/43.webp"] == "new picture"
    assert "bagel/43/index.html" not in found
    plan = publish(site, target)  # what came through is metagan's, and in nobody's way
    assert "bagel/43/index.html" in paths(plan.new)
    assert there(target)["index.html"] == "43"


def test_progress_counts_the_bytes_of_what_is_sent(site, tmp_path):
    heard = []
    publish_to_storage(
        site, str(tmp_path / "public"), dry_run=False, overwrite=False, sent=lambda *say: heard.append(say)
    )
    total = sum(map(len, FILES.values()))
    assert heard[-1] == (total, total)
    assert heard == sorted(heard)


@pytest.mark.parametrize(
    "manifest",
    [
        '{"version": 1, "files": {"../../home/me": null}}',
        '{"version": 1, "files": {"/etc/passwd": null}}',
        "[]",
        "{",
    ],
)
def test_a_damaged_or_hostile_list_of_published_files_is_refused(site, tmp_path, manifest):
    public = write(tmp_path / "public", {RECORD: manifest})
    with pytest.raises(PublishError, match=r"not a list of metagan's.*\n  fix: "):
        publish(site, str(public))
    assert list(public.iterdir()) == [public / RECORD]


def test_a_site_is_not_published_into_itself(site):
    for inside in (site, site / "public"):
        with pytest.raises(PublishError, match="inside the built site"):
            publish(site, str(inside))


def test_an_unbuilt_site_says_how_to_build_it(tmp_path):
    with pytest.raises(PublishError, match="run metagan build"):
        publish(tmp_path, str(tmp_path / "public"))


@pytest.mark.parametrize(
    ("address", "package"), [("webdav://host/apes", "webdav4"), ("oci://bucket", "ocifs")]
)
def test_an_address_whose_package_is_missing_names_the_package(site, address, package):
    with pytest.raises(
        PublishError, match=f"{address.partition(':')[0]}:// needs another package\n  fix: .*{package}"
    ):
        publish(site, address)


def test_an_unknown_kind_of_address_is_no_traceback(site):
    with pytest.raises(PublishError, match="fsspec does not support gopher://"):
        publish(site, "gopher://host/apes")


def test_a_target_that_is_a_file_or_inside_one_is_refused(site, tmp_path):
    (tmp_path / "public").write_text("a file")
    for target in (tmp_path / "public", tmp_path / "public" / "apes"):
        with pytest.raises(PublishError, match=r"public: this is a file\n  fix: .*--to"):
            publish(site, str(target))
    fsspec.filesystem("memory").pipe_file("/plain", b"a file")
    with pytest.raises(PublishError, match=r"memory://plain: this is a file\n  fix: "):
        publish(site, "memory://plain")


def fill(target, files):
    place = open_storage(target)
    for path, text in files.items():
        if place.is_local:
            write(Path(place.root), {path: text})
        else:
            place.filesystem.pipe_file(f"{place.root}/{path}", text.encode())


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_file_where_the_site_has_a_folder_is_found_before_the_first_byte(site, target, dry_run):
    fill(target, {"bagel": "mine", "notes.txt": "mine"})
    with pytest.raises(
        PublishError,
        match=r"did not publish them:\n  bagel \(the site has a folder there\)\n  fix: .*--force",
    ):
        publish(site, target, dry_run=dry_run)
    assert there(target) == {"bagel": "mine", "notes.txt": "mine"}
    plan = publish(site, target, dry_run=dry_run, overwrite=True)
    assert plan.removed == ("bagel",)
    if not dry_run:
        found = there(target)
        found.pop(RECORD)
        assert found == FILES | {"notes.txt": "mine"}
        assert publish(site, target).is_empty


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("inside", ["index.html/mine.txt", "index.html/a/b/mine.txt"])
def test_a_folder_where_the_site_has_a_file_is_never_replaced(site, target, inside, overwrite):
    fill(target, {inside: "mine"})
    with pytest.raises(
        PublishError, match=r"names of the site's files:\n  index\.html\n  fix: .*move them away"
    ):
        publish(site, target, overwrite=overwrite)
    assert there(target) == {inside: "mine"}


def test_an_empty_folder_where_the_site_has_a_file_is_found_too(site, tmp_path):
    (tmp_path / "public" / "index.html").mkdir(parents=True)
    with pytest.raises(PublishError, match=r"names of the site's files:\n  index\.html"):
        publish(site, str(tmp_path / "public"))
    assert [path.name for path in (tmp_path / "public").iterdir()] == ["index.html"]


@pytest.mark.parametrize("link", ["bagel", "index.html"])
def test_a_link_is_not_followed(site, tmp_path, link):
    elsewhere = write(tmp_path / "elsewhere", {"mine.txt": "mine"})
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / link).symlink_to(elsewhere)
    with pytest.raises(PublishError, match=rf"did not publish them:\n  {link}"):
        publish(site, str(tmp_path / "public"))
    publish(site, str(tmp_path / "public"), overwrite=True)
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]
    assert (tmp_path / "public" / "bagel" / "index.html").read_text() == "bagel"


def test_files_of_an_earlier_publish_may_become_folders_and_the_reverse(site, target):
    publish(built(write(site, {"help": "a file", "more/deep/page.html": "a folder"})), target)
    (site / "help").unlink()
    (site / "more/deep/page.html").unlink()
    (site / "more/deep").rmdir()
    (site / "more").rmdir()
    publish(built(write(site, {"help/index.html": "a folder", "more": "a file"})), target)
    found = there(target)
    found.pop(RECORD)
    assert found == FILES | {"help/index.html": "a folder", "more": "a file"}
    assert publish(site, target).is_empty


def test_a_build_that_is_not_whole_is_not_published(site, target):
    (site / "404.html").unlink()
    (site / "static/site.css").write_text("bo")
    (site / "sitemap.xml").unlink()
    (site / "sitemap.xml").mkdir()
    (site / "index.html").write_text("HOME")  # the same size
    with pytest.raises(PublishError) as caught:
        publish(site, target, overwrite=True)
    assert str(caught.value).splitlines()[1:] == [
        "  404.html (missing)",
        "  index.html (other bytes of the same size)",
        "  sitemap.xml (not a file)",
        "  static/site.css (2 bytes instead of 7)",
        "  fix: run metagan build, which makes them again, then publish",
    ]
    assert there(target) == {}


@pytest.mark.parametrize("manifest", [None, "", "{}", '{"files": []}', '{"files": {"a": "x"}}'])
def test_a_build_without_its_manifest_is_not_published(site, target, manifest):
    (site / MANIFEST).unlink()
    if manifest is not None:
        (site / MANIFEST).write_text(manifest)
    with pytest.raises(
        PublishError, match=r"\.metagan-manifest\.json\) is missing or damaged[^$]*fix: .*--out"
    ):
        publish(site, target, overwrite=True)
    assert there(target) == {}


def test_files_of_others_in_the_built_site_are_listed_and_sent_only_if_forced(site, target):
    write(site, {"private.txt": "mine", "bagel/notes.txt": "mine", ".hidden": "mine", "CNAME": "a.org"})
    with pytest.raises(
        PublishError, match=r"not part of the build:\n  bagel/notes\.txt\n  private\.txt\n  fix: .*--force"
    ):
        publish(site, target)
    assert there(target) == {}
    publish(site, target, overwrite=True)
    found = there(target)
    found.pop(RECORD)
    assert found == FILES | {"private.txt": "mine", "bagel/notes.txt": "mine", "CNAME": "a.org"}


def test_hidden_files_stay_at_home_and_links_out_are_refused(site, tmp_path):
    write(
        site,
        {".git/config": "x", ".well-known/security.txt": "x", "a/.b/c": "x"},
    )
    assert paths(site_files(site, with_others=True)) == {*FILES, ".well-known/security.txt"}
    (tmp_path / "secret.txt").write_text("secret")
    (site / "leak.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(PublishError, match=r"leak\.txt: a symbolic link to a place outside the site"):
        site_files(site, with_others=True)


@pytest.fixture
def big_site(tmp_path):
    def file(path, size_bytes):
        return SiteFile(path, tmp_path, size_bytes)

    return (
        file("index.html", 1_000),
        file("static/site.css", 49_000),
        *(file(f"pictures/ape/{seed}.webp", 3_000) for seed in range(400)),
        *(file(f"ape/{seed}/index.html", 1_000) for seed in range(400)),
        *(file(f"pictures/bagel/{seed}.webp", 4_000) for seed in range(100)),
        *(file(f"pictures/bagel/{seed}.card.jpg", 1_000) for seed in range(100)),
        file("api/bagel.json", 10_000),
        file("api/bagel/lines/0.json", 10_000),
        file("bagel/index.html", 10_000),
    )


def test_every_file_of_a_subject_counts_as_its_share(big_site):
    ape, bagel = subject_sizes(big_site)
    assert (ape.slug, ape.images, ape.size_bytes) == ("ape", 400, 1_600_000)
    assert (bagel.slug, bagel.images, bagel.size_bytes) == ("bagel", 100, 530_000)


def test_a_site_over_the_limit_says_what_takes_how_much_and_what_would_fit(big_site):
    with pytest.raises(PublishError) as caught:
        check_github_limits(big_site, site_bytes=1_000_000)
    lines = str(caught.value).splitlines()
    assert lines[0] == "the site takes 2.2 MB in 1,005 files; GitHub Pages accepts 1.0 MB"
    assert lines[1].split() == ["ape", "1.6", "MB", "images:", "400", "->", "172", "would", "fit"]
    assert lines[2].split() == ["bagel", "530.0", "kB", "images:", "100", "->", "43", "would", "fit"]
    assert lines[3].split() == ["everything", "else", "50.0", "kB"]
    assert "registry.yaml" in lines[4]
    fitting = {"ape": 172, "bagel": 43}

    def stays(file):
        seed = re.search(r"(ape|bagel)/(\d+)", file.path)
        return seed is None or int(seed[2]) < fitting[seed[1]]

    fewer = [file for file in big_site if stays(file)]
    assert len(fewer) < len(big_site)
    check_github_limits(tuple(fewer), site_bytes=1_000_000)


def test_the_message_in_the_docs_is_the_one_that_is_printed(tmp_path):
    docs = Path(__file__).parents[3] / "docs" / "publishing.md"
    files = (
        SiteFile("index.html", tmp_path, 8_100_000),
        *(SiteFile(f"pictures/ape/{seed}.webp", tmp_path, 3_000_000) for seed in range(400)),
        *(SiteFile(f"pictures/bagel/{seed}.webp", tmp_path, 3_450_500) for seed in range(200)),
    )
    with pytest.raises(PublishError) as caught:
        check_github_limits(files)
    assert textwrap.indent(f"metagan: {caught.value}\n", "    ") in docs.read_text(encoding="utf-8")


def test_a_file_that_git_refuses_is_named_with_its_size(big_site):
    with pytest.raises(
        PublishError, match=r"models/ape\.onnx: 120\.5 MiB; git hosts accept at most 100 MiB per file"
    ) as caught:
        check_github_limits((*big_site, SiteFile("models/ape.onnx", big_site[0].file, 241 * 2**19)))
    assert "--to" in str(caught.value)
    check_github_limits((SiteFile("models/ape.onnx", big_site[0].file, 100 * 1024**2),))


def test_a_site_just_below_the_limit_passes(big_site):
    check_github_limits(
        (SiteFile("pictures/ape/1.webp", big_site[0].file, 1_000_000_000),), file_bytes=10**10
    )
    with pytest.raises(PublishError, match=r"1\.00 GB"):
        check_github_limits(
            (SiteFile("pictures/ape/1.webp", big_site[0].file, 1_000_000_001),), file_bytes=10**10
        )


@pytest.mark.parametrize(
    ("size_bytes", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (10**9, "1.00 GB")]
)
def test_sizes_are_said_in_powers_of_ten(size_bytes, words):
    assert format_bytes(size_bytes) == words
