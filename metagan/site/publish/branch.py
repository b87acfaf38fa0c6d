"""Publishes a site to a branch of a git repository for GitHub Pages, with the ghp-import library.

Nothing is checked out: commits are written directly to the object store, so that neither the working tree nor
the index changes. After a rejected push, the local branch is restored.

Each commit has a record of its files with git's hashes of them. A file that isn't in the record, or has another hash
there, belongs to somebody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from metagan.errors import Problem, PublishError
from metagan.files import real_path
from metagan.site.publish.plan import (
    PublishPlan,
    SiteFile,
    check_github_limits,
    listed,
    make_plan,
    site_files,
)
from metagan.site.publish.record import RECORD, decode_record, encode_record
from metagan.values import counted

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}\Z)({LABEL}\.)+{LABEL}", re.IGNORECASE)
Done = subprocess.CompletedProcess[str]
KEPT = frozenset({"CNAME", ".nojekyll", RECORD})  # GitHub's settings, which GitHub's own pages change too
IDENTITY = re.compile(r"(?P<name>.*) <(?P<email>[^<>]*)> \d+ [+-]\d+")


@dataclass(frozen=True)
class Branch:
    """The branch to which a site is published.

    Args:
        repository: A folder inside the git repository.
        remote: The remote's name, "origin".
        name: The branch, "gh-pages".
    """

    repository: Path
    remote: str
    name: str

    @property
    def ref(self) -> str:
        """The local branch's full name."""
        return f"refs/heads/{self.name}"

    @property
    def tracking_ref(self) -> str:
        """The remote-tracking branch's full name."""
        return f"refs/remotes/{self.remote}/{self.name}"

    def __str__(self) -> str:
        return f"branch {self.name} of {self.remote}"


def publish_to_branch(
    folder: Path,
    branch: Branch,
    *,
    message: str,
    domain: str | None,
    keep_history: bool,
    overwrite: bool,
    dry_run: bool,
) -> PublishPlan:
    """Commit a site to a branch and push it.

    Args:
        folder: The built site.
        branch: The branch to publish to.
        message: The commit's message.
        domain: The custom domain for GitHub's CNAME file; None keeps the branch's existing one.
        keep_history: If False, replace the branch by a single commit, so that old pictures take no space.
        overwrite: Remove files of others from the branch, and without `keep_history` their commits too. Publish files
            of others that are in the built site.
        dry_run: Print what would be done, without doing it.

    Raises:
        PublishError: If the site is too large or not as it was built, the repository or remote doesn't exist, the
            branch has files of others, or the push is rejected.
    """
    if domain is not None and not DOMAIN.fullmatch(domain):
        raise PublishError(
            f"--cname {domain}: not a bare domain name", fix="write one, www.example.org for instance"
        )
    files = site_files(folder, with_others=overwrite)
    check_github_limits(files)
    _check_repository(branch)
    tip = _fetch(branch, dry_run=dry_run)
    with _staged(files, _extra_files(branch, tip, files, domain)) as stage:
        ours = _hashes(branch, stage)
        theirs = _blobs(branch, tip) if tip else {}
        # A local branch that the remote lacks is replaced or added to as well.
        if (newest := tip or _commit_of(branch, branch.ref)) and not overwrite:
            _check_others(branch, newest, ours, keep_history=keep_history)
        plan = _plan(branch, stage, ours, theirs)
        if tip and not keep_history:
            plan = replace(plan, former_commits=int(_must(branch, "rev-list", "--count", tip)))
        (stage / RECORD).write_bytes(encode_record(ours))
        if not dry_run and not (plan.is_empty and RECORD in theirs):
            with _put_back_on_failure(branch, keep_history=keep_history):
                _commit(branch, stage, message, keep_history=keep_history)
                _push(branch, tip, keep_history=keep_history)
    return plan


def _check_repository(branch: Branch) -> None:
    if shutil.which("git") is None:
        raise PublishError(
            "git is not installed", fix="install it, or publish to a folder or an address with --to"
        )
    if _git(branch, "rev-parse", "--git-dir").returncode:
        raise PublishError(
            "not inside a git repository",
            where=branch.repository,
            fix="run metagan publish inside a repository, or publish to a folder or an address with --to",
        )
    remotes = _git(branch, "remote").stdout.split()
    if branch.remote not in remotes:
        known = (
            f"it has {', '.join(remotes)}; choose one with --remote"
            if remotes
            else "git remote add origin URL"
        )
        raise PublishError(f"no remote {branch.remote!r}", where=branch.repository, fix=known)
    if _git(branch, "check-ref-format", branch.ref).returncode or branch.name.startswith("-"):
        raise PublishError(
            f"--branch {branch.name}: git does not allow this name",
            fix="choose another; gh-pages is the usual one",
        )
    if f"branch {branch.ref}" in _git(branch, "worktree", "list", "--porcelain").stdout.splitlines():
        raise PublishError(
            f"branch {branch.name} is checked out",
            where=branch.repository,
            fix="check out another branch, or choose a branch that contains nothing else with --branch",
        )


