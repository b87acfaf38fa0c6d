"""The generated parts of README.md and docs/: help texts, tables of formats and keys, and measured figures.

    python scripts/docs_tables.py            # write them
    python scripts/docs_tables.py --check    # fail if a page is out of date

Pages call one function of this module in each cog block. `make docs` writes the pages and `make check` checks them.
Figures come from benchmarks/results.json (`make bench`) and benchmarks/weights.json (`make weights`).
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from click.testing import CliRunner
from cogapp import Cog
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from metagan.cli import COMMANDS, metagan
from metagan.errors import RegistryError
from metagan.lab.encoder import read_encoder
from metagan.networks.loading.detect import ARCHITECTURES
from metagan.registry import models
from metagan.registry.fields import RESERVED_SLUGS
from metagan.registry.problems import example_of, known_keys, want_of
from metagan.registry.read import read_registry

ROOT = Path(__file__).parents[1]
WIDTH = 100
MISTAKES = """\
site:
  title: no
  base_url: https://user.github.io/birds/
subjects:
  Blue Jay:
    title: Blue jay
    weights: https://example.org/jays.pkl
    license: CC0-1.0
    source: me
    psi: 70
"""


# The formats that are read are declared beside each architecture; those that are refused are written here.


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


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    print_lines("| " + " | ".join(map(str, row)) + " |" for row in lines)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of Markdown into the page, and an empty line."""
    import cog  # cog provides this module while it works on a page

    out = "\n".join(lines)
    cog.out(f"{out}\n\n")


# Commands


def overview() -> None:
    """The list of commands, as `metagan --help` prints it."""
    print_lines(["```", _help().partition("--help")[2].partition("\n\n")[2], "```"])


def commands() -> None:
    """The help of every command and subcommand."""
    for name in COMMANDS:
        print_lines([f"## metagan {name}", "", "```", _help(name), "```"])
        command = metagan.get_command(click.Context(metagan), name)
        for part in command.commands if isinstance(command, click.Group) else ():
            print_lines([f"### metagan {name} {part}", "", "```", _help(name, part), "```"])


def _help(*words: str) -> str:
    runner = CliRunner()
    result = runner.invoke(metagan, [*words, "--help"], prog_name="metagan", terminal_width=WIDTH)
    if result.exit_code:
        raise RuntimeError(f"metagan {' '.join(words)} --help: {result.output}")
    return result.output.rstrip()


# Formats


def formats() -> None:
    """The files that metagan reads."""
    table(("files", "written by", "architecture"), ((row.files, row.family, row.read_as) for row in FORMATS))


def refusals() -> None:
    """Related files that metagan does not read."""
    table(("not read", "reason"), ((row.family, row.why) for row in REFUSALS))


# The registry


def keys(model: type[BaseModel]) -> None:
    """The keys of a part of the registry, one of the classes in metagan.registry.models."""
    table(
        ("key", "takes", "default", "for", "example"),
        (
            (
                f"`{key}`",
                want_of(field).words,
                _default(model, key, field),
                field.description,
                f"`{example_of(key, field)}`",
            )
            for key, field in known_keys(model).items()
        ),
    )


def _default(model: type[BaseModel], key: str, field: FieldInfo) -> str:
    if model is models.Subject:
        if key in models.Drawing.model_fields:
            return f"`defaults.{key}`"
        if key in models.Wording.model_fields:
            return f"`site.{key}`"
    if field.is_required():
        return "required"
    if isinstance(field.default, models.Entry) or field.default in (None, (), ""):
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def reserved_slugs() -> None:
    """The slugs that a subject can't have."""
    slugs = ", ".join(f"`{slug}`" for slug in sorted(RESERVED_SLUGS))
    print_lines(textwrap.wrap(f"{slugs}.", 110))


