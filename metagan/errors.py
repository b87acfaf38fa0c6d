"""Every failure that a user can mend, one class a remedy.

    MetaganError
    ├── RegistryError         mend the lines of registry.yaml that it lists; the one with several problems
    ├── TemplateError         mend the template that it names
    ├── FetchError            try again, or look at the network
    │   ├── OfflineError      go online once, or drop --offline
    │   └── HashMismatchError the file is not the one the registry means
    ├── CheckpointError       get another weights file
    │   ├── MalformedFileError      it is truncated, damaged or something else altogether
    │   ├── UnsafeFileError         it asks for code to be run, or for absurd memory
    │   └── UnknownArchitectureError its tensors fit no network that metagan knows
    ├── ShapeError            give latents, labels or styles of the size the network takes
    ├── OptionError           give another value to the option that it names
    ├── DatasetError          look at the pictures, labels or dataset zip that it names
    ├── CollectionError       look at the collection, or the source of one, that it names
    ├── ExportError           choose another precision or noise, or leave the generator where it is
    ├── TrainingError         look at the run folder that it names
    │   └── DivergedError     lower the learning rate or raise gamma, and start another run
    ├── DeviceError           choose another --device, or a smaller batch
    ├── BuildError            look at the site folder that it names
    │   ├── BuildLockedError  wait for the other build
    │   └── LinkError         mend the templates: pages link to what isn't there
    └── PublishError          make the site smaller, or choose another target

An error is data: what is wrong, where, and how to fix it. It becomes text in one place, `Problem.__str__`, and
that text is never taken apart again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Location:
    """A place in a text file.

    Args:
        file: The file, as messages name it.
        line: From 1; None for the file as a whole.
        column: From 1; None for the line as a whole.
    """

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """The form that editors turn into a link, "registry.yaml:6:13"."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        where: The file, address or option it is about; None where the message says it.
        what: What was found and what was expected, "subjects.cat.sha256: want 64 hex digits, got 'abc'".
        fix: The way out, in the imperative; None where the message says it.
    """

    where: Location | Path | str | None
    what: str
    fix: str | None = None

    def __str__(self) -> str:
        """The text that users see."""
        place = "" if self.where is None else f"{self.where}: "
        return f"{place}{self.what}" if self.fix is None else f"{place}{self.what}\n  fix: {self.fix}"


class MetaganError(Exception):
    """Something that a user can fix; the command line prints it without a traceback and exits with 1.

    Args:
        what: What was found, and what was expected.
        where: The file, address or option that it is about.
        fix: The way out, in the imperative.
    """

    problems: tuple[Problem, ...]

    def __init__(
        self, what: object, *, where: Location | Path | str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(str(what))
        self.problems = (Problem(where, str(what), fix),)

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> Self:
        """One error for several problems."""
        error = cls("; ".join(problem.what for problem in problems))
        error.problems = tuple(problems)
        return error

    @property
    def what(self) -> str:
        """What is wrong, of the first problem."""
        return self.problems[0].what

    @property
    def where(self) -> Location | Path | str | None:
        """The place of the first problem."""
        return self.problems[0].where

    @property
    def fix(self) -> str | None:
        """The way out of the first problem."""
        return self.problems[0].fix

    def at(self, where: Location | Path | str) -> Self:
        """The same error about something inside `where`; as it is where it names that place already."""
        problem = self.problems[0]
        if problem.where == where:
            return self
        what = problem.what if problem.where is None else f"{problem.where}: {problem.what}"
        return type(self).of([replace(problem, where=where, what=what)])

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class RegistryError(MetaganError):
    """A registry that can't be used; `problems` holds every problem of it."""


class TemplateError(MetaganError):
    """A page template that can't be rendered."""


class FetchError(MetaganError):
    """Remote weights that could not be had."""


class OfflineError(FetchError):
    """Remote weights that are not in the cache, asked for offline."""


class HashMismatchError(FetchError):
    """A file whose SHA-256 is not the one that the registry states."""


class CheckpointError(MetaganError):
    """A weights file that can't be used."""


class MalformedFileError(CheckpointError):
    """A weights file that is truncated, damaged, or no weights file at all."""


class UnsafeFileError(CheckpointError):
    """A weights file that wants code run, files written, or absurd amounts of memory."""


class UnknownArchitectureError(CheckpointError):
    """A readable weights file whose tensors fit no known network; names the nearest."""


class ShapeError(MetaganError):
    """Latents, labels or styles of another size than the network takes."""


class OptionError(MetaganError):
    """An option's value that can't be honoured here."""


class DatasetError(MetaganError):
    """Training pictures that can't be read, fit no network, or contradict their labels."""


class CollectionError(MetaganError):
    """A collection, or a source of one, that can't be read, written or asked."""


class ExportError(MetaganError):
    """A generator that another program can't run, or would run differently."""


class TrainingError(MetaganError):
    """A training run that can't start or go on in the folder asked for."""


class DivergedError(TrainingError):
    """A training run whose losses are no numbers any more."""


class DeviceError(MetaganError):
    """A device that isn't there, or has too little memory."""


class BuildError(MetaganError):
    """A site that can't be built in the folder asked for."""


class BuildLockedError(BuildError):
    """Another build is at work in the same folder."""


class LinkError(BuildError):
    """Rendered pages that link to what is not in the site."""


class PublishError(MetaganError):
    """A site that can't be published where it was asked to be."""
