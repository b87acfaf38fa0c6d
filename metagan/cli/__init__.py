"""The command line. Each command has a file of its own, which parses, calls and prints."""

from __future__ import annotations

import codecs
import difflib
import importlib
import io
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

from metagan import __version__
from metagan.errors import MetaganError, RegistryError
from metagan.files import explain
from metagan.values import show, text_of

COMMANDS = (
    "init",
    "build",
    "serve",
    "publish",
    "check",
    "schema",
    "sample",
    "pick",
    "inspect",
    "convert",
    "export",
    "collection",
    "dataset",
    "train",
    "upscale",
    "evaluate",
    "project",
    "walk",
    "directions",
    "encoder",
    "blend",
    "rank",
    "paint",
)
LAB = ("project", "walk", "directions", "encoder", "blend", "rank", "paint")


class LazyGroup(click.Group):
    """A group that imports a command's file only when the command is listed or called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, in the order in which a new user needs them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands to --help, those of the lab in a section of their own."""
        others = tuple(name for name in self.list_commands(ctx) if name not in LAB)
        for title, names in (("Commands", others), ("Lab", LAB)):
            found = [(name, self.get_command(ctx, name)) for name in names]
            width = formatter.width - 6 - max(map(len, COMMANDS))
            rows = [
                (name, command.get_short_help_str(width)) for name, command in found if command is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, or return None if the name is unknown."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"metagan.cli.{cmd_name}").command
        return command

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Take the words of the command line."""
        with _names_shown():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Take a command's own words, and run it."""
        with _names_shown():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was called; suggest one if the name is misspelt."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"No such command {show(args[0])}." + (f" Did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)


@contextmanager
def _names_shown() -> Iterator[None]:
    """Write bytes that aren't UTF-8 as \\xe9 in click's messages, as everywhere else, not as Python's \\udce9."""
    try:
        yield
    except click.UsageError as error:
        text = error.format_message()
        shown = re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", text)
        if shown == text:
            raise
        raise click.UsageError(shown, error.ctx) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__, prog_name="metagan")
def metagan() -> None:
    """Turn trained StyleGANs into published “This X Does Not Exist” sites."""


def _end_on_signals() -> None:
    """End on SIGTERM, and when the terminal closes, as an error would: temporary files and worker processes go too."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, end)


def _print_any_name() -> None:
    """Have stdout and stderr take file names that aren't UTF-8: their stray bytes are printed as \\xe9."""

    def shown(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        text = text_of(error.object[error.start : error.end])
        return text.encode("ascii", "backslashreplace").decode(), error.end

    codecs.register_error("metagan.names", shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="metagan.names")


def main() -> NoReturn:
    """Run the command line. Errors that a user can fix are printed on stderr, with exit status 1."""
    _end_on_signals()
    _print_any_name()
    try:
        metagan(standalone_mode=True)
    except MetaganError as error:
        # Problems in a file begin with file:line:column, where editors look for it.
        located = isinstance(error, RegistryError)
        click.echo(str(error) if located else f"metagan: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"metagan: {explain(error)}", err=True)
        sys.exit(1)
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # A late Ctrl-C would print a traceback of torch's shutdown.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise AssertionError("click always exits")
