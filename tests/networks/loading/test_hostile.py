"""Hostile files all the way to a generator: what the reader lets through, the networks must refuse."""

import json
import time
from pathlib import Path

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import MetaganError
from metagan.networks.loading.detect import load_generator


def outcome(path: Path) -> str:
    """The error's text, or nothing when a generator came of it."""
    try:
        load_generator(read_checkpoint(path))
    except MetaganError as error:
        return str(error)
    return ""


def test_no_hostile_file_becomes_a_generator(shared_vectors):
    listed = json.loads((shared_vectors / "hostile" / "MANIFEST.json").read_text())["files"]
    for entry in listed.values() if isinstance(listed, dict) else listed:
        path = shared_vectors / "hostile" / entry["file"]
        begin = time.process_time()
        text = outcome(path)
        assert time.process_time() - begin < 10, path.name
        assert entry["marker"] is None or not Path(entry["marker"]).exists(), path.name
        if "load" not in entry["expect"]:
            assert path.name in text, f"{path.name} was not refused, or not by its name: {text!r}"


def test_absurd_descriptions_are_refused_for_what_they_are(shared_vectors):
    words = {
        "cfg_activation_expr": "activation",
        "cfg_discriminator_as_generator": "discriminator",
        "cfg_mapping_layers_huge": "contradicts itself",
        "cfg_missing_tensor": "missing",
        "cfg_nan_weights": "NaN or infinity",
        "cfg_resolution_huge": "contradicts itself",
        "cfg_shape_mismatch": "",
    }
    for stem, word in words.items():
        text = outcome(shared_vectors / "hostile" / f"{stem}.pkl")
        assert f"{stem}.pkl" in text
        assert word in text, (stem, text)
