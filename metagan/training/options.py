"""What one can ask of a training run, each option declared once: its name, type, range, default and help.

The command line is made from these declarations (cli/train.py), a run's recipe is one of them, and config.yaml holds
that recipe. Nothing here imports torch, so that --help is quick.

References:
    [1] Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN, arXiv:1912.04958.
    [2] Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676.
    [3] Karras et al. 2024, Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
    [4] Radford et al. 2016, Unsupervised Representation Learning with Deep Convolutional GANs, arXiv:1511.06434.
    [5] Heusel et al. 2017, GANs Trained by a Two Time-Scale Update Rule, arXiv:1706.08500 (TTUR).
    [6] Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498 (one-sided label smoothing).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from metagan.errors import OptionError
from metagan.values import Size, span_of

Preset = Literal["tiny", "small", "web", "official"]
PRESET_NAMES = get_args(Preset)
ArchitectureName = Literal["stylegan2", "dcgan"]
Augmentation = Literal["none", "fixed", "adaptive"]
Join = Literal["and", "mean"]
TrainPrecision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Setting:
    """How a field is asked for.

    Args:
        help: What it does, for --help.
        flag: Its option, "--lr" or "--best/--no-best"; made from the field's name where empty.
        least: The smallest value that is taken.
        above: Values must be above this one.
        most: The largest value that is taken.
        auto: Whether "auto" leaves the value to metagan, as leaving the option out does.
        shown: The default in --help, where it isn't the field's.
        metavar: What --help calls the value.
        exists: Whether a path must be that of a file.
        endless: Whether inf is a value.
    """

    help: str
    flag: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    auto: bool = False
    shown: str = ""
    metavar: str = ""
    exists: bool = False
    endless: bool = False


def setting(default: object, help: str, flag: str = "", **how: Any) -> Any:  # noqa: A002
    """A dataclass field that is an option, see Setting."""
    return field(default=default, metadata={"setting": Setting(help, flag, **how)})


@dataclass(frozen=True)
class Recipe:
    """Every number that the trained weights depend on, besides the pictures and the networks' shapes.

    Most are options; their help says what they do. The others are the published settings:

    Args:
        learning_rate: Adam's, before the correction for lazy regularisation ([1] appendix B).
        discriminator_rate: A rate of its own for each network is [5].
        beta1, beta2: Adam's, before the same correction; [4] section 4 lowers the first to 0.5.
        label_smoothing: [6] section 3.4.
        lr_decay_kimg: Thousands of pictures from which on the rate falls with the inverse square root of the pictures
            shown ([3]); 0 keeps it.
        gamma: R1's weight; its penalty is gamma/2 times the squared gradient.
        r1_interval: Steps between two R1 penalties; 0 switches R1 off.
        path_interval: Steps between two path-length penalties.
        path_shrink: Path lengths are measured on the batch divided by this.
        ema_rampup: The average's half-life is at most this fraction of the pictures shown so far; 0 for no such bound.
        augmentation: "adaptive" finds the strength by itself ([2] section 3), "fixed" keeps `augment_p`.
        augment_interval: Steps between two adjustments of the strength.
        precision: What the networks compute in; weights and losses are always float32.
    """

    seed: int = setting(0, "Random seed.", least=0, most=2**32 - 1)
    batch: int = setting(32, "Pictures per step, over all devices.", above=0, auto=True)
    micro_batch: int = setting(
        32, "Pictures processed at once on a device; lower it if memory runs out.", above=0, auto=True
    )
    learning_rate: float = setting(
        0.0025,
        "Learning rate. auto: 0.01 for new narrow networks (at most 128 channels), otherwise 0.0025; "
        "0.0002 for a DCGAN. May change when a run resumes.",
        "--lr",
        above=0,
        auto=True,
    )
    lr_decay_kimg: float = setting(
        0.0,
        "Thousands of pictures after which the rate decays with the inverse square root of pictures "
        "shown; 0 keeps it constant. auto: after 2,500 steps if --lr auto is 0.01, otherwise 0. May change "
        "when a run resumes.",
        "--lr-decay",
        least=0,
        auto=True,
    )
    discriminator_rate: float = setting(
        1.0,
        "Learning rate of the discriminator, as a multiple of the generator's. auto: 1, or 0.5 for a DCGAN (TTUR).",
        "--d-rate",
        above=0,
        auto=True,
    )
    beta1: float = setting(
        0.0, "Momentum of Adam. auto: 0, or 0.5 for a DCGAN.", least=0, most=0.999, auto=True
    )
    beta2: float = 0.99
    label_smoothing: float = setting(
        0.0,
        "The discriminator's target for real pictures is a probability of 1 minus this (one-sided label smoothing). "
        "auto: 0, or 0.1 for a DCGAN.",
        least=0,
        most=0.5,
        auto=True,
    )
    dropout: float = setting(
        0.0,
        "With --architecture dcgan: share of the discriminator's features that a step leaves out. auto: 0.25.",
        least=0,
        most=0.9,
        auto=True,
    )
    gamma: float = setting(
        1.0,
        "Weight of R1 regularisation: higher is more stable, lower is sharper. May change when a run resumes.",
        above=0,
        auto=True,
    )
    r1_interval: int = 16
    path_weight: float = setting(
        2.0,
        "Weight of path-length regularisation; 0 turns it off. auto: 2, or 0 for narrow networks.",
        least=0,
        auto=True,
    )
    path_interval: int = 4
    path_shrink: int = 2
    style_mixing: float = setting(
        0.9,
        "Fraction of pictures with two mixed styles. auto: 0.9, or 0 for narrow networks.",
        least=0,
        most=1,
        auto=True,
    )
    ema_kimg: float = setting(
        10.0, "Half-life of the generator's moving average, in thousands of pictures.", above=0, auto=True
    )
    ema_rampup: float = 0.05
    mirror: bool = setting(False, "Also show mirrored pictures.")
    augmentation: Augmentation = setting(
        "adaptive",
        "Augmentation against overfitting: adaptive adjusts its strength, fixed keeps it at --augment-p. "
        "auto: adaptive, or none for a DCGAN.",
        "--augment",
        auto=True,
    )
    augment_groups: tuple[str, ...] = setting(
        ("blit", "geometry", "colour"),
        "Groups of transforms, separated by commas: blit, geometry, colour, filter, noise, cutout.",
    )
    augment_p: float = setting(0.0, "Strength of augmentation; the initial one if adaptive.", least=0, most=1)
    augment_target: float = setting(
        0.6, "Target for the mean sign of the discriminator's logits on real pictures.", least=-1, most=1
    )
    augment_kimg: float = setting(
        500.0, "Thousands of pictures in which the strength can rise from 0 to 1.", above=0
    )
    augment_interval: int = 4
    freeze_d: int = setting(0, "Number of first discriminator layers whose weights stay fixed.", least=0)
    d_warmup_kimg: float = setting(
        0.0,
        "Thousands of pictures in which only the discriminator learns. auto: 10 if the --start file has "
        "no discriminator, otherwise 0.",
        "--d-warmup",
        least=0,
        auto=True,
    )
    join: Join = setting(
        "and",
        "With --dual: how the two discriminators' losses of a picture are combined for the generator. and: their "
        "maximum, so that it has to pass both; mean: their mean.",
    )
    precision: TrainPrecision = setting("fp32", "Number format of the convolutions.", auto=True)


@dataclass(frozen=True)
class Schedule:
    """When a run does what besides training; none of it changes the weights."""

    total_kimg: float = setting(
        1000.0,
        "Train until this many thousand pictures were shown; inf trains until it is stopped (Ctrl-C).",
        "--kimg",
        above=0,
        endless=True,
        shown="1000; 100 with --upscaler",
    )
    state_kimg: float = setting(
        4.0,
        "Thousands of pictures between state files; inf writes one at the end only.",
        "--state-every",
        above=0,
        endless=True,
    )
    metrics_kimg: float = setting(
        1.0,
        "Thousands of pictures between lines of metrics.jsonl; inf writes one at the end only.",
        "--metrics-every",
        above=0,
        endless=True,
    )
    snapshot_kimg: float = setting(
        20.0,
        "Thousands of pictures between snapshots; inf writes one at the end only.",
        "--snapshot-every",
        above=0,
        endless=True,
    )
    keep_snapshots: int | None = setting(
        None,
        "Keep only this many snapshots, the newest. best.safetensors and latest.safetensors stay in any case.",
        least=1,
        shown="all",
    )
    measured_pictures: int = setting(
        1000,
        "Number of pictures on which each snapshot is measured; 0 turns measuring off.",
        "--measure",
        least=0,
        shown="1000; 100 with --upscaler",
    )
    keep_best: bool = setting(True, "Keep the best snapshot as best.safetensors.", "--best/--no-best")

    @property
    def total_pictures(self) -> float:
        """Where the run ends, in pictures; inf for one that goes on until it is stopped."""
        pictures = self.total_kimg * 1000
        return pictures if math.isinf(pictures) else round(pictures)


def check_settings(settings: Recipe | Schedule, names: Mapping[str, str] | None = None) -> None:
    """Refuse values that the command line would refuse, for callers that don't come from it.

    Args:
        settings: As given.
        names: What the caller calls a field, where it isn't the field's own name.

    Raises:
        OptionError: If a value is of another type than its field, or out of its range.
    """
    kinds = get_type_hints(type(settings))
    for one in fields(settings):
        asked, value, kind = one.metadata.get("setting"), getattr(settings, one.name), kinds[one.name]
        if asked is None:
            continue
        kinds_of = [each for each in get_args(kind) if each is not type(None)]
        if get_origin(kind) is UnionType and len(kinds_of) == 1:  # "int | None"
            if value is None:
                continue
            (kind,) = kinds_of
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        if choices:
            fits, want = isinstance(value, str) and value in choices, f"one of {', '.join(map(str, choices))}"
        elif kind in (int, float):
            fits = isinstance(value, Integral if kind is int else Real) and _is_within(value, asked)
            span = span_of(asked.least, asked.most, above=asked.above)
            want = f"a {'whole number' if kind is int else 'number'}{span}"
        else:
            continue
        if not fits:
            name = (names or {}).get(one.name, one.name)
            raise OptionError(f"{name}: want {want}, got {value!r:.60}", fix="give one of those")


def _is_within(value: Real, asked: Setting) -> bool:
    number = float(value)
    return (
        not math.isnan(number)
        and (asked.endless or math.isfinite(number))
        and (asked.least is None or number >= asked.least)
        and (asked.above is None or number > asked.above)
        and (asked.most is None or number <= asked.most)
    )


AUTO = frozenset(f.name for f in fields(Recipe) if "setting" in f.metadata and f.metadata["setting"].auto)
"""The recipe's fields that can be left to metagan."""


