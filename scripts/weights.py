"""The bundled generators, upscalers and classifiers, from nothing: draw a collection, train, measure, ship.

    python scripts/weights.py [--runs FOLDER] [--device auto] [--inception auto] [--ship-only] [NAME ...]

NAME-x4 is the upscaler of NAME: it learns from large originals and from the shipped generator's pictures, and is
measured on originals that it has not seen. NAME-traits is the classifier of NAME's traits. NAME-dials are directions of
the shipped NAME, which registry.yaml names. NAME-items are the items of NAME's collection. NAME-encoder finds pictures
in the shipped NAME. `make weights` calls this. A run that was interrupted goes on. --ship-only takes runs as they are:
the last snapshot becomes metagan/weights/NAME.safetensors; a generator's measures, those of the snapshot at 20 kimg and
the floor stand in its header and in benchmarks/weights.json, upscalers' in benchmarks/upscalers.json. FID and KID are
among them where Inception's weights are at hand (docs/training.md).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import lzma
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from metagan.checkpoints.read import read_checkpoint
from metagan.checkpoints.write import write_safetensors
from metagan.collection.table import item_lines
from metagan.errors import OptionError
from metagan.evaluation.inception import require_inception
from metagan.evaluation.inception_weights import AUTO
from metagan.site.build.collections import bundled_source
from metagan.training.run_folder import RunFolder, read_config
from metagan.training.state import read_state

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "weights.json"
UPSCALER_RESULTS = ROOT / "benchmarks" / "upscalers.json"
SHIPPED = ROOT / "metagan" / "weights"
PICTURES = 10_000
RESOLUTION = 64
COMMON = ("--ema-kimg", 10, "--licence", "CC0-1.0")
NARROW = ("--preset", "tiny", "--batch", 16, "--mirror", *COMMON)
# The apes' many rare traits want a wider network, as a GPU trains it in minutes; a core would take a day and a half.
# Their sides differ (an earring, a hat's feather): they aren't mirrored.
RECIPES = {"apes": ("--preset", "web", "--batch", 32, *COMMON), "bagels": NARROW, "hummingbirds": NARROW}
# Styles of DiceBear, drawn by its own library. Their light comes from one side: they aren't mirrored.
STYLES = dict.fromkeys(
    ("clay", "critters", "cutouts", "planets", "sprouts", "voxel-art"),
    ("--preset", "tiny", "--batch", 16, *COMMON),
)
# Large originals that upscalers learn from, and for how long: a core takes about a minute for two kimg.
ORIGINALS_RESOLUTION = 256
UPSCALERS = {
    "apes-x4": (2500, 30),
    "bagels-x4": (482, 14),
    "clay-x4": (10_000, 14),
    "critters-x4": (10_000, 14),
    "cutouts-x4": (10_000, 14),
    "hummingbirds-x4": (906, 14),
    "planets-x4": (10_000, 14),
    "sprouts-x4": (10_000, 14),
    "voxel-art-x4": (10_000, 14),
}
# Pictures that classifiers learn from, and for how many epochs: drawing and training take a core some ten minutes.
CLASSIFIERS = {"apes-traits": (6000, 10), "planets-traits": (10_000, 10)}
MIN_ACCURACY = {"planets-traits": 0.95}  # which star is the sixth can't be told
DIALS = tuple(f"{name}-dials" for name in (*RECIPES, *STYLES))
ITEMS = ("planets-items",)  # of collections that registry.yaml names and that take long to draw
# Encoders, with the noise that registry.yaml has for their generators; each takes a core one to three minutes.
ENCODERS = {
    "apes-encoder": "none",
    "bagels-encoder": "const",
    "clay-encoder": "const",
    "critters-encoder": "const",
    "cutouts-encoder": "const",
    "hummingbirds-encoder": "none",
    "planets-encoder": "const",
    "sprouts-encoder": "const",
    "voxel-art-encoder": "const",
}
EARLY_KIMG = 20
CHANGED_AT = "latents_changed_at"  # in a state file: where experiments/latents.py changed it
SNAPSHOT_KIMG = 10
KEPT = ("distance", "precision", "recall", "density", "coverage", "kid", "fid")


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run.

    Args:
        until_kimg: Where it ends.
        pace: Options that hold from here on, by name.
        latents: What experiments/latents.py does to the run first, if anything.
    """

    until_kimg: float
    pace: Mapping[str, float] = dataclasses.field(default_factory=dict)
    latents: tuple[object, ...] = ()


