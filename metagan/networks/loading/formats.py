"""The tables of formats in README: every family of files that metagan reads, and as what; and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from metagan.networks.loading.detect import ARCHITECTURES


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Args:
        family: The program that writes such files.
        files: The files themselves.
        read_as: The architecture's name in metagan's own files, or "any".
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
    """A row of the table of relatives that are refused, in words of their own.

    Args:
        family: The files that people have.
        why: Why metagan doesn't read them.
    """

    family: str
    why: str


REFUSALS: tuple[Refusal, ...] = (
    Refusal("the first StyleGAN, and the Progressive GAN (TensorFlow)", "other networks"),
    Refusal("StyleGAN2 of the progressive layout: configurations A to D (TensorFlow)", "another network"),
    Refusal(
        "conditional StyleGAN2 from before StyleGAN2-ADA (TensorFlow)",
        "labels enter where no later network has them",
    ),
    Refusal(
        "class-conditional StyleGAN-XL", "maps embeddings of ImageNet's classes, with a mean style for each"
    ),
    Refusal("FastGAN of Projected GAN", "another network; its StyleGAN2 is read"),
    Refusal(
        "pickles of Projected GAN and StyleGAN-XL with their discriminator", "made of other programs' classes"
    ),
    Refusal("a StyleGAN3's bare state dict", "its geometry stands in the pickle only"),
    Refusal("SWAGAN of rosinality's program", "another network"),
    Refusal(
        "Keras models that aren't plain stacks of layers, or with a Lambda layer",
        "branches aren't read, code isn't run",
    ),
    Refusal("whole models saved by torch.save", "to load one runs its class's code"),
    Refusal("torch files from before 0.1.10 (tar)", "save them again with a later torch"),
)
