"""Builds R3GAN's networks from records and from metagan's own files."""

from __future__ import annotations

from metagan.checkpoints.model import NetworkRecord
from metagan.errors import CheckpointError, MalformedFileError
from metagan.networks.loading.architecture import Part, Reading
from metagan.networks.loading.assemble import NameTable, Shapes, fill, require_stated
from metagan.networks.r3gan.network import R3GAN, Config, Discriminator, StageConfig

# --------------------------------------------------------------------------------------------
# R3GAN's records: maps foreign names to ours. All sizes follow from the tensors' shapes.

MAX_STAGES = 11
MAX_BLOCKS = 256
_MAIN = "Model.MainLayers"

# --------------------------------------------------------------------------------------------
# Names


def _residual(foreign: str, ours: str) -> NameTable:
    return {
        f"{foreign}.LinearLayer1.Layer.weight": f"{ours}.expand",
        f"{foreign}.NonLinearity1.Bias": f"{ours}.bias0",
        f"{foreign}.LinearLayer2.Layer.weight": f"{ours}.mix",
        f"{foreign}.NonLinearity2.Bias": f"{ours}.bias1",
        f"{foreign}.LinearLayer3.Layer.weight": f"{ours}.shrink",
    }


def _resample(foreign: str, ours: str, *, widths_differ: bool) -> NameTable:
    names: NameTable = {f"{foreign}.Resampler.Kernel": f"{ours}.taps"}
    return names | ({f"{foreign}.LinearLayer.Layer.weight": f"{ours}.weight"} if widths_differ else {})


def _embedding(config: Config) -> NameTable:
    return {"Model.EmbeddingLayer.weight": "embed"} if config.c_dim else {}


def generator_names(config: Config) -> NameTable:
    """Map the name of every tensor of a generator of this configuration to ours."""
    names = _embedding(config)
    names |= {
        f"{_MAIN}.0.Layers.0.Basis": "stages.0.0.basis",
        f"{_MAIN}.0.Layers.0.LinearLayer.weight": "stages.0.0.weight",
    }
    for index, stage in enumerate(config.stages):
        if index:
            differ = config.stages[index - 1].channels != stage.channels
            names |= _resample(f"{_MAIN}.{index}.Layers.0", f"stages.{index}.0", widths_differ=differ)
        for block in range(1, stage.blocks + 1):
            names |= _residual(f"{_MAIN}.{index}.Layers.{block}", f"stages.{index}.{block}")
    return names | {"Model.AggregationLayer.Layer.weight": "to_rgb"}


def discriminator_names(config: Config) -> NameTable:
    """Map the name of every tensor of a discriminator of this configuration to ours."""
    names: NameTable = {"Model.ExtractionLayer.Layer.weight": "from_rgb"}
    stages = list(reversed(config.stages))
    for index, stage in enumerate(stages):
        for block in range(stage.blocks):
            names |= _residual(f"{_MAIN}.{index}.Layers.{block}", f"stages.{index}.{block}")
        end = f"{_MAIN}.{index}.Layers.{stage.blocks}"
        if index < len(stages) - 1:
            differ = stages[index + 1].channels != stage.channels
            names |= _resample(end, f"stages.{index}.{stage.blocks}", widths_differ=differ)
        else:
            names |= {f"{end}.Basis.weight": "basis", f"{end}.LinearLayer.weight": "out"}
    return names | _embedding(config)


# --------------------------------------------------------------------------------------------
# Shapes


def generator_config(record: NetworkRecord) -> Config:
    """Infer a generator's configuration from its tensors.

    Raises:
        MalformedFileError: If there are too many stages, or the file's metadata contradict its tensors' sizes.
    """
    shapes = Shapes(record)
    count = _stage_count(record)
    embed_dim = shapes.size("Model.EmbeddingLayer.weight", 0, 0)
    config = Config(
        stages=tuple(
            _stage(shapes, index, 1, shapes.size("Model.AggregationLayer.Layer.weight", 1))
            for index in range(count)
        ),
        z_dim=shapes.size(f"{_MAIN}.0.Layers.0.LinearLayer.weight", 1) - embed_dim,
        c_dim=shapes.size("Model.EmbeddingLayer.weight", 1, 0),
        embed_dim=embed_dim,
        image_channels=shapes.size("Model.AggregationLayer.Layer.weight", 0),
        filter_size=shapes.size(f"{_MAIN}.1.Layers.0.Resampler.Kernel", 0, 4),
    )
    facts = {"z_dim": config.z_dim, "c_dim": config.c_dim, "img_resolution": config.resolution}
    require_stated(shapes, facts.items())
    return config