def mistakes() -> None:
    """A registry with mistakes, and what `metagan check` says about it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "registry.yaml")
        path.write_text(MISTAKES)
        try:
            read_registry(path)
        except RegistryError as error:
            said = str(error).replace(f"{folder}/", "")
        else:
            raise RuntimeError("the example of mistakes has none")
    print_lines(["```yaml", MISTAKES.rstrip(), "```", "", "```text", said, "```"])


# Figures


def results() -> dict[str, Any]:
    """What `make bench` measured."""
    read: dict[str, Any] = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    return read


AUTHORS = "NVlabs/stylegan2-ada-pytorch"


def highlights() -> None:
    """The figures that README shows."""
    r = results()
    live, site = r["live"]["sizes"], r["live_site"]
    sample = r["peers"][AUTHORS]["sample"]["cases"]["256x256, channel base 16384, batch 4, 1 thread"]
    table(
        ("what", "measured"),
        (
            (
                f"sampling StyleGAN2 at 256x256 on a processor, against {AUTHORS}, one thread",
                f"{sample['fp32_cpu_ratio']:.1f} times as fast in fp32, {sample['bf16_cpu_ratio']:.1f} times in bf16",
            ),
            (
                "a picture in the browser (Chromium, one thread)",
                ", ".join(f"{size}x{size}: {live[size]['live_ms']:.0f} ms" for size in live),
            ),
            (
                "a live page's first picture; its first live picture on a first visit",
                f"{site['first_picture_ms'] / 1000:.2f} s; {site['live_cold_ms'] / 1000:.1f} s",
            ),
            ("peak memory of building a site of 10,000 pictures", f"{r['memory']['peak_mb_10000']} MB"),
        ),
    )


def machine() -> None:
    """What the figures were measured on."""
    print_lines(
        [
            f"Measured on a machine shared with other programs, without a graphics card: {results()['machine']}."
        ]
    )


def sampling() -> None:
    """StyleGAN2 and StyleGAN3 beside plain transcriptions of their papers."""
    r = results()
    cases = [
        (f"StyleGAN2, {case.replace('x', 'x' + case.split('x')[0] + ', batch ')}", sample)
        for case, sample in r["sample"].items()
    ]
    cases += [
        (f"StyleGAN3-{name}, {sample['resolution']}x{sample['resolution']}", sample)
        for name, sample in r["stylegan3"].items()
    ]
    table(
        (
            "network",
            "transcription, ms a picture",
            "fp32",
            "bf16",
            "bf16's PSNR",
            "share of peak, fp32 and bf16",
        ),
        (
            (
                name,
                f"{sample['plain_cpu_ms']:,.0f}",
                f"{sample['fp32_cpu_ratio']:.1f} times",
                f"{sample['bf16_cpu_ratio']:.1f} times",
                f"{sample['bf16_psnr_db']:.0f} dB",
                f"{sample['fp32_cpu_share_of_peak']:.0%}, {sample['bf16_cpu_share_of_peak']:.0%}"
                if "fp32_cpu_share_of_peak" in sample
                else "–",
            )
            for name, sample in cases
        ),
    )


def peers() -> None:
    """Sampling beside other programs, from the files that they write."""
    table(
        (
            "program, and its network",
            "its time for a picture",
            "fp32",
            "bf16",
            "values that differ by a level in fp32",
            "bf16's PSNR",
        ),
        (
            (
                f"{program}: {name}",
                f"{case['peer_cpu_ms']:,.0f} ms",
                f"{case['fp32_cpu_ratio']:.1f} times",
                f"{case['bf16_cpu_ratio']:.1f} times" if "bf16_cpu_ratio" in case else "–",
                f"{case['fp32_share_differing']:.3%}",
                f"{case['bf16_psnr_db']:.0f} dB" if "bf16_psnr_db" in case else "–",
            )
            for program, measured in sorted(results()["peers"].items(), key=lambda pair: pair[0] != AUTHORS)
            for name, case in measured["sample"]["cases"].items()
        ),
    )


def peers_loading() -> None:
    """Loading beside other programs, from the files that they write."""
    table(
        ("program", "its file", "its time", "metagan's", "times as fast"),
        (
            (
                program,
                f"{measured['load']['file_mb']} MB",
                f"{measured['load']['peer_s']:.2f} s",
                f"{measured['load']['metagan_s']:.2f} s",
                f"{measured['load']['ratio']:.1f} (processor time {measured['load']['cpu_ratio']:.1f})",
            )
            for program, measured in sorted(results()["peers"].items(), key=lambda pair: pair[0] != AUTHORS)
        ),
    )


def kernel() -> None:
    """StyleGAN2 on the kernel beside PyTorch."""
    native = results()["native"]
    layers = native["layers"]["by_layer"]
    slowest = min(layers, key=lambda name: layers[name]["share_of_peak"])
    print_lines([f"Library: {native['kernel']}. The layer furthest from the peak: {slowest}."])
    table(
        (
            "network",
            "kernel, ms a picture (processor time)",
            "against PyTorch",
        ),
        (
            (
                name,
                f"{case['kernel_ms']:,.0f} ({case['kernel_cpu_ms']:,.0f})",
                f"{case['pytorch_ratio']:.1f} times (processor time {case['pytorch_cpu_ratio']:.1f})",
            )
            for name, case in native["cases"].items()
        ),
    )
    print_lines([""])
    table(
        (
            "layer",
            "products, GFLOP/s",
            f"share of the peak, {native['layers']['peak_gflops_a_s']:.0f} GFLOP/s",
        ),
        (
            (name, f"{layer['products_gflops_a_s']:.0f}", f"{layer['share_of_peak']:.0%}")
            for name, layer in layers.items()
        ),
    )


def stylegan3_kernel() -> None:
    """StyleGAN3 on the kernel beside PyTorch."""
    table(
        (
            "network",
            "kernel, ms of processor time a picture",
            "PyTorch",
            "ratio",
            "values that differ by a level",
        ),
        (
            (
                f"StyleGAN3-{name}, {case['resolution']}x{case['resolution']}",
                f"{case['kernel_cpu_ms']:,.0f}",
                f"{case['pytorch_cpu_ms']:,.0f}",
                f"{case['cpu_ratio']:.1f} times",
                f"{case['share_differing']:.3%}",
            )
            for name, case in results()["stylegan3_native"].items()
        ),
    )


def r3gan() -> None:
    """Where R3GAN's time goes in PyTorch."""
    case = results()["r3gan"]
    table(
        (
            "R3GAN's convolutions",
            "share of a picture's processor time",
            "GFLOP/s",
            "share of the kernel's peak",
        ),
        (
            (
                kind,
                f"{each['share']:.0%}",
                f"{each['gflops_a_s']:.0f}",
                f"{each['gflops_a_s'] / case['peak_gflops_a_s']:.0%}",
            )
            for kind, each in case["convolutions"].items()
        ),
    )