def _fetch(branch: Branch, *, dry_run: bool) -> str | None:
    """Fetch the remote's branch, without which git would reject the push.

    Returns:
        The remote branch's newest commit; None if there is no such branch yet.
    """
    known = _commit_of(branch, branch.tracking_ref)
    listed = _git(branch, "ls-remote", "--heads", branch.remote, branch.ref)
    if listed.returncode:
        raise _refused(f"{branch.remote} can't be reached", listed, "check its address with git remote -v")
    tip = listed.stdout.split()[0] if listed.stdout else None
    if tip is not None:
        # An empty refmap keeps a dry run from updating the remote-tracking branch.
        into = (
            ["--refmap=", branch.remote, branch.ref]
            if dry_run
            else [branch.remote, f"+{branch.ref}:{branch.tracking_ref}"]
        )
        fetched = _git(branch, "fetch", "--no-tags", "--quiet", *into)
        if fetched.returncode:
            raise _refused(f"{branch} can't be fetched", fetched, "run git fetch to see the reason")
        _check_nothing_unpushed(branch, [tip, *([known] if known else [])])
    elif not dry_run and known:
        _git(branch, "update-ref", "-d", branch.tracking_ref)
    return tip


def _check_nothing_unpushed(branch: Branch, published: list[str]) -> None:
    local = _commit_of(branch, branch.ref)
    if local is None:
        return
    told = _git(branch, "rev-list", "--count", local, *(f"^{commit}" for commit in published))
    if told.returncode == 0 and told.stdout.strip() != "0":
        raise PublishError(
            (
                f"in your local branch {branch.name}, {counted(int(told.stdout), 'commit')} that "
                f"{branch.remote} lacks would be lost"
            ),
            where=branch.repository,
            fix=f"push them, or delete the local branch (git branch -D {branch.name})",
        )


def _extra_files(
    branch: Branch, tip: str | None, files: tuple[SiteFile, ...], domain: str | None
) -> dict[str, bytes]:
    """Return the extra files for GitHub: .nojekyll, and CNAME, without which a custom domain is lost."""
    extra = {".nojekyll": b""}
    if domain is not None:
        extra["CNAME"] = f"{domain}\n".encode()
    elif tip is not None and not any(file.path == "CNAME" for file in files):
        kept = _git(branch, "cat-file", "blob", f"{tip}:CNAME")
        if kept.returncode == 0:
            extra["CNAME"] = kept.stdout.encode()
    return extra


@contextlib.contextmanager
def _staged(files: tuple[SiteFile, ...], extra: Mapping[str, bytes]) -> Iterator[Path]:
    """Make a folder of links to exactly the files to publish, because ghp-import publishes whole folders."""
    with tempfile.TemporaryDirectory(prefix="metagan-publish-") as name:
        stage = Path(name)
        for file in files:
            if file.path in extra:
                continue
            link = stage / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                link.symlink_to(real_path(file.file))
            except OSError:  # on Windows only some users may create links
                shutil.copyfile(file.file, link)
        for path, content in extra.items():
            (stage / path).write_bytes(content)
        yield stage


def _hashes(branch: Branch, stage: Path) -> dict[str, str]:
    """Return git's hash of every staged file by its path."""
    paths = sorted(path for path in stage.rglob("*") if path.is_file())
    lines = "".join(f"{path}\n" for path in paths)
    hashes = _must(branch, "hash-object", "--no-filters", "--stdin-paths", data=lines).split()
    return dict(zip((path.relative_to(stage).as_posix() for path in paths), hashes, strict=True))


def _plan(branch: Branch, stage: Path, ours: Mapping[str, str], theirs: Mapping[str, str]) -> PublishPlan:
    files = [SiteFile(path, stage / path, (stage / path).stat().st_size) for path in ours]
    there = {path: ours[path] == blob for path, blob in theirs.items() if path in ours}
    return make_plan(str(branch), files, there, theirs.keys() - ours.keys() - {RECORD})


