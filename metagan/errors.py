"""The errors that a user can fix. Each class stands for a kind of fix.

    MetaganError
    ├── RegistryError         correct the lines of registry.yaml that it lists; it can have several problems
    ├── TemplateError         correct the template that it names
    ├── FetchError            try again, or check the network
    │   ├── OfflineError      go online once, or leave --offline out
    │   └── HashMismatchError the file has another hash than the registry states
    ├── CheckpointError       use another weights file
    │   ├── MalformedFileError      it is truncated, damaged, or not a weights file
    │   ├── UnsafeFileError         it would run code, or needs absurd amounts of memory
    │   └── UnknownArchitectureError its tensors fit no network that metagan supports
    ├── ShapeError            use latents, labels or styles of the network's size
    ├── OptionError           use another value for the option that it names
    ├── DatasetError          check the pictures, labels or dataset zip that it names
    ├── CollectionError       check the collection, or its source, that it names
    ├── ExportError           choose another precision or noise, or don't export this generator
    ├── TrainingError         check the run folder that it names
    │   └── DivergedError     lower the learning rate or raise gamma, and start another run
    ├── DeviceError           choose another --device, or a smaller batch
    ├── BuildError            check the site folder that it names
    │   └── BuildLockedError  wait until the other build ends
    └── PublishError          make the site smaller, or choose another target

An error is data: what is wrong, where, and how to fix it. It becomes text in one place, `Problem.__str__`, and
that text is never taken apart again.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self


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
        where: The file, address or option it is about; None if the message says it.
        what: What was found and what was expected, "subjects.cat.sha256: want 64 hex digits, got 'abc'".
        fix: How to correct it, in the imperative; None if the message says it.
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

    def at(self, where: Location | Path | str, *, fix: str | None = None) -> Self:
        """The same error about something inside `where`; as it is where it names that place already.

        Args:
            where: The place.
            fix: The way out, for an error that states none.
        """
        problem = self.problems[0]
        fix = problem.fix or fix
        if problem.where == where:
            return self if problem.fix == fix else type(self).of([replace(problem, fix=fix)])
        what = problem.what if problem.where is None else f"{problem.where}: {problem.what}"
        return type(self).of([replace(problem, where=where, what=what, fix=fix)])

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class RegistryError(MetaganError):
    """A registry that can't be used; `problems` holds every problem of it."""


class TemplateError(MetaganError):
    """A page template that can't be rendered."""


class FetchError(MetaganError):
    """Remote weights that could not be downloaded."""


class OfflineError(FetchError):
    """Remote weights that are not in the cache, in offline mode."""


class HashMismatchError(FetchError):
    """A file whose SHA-256 is not the one that the registry states."""


class CheckpointError(MetaganError):
    """A weights file that can't be used."""


class MalformedFileError(CheckpointError):
    """A file that is truncated, damaged, or not a weights file."""


class UnsafeFileError(CheckpointError):
    """A weights file that would run code, write files, or need absurd amounts of memory."""


class UnknownArchitectureError(CheckpointError):
    """A readable weights file whose tensors fit no known network. The message names the nearest one."""


class ShapeError(MetaganError):
    """Latents, labels or styles of the wrong size for the network."""


class OptionError(MetaganError):
    """An invalid value of an option, or one that is not possible here."""


class DatasetError(MetaganError):
    """Training pictures that can't be read, don't fit the network, or contradict their labels."""


class CollectionError(MetaganError):
    """A collection, or a source of one, that can't be read, written or asked."""


class ExportError(MetaganError):
    """A generator that another program can't run, or that would draw other pictures there."""


class TrainingError(MetaganError):
    """A training run that can't start or resume in its folder."""


class DivergedError(TrainingError):
    """A training run whose losses have become NaN or infinite."""


class DeviceError(MetaganError):
    """A device that does not exist, or has too little memory."""


class BuildError(MetaganError):
    """A site that can't be built in its folder."""


class BuildLockedError(BuildError):
    """Another build is running in the same folder."""


class PublishError(MetaganError):
    """A site that can't be published to its target."""


def import_beside_torchvision(module: str, what: str, *, where: str | Path, extra: str) -> Any:
    """Import a module of an extra that needs torchvision, whose release has to fit torch's.

    Args:
        module: Its name.
        what: What needs which package, for the message.
        where: What the user named that needs it.
        extra: The extra of metagan that installs it.

    Raises:
        OptionError: If it, or the torchvision that it imports, can't be imported.
    """
    try:
        return importlib.import_module(module)
    except (
        ImportError,
        RuntimeError,
        OSError,
    ) as error:  # a torchvision of another torch raises RuntimeError
        reason = " ".join(str(error).split())
        raise OptionError(
            f"{what}, which can't be imported here: {reason:.200}",
            where=where,
            fix=f"pip install 'metagan[{extra}]'; torch and torchvision have to be of releases that belong together",
        ) from error
