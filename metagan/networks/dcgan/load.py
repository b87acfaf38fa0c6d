"""DCGANs built from Keras' records and from metagan's own files."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks.architecture import Part, Reading
from metagan.networks.assemble import assemble, require_fit
from metagan.networks.dcgan.convert import read_config, rename
from metagan.networks.dcgan.network import ACTIVATIONS, DCGAN, Config, Discriminator

MAX_LAYERS = 1000
MAX_NUMBER = 1e6


def recognises(record: NetworkRecord) -> bool:
    """Whether the record is a stack of Keras' layers that makes something else than a verdict."""
    return _is_stack(record) and not recognises_discriminator(record)


def recognises_discriminator(record: NetworkRecord) -> bool:
    """Whether the record is a stack of Keras' layers that ends in a few numbers."""
    return _is_stack(record) and record.attributes["layers"][-1]["class_name"] == "Dense"


def _is_stack(record: NetworkRecord) -> bool:
    layers = record.attributes.get("layers")
    return isinstance(layers, list) and bool(layers) and all(isinstance(layer, dict) for layer in layers)


def generator_from_keras(record: NetworkRecord) -> DCGAN:
    """A generator's record to ours.

    Raises:
        UnknownArchitectureError: Layers, or tensors, that aren't known or are missing.
        MalformedFileError: Layers don't follow from each other, or tensors don't fit them.
    """
    config, tensors = _converted(record, "the Keras DCGAN")
    return assemble(lambda: make_generator(config), tensors)


def discriminator_from_keras(record: NetworkRecord) -> Discriminator:
    """A discriminator's record to ours; raises as generator_from_keras does."""
    config, tensors = _converted(record, "the Keras DCGAN's discriminator")
    *_, last = config.shapes()
    if len(config.inputs) != 3 or last != (1,):
        raise MalformedFileError(
            f"a discriminator takes a picture and gives a number, got {config.inputs} to {last}"
        )
    return assemble(lambda: Discriminator(config), tensors)


def _converted(record: NetworkRecord, title: str) -> tuple[Config, dict[str, Tensor]]:
    config, names = read_config(record)
    require_fit(record.tensors, names, title)
    return config, rename(record.tensors, names, config)


def make_generator(config: Config) -> DCGAN:
    """A generator, unless its layers make no square pictures out of rows of latents.

    Raises:
        MalformedFileError: They don't.
    """
    wrong = {layer.activation for layer in config.layers} - ACTIVATIONS.keys()
    numbers = [number for layer in config.layers for number in (layer.slope, layer.epsilon)]
    wrong |= {str(number) for number in numbers if not 0 <= number < MAX_NUMBER}
    if wrong or not 0 < len(config.layers) <= MAX_LAYERS or not config.inputs:
        raise MalformedFileError(f"its configuration is out of bounds: {config!r:.300}")
    *_, last = config.shapes()
    square = len(last) == 3 and last[0] == last[1] and 1 <= last[2] <= 4
    if len(config.inputs) != 1 or not square:
        raise MalformedFileError(f"a generator takes a row of latents and gives a square picture, got {last}")
    return DCGAN(config)


def expected_names(record: NetworkRecord) -> Mapping[str, str]:
    """The keys that the record's own layers want; none, where it describes no layers."""
    try:
        return read_config(record)[1] if recognises(record) or recognises_discriminator(record) else {}
    except CheckpointError:
        return {}


KERAS = Reading(
    title="the Keras DCGAN",
    family="the Keras DCGAN of NFT hobby projects",
    files=".h5, SavedModel folder, or a zip of one",
    generator=Part(recognises, generator_from_keras, expected_names),
    discriminator=Part(recognises_discriminator, discriminator_from_keras, expected_names),
)
