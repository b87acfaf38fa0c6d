"""The tables of docs/formats.md: all file formats that metagan reads, and those that it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from metagan.networks.loading.detect import ARCHITECTURES


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Args:
        family: The program that writes such files.
        files: The files themselves.
        read_as: The name of the architecture, or "any".
    """

    family: str
    files: str
    read_as: str


FORMATS: tuple[Format, ...] = (
    *(
        Format(reading.family, reading.files, architecture.name)
        for architecture in ARCHITECTURES
        for reading in architecture.readings
    ),
    Format("metagan's own", ".safetensors", "any"),
)


@dataclass(frozen=True)
class Refusal:
    """A row of the table of refused files.

    Args:
        family: The files.
        why: Why metagan doesn't read them.
    """

    family: str
    why: str


REFUSALS: tuple[Refusal, ...] = (
    Refusal("StyleGAN (version 1) and Progressive GAN, for TensorFlow", "different architectures"),
    Refusal(
        "StyleGAN2 configurations A to D, which grow progressively, for TensorFlow",
        "a different architecture",
    ),
    Refusal(
        "conditional StyleGAN2 for TensorFlow, before StyleGAN2-ADA",
        "labels enter the network at another place than in later versions",
    ),
    Refusal(
        "class-conditional StyleGAN-XL",
        "it maps embeddings of ImageNet's classes and has a mean style per class",
    ),
    Refusal("FastGAN of Projected GAN", "a different architecture; Projected GAN's StyleGAN2 is supported"),
    Refusal(
        "pickles of Projected GAN and StyleGAN-XL with their discriminator",
        "the discriminator consists of classes of other programs",
    ),
    Refusal("state dicts of StyleGAN3", "only the pickle has the configuration of the layers"),
    Refusal("SWAGAN (rosinality)", "a different architecture"),
    Refusal(
        "Keras models that aren't plain stacks of layers, or with a Lambda layer",
        "branches are not supported, and Lambda layers contain code",
    ),
    Refusal("whole models saved by torch.save", "loading one executes code"),
    Refusal("PyTorch files from before version 0.1.10 (tar)", "save them again with a newer PyTorch"),
)