BRISK: Final = {"--lr": 0.01, "--lr-decay": 40}
SLOW: Final = {"--lr": 0.0025, "--lr-decay": 40}
WIDER: Final = ("--width", 256)
TO_128: Final = ("--added-to", 128)
# As the shipped ones were trained. Lower rates late bring colours nearer to the collection's; wider latents, made to
# count bit by bit, and styles further from their mean, let pictures differ in more (recall).
STAGES = {
    "apes": (
        Stage(800),
        Stage(845.024, latents=WIDER),
        Stage(890.048, latents=("--strength", 4, *TO_128)),
        Stage(935.072, latents=("--strength", 1.7, *TO_128)),
        Stage(980.096, latents=("--strength", 1.5, *TO_128)),
        Stage(1025.12, latents=("--strength", 1.3, *TO_128)),
        Stage(1211.264, latents=("--strength", 1.2, *TO_128)),
        Stage(1216, latents=("--strength", 1.5, *TO_128)),
        Stage(1231.936, latents=("--strength", 1.4, *TO_128)),
        Stage(1245.824, {"--lr": 0.0025, "--lr-decay": 80}),
        Stage(1261.632, latents=("--spread", 1.14)),
        Stage(1275.008, latents=("--spread", 1.12)),
    ),
    "bagels": (
        Stage(264, {"--gamma": 5}),
        Stage(269.376, {"--gamma": 1, **SLOW}),
        Stage(310.528, BRISK, WIDER),
        Stage(332.976, latents=("--strength", 4)),
        Stage(371.696, latents=("--strength", 1.6)),
        Stage(400.096, latents=("--strength", 1.8)),
        Stage(423.76, SLOW, ("--strength", 1.4)),
        Stage(445.824, latents=("--strength", 1.25)),
        Stage(500, latents=("--strength", 1.15)),
    ),
    "hummingbirds": (
        Stage(264, {"--gamma": 5}),
        Stage(302.416, {"--gamma": 1}),
        Stage(370, SLOW),
        Stage(410.384, BRISK, WIDER),
        Stage(433.152, latents=("--strength", 4)),
        Stage(445.888, latents=("--strength", 2)),
        Stage(470.544, latents=("--strength", 1.5)),
        Stage(498.816, latents=("--strength", 1.5)),
        Stage(521.152, SLOW, ("--strength", 1.4)),
        Stage(542.256, latents=("--strength", 1.5)),
        Stage(587.84, latents=("--strength", 1.35)),
        Stage(608.16, latents=("--strength", 1.3)),
        Stage(615.008, latents=("--strength", 1.2)),
    ),
    "clay": (Stage(264, {"--gamma": 5}),),
    "critters": (Stage(264, {"--gamma": 5}),),
    "cutouts": (Stage(264, {"--gamma": 5}), Stage(290, SLOW)),
    "planets": (Stage(264, {"--gamma": 5}),),
    "sprouts": (Stage(264, {"--gamma": 5}),),
    "voxel-art": (Stage(264, {"--gamma": 5}),),
}


