"""A run of shards whose pictures tell their seeds by their colours, and a registry of the generator that it names."""

from __future__ import annotations

import colorsys
import hashlib
import textwrap
from pathlib import Path

import numpy as np

from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.shards.manifest import RunManifest, RunSettings, index_name, zip_name
from metagan.shards.shard import encode_index, pack

GOLDEN = Path(__file__).parents[1] / "golden" / "sg2ada_cuda16.pkl"  # 16x16, two classes
SHA256 = hashlib.sha256(GOLDEN.read_bytes()).hexdigest()
SIDE_PX = 16


def colour_of(seed: int) -> tuple[int, int, int]:
    """A seed's picture's colour."""
    red, green, blue = colorsys.hsv_to_rgb(seed * 0.0137 % 1, 1, 1)
    return round(red * 255), round(green * 255), round(blue * 255)


def write_run(folder: Path, *shards: range, name: str = "blob", psi: float = 0.5, **more: object) -> Path:
    """Write a run's folder below another one."""
    settings = RunSettings(
        **{
            "name": name, "weights": SHA256, "psi": psi, "label": 1, "noise": "const", "format": "png",
            "program": "none", "version": "0", **more,
        }
    )  # fmt: skip
    run = folder / settings.folder
    run.mkdir(parents=True)
    for seeds in shards:
        pictures = (
            (
                seed,
                encode(
                    np.full((SIDE_PX, SIDE_PX, 3), colour_of(seed), np.uint8), "png", Provenance("x", seed, 1)
                ),
            )
            for seed in seeds
        )
        content, rows = pack(settings, pictures)
        (run / zip_name(seeds)).write_bytes(content)
        (run / index_name(seeds)).write_bytes(encode_index(rows))
    ends = tuple((seeds[0], seeds[-1]) for seeds in shards)
    count = sum(map(len, shards))
    manifest = RunManifest(settings=settings, width=SIDE_PX, height=SIDE_PX, pictures=count, shards=ends)
    (run / "manifest.json").write_bytes(manifest.encode())
    return run


def write_registry(
    folder: Path, *, base_url: str = "https://example.org/blobs/", extra: str = "", pages: bool = False
) -> Path:
    path = folder / "registry.yaml"
    path.write_text(
        textwrap.dedent(f"""\
            site:
              title: Blobs
              base_url: {base_url}
              picture_pages: {str(pages).lower()}
            subjects:
              blob:
                title: Blob
                weights: {GOLDEN}
                licence: CC0-1.0
                source: made up
                class: 1
                live: never
            """)
        + textwrap.indent(textwrap.dedent(extra), "    ")
    )
    return path
