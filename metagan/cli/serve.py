"""`metagan serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from metagan.cli.options import SiteOptions, Whole, out_option, site_options

if TYPE_CHECKING:
    from metagan.site.build.build import BuildOptions
    from metagan.site.serve.reload import BuiltSite


@click.command("serve", short_help="Preview the site on this machine.")
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 makes the site visible in your network.",
)
@click.option("--port", type=Whole(0, 65535), default=8000, help="Port to listen on; 0 chooses a free one.")
@click.option("--no-reload", is_flag=True, help="Don't watch the sources and don't reload pages.")
@out_option("Folder of the built site.", default=Path("build"))
@site_options
def command(host: str, port: int, no_reload: bool, out: Path, **site: Unpack[SiteOptions]) -> None:
    """Build the site if needed and serve it on this machine as GitHub Pages would.

    Pages reload when the registry, templates, local weights or text files change. Press Ctrl-C to stop.
    """
    from metagan.site.build.build import BuildOptions
    from metagan.site.serve.server import serve

    def build() -> BuiltSite:
        return _build(BuildOptions.read(out=out, **site), site["registry"])

    serve(
        build,
        host=host,
        port=port,
        reload=not no_reload,
        report=lambda text: click.echo(text, err=True),
        ready=lambda url: click.echo(f"{url} (press Ctrl-C to stop)"),
    )


def _build(options: BuildOptions, registry: Path) -> BuiltSite:
    from urllib.parse import urlsplit

    from metagan.cli.progress import stages
    from metagan.site.build.build import build_site
    from metagan.site.serve.reload import BuiltSite

    with stages() as progress:
        outcome = build_site(options, progress)
    for warning in outcome.warnings:
        click.echo(f"warning: {warning}", err=True)
    return BuiltSite(
        outcome.out, urlsplit(options.registry.site.base_url).path or "/", _sources(options, registry)
    )


def _sources(options: BuildOptions, registry: Path) -> tuple[Path, ...]:
    """List the local files that the site is built from, including a templates/ folder that does not exist yet."""
    from metagan.site.pages.templates import default_templates_dir

    subjects = options.registry.subjects
    weights = [Path(subject.weights.location) for subject in subjects if subject.weights.kind == "path"]
    corpora = [subject.text.corpus for subject in subjects if subject.text]
    templates = options.templates or registry.absolute().parent / "templates"
    return (registry, templates, default_templates_dir(), *weights, *corpora)
