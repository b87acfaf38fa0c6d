"""Publishing to a branch, with real git repositories on both ends."""

import os
import subprocess

import pytest

from metagan.errors import PublishError
from metagan.site.publish.branch import Branch, publish_to_branch
from metagan.site.publish.record import RECORD
from tests.site.publish.built import built

FILES = {
    "index.html": "home",
    "bagel/42/index.html": "bagel 42",
    "pictures/bagel/42.webp": "picture",
    "pictures/bagel/43.webp": "picture",
}
PUBLISHED = {
    RECORD,
    ".nojekyll",
    "index.html",
    "bagel/42/index.html",
    "pictures/bagel/42.webp",
    "pictures/bagel/43.webp",
}


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _own_git_settings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def remote(tmp_path):
    folder = tmp_path / "remote.git"
    folder.mkdir()
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main")
    return folder


@pytest.fixture
def repository(tmp_path, remote):
    return clone(tmp_path / "project", remote, first=True)


def clone(folder, remote, first=False):
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.org")
    git(folder, "remote", "add", "origin", str(remote))
    if first:
        (folder / "registry.yaml").write_text("site: ...")
        (folder / ".gitignore").write_text("/build/\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", "Start")
        git(folder, "push", "--quiet", "origin", "main")
    return folder


@pytest.fixture
def site(repository):
    return write(repository / "build", FILES)


def change(site, changes):
    """Write files of a site as a build would: None removes one."""
    for name in [name for name, text in changes.items() if text is None]:
        (site / name).unlink()
    write(site, {name: text for name, text in changes.items() if text is not None})


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return built(folder)


def publish(repository, site, **options):
    settings = {
        "message": "Publish",
        "domain": None,
        "keep_history": True,
        "overwrite": False,
        "dry_run": False,
    }
    settings |= options
    branch = Branch(repository, settings.pop("remote", "origin"), settings.pop("branch", "gh-pages"))
    return publish_to_branch(site, branch, **settings)


def tree(remote, branch="gh-pages"):
    return set(git(remote, "ls-tree", "-r", "--name-only", branch).splitlines())


def commits(folder, ref="gh-pages"):
    return int(git(folder, "rev-list", "--count", ref))


def paths(files):
    return {file.path for file in files}


