"""Reads trait classifiers in metagan's own safetensors format."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from metagan.checkpoints.model import Header
from metagan.checkpoints.read import read_checkpoint
from metagan.errors import CheckpointError, UnknownArchitectureError
from metagan.networks.loading.architecture import restore_config
from metagan.networks.loading.assemble import assemble, require_finite
from metagan.networks.trait_classifier.network import TraitClassifier, TraitClassifierConfig

ARCHITECTURE_NAME: Final = "trait_classifier"
TITLE: Final = "metagan trait classifier"
_ROLE: Final = "G_ema"  # of the only network in metagan's own files


def load_classifier(path: Path) -> tuple[TraitClassifier, Mapping[str, Any]]:
    """Read a classifier, on the CPU, in evaluation mode, and the training facts of its header.

    Raises:
        CheckpointError: If the file can't be read, holds something else (such as a generator), or is damaged.
    """
    checkpoint = read_checkpoint(path)
    header = checkpoint.header
    if header is None or header.architecture != ARCHITECTURE_NAME:
        holds = f"a {header.architecture} network" if header else checkpoint.format
        what = f"want a trait classifier, found {holds}"
        raise UnknownArchitectureError(
            what, where=path, fix="give a file that `metagan collection traits` wrote"
        )
    record = checkpoint.networks[_ROLE]
    try:
        config = restore_config(TraitClassifierConfig, header.configuration, TITLE)
        classifier = assemble(lambda: TraitClassifier(config), record.tensors)
    except CheckpointError as error:
        raise error.at(path) from error
    require_finite(record, path)
    return classifier.eval(), header.training


def describe_classifier(classifier: TraitClassifier) -> Header:
    """Return a header for metagan's own format; callers add licence, source and training facts."""
    return Header(architecture=ARCHITECTURE_NAME, configuration=dataclasses.asdict(classifier.config))