def discriminator_config(record: NetworkRecord) -> Config:
    """Infer a discriminator's configuration from its tensors. Raises the same errors as generator_config."""
    shapes = Shapes(record)
    count = _stage_count(record)
    channels = shapes.size("Model.ExtractionLayer.Layer.weight", 0)
    stages = [_stage(shapes, index, 0, channels) for index in range(count)]
    end = f"Layers.{stages[0].blocks}"
    config = Config(
        stages=tuple(reversed(stages)),
        z_dim=0,
        c_dim=shapes.size("Model.EmbeddingLayer.weight", 1, 0),
        embed_dim=shapes.size("Model.EmbeddingLayer.weight", 0, 0),
        image_channels=shapes.size("Model.ExtractionLayer.Layer.weight", 1),
        filter_size=shapes.size(f"{_MAIN}.0.{end}.Resampler.Kernel", 0, 4),
    )
    require_stated(shapes, [("c_dim", config.c_dim), ("img_resolution", config.resolution)])
    return config


def _stage_count(record: NetworkRecord) -> int:
    count = 0
    while any(name.startswith(f"{_MAIN}.{count}.") for name in record.tensors) and count <= MAX_STAGES:
        count += 1
    if not 0 < count <= MAX_STAGES:
        msg = f"R3GAN with {count} stages of resolution; want 1 to {MAX_STAGES}"
        raise MalformedFileError(msg)
    return count


def _stage(shapes: Shapes, index: int, first: int, channels: int) -> StageConfig:
    """Read one stage, whose blocks are layers first, first + 1, ... Without blocks it has the given channels."""
    prefix, blocks = f"{_MAIN}.{index}.Layers", 0
    while f"{prefix}.{first + blocks}.LinearLayer1.Layer.weight" in shapes.tensors and blocks < MAX_BLOCKS:
        blocks += 1
    block = f"{prefix}.{first}"
    hidden = shapes.size(f"{block}.LinearLayer1.Layer.weight", 0)
    width = shapes.size(f"{block}.LinearLayer2.Layer.weight", 1)
    groups = hidden // width if width and hidden % width == 0 else 1
    stated = shapes.attributes.get(f"{block}.LinearLayer2.Layer.groups", groups)
    if not isinstance(stated, int) or stated != groups:
        msg = f"{block}.LinearLayer2 states {stated!r:.40} groups, its tensors have {groups}"
        raise MalformedFileError(msg)
    return StageConfig(shapes.size(f"{block}.LinearLayer1.Layer.weight", 1, channels), hidden, groups, blocks)


def recognises(record: NetworkRecord) -> bool:
    """Return whether the record is an R3GAN generator."""
    return "Model.AggregationLayer.Layer.weight" in record.tensors


def recognises_discriminator(record: NetworkRecord) -> bool:
    """Return whether the record is an R3GAN discriminator."""
    return "Model.ExtractionLayer.Layer.weight" in record.tensors


def generator_from_record(record: NetworkRecord) -> R3GAN:
    """Build a generator from its record.

    Raises:
        UnknownArchitectureError: If keys are missing or unknown.
        MalformedFileError: If shapes don't fit together, or the file contradicts itself.
    """
    config = generator_config(record)
    return fill(record, generator_names(config), "R3GAN", lambda: make_generator(config))


def discriminator_from_record(record: NetworkRecord) -> Discriminator:
    """Build a discriminator from its record. Raises the same errors as generator_from_record."""
    config = discriminator_config(record)

    def make() -> Discriminator:
        _require_sane(config)
        return Discriminator(config)

    return fill(record, discriminator_names(config), "R3GAN's discriminator", make)


def make_generator(config: Config) -> R3GAN:
    """Make a generator.

    Raises:
        MalformedFileError: If its configuration is out of range.
    """
    _require_sane(config)
    return R3GAN(config)


def _require_sane(config: Config) -> None:
    """Refuse configurations that can't be built, or would take long to build."""
    sizes = [size for stage in config.stages for size in (stage.channels, stage.hidden, stage.groups)]
    sane = (
        0 < len(config.stages) <= MAX_STAGES
        and all(0 < size < 2**20 for size in (*sizes, config.image_channels, config.filter_size))
        and all(
            0 <= stage.blocks <= MAX_BLOCKS and stage.hidden % stage.groups == 0 for stage in config.stages
        )
        and all(0 <= size < 2**20 for size in (config.z_dim, config.c_dim, config.embed_dim))
        and (config.c_dim > 0) == (config.embed_dim > 0)
    )
    if not sane:
        raise MalformedFileError(f"the configuration is out of bounds: {config!r:.300}")


def expected_names(record: NetworkRecord) -> NameTable:
    """Return the keys of a generator of the record's configuration, or of the smallest if it has none."""
    try:
        return generator_names(generator_config(record))
    except CheckpointError:
        return generator_names(Config((StageConfig(1, 1, 1),), z_dim=1))


def expected_discriminator_names(record: NetworkRecord) -> NameTable:
    """Return the keys of a discriminator of the record's configuration, or of the smallest if it has none."""
    try:
        return discriminator_names(discriminator_config(record))
    except CheckpointError:
        return discriminator_names(Config((StageConfig(1, 1, 1),), z_dim=0))


READING = Reading(
    title="R3GAN",
    family="R3GAN",
    files=".pkl with G, D, G_ema",
    generator=Part(recognises, generator_from_record, expected_names),
    discriminator=Part(recognises_discriminator, discriminator_from_record, expected_discriminator_names),
)