def state(repository):
    """Everything of a user's checkout that publishing must leave alone."""
    files = {
        path: path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    index = (repository / ".git" / "index").read_bytes()
    return (
        files,
        index,
        git(repository, "rev-parse", "HEAD"),
        git(repository, "status", "--porcelain", "--ignored"),
    )


def test_a_site_arrives_on_the_branch_without_touching_the_checkout(repository, remote, site):
    (repository / "registry.yaml").write_text("edited, not committed")
    (repository / "new.txt").write_text("staged")
    git(repository, "add", "new.txt")
    before = state(repository)
    plan = publish(repository, site, message="Publish the apes")
    assert state(repository) == before
    assert tree(remote) == PUBLISHED
    assert git(remote, "show", "gh-pages:bagel/42/index.html") == "bagel 42"
    assert (
        git(remote, "log", "-1", "--format=%s|%an|%ae", "gh-pages") == "Publish the apes|Ada|ada@example.org"
    )
    assert paths(plan.new) == PUBLISHED - {RECORD}


def test_a_second_publish_adds_a_commit_with_what_changed(repository, remote, site):
    publish(repository, site)
    change(
        site,
        {
            "index.html": "HOME",
            "pictures/bagel/43.webp": None,
            "pictures/bagel/44.webp": "other picture",
        },
    )
    plan = publish(repository, site)
    assert (paths(plan.new), paths(plan.changed)) == ({"pictures/bagel/44.webp"}, {"index.html"})
    assert plan.removed == ("pictures/bagel/43.webp",)
    assert commits(remote) == 2
    assert git(remote, "show", "gh-pages:index.html") == "HOME"


def test_nothing_new_makes_no_commit(repository, remote, site):
    publish(repository, site)
    assert publish(repository, site).is_empty
    assert commits(remote) == 1


def test_a_dry_run_tells_the_same_plan_and_leaves_both_repositories_alone(repository, remote, site):
    publish(repository, site)
    write(site, {"index.html": "HOME"})
    before = git(repository, "show-ref"), git(remote, "show-ref")
    plan = publish(repository, site, dry_run=True)
    assert paths(plan.changed) == {"index.html"}
    assert paths(plan.unchanged) == PUBLISHED - {"index.html", RECORD}
    assert (git(repository, "show-ref"), git(remote, "show-ref")) == before


def test_what_somebody_else_published_meanwhile_is_built_upon(repository, remote, site, tmp_path):
    publish(repository, site)
    other = clone(tmp_path / "other", remote)
    publish(other, write(other / "build", FILES | {"index.html": "theirs"}))
    write(site, {"index.html": "ours"})
    publish(repository, site)
    assert commits(remote) == 3
    assert git(remote, "show", "gh-pages:index.html") == "ours"


def test_without_history_the_branch_holds_one_commit(repository, remote, site, tmp_path):
    publish(repository, site)
    write(site, {"index.html": "HOME"})
    publish(repository, site)
    plan = publish(repository, site, keep_history=False)
    assert (plan.is_empty, plan.former_commits) == (False, 2)
    assert commits(remote) == 1
    assert tree(remote) == PUBLISHED
    other = clone(tmp_path / "other", remote)
    publish(other, write(other / "build", FILES | {"index.html": "theirs"}), keep_history=False)
    write(site, {"index.html": "again"})
    publish(repository, site)  # the local branch is not what the remote has, but was published before
    assert git(remote, "show", "gh-pages:index.html") == "again"


def test_a_custom_domain_is_set_and_then_kept(repository, remote, site):
    publish(repository, site, domain="apes.example.org")
    assert git(remote, "show", "gh-pages:CNAME") == "apes.example.org"
    write(site, {"index.html": "HOME"})
    plan = publish(repository, site)
    assert "CNAME" in paths(plan.unchanged)
    assert git(remote, "show", "gh-pages:CNAME") == "apes.example.org"
    (site / "CNAME").write_text("other.example.org")
    publish(repository, site)
    assert git(remote, "show", "gh-pages:CNAME") == "other.example.org"


@pytest.mark.parametrize(
    "domain", ["https://example.org", "example.org/apes", "-x.org", "localhost", "a b.org", "a.org\n"]
)
def test_a_domain_that_is_none_is_refused(repository, site, domain):
    with pytest.raises(PublishError, match="--cname"):
        publish(repository, site, domain=domain)


def test_outside_a_repository_the_way_out_is_named(tmp_path, site):
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(PublishError, match=r"not inside a git repository\n  fix: .*--to"):
        publish(tmp_path / "elsewhere", site)


def test_a_remote_that_isnt_there_names_those_that_are(repository, site):
    with pytest.raises(PublishError, match=r"no remote 'upstream'\n  fix: it has origin"):
        publish(repository, site, remote="upstream")
    git(repository, "remote", "remove", "origin")
    with pytest.raises(PublishError, match="git remote add origin"):
        publish(repository, site)


def test_a_remote_that_cant_be_reached_gives_gits_reason(repository, remote, site):
    remote.rename(remote.with_name("gone"))
    with pytest.raises(PublishError, match=r"origin can't be reached\n(  git: .*\n)+  fix: "):
        publish(repository, site)
    assert "gh-pages" not in git(repository, "branch", "--list")


def test_a_refused_push_leaves_the_local_branch_as_it_was(repository, remote, site):
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PublishError, match=r"origin refused the push\n[^$]*this branch is protected"):
        publish(repository, site)
    assert git(repository, "branch", "--list", "gh-pages") == ""
    hook.unlink()
    publish(repository, site)
    former = git(repository, "rev-parse", "gh-pages")
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    write(site, {"index.html": "HOME"})
    for keep_history in (True, False):
        with pytest.raises(PublishError, match="refused the push"):
            publish(repository, site, keep_history=keep_history)
        assert git(repository, "rev-parse", "gh-pages") == former
    assert commits(remote) == 1


def test_unpushed_commits_on_the_local_branch_are_not_lost(repository, remote, site):
    publish(repository, site)
    git(repository, "checkout", "--quiet", "gh-pages")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    mine = git(repository, "rev-parse", "HEAD")
    with pytest.raises(PublishError, match="branch gh-pages is checked out"):
        publish(repository, site)
    git(repository, "checkout", "--quiet", "main")
    with pytest.raises(PublishError, match=r"1 commit that origin lacks would be lost"):
        publish(repository, site)
    assert git(repository, "rev-parse", "gh-pages") == mine