def metagan(*words: object) -> str:
    """Run a command of this checkout, its progress on stderr; what it printed."""
    command = [sys.executable, "-m", "metagan", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout  # noqa: S603


def draw(name: str, data: Path, count: int, resolution: int) -> None:
    """Draw a collection, and pack it."""
    if name in STYLES:
        collection = data.parent / f"{name}-collection"
        fetch_collection(name, collection, count, ORIGINALS_RESOLUTION)
        metagan("dataset", "pack", collection, "--resolution", resolution, "--out", data)
    else:
        metagan("dataset", "render", name, "--count", count, "--resolution", resolution, "--out", data)


def fetch_collection(name: str, out: Path, count: int, side: int) -> None:
    """Draw a collection with its traits; one that is there already stays."""
    origin = f"dicebear:{name}" if name in STYLES else f"drawn:{name}"
    if not out.exists():
        metagan("collection", "fetch", name, "--from", origin, "--count", count, "--size", side, "--out", out)


def source_of(name: str) -> str:
    """What a file says of its origin."""
    if name in STYLES:
        return f"Trained by metagan on {PICTURES:,} pictures of DiceBear's style {name} (CC0 1.0)"
    return f"Trained by metagan on pictures that it drew itself (metagan dataset render {name})"


def train(name: str, runs: Path, device: str) -> None:
    """Draw the collection, where it isn't there yet, and train; a run that was interrupted goes on."""
    data, run = runs / f"{name}.zip", RunFolder(runs / name)
    if not data.exists():
        draw(name, data, PICTURES, RESOLUTION)
    pace: dict[str, float] = {}
    begins = 0
    for stage in STAGES[name]:
        if stage.latents and _stands_at(run, begins):
            script = [sys.executable, ROOT / "experiments" / "latents.py", run.path, *stage.latents]
            subprocess.run([*map(str, script)], check=True, cwd=ROOT)  # noqa: S603
        pace |= stage.pace
        begins = round(stage.until_kimg * 1000)
        if run.state.exists() and _seen(run) >= begins:
            continue
        metagan(
            *("train", data, "--out", run.path, *(RECIPES | STYLES)[name], *itertools.chain(*pace.items())),
            *(
                "--source",
                source_of(name),
                "--kimg",
                stage.until_kimg,
                "--snapshot-every",
                SNAPSHOT_KIMG,
                "--device",
                device,
            ),
        )


def _stands_at(run: RunFolder, begins: int) -> bool:
    """Whether a run has just seen so many pictures, and its latents weren't changed there before."""
    seen, batch = _seen(run), read_config(run).recipe.batch
    return begins <= seen < begins + batch and read_state(run.state)[1].get(CHANGED_AT) != seen


def _seen(run: RunFolder) -> int:
    return int(read_state(run.state)[1]["seen"])


def ship(name: str, runs: Path, count: int, device: str, inception: Sequence[str] = ()) -> dict[str, Any]:
    """Put the last snapshot in its place; its measures."""
    snapshots = {kimg_of(path): path for path in sorted((runs / name / "snapshots").glob("*.safetensors"))}
    last = max(kimg for kimg in snapshots if kimg < STAGES[name][-1].until_kimg + SNAPSHOT_KIMG / 2)
    early = min(snapshots, key=lambda kimg: abs(kimg - EARLY_KIMG))
    measured = {
        kimg: json.loads(
            metagan(
                *("evaluate", snapshots[kimg], runs / f"{name}.zip", "--count", count),
                *("--device", device, "--json", *inception),
            )
        )
        for kimg in {last, early}
    }
    measures = {
        "kimg": last,
        "count": count,
        "made": shown(measured[last]["made"]),
        "floor": shown(measured[last]["floor"]),
        f"at_{EARLY_KIMG}_kimg": shown(measured[early]["made"]),
    }
    checkpoint = read_checkpoint(snapshots[last])
    header, (network,) = checkpoint.header, checkpoint.networks.values()
    if header is None:
        raise AssertionError("snapshots are metagan's own files")
    stages = [dataclasses.asdict(stage) for stage in STAGES[name]]
    training = {**header.training, "stages": stages, "evaluation": measures}
    header = dataclasses.replace(header, source=source_of(name), training=training)
    out = SHIPPED / f"{name}.safetensors"
    write_safetensors(out, network.tensors, header)
    return {**measures, "size_bytes": out.stat().st_size}


def train_upscaler(name: str, runs: Path, device: str) -> None:
    """Draw large originals, where they aren't there yet, and train; a run that was interrupted goes on."""
    subject, _, factor = name.rpartition("-")
    count, kimg = UPSCALERS[name]
    data, run = runs / f"{subject}-{ORIGINALS_RESOLUTION}.zip", runs / name
    if not data.exists():
        draw(subject, data, count, ORIGINALS_RESOLUTION)
    words = ("--upscaler", factor, "--generator", SHIPPED / f"{subject}.safetensors", "--out", run)
    told = ("--licence", "CC0-1.0", "--source", source_of(subject))
    metagan("train", data, *words, "--kimg", kimg, "--snapshot-every", 2, "--device", device, *told)


def ship_upscaler(name: str, runs: Path) -> dict[str, Any]:
    """Put the last snapshot in its place; its measures, as the run took them."""
    until = UPSCALERS[name][1]
    snapshots = {kimg_of(path): path for path in sorted((runs / name / "snapshots").glob("*.safetensors"))}
    last = max(kimg for kimg in snapshots if kimg <= until + 0.1)
    checkpoint = read_checkpoint(snapshots[last])
    header, (network,) = checkpoint.header, checkpoint.networks.values()
    if header is None:
        raise AssertionError("snapshots are metagan's own files")
    source = source_of(name.rpartition("-")[0])
    out = SHIPPED / f"{name}.safetensors"
    write_safetensors(out, network.tensors, dataclasses.replace(header, source=source))
    quality = {key: float(f"{value:.4g}") for key, value in header.training["quality"].items()}
    return {"kimg": last, "quality": quality, "size_bytes": out.stat().st_size}


def train_classifier(name: str, runs: Path, device: str) -> None:
    """Draw the collection, where it isn't there yet, and train a classifier of its traits."""
    subject, _, _ = name.rpartition("-")
    (count, epochs), data = CLASSIFIERS[name], runs / f"{subject}-traits-collection"
    fetch_collection(subject, data, count, RESOLUTION)
    words = (
        "--out",
        runs / f"{name}.safetensors",
        "--resolution",
        RESOLUTION,
        "--epochs",
        epochs,
        "--min-accuracy",
        MIN_ACCURACY.get(name, 0),
    )
    metagan("collection", "traits", data, *words, "--device", device)


def ship_dials(name: str) -> None:
    """Find the directions of a shipped generator, and put them in their place."""
    words = (
        "--out",
        SHIPPED / f"{name}.safetensors",
        "--lpips",
        "none",
        "--traits",
        "none",
        "--device",
        "cpu",
    )
    metagan("directions", f"bundled:{name.removesuffix('-dials')}", *words)


def ship_encoder(name: str) -> None:
    """Train an encoder of a shipped generator, and put it in its place; its metadata has its measures."""
    words = ("--out", SHIPPED / f"{name}.safetensors", "--noise", ENCODERS[name])
    metagan("encoder", f"bundled:{name.removesuffix('-encoder')}", *words)


def ship_classifier(name: str, runs: Path) -> None:
    """Put a classifier in its place, in half precision; its header has its measures."""
    checkpoint = read_checkpoint(runs / f"{name}.safetensors")
    header, (network,) = checkpoint.header, checkpoint.networks.values()
    if header is None:
        raise AssertionError("classifiers are metagan's own files")
    source = source_of(name.rpartition("-")[0])
    half = {key: tensor.half() for key, tensor in network.tensors.items()}
    write_safetensors(SHIPPED / f"{name}.safetensors", half, dataclasses.replace(header, source=source))


def ship_items(name: str) -> None:
    """Draw lots for a collection's items, and put them in their place."""
    source = bundled_source(name.removesuffix("-items"), RESOLUTION)
    lines = item_lines(source.make(entry).item for entry in source.entries())
    (SHIPPED / f"{name}.jsonl.xz").write_bytes(lzma.compress(lines, preset=9))


def record(path: Path, name: str, measures: dict[str, Any]) -> None:
    """Put measures into a file of them, in place of the former ones of that name."""
    results = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(results | {name: measures}, indent=2, sort_keys=True) + "\n")