def _blobs(branch: Branch, tree: str) -> dict[str, str]:
    """Return git's hash of every file of a commit or tree."""
    # --full-tree: in a subfolder, git would list that folder's files only.
    lines = _must(branch, "ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
    entries = (line.split("\t", 1) for line in lines if line)
    return {path: about.split()[2] for about, path in entries}


def _check_others(branch: Branch, tip: str, ours: Mapping[str, str], *, keep_history: bool) -> None:
    """Refuse to remove what others put on the branch.

    Raises:
        PublishError: If the branch has files of others, or commits with such files would be deleted.
    """
    problems = []
    foreign = [path for path, blob in _foreign(branch, tip).items() if ours.get(path) != blob]
    if foreign:
        what = listed("these files would be lost, and metagan did not publish them:", foreign)
        fix = "choose another branch with --branch, or use --force to replace and remove them"
        problems.append(Problem(str(branch), what, fix))
    if not keep_history and (commits := _commits_of_others(branch, tip)):
        what = listed("--no-history would delete these commits with files of others:", commits)
        fix = "leave it out, choose another branch with --branch, or use --force to delete them"
        problems.append(Problem(str(branch), what, fix))
    if problems:
        raise PublishError.of(problems)


def _foreign(branch: Branch, tree: str) -> dict[str, str]:
    """Return the files of a commit or tree that the record in it doesn't have as they are there."""
    blobs = _blobs(branch, tree)
    recorded: Mapping[str, str | None] = {}
    if record := blobs.get(RECORD):
        with contextlib.suppress(ValueError):
            recorded = decode_record(_must(branch, "cat-file", "blob", record))
    return {path: blob for path, blob in blobs.items() if path not in KEPT and blob != recorded.get(path)}


def _commits_of_others(branch: Branch, tip: str) -> list[str]:
    """Return the commits with files that metagan didn't publish, as messages name them."""
    lines = _must(branch, "log", "--format=%T %h %s", tip).splitlines()
    trees = dict.fromkeys(line.partition(" ")[0] for line in lines)
    foreign = {tree for tree in trees if _foreign(branch, tree)}
    return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] in foreign]


def _commit(branch: Branch, stage: Path, message: str, *, keep_history: bool) -> None:
    before = _commit_of(branch, branch.ref)
    options = [f"--remote={branch.remote}", f"--branch={branch.name}", f"--message={message}"]
    if not keep_history:
        options.append("--no-history")
    # -P: the repository's files must not be imported as Python modules.
    command = [sys.executable, "-P", "-m", "ghp_import", *options, str(stage)]
    done = _run(branch, command, env={**os.environ, **_identity(branch)})
    if done.returncode or _commit_of(branch, branch.ref) in {None, before}:
        raise _refused(
            f"the site can't be committed to {branch.name}", done, "check the repository with git fsck"
        )


def _push(branch: Branch, tip: str | None, *, keep_history: bool) -> None:
    lease = [] if keep_history else [f"--force-with-lease={branch.name}:{tip or ''}"]
    pushed = _git(branch, "push", "--quiet", *lease, branch.remote, f"{branch.ref}:{branch.ref}")
    if pushed.returncode:
        way_out = "check your permissions there; if somebody else published in the meantime, publish again"
        raise _refused(f"{branch.remote} refused the push", pushed, way_out)


@contextlib.contextmanager
def _put_back_on_failure(branch: Branch, *, keep_history: bool) -> Iterator[None]:
    before = _commit_of(branch, branch.ref)
    if before is not None and not keep_history:
        _git(branch, "update-ref", "-d", branch.ref)
    try:
        yield
    except BaseException:
        _git(branch, "update-ref", *([branch.ref, before] if before else ["-d", branch.ref]))
        raise


def _identity(branch: Branch) -> dict[str, str]:
    """Return the committer's identity as git finds it; ghp-import only reads user.name and user.email."""
    said = _git(branch, "var", "GIT_COMMITTER_IDENT")
    match = IDENTITY.match(said.stdout)
    if match is None:
        way_out = 'git config --global user.name "Your Name", and user.email likewise'
        raise _refused("git doesn't know who you are", said, way_out)
    return {"GIT_COMMITTER_NAME": match["name"], "GIT_COMMITTER_EMAIL": match["email"]}


def _commit_of(branch: Branch, ref: str) -> str | None:
    return _git(branch, "rev-parse", "--verify", "--quiet", ref).stdout.strip() or None


def _git(branch: Branch, *arguments: str, data: str | None = None) -> Done:
    return _run(branch, ["git", *arguments], data=data)


def _run(
    branch: Branch, command: list[str], *, data: str | None = None, env: Mapping[str, str] | None = None
) -> Done:
    return subprocess.run(  # noqa: S603 - no shell, and the user's own git and Python
        command,
        cwd=branch.repository,
        env=env,
        input=data,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
    )


def _must(branch: Branch, *arguments: str, data: str | None = None) -> str:
    done = _git(branch, *arguments, data=data)
    if done.returncode:
        raise _refused(f"git {arguments[0]} failed", done, "check the repository with git fsck")
    return done.stdout


def _refused(what: str, done: Done, way_out: str) -> PublishError:
    said = [f"  git: {line}" for line in done.stderr.strip().splitlines()[-6:]]
    return PublishError("\n".join([what, *said]), fix=way_out)
