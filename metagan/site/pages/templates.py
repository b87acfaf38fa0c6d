"""Finds and compiles page templates, and reports their errors.

Each template is searched in the user's folder first, then in the one that comes with metagan. A
user's file may extend the one it overrides: `{% extends "metagan/base.html" %}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import jinja2

import metagan
from metagan.errors import BuildError, Location, Problem, TemplateError
from metagan.files import real_path
from metagan.site.routes import is_web_name
from metagan.values import counted, printable

# Errors that a template can raise while it is rendered, besides jinja2's own.
RENDER_FAILURES = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

STATIC = "static"
_IMPORT = re.compile(rb"""(?P<head>\b(?:from|import)\s*["'])(?P<module>\.{1,2}/[\w./-]+\.js)(?P<tail>["'])""")


def default_templates_dir() -> Path:
    """Return the folder of metagan's templates: inside an installed package, beside it in a checkout.

    Raises:
        BuildError: If neither folder exists.
    """
    package = Path(metagan.__file__).resolve().parent
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / "base.html").is_file():
            return folder
    raise BuildError("metagan's own templates are missing", where=package, fix="install metagan again")


def search_path(templates: Path | None) -> list[Path]:
    """Return the folders in which templates are searched; earlier ones take precedence."""
    default = default_templates_dir()
    if templates is None or real_path(templates) == default:
        return [default]
    return [templates, default]


def make_environment(templates: Path | None) -> jinja2.Environment:
    """Make a Jinja environment that escapes everything but plain text and refuses unknown names."""
    default = jinja2.FileSystemLoader(default_templates_dir())
    overriding = jinja2.FileSystemLoader(search_path(templates))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([overriding, jinja2.PrefixLoader({"metagan": default})]),
        autoescape=jinja2.select_autoescape(disabled_extensions=("txt",), default=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters["counted"] = counted
    return environment


def static_files(templates: Path | None) -> dict[str, Path]:
    """Return the files below static/ by their path on the site; a user's override the default ones.

    Raises:
        TemplateError: If a name is none that pages can link to, and hosts take.
    """
    found: dict[str, Path] = {}
    nameless = []
    for folder in reversed(search_path(templates)):
        for file in sorted((folder / STATIC).rglob("*")):
            inside = file.relative_to(folder)
            if file.is_file() and not any(part.startswith(".") for part in inside.parts):
                found[inside.as_posix()] = file
                if not is_web_name(inside.as_posix()):
                    nameless.append(
                        Problem(printable(str(file)), "not a valid name for a web page", "rename it")
                    )
    if nameless:
        raise TemplateError.of(nameless)
    return dict(sorted(found.items()))


def read_static(file: Path, revision: str) -> bytes:
    """Read a static file; imports in ES modules get the revision, so that caches never mix two builds."""
    content = file.read_bytes()
    if file.suffix not in {".js", ".mjs"}:
        return content
    return _IMPORT.sub(rb"\g<head>\g<module>?v=" + revision.encode() + rb"\g<tail>", content)


def render_template(template: jinja2.Template, context: Mapping[str, object]) -> bytes:
    """Render a page.

    Raises:
        TemplateError: If rendering fails; with the template's file and line.
    """
    try:
        return template.render(context).encode()
    except RENDER_FAILURES as error:
        raise TemplateError.of([template_problem(error, template.name or "a template")]) from error


def load_template(environment: jinja2.Environment, name: str) -> jinja2.Template:
    """Load a compiled template.

    Raises:
        TemplateError: If it is missing or has a syntax error; with file and line.
    """
    try:
        return environment.get_template(name)
    except jinja2.TemplateError as error:
        raise TemplateError.of([template_problem(error, name)]) from error


def template_problem(error: Exception, name: str) -> Problem:
    """Describe a template's error for users, with file and line."""
    return Problem(error_position(error, name), describe(error), "correct that line of the template")


def describe(error: Exception) -> str:
    """Describe an error in one line."""
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template {error.name!r}"
    if isinstance(error, jinja2.TemplateError):
        return str(error.message)
    return f"{type(error).__name__}: {error}"


def error_position(error: Exception, name: str) -> Location:
    """Return file and line of the faulty template, "templates/index.html:12"."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return Location(error.filename or error.name or name, error.lineno)
    position = Location(name)
    for file, line in _frames(error.__traceback__):
        if not file.endswith(".py") and Path(file).is_file():
            position = Location(file, line)
    return position


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, int]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next
