"""`metagan paint`."""

from __future__ import annotations

from pathlib import Path

import click

from metagan.cli.options import Number, Place, Whole, class_option, device_option, weights_options
from metagan.values import Label

GIB = 2**30


@click.command("paint", short_help="Paint pictures toward words and other pictures.")
@click.option("--vqgan", metavar="FILE", type=click.Path(path_type=Path), help="A VQGAN's weights, .ckpt or"
              " .safetensors, with its YAML beside it.")  # fmt: skip
@click.option("--config", "configuration", metavar="FILE", type=click.Path(path_type=Path), help="The VQGAN's YAML, if"
              " it isn't beside the weights.")  # fmt: skip
@click.option("--generator", "what", metavar="SUBJECT|WEIGHTS", help="Steer this generator's styles (w+) instead of a"
              " VQGAN.")  # fmt: skip
@click.option("--clip", default="ViT-B-32", metavar="MODEL|FOLDER", help="CLIP by open_clip_torch: a model's name, or a"
              " folder with open_clip_config.json and the weights.")  # fmt: skip
@click.option("--clip-weights", metavar="FILE", type=click.Path(path_type=Path), help="CLIP's weights. By default those"
              " that Hugging Face's cache on this machine has; metagan downloads none.")  # fmt: skip
@click.option("--prompt", "prompts", multiple=True, metavar="TEXT[::WEIGHT]", help="Words to paint toward; may be given"
              " more than once. A weight below zero paints away from them.")  # fmt: skip
@click.option("--image-prompt", "image_prompts", multiple=True, metavar="FILE[::WEIGHT]", help="A picture to paint"
              " toward; may be given more than once.")  # fmt: skip
@click.option("--init", metavar="FILE|FOLDER", type=click.Path(path_type=Path), help="A picture to start from, or a"
              " folder of them, one after the other; for a generator, styles files of `metagan project`. By default"
              " noise.")  # fmt: skip
@click.option("--steps", type=Whole(1, 100_000), default=20, help="Number of steps. Each one's picture is"
              " kept; more steps go on from where an earlier run ended.")  # fmt: skip
@click.option("--size", metavar="PX|WIDTHxHEIGHT", help="Size of a VQGAN's pictures, rounded down to whole codes.  "
              "[default: 512]")  # fmt: skip
@click.option("--out", required=True, type=Place(), metavar="FOLDER|URL", help="Where pictures are written as they"
              " are made: a folder, or an address such as s3://bucket/painted. An interrupted run continues"
              " there.")  # fmt: skip
@click.option("--seed", type=Whole(-1, 2**32 - 1), default=0, help="Random seed; -1 draws one and writes it"
              " down.")  # fmt: skip
@click.option("--learning-rate", type=Number(0, 10, min_open=True), help="Adam's step size.  [default: 0.1, or 0.02"
              " for a generator]")  # fmt: skip
@click.option("--cuts", type=Whole(1, 4096), default=32, help="Random cutouts of the picture that CLIP sees in"
              " a step.")  # fmt: skip
@click.option(
    "--augment/--no-augment", default=True, help="Turn, tilt, mirror and colour the cutouts at random."
)
@click.option("--cuts-at-once", type=Whole(1, 4096), help="Cutouts that go through CLIP together. By default"
              " as many as memory has room for; fewer are slower, and change nothing else.")  # fmt: skip
@click.option("--checkpointing/--no-checkpointing", default=None, help="Save memory by computing a VQGAN's layers"
              " twice. By default where memory has no room without.")  # fmt: skip
@click.option("--memory", "memory_gib", type=Number(0, 1 << 20, min_open=True), help="Most memory to take, in GiB. By"
              " default most of what is free.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", help="Number format. bf16 takes less"
              " memory, and other pictures come out.")  # fmt: skip
@class_option
@click.option("--again", is_flag=True, help="Replace paintings of an earlier run, whatever its options were.")
@device_option
@weights_options
def command(
    vqgan: Path | None,
    configuration: Path | None,
    what: str | None,
    clip: str,
    clip_weights: Path | None,
    prompts: tuple[str, ...],
    image_prompts: tuple[str, ...],
    init: Path | None,
    steps: int,
    size: str | None,
    out: Path | str,
    seed: int,
    learning_rate: float | None,
    cuts: int,
    augment: bool,
    cuts_at_once: int | None,
    checkpointing: bool | None,
    memory_gib: float | None,
    precision: str,
    label: Label | None,
    again: bool,
    device: str,
    registry: Path,
    sha256: str | None,
    offline: bool,
) -> None:
    """Paint pictures that agree with words, by a VQGAN and CLIP.

    CLIP says how well random cutouts of the picture agree with the prompts, and the picture is moved toward them step
    by step. Every step is kept: TITLE/0000.png is the start, TITLE/0001.png the picture after a step, and so on.

    \b
    metagan paint --vqgan vqgan_imagenet_f16.ckpt --init art/ --prompt "a bored ape, oil painting" --out painted
    metagan paint --generator ape --prompt "a pirate" --prompt "a hat::-0.5" --steps 60 --out pirates
    """
    from metagan.cli.progress import note, stages
    from metagan.lab.canvas import open_canvas
    from metagan.lab.clip import find_clip, load_clip
    from metagan.lab.paint import Painter, PaintOptions, read_prompts
    from metagan.lab.paint_files import choose_seed, list_starts, paint_into

    toward = read_prompts(prompts, image_prompts)
    starts = [] if init is None else list_starts(init, styles=what is not None)
    files = find_clip(clip, clip_weights)
    with stages() as progress:
        canvas = open_canvas(
            vqgan,
            what,
            configuration=configuration,
            size=size,
            label=label,
            device=device,
            registry=registry,
            sha256=sha256,
            offline=offline,
            progress=progress.transfer,
        )
    options = PaintOptions(
        steps=steps,
        seed=choose_seed(seed, str(out), starts, again=again),
        learning_rate=learning_rate,
        cuts=cuts,
        augment=augment,
        precision="bf16" if precision == "bf16" else "fp32",
        cuts_at_once=cuts_at_once,
        checkpointing=checkpointing,
        memory_bytes=None if memory_gib is None else round(memory_gib * GIB),
    )
    painter = Painter(canvas, load_clip(files, canvas.device), toward, options)
    if seed == -1:
        note(f"seed {options.seed}")
    for text in painter.notes():
        note(text)
    note(f"painting {canvas.width}x{canvas.height} takes {painter.plan}")
    with stages() as progress:
        progress.begin("steps", steps * max(1, len(starts)))
        for painted in paint_into(str(out), painter, starts, again=again, advance=progress.advance):
            click.echo(painted.address)