def test_a_branch_that_was_deleted_on_the_remote_is_begun_anew(repository, remote, site):
    publish(repository, site)
    git(remote, "branch", "-D", "gh-pages")
    write(site, {"index.html": "HOME"})
    publish(repository, site)
    assert tree(remote) == PUBLISHED


@pytest.mark.parametrize("name", ["--force", "a..b", "gh pages", ""])
def test_a_branch_name_that_git_refuses_is_refused(repository, site, name):
    with pytest.raises(PublishError, match="--branch"):
        publish(repository, site, branch=name)


def test_a_nameless_committer_is_told_how_to_get_a_name(repository, site):
    git(repository, "config", "user.useConfigOnly", "true")
    git(repository, "config", "--unset", "user.email")
    with pytest.raises(PublishError, match=r"git config --global user\.name"):
        publish(repository, site)


def test_a_message_that_looks_like_an_option_is_a_message(repository, remote, site):
    publish(repository, site, message="--force is what I did not mean")
    assert git(remote, "log", "-1", "--format=%s", "gh-pages") == "--force is what I did not mean"


def test_pythons_modules_are_not_taken_from_the_repository(repository, remote, site):
    (repository / "ghp_import.py").write_text("raise SystemExit('the wrong module')")
    publish(repository, site)
    assert tree(remote) == PUBLISHED


def test_a_site_over_the_limits_is_refused_before_anything_is_sent(repository, remote, site):
    with (site / "pictures/bagel/45.webp").open("wb") as huge:
        huge.truncate(1_000_000_001)
    built(site)
    with pytest.raises(
        PublishError,
        match=r"953\.7 MiB; git hosts accept at most 100 MiB[^$]*1\.00 GB in 5 files[^$]*images: 3 -> 2",
    ):
        publish(repository, site)
    assert git(remote, "branch", "--list") == "main" or "gh-pages" not in git(remote, "branch", "--list")


def blog_on(repository):
    """Put somebody's blog on the branch, and return its commit."""
    git(repository, "checkout", "--quiet", "--orphan", "gh-pages")
    git(repository, "rm", "--quiet", "-rf", "--cached", ".")
    (repository / "blog").mkdir()
    (repository / "blog" / "index.html").write_text("my blog")
    (repository / "CNAME").write_text("blog.example.org\n")
    git(repository, "add", "blog", "CNAME")
    git(repository, "commit", "--quiet", "-m", "My blog")
    git(repository, "push", "--quiet", "origin", "gh-pages")
    git(repository, "checkout", "--quiet", "--force", "main")
    git(repository, "branch", "--quiet", "-D", "gh-pages")
    return git(repository, "rev-parse", "origin/gh-pages")


@pytest.mark.parametrize("dry_run", [True, False])
def test_files_of_others_on_the_branch_are_listed_and_kept_unless_forced(repository, remote, site, dry_run):
    blog = blog_on(repository)
    with pytest.raises(
        PublishError,
        match=r"gh-pages of origin: these files would be lost[^:]*:\n  blog/index.html\n  fix: .*--force",
    ):
        publish(repository, site, dry_run=dry_run)
    assert git(remote, "rev-parse", "gh-pages") == blog
    plan = publish(repository, site, dry_run=dry_run, overwrite=True)
    assert plan.removed == ("blog/index.html",)
    if not dry_run:
        assert tree(remote) == PUBLISHED | {"CNAME"}
        assert git(remote, "show", "gh-pages:CNAME") == "blog.example.org"
        assert git(remote, "show", "gh-pages~:blog/index.html") == "my blog"


def test_commits_of_others_are_listed_and_kept_unless_forced(repository, remote, site):
    blog_on(repository)
    publish(repository, site, overwrite=True)
    write(site, {"index.html": "HOME"})
    with pytest.raises(
        PublishError, match=r"--no-history would delete these commits[^:]*:\n  \w+ My blog\n  fix: .*--force"
    ):
        publish(repository, site, keep_history=False)
    assert commits(remote) == 2
    publish(repository, site)
    assert commits(remote) == 3
    publish(repository, site, keep_history=False, overwrite=True)
    assert (commits(remote), tree(remote)) == (1, PUBLISHED | {"CNAME"})