def upscaler_kernel() -> None:
    """An upscaler on the kernel beside PyTorch."""
    speed = results()["upscale_speed"]
    table(
        (
            f"{speed['upscaler']}, 64x64 to 256x256",
            "kernel, ms of processor time a picture",
            "PyTorch",
            "ratio",
        ),
        (
            (
                name,
                f"{case['kernel_cpu_ms']:.1f}",
                f"{case['pytorch_cpu_ms']:.1f}",
                f"{case['pytorch_cpu_ms'] / case['kernel_cpu_ms']:.1f} times",
            )
            for name, case in speed["cases"].items()
        ),
    )


def browser() -> None:
    """Pictures in the browser beside PyTorch and onnxruntime-web."""
    live = results()["live"]
    table(
        (
            "size",
            "median",
            "fastest",
            "processor time",
            "memory",
            "time against PyTorch",
            "against onnxruntime-web",
        ),
        (
            (
                f"{size}x{size}",
                *(f"{one[key]} ms" for key in ("live_ms", "live_best_ms", "live_cpu_ms")),
                f"{one['memory_mb']} MB",
                *(
                    f"{one[f'{peer}_ratio']} (processor time {one[f'{peer}_cpu_ratio']})"
                    if f"{peer}_ratio" in one
                    else "–"
                    for peer in ("torch", "onnx")
                ),
            )
            for size, one in live["sizes"].items()
        ),
    )
    table(
        ("bundled generator", "resolution", "a picture", "download"),
        (
            (
                name,
                f"{one['resolution']}x{one['resolution']}",
                f"{one['live_ms']} ms",
                f"{one['download_mb']} MB",
            )
            for name, one in live["shipped"].items()
        ),
    )
    growth = live["growth"]
    memory = f"{growth['before_mb']} MB before and {growth['after_mb']} MB after"
    print_lines([f"The page took {memory} {growth['pictures']} pictures."])


