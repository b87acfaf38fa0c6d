"""Every failure that a user can mend, one class a remedy.

    MetaganError
    ├── RegistryError         mend the lines of registry.yaml that it lists
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

A message says where, what was found, what was expected and the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MetaganError(Exception):
    """Whatever a user can mend; the command line prints it without a traceback and exits with 1."""


@dataclass(frozen=True)
class Problem:
    """One thing to mend in a file that people write.

    Args:
        where: File, line and column as editors understand them, "registry.yaml:6:13".
        what: What was found and what was expected, "subjects.cat.sha256: want 64 hex digits, got 'abc'".
        fix: How to correct it, in the imperative.
    """

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  fix: {self.fix}"


class RegistryError(MetaganError):
    """A registry that can't be used: every problem of it, not the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


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
