"""Plans publishing: which files to upload or remove, and whether they are within the host's limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from metagan.errors import Problem, PublishError
from metagan.files import real_path
from metagan.site.manifest import MANIFEST, read_manifest
from metagan.site.routes import is_hidden, is_web_name
from metagan.values import counted, format_bytes, printable

GITHUB_SITE_BYTES = 1_000_000_000  # "published sites may be no larger than 1 GB"
MIB = 1 << 20
GITHUB_FILE_BYTES = 100 * MIB  # git pushes with larger files are refused
FIT = 0.97  # pictures differ in size, so that the suggested count aims a little below the limit
LISTED = 20


@dataclass(frozen=True)
class SiteFile:
    """One file of a built site.

    Args:
        path: Relative to the site's root, with slashes.
        file: Its path on this machine.
        size_bytes: Its size.
        sha256: Its hash, where the build's manifest has it.
    """

    path: str
    file: Path
    size_bytes: int
    sha256: str | None = None


@dataclass(frozen=True)
class PublishPlan:
    """What publishing changes, or would change.

    Args:
        target: The target, as text or an address.
        new: Files that don't exist there yet.
        changed: Files whose content differs there.
        unchanged: Files that are already there.
        removed: Paths from an earlier publish that are no longer part of the site.
        former_commits: Number of a branch's commits that one commit replaces.
    """

    target: str
    new: tuple[SiteFile, ...]
    changed: tuple[SiteFile, ...]
    unchanged: tuple[SiteFile, ...]
    removed: tuple[str, ...]
    former_commits: int = 0

    @property
    def uploads(self) -> tuple[SiteFile, ...]:
        """The files to send: pages after all other files, and the front page last.

        That way no page is visible before its pictures, even if publishing is interrupted.
        """
        return tuple(sorted((*self.new, *self.changed), key=_sending_order))

    @property
    def files(self) -> tuple[SiteFile, ...]:
        """All files of the site."""
        return (*self.new, *self.changed, *self.unchanged)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to change."""
        return not (self.new or self.changed or self.removed or self.former_commits)