def forms() -> None:
    """Convolutions on a GPU, direct and by Winograd."""
    found = results()["forms"]
    names = {"same": "ordinary", "up": "transposed"}
    rows = []
    for shape in next(iter(found.values())):
        kind, size, inputs, outputs = shape.split(" ")
        cells = [f"{one[shape]['direct'] / one[shape]['winograd']:.1f} times" for one in found.values()]
        rows.append((f"{names[kind]}, {size}, {inputs} to {outputs} channels", *cells))
    table(("convolution", *found), rows)


def live_page() -> None:
    """A live page as a visitor meets it."""
    site = results()["live_site"]
    table(
        ("what", "measured"),
        (
            ("first picture shown", f"{site['first_picture_ms'] / 1000:.2f} s"),
            (
                "first live picture, on a first and on a second visit",
                f"{site['live_cold_ms'] / 1000:.1f} s and {site['live_warm_ms'] / 1000:.2f} s",
            ),
            (
                "download of a first visit, gzipped, with the generator and the offline copy",
                f"{site['first_visit_mb']} MB",
            ),
            (
                "memory of the browser's page processes after 50 and after 550 live pictures",
                f"{site['memory_mb_50']} and {site['memory_mb_550']} MB",
            ),
            (
                "longest task on the main thread: duration and processor time",
                f"{site['longest_task_ms']} and {site['longest_task_cpu_ms']} ms",
            ),
            (
                f"a morph while it is computed by {site['morph_workers']} workers, 64x64 and 128x128",
                f"{site['morph_fps_64']} and {site['morph_fps_128']} frames a second "
                f"({site['morph_cpu_ms_64']} and {site['morph_cpu_ms_128']} ms of processor time a frame)",
            ),
        ),
    )


def yours_page() -> None:
    """The search for a visitor's picture, with pictures of the generator's own."""
    table(
        (
            "generator",
            "a search, median and longest",
            "PSNR at psi 0.7",
            "at psi 1",
            "longest task",
            "memory",
        ),
        (
            (
                f"`bundled:{name}`",
                f"{one['seconds']} and {one['longest_s']} s",
                *(
                    ", ".join(f"{ratio:.0f}" for ratio in one[key]) + " dB"
                    for key in ("psnr_db_07", "psnr_db_1")
                ),
                f"{one['longest_task_ms']} ms",
                "{} and {} MB".format(*one["memory_mb"]),
            )
            for name, one in results()["yours"].items()
        ),
    )


def building() -> None:
    """Building sites, and the start of the program."""
    r = results()
    build, pages, memory = r["build"], r["pages"], r["memory"]
    table(
        ("what", "measured"),
        (
            (
                f"a whole build against its generator alone ({build['bare_per_s']} pictures a second at "
                f"{build['resolution']}x{build['resolution']}, batch {build['batch']})",
                f"{build['ratio']:.0%} of the rate (five rounds in turns: "
                f"{min(build['ratios']):.0%} to {max(build['ratios']):.0%})",
            ),
            (
                "pages rendered, written and checked, site of 10,000 pictures",
                f"{pages['pages_per_s']:,} a second",
            ),
            ("time for 10,000 pages against 1,000", f"{pages['growth']} times"),
            (
                "peak memory of building 1,000 and 10,000 pictures",
                f"{memory['peak_mb_1000']} and {memory['peak_mb_10000']} MB",
            ),
            ("building 10,000 pictures when nothing changed", f"{memory['again_seconds_10000']} s"),
            ("`metagan --help`", f"{r['start']['median_s']} s"),
        ),
    )


