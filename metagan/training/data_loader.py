"""Loads training batches: an endless shuffled stream whose order depends only on the seed."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from metagan.datasets.source import evenly_spaced
from metagan.values import Size

FINGERPRINT: Final = "2-"  # how fingerprints of this kind begin
CACHE_BYTES: Final = 2 << 30  # pictures are kept in memory if all of them fit into this


@runtime_checkable
class Pictures(Protocol):
    """RGB pictures of one size; metagan.datasets.source.PictureSource is one."""

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        ...

    @property
    def label_count(self) -> int:
        """Width of a label vector; 0 without labels."""
        ...

    def __len__(self) -> int: ...

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return picture `index`, [3, height, width]."""
        ...

    def label(self, index: int) -> NDArray[np.float32]:
        """Return the label vector of picture `index`, [label_count]."""
        ...


@dataclass(frozen=True)
class Batch:
    """Real pictures with their labels.

    Args:
        images: Within [-1, 1].
        labels: One label vector per picture; None for unlabelled data.
    """

    images: Float[Tensor, "n c h w"]
    labels: Float[Tensor, "n c_dim"] | None


def fingerprint(pictures: Pictures, *, like: str = "") -> str:
    """Hash pictures and labels, to detect whether a run's data have changed.

    All labels and up to 64 pictures take part; a change of single pictures in a large dataset can go unnoticed.

    Args:
        pictures: The pictures.
        like: A fingerprint to compare with. Those of earlier versions are of up to 8 pictures, without labels.
    """
    digest = hashlib.sha256(f"{len(pictures)} {pictures.size.as_option} {pictures.label_count}".encode())
    former = bool(like) and not like.startswith(FINGERPRINT)
    for index in evenly_spaced(len(pictures), min(8 if former else 64, len(pictures))):
        digest.update(pictures.pixels(index).tobytes())
    if former:
        return digest.hexdigest()[:16]
    if pictures.label_count:
        for index in range(len(pictures)):
            digest.update(pictures.label(index).tobytes())
    return FINGERPRINT + digest.hexdigest()[:16]


@lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(length)


class DataLoader:
    """Load batches of pictures in an order that depends on the seed alone.

    Position k of the stream is position k mod L of epoch k div L; each epoch is shuffled anew. With `mirror`, an epoch
    has every picture twice, once mirrored. The next batch is decoded while the current one is in use.

    Args:
        pictures: The training pictures.
        seed: Determines the order.
        mirror: Whether to add mirrored pictures.
        cache_bytes: Keep decoded pictures in memory if all of them fit into this many bytes.
    """

    def __init__(
        self, pictures: Pictures, seed: int, *, mirror: bool, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.pictures = pictures
        self.seed = seed
        self.mirror = mirror
        self.length = len(pictures) * (2 if mirror else 1)
        self._labels = self._all_labels()
        self._labels_on: dict[torch.device, Tensor] = {}
        shape = (len(pictures), 3, pictures.size.height, pictures.size.width)
        fits = int(np.prod(shape)) <= cache_bytes
        self._cache = np.empty(shape, np.uint8) if fits else None
        self._cached = np.zeros(len(pictures), bool)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._ahead: tuple[tuple[int, int], Future[NDArray[np.uint8]]] | None = None

    def _all_labels(self) -> NDArray[np.float32] | None:
        if self.pictures.label_count == 0:
            return None
        return np.stack([self.pictures.label(index) for index in range(len(self.pictures))])

    def places(self, position: int, count: int) -> NDArray[np.int64]:
        """Return the picture indices at these positions; indices from len(pictures) on are mirrored pictures."""
        ks = range(position, position + count)
        return np.array([_shuffled(self.seed, k // self.length, self.length)[k % self.length] for k in ks])

    def batch(
        self, position: int, count: int, device: torch.device | str = "cpu", *, stride: int | None = None
    ) -> Batch:
        """Return the pictures at `count` positions from `position` on.

        Args:
            position: The first position in the stream.
            count: Number of pictures.
            device: Device of the result.
            stride: Distance to the next call's position, which is prefetched. None disables prefetching.
        """
        wanted = (position, count)
        if self._ahead is not None and self._ahead[0] == wanted:
            pixels = self._ahead[1].result()
        else:
            pixels = self._read(position, count)
        self._ahead = None
        if stride is not None:
            following = (position + stride, count)
            self._ahead = (following, self._reader.submit(self._read, *following))
        labels = None
        if self._labels is not None:
            rows = self._labels[self.places(position, count) % len(self.pictures)]
            labels = torch.from_numpy(rows).to(device, non_blocking=True)
        stored = torch.from_numpy(pixels)
        if torch.device(device).type == "cuda":
            stored = stored.pin_memory()
        images = stored.to(
            device, non_blocking=True
        )  # as bytes, which take a quarter of the memory of floats
        return Batch(images.float().div_(127.5).sub_(1), labels)

    def random_labels(self, count: int, rng: torch.Generator) -> Float[Tensor, "n c_dim"] | None:
        """Draw labels from those of real pictures, on the rng's device; None without labels."""
        if self._labels is None:
            return None
        if rng.device not in self._labels_on:
            self._labels_on[rng.device] = torch.from_numpy(self._labels).to(rng.device)
        labels = self._labels_on[rng.device]
        picks = torch.randint(len(labels), (count,), generator=rng, device=rng.device)
        return labels[picks]

    def _read(self, position: int, count: int) -> NDArray[np.uint8]:
        total = len(self.pictures)
        rows = []
        for place in self.places(position, count):
            pixels = self._pixels(int(place) % total)
            rows.append(pixels[:, :, ::-1] if place >= total else pixels)
        return np.stack(rows)

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        if self._cache is None:
            return self.pictures.pixels(index)
        if not self._cached[index]:
            self._cache[index] = self.pictures.pixels(index)
            self._cached[index] = True
        cached: NDArray[np.uint8] = self._cache[index]
        return cached


def as_uint8(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """Convert pictures within [-1, 1] to bytes, rounding to nearest."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