def site_files(folder: Path, *, with_others: bool = False) -> tuple[SiteFile, ...]:
    """List the files of a built site to publish, sorted by path, without hidden files.

    Args:
        folder: The built site.
        with_others: Whether to publish files in the folder that the build didn't write, too.

    Raises:
        PublishError: If there is no built site, files of the build are missing or changed, the folder has files of
            others, or a file can't be published.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise _unbuilt(folder)
    if damage := [f"{name} ({found})" for name, found in manifest.damage(folder)]:
        raise PublishError(
            listed("these files are not as the build left them:", damage),
            where=folder,
            fix="run metagan build, which makes them again, then publish",
        )
    files, others, refused = [], [], []
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if is_hidden(path.parts) or not file.is_file():
            continue
        if path.as_posix() not in manifest.files and path.as_posix() != "CNAME":
            others.append(path.as_posix())
        if not real_path(file).is_relative_to(real_path(folder)):
            what, fix = "a symbolic link to a place outside the site", "replace it by the file itself"
            refused.append(Problem(printable(str(file)), what, fix))
        elif not is_web_name(path.as_posix()):
            refused.append(
                Problem(printable(f"{file!s:.200}"), "not a valid name for a web page", "rename it")
            )
        sha256 = manifest.sha256.get(path.as_posix())
        files.append(SiteFile(path.as_posix(), file, file.stat().st_size, sha256))
    if others and not with_others:
        raise PublishError(
            listed("these files are not part of the build:", others),
            where=folder,
            fix="remove them, or put them into templates/static and build again; --force publishes them as they are",
        )
    if refused:
        raise PublishError.of(refused)
    return tuple(files)


def _unbuilt(folder: Path) -> PublishError:
    if not (folder / "index.html").is_file():
        return PublishError(
            "no built site there (no index.html)", where=folder, fix="run metagan build first"
        )
    return PublishError(
        f"the list of the build's files ({MANIFEST}) is missing or damaged, so that nothing tells them from others",
        where=folder,
        fix="build into another folder, metagan build --out NEW, and publish that with --out NEW",
    )


def listed(what: str, lines: Sequence[str]) -> str:
    """Return a message with a list below it, cut short where it is long."""
    more = [f"  and {len(lines) - LISTED:,} more"] if len(lines) > LISTED else []
    return "\n".join([what, *(f"  {printable(line)}" for line in lines[:LISTED]), *more])


def make_plan(
    target: str, files: Iterable[SiteFile], there: Mapping[str, bool], removed: Iterable[str]
) -> PublishPlan:
    """Compare a site's files with the target.

    Args:
        target: The target, as text or an address.
        files: The site's files.
        there: The target's files: True if the content is the same.
        removed: Paths to remove.
    """
    sorted_out: dict[bool | None, list[SiteFile]] = {None: [], False: [], True: []}
    for file in files:
        sorted_out[there.get(file.path)].append(file)
    new, changed, unchanged = (tuple(group) for group in sorted_out.values())
    return PublishPlan(target, new, changed, unchanged, tuple(sorted(removed)))


def total_bytes(files: Iterable[SiteFile]) -> int:
    """Return the total size of files in bytes."""
    return sum(file.size_bytes for file in files)


def check_github_limits(
    files: tuple[SiteFile, ...], *, site_bytes: int = GITHUB_SITE_BYTES, file_bytes: int = GITHUB_FILE_BYTES
) -> None:
    """Refuse a site that exceeds GitHub Pages' limits, with the figures and what to reduce.

    Args:
        files: The site's files.
        site_bytes: The host's limit of the whole site.
        file_bytes: The host's limit of a single file.

    Raises:
        PublishError: If it is too large, or some of its files are.
    """
    problems = [
        Problem(
            file.path,
            f"{file.size_bytes / MIB:.1f} MiB; git hosts accept at most {file_bytes / MIB:.0f} MiB per file",
            "remove it from the site, or publish to another host with --to",
        )
        for file in files
        if file.size_bytes > file_bytes
    ]
    if total_bytes(files) > site_bytes:
        problems.append(_too_large(files, site_bytes))
    if problems:
        raise PublishError.of(problems)


@dataclass(frozen=True)
class SubjectSize:
    """The size of one subject on a site.

    Args:
        slug: The subject's folder.
        images: Number of its pictures; 0 if the site has them in shards.
        size_bytes: Total size of its pictures, pages and data.
    """

    slug: str
    images: int
    size_bytes: int


def subject_sizes(files: Iterable[SiteFile]) -> tuple[SubjectSize, ...]:
    """Return the size of each subject, largest first; a subject is a folder in pictures/."""
    parts = {file: PurePosixPath(file.path).parts for file in files}
    slugs = {names[1] for names in parts.values() if names[0] == "pictures" and len(names) > 2}
    sizes = dict.fromkeys(slugs, 0)
    seeds: dict[str, set[str]] = {slug: set() for slug in slugs}
    for file, names in parts.items():
        slug = _slug_of(names, slugs)
        if slug is None:
            continue
        sizes[slug] += file.size_bytes
        if names[0] == "pictures" and PurePosixPath(names[-1]).stem.isdecimal():
            seeds[slug].add(PurePosixPath(names[-1]).stem)
    for names in parts.values():
        if names[0] == "pictures" and names[2:3] == ("shards",) and names[-1].endswith(".zip"):
            seeds[names[1]] = set()
    found = (SubjectSize(slug, len(seeds[slug]), size) for slug, size in sizes.items())
    return tuple(sorted(found, key=lambda share: (-share.size_bytes, share.slug)))


def _slug_of(names: tuple[str, ...], slugs: set[str]) -> str | None:
    # bagel/42/index.html, but pictures/bagel/42.webp, api/bagel.json and api/bagel/lines/0.json
    for name in names[:2]:
        if name.removesuffix(".json") in slugs:
            return name.removesuffix(".json")
    return None


def _too_large(files: tuple[SiteFile, ...], limit: int) -> Problem:
    taken = subject_sizes(files)
    total = total_bytes(files)
    rest = total - sum(share.size_bytes for share in taken)
    scale = (limit * FIT - rest) / max(total - rest, 1)
    lines = [
        f"the site takes {format_bytes(total)} in {counted(len(files), 'file')}; GitHub Pages accepts "
        f"{format_bytes(limit)}"
    ]
    for share in taken:
        fitting = int(share.images * scale)
        advice = f"  images: {share.images} -> {fitting} would fit" if fitting > 0 else ""
        lines.append(f"  {share.slug:<20} {format_bytes(share.size_bytes):>10}{advice}")
    lines.append(f"  {'everything else':<20} {format_bytes(rest):>10}")
    fix = "lower images in registry.yaml, choose a smaller format (webp, avif), or use another --to"
    if any(share.images == 0 for share in taken):
        fix = f"keep shards on a storage and state its address (`url` beside `run`, or --pictures-url); or {fix}"
    return Problem(None, "\n".join(lines), fix)


def sending_stage(file: SiteFile) -> int:
    """Return the order of sending: 0 for files that pages use, 1 for pages, 2 for the front page."""
    if file.path == "index.html":
        return 2
    return 1 if file.path.endswith(".html") else 0


def _sending_order(file: SiteFile) -> tuple[int, int, str]:
    stage = sending_stage(file)
    return stage, -file.path.count("/") if stage else 0, file.path
