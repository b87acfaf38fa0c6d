"""A pipe that nobody writes to: whatever reads a file that a user names says what it is, and waits for nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metagan.collection.marketplace import read_key
from metagan.collection.model import Item
from metagan.collection.review import read_review
from metagan.collection.sources.csv_table import CsvSource
from metagan.collection.sources.folder import FolderSource
from metagan.collection.store import open_collection, read_lines
from metagan.collection.usd import read_rates
from metagan.datasets.store import open_store
from metagan.errors import MetaganError
from metagan.fetch.locate import locate_weights
from metagan.lab.canvas import read_start
from metagan.lab.clip import find_clip
from metagan.lab.dials import read_directions
from metagan.lab.paint import read_prompts
from metagan.lab.rank import read_discriminator
from metagan.lab.styles import read_styles
from metagan.lab.targets import list_pictures, read_target
from metagan.networks.trait_classifier import load_classifier
from metagan.networks.vqgan.load import load_vqgan, read_configuration
from metagan.registry.read import read_registry
from metagan.registry.weights_ref import WeightsRef
from metagan.sampling.target import find_target
from metagan.sampling.upscale import open_upscaler
from metagan.shards.pick import read_scores
from metagan.site.pages.text import read_corpus
from metagan.storage import Storage
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.state import read_state


def beside(pipe: Path, name: str) -> Path:
    """The folder of another pipe, which has a name that metagan looks for."""
    (pipe.parent / "folder").mkdir()
    os.mkfifo(pipe.parent / "folder" / name)
    return pipe.parent / "folder"


def configured(pipe: Path) -> Path:
    """A folder with CLIP's configuration."""
    (pipe.parent / "open_clip_config.json").write_text("{}")
    return pipe.parent


READERS: dict[str, Callable[[Path], object]] = {
    "registry": read_registry,
    "subject of a registry": lambda pipe: find_target("ape", pipe, None),
    "weights": lambda pipe: find_target(str(pipe), Path("none.yaml"), None),
    "located weights": lambda pipe: locate_weights(WeightsRef("path", str(pipe), None, "x")),
    "upscaler": lambda pipe: open_upscaler(pipe, torch.device("cpu")),
    "classifier": load_classifier,
    "discriminator": read_discriminator,
    "dataset": open_store,
    "text": read_corpus,
    "styles": read_styles,
    "dials": read_directions,
    "scores": lambda pipe: read_scores(pipe, "logit"),
    "picture to project": lambda pipe: list_pictures((pipe,)),
    "picture in a folder": lambda pipe: read_target(beside(pipe, "a.png") / "a.png", 16, 3),
    "picture to begin with": lambda pipe: read_start(pipe, 16, 16),
    "picture to paint toward": lambda pipe: read_prompts((), (str(pipe),)),
    "CLIP": lambda pipe: find_clip(str(configured(pipe)), pipe),
    "VQGAN": load_vqgan,
    "VQGAN's YAML": read_configuration,
    "rates": read_rates,
    "key": read_key,
    "table": lambda pipe: CsvSource("x", pipe).entries(),
    "collection to gather": lambda pipe: FolderSource("x", pipe).entries(),
    "collection's facts": lambda pipe: open_collection(beside(pipe, "collection.json")),
    "collection's items": lambda pipe: list(read_lines(pipe, Item)),
    "review": lambda pipe: read_review(beside(pipe, "review.csv")),
    "config.yaml of a run": lambda pipe: read_config(RunFolder(beside(pipe, "config.yaml"))),
    "state of a run": read_state,
    "file of a storage": lambda pipe: Storage(str(pipe.parent), MetaganError).read(pipe.name),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_called_no_regular_file(reader, tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises((MetaganError, OSError), match=r"regular file|a pipe"):
        READERS[reader](tmp_path / "pipe.safetensors")