def loading() -> None:
    """Loading weights files."""
    loads = {name: one for name, one in results()["load"].items() if name != "resolution"}
    table(
        ("file", "time", "against reading and copying", "peak memory", "generator and tensors"),
        (
            (
                f"{name}, {one['file_mb']} MB",
                f"{one['metagan_s']} s",
                f"{one['ratio']} times (processor time {one['processor_ratio']})",
                f"{one['peak_mb']:.0f} MB ({one['peak_share']} times)",
                f"{one['generator_mb']:.0f} and {one['tensors_mb']:.0f} MB",
            )
            for name, one in loads.items()
        ),
    )


def training() -> None:
    """A training step on one core."""
    train = results()["train"]
    table(
        ("what", "measured"),
        (
            (
                f"{train['resolution']}x{train['resolution']}, `--preset {train['preset']}`, batch "
                f"{train['batch']}, {train['threads']} thread",
                f"{train['images_per_processor_s']['metagan']} pictures a second, {train['ratio']['depthwise']} times "
                "as many as the plain loop",
            ),
            ("resuming from a state file", f"{train['resume_s']} s"),
            ("peak memory", f"{train['peak_memory_mb']} MB"),
        ),
    )


def training_on_gpu() -> None:
    """Training steps on a GPU, with and without CUDA graphs."""
    cuda = results()["train_cuda"]
    cases = {name: one for name, one in cuda.items() if name not in ("device", "torch")}
    table(
        ("options", "without CUDA graphs", "with", "ratio"),
        (
            (
                f"`--preset {name.replace(', batch', ' --batch')}`",
                f"{one['called_images_per_s']:,}",
                f"{one['recorded_images_per_s']:,}",
                f"{one['ratio']} times",
            )
            for name, one in cases.items()
        ),
    )
    print_lines([f"Pictures of 64x64 a second on one {cuda['device']}, torch {cuda['torch']}."])


def lab() -> None:
    """What the lab's commands reach on the bundled apes."""
    lab = results()["lab"]
    found = ", ".join(f"{ratio:g}" for ratio in lab["project_psnr_db"])
    files, rates, free = (
        ", ".join(f"{share:.0%}" for share in lab[name])
        for name in (
            "walk_share_of_sample_with_files",
            "walk_share_of_sample_rate",
            "walk_share_with_a_core_free",
        )
    )
    table(
        ("what", "measured"),
        (
            (f"`project`: PSNR of {len(lab['project_psnr_db'])} apes at psi 0.7", f"{found} dB"),
            (
                f"`project`: time of one, {lab['project_threads']} threads",
                f"{lab['project_s']} s ({lab['project_cpu_s']} s of processor)",
            ),
            (
                "`walk`: frames of an mp4 a second, as a share of pictures that `sample` draws and writes",
                files,
            ),
            ("the same, as a share of pictures that are drawn and not written", rates),
            ("the same, one core being left to the encoder", free),
            ("`rank`: precision of 2,000 seeds", lab["rank_precision_all"]),
            ("`rank`: of the best tenth by realism", lab["rank_precision_best_tenth_by_realism"]),
            ("`rank`: of the worst tenth", lab["rank_precision_worst_tenth_by_realism"]),
        ),
    )


def encoders() -> None:
    """What the bundled encoders reach, by their files."""
    rows = []
    for file in sorted((ROOT / "metagan" / "weights").glob("*-encoder.safetensors")):
        info = read_encoder(file).info
        found = (f"{value:.1f} dB" for value in (info.nearest_db, info.start_db, info.fit_db))
        rows.append((f"`bundled:{file.stem}`", *found))
    table(("encoder", "nearest of 64", "its answer", "after the search"), rows)


def bundled() -> None:
    """The measures of the bundled generators."""
    rows = json.loads((ROOT / "benchmarks" / "weights.json").read_text())

    def cells(row: dict[str, Any]) -> Iterable[str]:
        shipped, early, floor = row["made"], row["at_20_kimg"], row["floor"]
        yield ", ".join(f"{one['distance']:.0f}" for one in (shipped, early, floor))
        yield ", ".join(
            f"{one['kid'] * 1000:z.0f}" if "kid" in one else "–" for one in (shipped, early, floor)
        )
        yield from (f"{shipped[key]:.2f}, {floor[key]:.2f}" for key in ("precision", "recall", "coverage"))

    table(
        (
            *("generator", "trained for", "measured on", "file", "distance: shipped, at 20 kimg, floor"),
            *(
                "KID ×1000: shipped, at 20 kimg, floor",
                "precision, floor",
                "recall, floor",
                "coverage, floor",
            ),
        ),
        (
            (
                name,
                f"{row['kimg']:,.0f} kimg",
                f"{row['count']:,} pictures",
                f"{row['size_bytes'] / 1e6:.1f} MB",
                *cells(row),
            )
            for name, row in rows.items()
        ),
    )