@dataclass(frozen=True)
class TrainOptions:
    """A run as asked for.

    Args:
        data: The pictures' path.
        out: The run's folder.
        recipe: The hyper-parameters. Fields in `auto` hold no choice yet.
        schedule: When the run does what.
        auto: Fields of the recipe that are left to metagan.
        given: Names of all fields, the recipe's and the schedule's too, that were asked for explicitly.
        device: See `choose_device`.
    """

    data: Path
    out: Path = Path()
    recipe: Recipe = Recipe()
    schedule: Schedule = Schedule()
    auto: frozenset[str] = AUTO
    given: frozenset[str] = frozenset()
    device: str = "auto"
    architecture: ArchitectureName = setting(
        "stylegan2",
        "What to train: StyleGAN2-ADA, or, as a baseline, a DCGAN.",
    )
    upsampling: Literal["transposed", "nearest"] = setting(
        "transposed",
        "With --architecture dcgan: how the generator doubles its features, by transposed convolutions, or by "
        "repeating pixels before a plain one.",
    )
    upscaler: Literal["x2", "x4"] | None = setting(
        None,
        "Train a network that enlarges the dataset's pictures, two or four times, instead of a generator.",
    )
    generator: Path | None = setting(
        None,
        "With --upscaler: the generator whose pictures it will enlarge; they are added to the training data.",
        exists=True,
    )
    resolution: Size | None = setting(
        None, "Require pictures of this size, or of this side.", metavar="SIDE|WIDTHxHEIGHT"
    )
    labels: bool = setting(True, "Train a conditional generator if the dataset has labels.")
    preset: Preset | Literal["auto"] = setting(
        "auto",
        "Width of the networks. auto chooses by resolution, device and dataset size; web suits live pages.",
    )
    dual: Path | None = setting(
        None,
        "A second dataset. The generator is trained against two discriminators, one for each, toward pictures that "
        "pass for both.",
        metavar="DATASET",
    )
    start: Path | None = setting(
        None,
        "StyleGAN2 weights to start from (transfer learning), which need not contain a discriminator, or another run's "
        "state.safetensors.",
        exists=True,
    )
    change: bool = setting(
        False,
        "Go on with other pictures, another batch, or other settings than the run had; config.yaml and the report "
        "say what was changed, and when.",
        "--change",
    )
    licence: str = setting("unknown", "Licence to store in the weights.")
    source: str = setting("", "Origin of the pictures, to store in the weights.")
    cuda_graphs: bool = setting(
        True,
        "Record training steps as CUDA graphs on a single NVIDIA GPU, which is up to ten times as fast.",
    )
    threads: int | None = setting(
        None, "Number of processor threads. By default, the number of cores.", least=1
    )
    inception: Path | None = setting(
        None,
        "Also measure FID and KID with these Inception weights; auto uses installed ones (needs metagan[evaluate]).",
        metavar="FILE|auto",
    )
    archive: Path | str | None = setting(
        None,
        "Folder or storage, such as s3://bucket/runs/apes, that gets a copy of the run after each state. The run is "
        "fetched from there if --out does not exist yet.",
        metavar="FOLDER|URL",
    )
    tensorboard: bool = setting(False, "Also write TensorBoard events (needs metagan[tensorboard]).")


def flag_of(name: str) -> str:
    """The option that asks for a field of TrainOptions, Recipe or Schedule: "--lr" for "learning_rate"."""
    for group in (TrainOptions, Recipe, Schedule):
        for each in fields(group):
            if each.name == name and "setting" in each.metadata and each.metadata["setting"].flag:
                return str(each.metadata["setting"].flag)
    return "--" + name.replace("_", "-")