@pytest.mark.parametrize("keep_history", [True, False])
def test_files_of_others_are_seen_from_a_subfolder_of_the_repository(repository, remote, site, keep_history):
    blog = blog_on(repository)
    (repository / "sites").mkdir()
    with pytest.raises(PublishError, match=r"would be lost[^:]*:\n  blog/index\.html\n"):
        publish(repository / "sites", site, keep_history=keep_history)
    assert git(remote, "rev-parse", "gh-pages") == blog
    publish(repository / "sites", site, overwrite=True)
    assert publish(repository / "sites", site).is_empty
    assert tree(remote) == PUBLISHED | {"CNAME"}


@pytest.mark.parametrize("keep_history", [True, False])
def test_a_local_branch_that_the_remote_lacks_is_kept_unless_forced(repository, remote, site, keep_history):
    blog_on(repository)
    git(repository, "branch", "--quiet", "gh-pages", "origin/gh-pages")
    git(repository, "push", "--quiet", "origin", "--delete", "gh-pages")
    before = git(repository, "rev-parse", "gh-pages")
    with pytest.raises(PublishError, match=r"would be lost[^:]*:\n  blog/index\.html\n"):
        publish(repository, site, keep_history=keep_history)
    assert git(repository, "rev-parse", "gh-pages") == before
    assert git(remote, "branch", "--list", "gh-pages") == ""
    publish(repository, site, keep_history=keep_history, overwrite=True)
    assert tree(remote) >= PUBLISHED


def test_a_published_file_that_somebody_edited_is_theirs(repository, remote, site, tmp_path):
    publish(repository, site)
    other = clone(tmp_path / "other", remote)
    git(other, "fetch", "--quiet", "origin", "gh-pages")
    git(other, "checkout", "--quiet", "gh-pages")
    (other / "index.html").write_text("edited on the web")
    git(other, "commit", "--quiet", "-am", "Edit")
    git(other, "push", "--quiet", "origin", "gh-pages")
    for keep_history in (True, False):
        with pytest.raises(PublishError, match=r"would be lost[^:]*:\n  index\.html\n"):
            publish(repository, site, keep_history=keep_history)
    write(site, {"index.html": "edited on the web"})  # the same edit here: nothing is lost
    publish(repository, site)
    with pytest.raises(PublishError, match=r"--no-history would delete these commits[^:]*:\n  \w+ Edit\n"):
        publish(repository, site, keep_history=False)


def test_githubs_own_commits_of_a_domain_are_nobodys_loss(repository, remote, site, tmp_path):
    publish(repository, site)
    other = clone(tmp_path / "other", remote)
    git(other, "fetch", "--quiet", "origin", "gh-pages")
    git(other, "checkout", "--quiet", "gh-pages")
    (other / "CNAME").write_text("apes.example.org")
    git(other, "add", "CNAME")
    git(other, "commit", "--quiet", "-m", "Create CNAME")
    git(other, "push", "--quiet", "origin", "gh-pages")
    publish(repository, site, keep_history=False)
    assert (commits(remote), tree(remote)) == (1, PUBLISHED | {"CNAME"})
    assert git(remote, "show", "gh-pages:CNAME") == "apes.example.org"


@pytest.mark.parametrize("record", ["{", "[]", '{"version": 1, "files": {"../x": null}}', "[" * 100_000])
def test_a_damaged_record_on_the_branch_makes_its_files_somebody_elses(
    repository, remote, site, tmp_path, record
):
    publish(repository, site)
    other = clone(tmp_path / "other", remote)
    git(other, "fetch", "--quiet", "origin", "gh-pages")
    git(other, "checkout", "--quiet", "gh-pages")
    (other / RECORD).write_text(record)
    git(other, "commit", "--quiet", "-am", "Damage")
    git(other, "push", "--quiet", "origin", "gh-pages")
    change(site, {"pictures/bagel/43.webp": None})
    with pytest.raises(PublishError, match=r"would be lost[^:]*:\n  pictures/bagel/43\.webp\n"):
        publish(repository, site)
    publish(repository, site, overwrite=True)
    assert tree(remote) == PUBLISHED - {"pictures/bagel/43.webp"}


def test_a_build_that_lacks_a_file_is_not_published(repository, remote, site):
    (site / "pictures/bagel/43.webp").unlink()
    with pytest.raises(PublishError, match=r"pictures/bagel/43\.webp \(missing\)"):
        publish(repository, site, overwrite=True)
    assert "gh-pages" not in git(remote, "branch", "--list")