def upscalers() -> None:
    """Upscalers beside plain filters and general ones, on originals that none has seen."""
    for name, facts in results()["upscale"].items():
        pictures = next(iter(facts["programs"].values()))["pictures"]
        heads = [f"{name}, {pictures} originals", "PSNR", "SSIM", "ST-LPIPS", "ms of a thread"]
        table(
            heads,
            (
                (
                    title if row["pictures"] == pictures else f"{title} ({row['pictures']} of them)",
                    f"{row['psnr']:.1f} dB",
                    f"{row['ssim']:.3f}",
                    f"{row['st_lpips']:.3f}" if "st_lpips" in row else "–",
                    f"{row['ms']:.0f}",
                )
                for title, row in facts["programs"].items()
            ),
        )
        if facts["generated"]:
            kid = {title: f"{1000 * value:.0f}" for title, value in facts["generated"]["kid"].items()}
            count, psi = facts["generated"]["pictures"], facts["generated"]["psi"]
            print_lines(
                [
                    f"KID ×1000 of {count} generated pictures (psi {psi}) to these originals: {kid['Lanczos']} "
                    f"enlarged by Lanczos, {kid['metagan']} by the upscaler."
                ]
            )


def scale() -> None:
    """Runs of shards: what commands over a million rows take, memory, and engines side by side."""
    measured = results()["scale"]
    rows = [
        ("`metagan sample` of 1,000 finished shards", measured["nothing_to_do"]),
        ("`metagan build` over an index of 1,000,000 rows", measured["build"]),
        ("the same again", measured["build_again"]),
        ("`metagan pick` of 1,000,000 rows with scores", measured["pick"]),
    ]
    rows += [(f"`metagan sample` of {one['pictures']:,} apes", one) for one in measured.get("memory", ())]
    table(
        ["command", "seconds", "processor seconds", "peak memory"],
        ((what, one["seconds"], one["processor_s"], f"{one['peak_mb']:,} MB") for what, one in rows),
    )
    said = [f"The system's load was {measured['load']} before and {measured['load_after']} after."]
    if engines := measured.get("engines"):
        said.append(
            f"One worker on Ray takes {1 + engines['overhead']:.0%} of the time that `--on local` takes for a picture; "
            f"two workers draw {engines['two_beside_one']} times as much as one."
        )
    print_lines(said)


def simulation() -> None:
    """A million pictures on 1 to 256 GPUs, and what the simulation assumes."""
    simulated = results()["simulate"]
    table(
        [
            "GPUs",
            "time",
            "share of a machine's time that draws",
            "price",
            "a failed machine delays the end by",
        ],
        (
            (
                row["gpus"],
                f"{row['minutes']:.0f} min",
                f"{row['efficiency']:.0%}",
                f"${row['dollars']:.2f}",
                f"{row['a_failure_delays_s']:.0f} s",
            )
            for row in simulated["rows"]
        ),
    )
    table(["assumption", "value", "where it comes from"], simulated["assumptions"])


def pages() -> list[Path]:
    """The Markdown files that have generated parts."""
    found = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "experiments").glob("*.md")),
    ]
    return [page for page in found if re.search(r"\[\[\[cog", page.read_text())]


def main() -> int:
    """Write or check all pages with cog."""
    mode = ["--check", "--check-fail-msg=run `make docs`"] if "--check" in sys.argv[1:] else ["-r"]
    status: int = Cog().main(["cog", "-I", str(ROOT), *mode, *map(str, pages())])
    return status


if __name__ == "__main__":
    sys.exit(main())
