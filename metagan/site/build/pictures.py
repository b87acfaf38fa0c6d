"""Makes a subject's missing pictures; a thread pool encodes a batch while the generator draws the next."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metagan.checkpoints.read import read_checkpoint
from metagan.errors import BuildError, OptionError
from metagan.fetch.weights_file import sha256_of, size_of
from metagan.files import write_bytes
from metagan.images.encode import encode
from metagan.images.provenance import Provenance
from metagan.networks.generator import Generator
from metagan.networks.loading.detect import describe_training, load_generator
from metagan.networks.loading.forms import title_of
from metagan.networks.upscaler import Upscaler, load_upscaler, upscaler_of
from metagan.sampling.device import choose_device
from metagan.sampling.sampler import Sampler, Settings
from metagan.site.build.picture_cache import PictureCache, chunks_with_gaps
from metagan.site.pages.content import GeneratorFacts, UpscalerFacts, ai_system
from metagan.values import Size

MOST_UPSCALED_PX = 2048
ENCODERS = min(4, os.cpu_count() or 1)


def load_networks(cache: PictureCache) -> tuple[Generator, Upscaler | None]:
    """Load a subject's generator and its upscaler, if it has one.

    Raises:
        CheckpointError: If a file can't be read.
        BuildError: If a file is no longer the one that the build found at its beginning.
    """
    generator = load_generator(read_checkpoint(cache.weights))
    found = [(cache.weights, cache.sha256)]
    upscaler = None
    if cache.upscaler_weights and cache.upscaler:
        upscaler = load_upscaler(cache.upscaler_weights)
        found.append((cache.upscaler_weights, cache.upscaler.sha256))
    for weights, sha256 in found:
        if sha256_of(weights) != sha256:
            raise BuildError(
                "the weights changed during the build",
                where=weights,
                fix="build again; training replaces its files",
            )
    return generator, upscaler


def read_facts(weights: Path, sha256: str) -> GeneratorFacts:
    """Read the facts about a weights file for the about page.

    Raises:
        CheckpointError: If the file can't be read, or holds no generator that metagan knows.
    """
    checkpoint = read_checkpoint(weights)
    generator = load_generator(checkpoint)
    space = generator.label_space
    return GeneratorFacts(
        architecture=title_of(generator),
        width_px=generator.size.width,
        height_px=generator.size.height,
        parameters=sum(parameter.numel() for parameter in generator.parameters()),
        sha256=sha256,
        size_bytes=size_of(weights),
        training=describe_training(checkpoint),
        classes=0 if space.is_numbers else generator.c_dim,
        label_names=space.names,
        label_ranges=space.ranges,
    )


def read_upscaler_facts(weights: Path, sha256: str, facts: GeneratorFacts) -> UpscalerFacts:
    """Read the facts about an upscaler's file for the about page.

    Args:
        weights: The file.
        sha256: Its SHA-256.
        facts: Facts about the generator whose pictures it enlarges.

    Raises:
        CheckpointError: If the file can't be read, or holds no upscaler.
        OptionError: If the results would be too large to publish.
    """
    checkpoint = read_checkpoint(weights)
    upscaler = upscaler_of(checkpoint)
    header = checkpoint.header
    if header is None:
        raise AssertionError("upscalers have headers")
    size = Size(facts.width_px, facts.height_px)
    larger = size.times(upscaler.config.factor)
    if larger.longest > MOST_UPSCALED_PX:
        raise OptionError(
            (f"pictures of {size} pixels would become {larger}; want at most {MOST_UPSCALED_PX}"),
            fix="write `upscale: none`",
        )
    return UpscalerFacts(
        factor=upscaler.config.factor,
        parameters=sum(parameter.numel() for parameter in upscaler.parameters()),
        sha256=sha256,
        size_bytes=size_of(weights),
        licence=header.licence,
        source=header.source,
    )


def make_missing(cache: PictureCache, device: str, precision: str, advance: Callable[[int], None]) -> int:
    """Draw and encode the pictures that a cache lacks.

    Args:
        cache: The subject's picture cache.
        device: "auto", "cpu", "cuda", "mps".
        precision: "fp32", "bf16", "auto".
        advance: Called with the number of pictures just finished.

    Returns:
        The number of pictures made.

    Raises:
        CheckpointError: If the weights can't be read.
        OptionError: If the subject's class is missing or out of range.
        BuildError: If the disk is full.
    """
    missing = set(cache.missing())
    if not missing:
        return 0
    subject = cache.subject
    generator, upscaler = load_networks(cache)
    sampler = Sampler(generator, choose_device(device), precision=precision, upscaler=upscaler)
    name = ai_system(title_of(sampler.generator), cache.sha256, cache.upscaler)
    settings = Settings(psi=subject.psi, label=subject.label_choice, noise=subject.noise)
    with _EncoderPool(advance) as pool:
        for chunk in chunks_with_gaps(subject.seeds, missing, sampler.batch):
            for seed, picture in sampler.pictures(chunk, settings):
                if seed in missing:
                    pool.submit(_finish, cache, seed, picture, Provenance(name, seed, subject.psi))
    return len(missing)


class _EncoderPool:
    """Encodes pictures in threads, with a bounded queue that limits memory."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._threads = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode")
        self._waiting: deque[Future[None]] = deque()
        self._advance = advance

    def __enter__(self) -> _EncoderPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while kind is None and self._waiting:
                self._take_oldest()
        finally:
            self._threads.shutdown(cancel_futures=True)

    def submit(
        self,
        task: Callable[[PictureCache, int, NDArray[np.uint8], Provenance], None],
        cache: PictureCache,
        seed: int,
        picture: NDArray[np.uint8],
        label: Provenance,
    ) -> None:
        """Queue one picture, waiting while the queue is full."""
        while len(self._waiting) >= 16 * ENCODERS:
            self._take_oldest()
        self._waiting.append(self._threads.submit(task, cache, seed, picture, label))

    def _take_oldest(self) -> None:
        self._waiting.popleft().result()
        self._advance(1)


def _finish(cache: PictureCache, seed: int, picture: NDArray[np.uint8], label: Provenance) -> None:
    try:
        write_bytes(cache.picture(seed), encode(picture, cache.subject.format, label))
    except OSError as error:
        raise BuildError(
            f"{error.strerror or error}; finished pictures are kept",
            where=cache.picture(seed),
            fix="free some space or check its permissions, then build again",
        ) from error
