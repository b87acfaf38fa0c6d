"""`metagan publish`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metagan.cli.options import Place, json_option, out_option
from metagan.values import counted, format_bytes

if TYPE_CHECKING:
    from metagan.site.publish.plan import PublishPlan, SiteFile

LISTED = 20
BRANCH = "gh-pages"


def _checked_target(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Refuse a folder at which nothing can be written; the target stays as it was given."""
    if value != BRANCH:
        Place().convert(value, param, ctx)
    return value


@click.command("publish", short_help="Publish the built site.")
@out_option("The built site.", default=Path("build"))
@click.option(
    "--to",
    "target",
    metavar="gh-pages|FOLDER|URL",
    default="gh-pages",
    callback=_checked_target,
    help="Where to publish: a branch for GitHub Pages, a folder, or storage such as s3://bucket/apes, "
    "gs://, az:// or sftp://.",
)
@click.option("--remote", default="origin", help="gh-pages: the git remote to push to.")
@click.option("--branch", default="gh-pages", help="gh-pages: the branch, which contains only the site.")
@click.option("--message", default="Publish the site", help="gh-pages: the commit message.")
@click.option(
    "--cname", metavar="DOMAIN", help="gh-pages: your own domain.  [default: the branch's current domain]"
)
@click.option(
    "--no-history",
    is_flag=True,
    help="gh-pages: keep only the newest version, so that old pictures take no space.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace files that metagan did not publish, remove them from a branch, and publish files in the built site "
    "that metagan did not build.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, without doing it.")
@json_option
def command(
    out: Path, target: str, remote: str, branch: str, message: str, cname: str | None,
    no_history: bool, force: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Publish the built site to a gh-pages branch, a folder or cloud storage.

    Sends only what changed, pages last. Removes only what an earlier publish wrote. A build that lacks files, and
    files of others that would be lost, are listed and refused.
    """
    if target == BRANCH:
        plan = _to_branch(out, remote, branch, message, cname, not no_history, force, dry_run)
    else:
        if cname or no_history:
            raise click.UsageError("--cname and --no-history are for --to gh-pages")
        plan = _to_place(out, target, force, dry_run)
    click.echo(
        json.dumps(_as_json(plan, dry_run), indent=2) if as_json else "\n".join(_as_text(plan, dry_run))
    )


def _to_branch(
    out: Path, remote: str, branch: str, message: str, cname: str | None,
    keep_history: bool, force: bool, dry_run: bool,
) -> PublishPlan:  # fmt: skip
    from metagan.cli.progress import transferring
    from metagan.site.publish.branch import Branch, publish_to_branch

    where = Branch(Path.cwd(), remote, branch)
    with transferring(f"publishing to {where}"):
        return publish_to_branch(
            out,
            where,
            message=message,
            domain=cname,
            keep_history=keep_history,
            overwrite=force,
            dry_run=dry_run,
        )


def _to_place(out: Path, target: str, force: bool, dry_run: bool) -> PublishPlan:
    from metagan.cli.progress import transferring
    from metagan.site.publish.storage import publish_to_storage

    with transferring(f"publishing to {target}") as sent:
        return publish_to_storage(out, target, dry_run=dry_run, overwrite=force, sent=sent)


def _as_text(plan: PublishPlan, dry_run: bool) -> Iterator[str]:
    from metagan.site.publish.plan import total_bytes

    everything = f"{counted(len(plan.files), 'file')}, {format_bytes(total_bytes(plan.files))}"
    if plan.is_empty:
        yield f"{plan.target}: up to date ({everything})"
        return
    yield f"{'would publish' if dry_run else 'published'} to {plan.target}: {everything}"
    for name, files in (("new", plan.new), ("changed", plan.changed), ("unchanged", plan.unchanged)):
        yield f"{_row(name, len(files), 'file'):<28}{format_bytes(total_bytes(files)):>10}"
    yield _row("removed", len(plan.removed), "file")
    if plan.former_commits:
        yield _row("replaced", plan.former_commits, "commit")
    if dry_run:
        yield from _listed("+", [file.path for file in plan.new])
        yield from _listed("~", [file.path for file in plan.changed])
        yield from _listed("-", list(plan.removed))


def _row(name: str, number: int, noun: str) -> str:
    told, _, what = counted(number, noun).partition(" ")
    return f"  {name:<10}{told:>8} {what}"


def _listed(mark: str, paths: list[str]) -> Iterator[str]:
    yield from (f"{mark} {path}" for path in paths[:LISTED])
    if len(paths) > LISTED:
        yield f"{mark} and {len(paths) - LISTED:,} more (--json lists them all)"


def _as_json(plan: PublishPlan, dry_run: bool) -> dict[str, object]:
    return {
        "target": plan.target,
        "dry_run": dry_run,
        "new": [_file_as_json(file) for file in plan.new],
        "changed": [_file_as_json(file) for file in plan.changed],
        "unchanged": [_file_as_json(file) for file in plan.unchanged],
        "removed": list(plan.removed),
        "replaced_commits": plan.former_commits,
    }


def _file_as_json(file: SiteFile) -> dict[str, object]:
    return {"path": file.path, "size_bytes": file.size_bytes}
