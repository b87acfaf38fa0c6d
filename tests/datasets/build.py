"""Datasets made by hand, without the code under test."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def png(side: int = 16, seed: int = 0, mode: str = "RGB") -> bytes:
    return encoded(Image.fromarray(pixels(side, seed)).convert(mode), "PNG")


def pixels(side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def zipped(path: Path, members: dict[str, bytes], labels="absent", method=zipfile.ZIP_STORED) -> Path:
    if labels != "absent":
        members = members | {"dataset.json": json.dumps({"labels": labels}).encode()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path


def name(index: int) -> str:
    return f"{index // 1000:05d}/img{index:08d}.png"