def inception_options(asked: str) -> Sequence[str]:
    """What `metagan evaluate` is told of Inception: nothing, where "auto" finds no weights."""
    try:
        require_inception(Path(asked))
    except OptionError as error:
        if asked != str(AUTO):
            raise
        sys.stderr.write(f"measured without FID and KID: {error}\n")
        return ()
    return ("--inception", asked if asked == str(AUTO) else str(Path(asked).resolve()))


def kimg_of(snapshot: Path) -> float:
    """000020_032.safetensors is at 20.032 kimg."""
    whole, rest = snapshot.stem.split("_")
    return int(whole) + int(rest) / 1000


def shown(measures: dict[str, float]) -> dict[str, float]:
    """The measures worth recording, to four digits."""
    return {key: float(f"{measures[key]:.4g}") for key in KEPT if key in measures}


def main() -> None:
    """Parse, train, ship, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", default=[*STAGES, *UPSCALERS, *CLASSIFIERS, *DIALS, *ITEMS, *ENCODERS]
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--count", type=int, default=2000, help="pictures to measure on")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--inception", metavar="FILE|auto", default="auto", help="for FID and KID, as in `evaluate`"
    )
    parser.add_argument("--ship-only", action="store_true")
    options = parser.parse_args()
    runs = options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    inception = inception_options(options.inception)
    for name in options.names:
        if name in UPSCALERS:
            if not options.ship_only:
                train_upscaler(name, runs, options.device)
            record(UPSCALER_RESULTS, name, ship_upscaler(name, runs))
            continue
        if name in DIALS:
            ship_dials(name)
            continue
        if name in ITEMS:
            ship_items(name)
            continue
        if name in ENCODERS:
            ship_encoder(name)
            continue
        if name in CLASSIFIERS:
            if not options.ship_only:
                train_classifier(name, runs, options.device)
            ship_classifier(name, runs)
            continue
        if not options.ship_only:
            train(name, runs, options.device)
        record(RESULTS, name, ship(name, runs, options.count, options.device, inception))


if __name__ == "__main__":
    main()
