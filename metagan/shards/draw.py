"""Draws a run's missing shards: what is missing, one worker's part, and the engine that works on this machine.

    plan_run(...) -> Plan -> draw_here(plan) or on_ray.draw_on_ray(plan)

Both engines have the same worker, `ShardWriter`, and so the same bytes. A shard is drawn again wherever it may have
been lost; what makes that harmless is that its files are created only if they are absent, the index last.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

import torch

from metagan import __version__
from metagan.errors import OptionError
from metagan.fetch.weights_file import sha256_of
from metagan.images.encode import encode, require_size
from metagan.images.provenance import Provenance
from metagan.sampling.latents import labels
from metagan.sampling.memory import automatic_batch
from metagan.sampling.sampler import Picture, Sampler, Settings
from metagan.sampling.target import Target, open_sampler
from metagan.shards.manifest import (
    MANIFEST,
    RunManifest,
    RunSettings,
    index_name,
    missing_shards,
    read_manifest,
    shards_in,
    zip_name,
)
from metagan.shards.shard import Row, decode_index, encode_index, is_intact, pack, unpack
from metagan.storage import Storage
from metagan.values import counted, printable

PATIENCE_S = 300.0
PREFLIGHT_PATIENCE_S = 10.0
IN_FLIGHT = 2  # shards of a worker: one is drawn while the one before it is sent
MOST_SMALL_SHARDS = 10_000
_KERNEL = "metagan's kernel"


@dataclass(frozen=True)
class Job:
    """A shard that a worker sees to.

    Args:
        seeds: Its seeds.
        stored: Whether files of it exist, which are to be examined before anything is drawn.
    """

    seeds: range
    stored: bool = False


@dataclass(frozen=True)
class Done:
    """What became of a shard: "drawn", "kept" as it was intact, or "mended" as it wasn't."""

    seeds: range
    outcome: Literal["drawn", "kept", "mended"]


@dataclass(frozen=True)
class Plan:
    """What is left to do for a run.

    Args:
        out: The folder or address that has the run's folder.
        target: What to draw from; its files may lie elsewhere on a worker's machine.
        settings: The run's.
        device: Kind of device that draws, "cpu" or "cuda", or one by its name on this machine.
        precision: As `Sampler` takes it.
        manifest: As far as the run is now.
        jobs: Shards to draw or to examine.
    """

    out: str
    target: Target
    settings: RunSettings
    device: str
    precision: str
    manifest: RunManifest
    jobs: tuple[Job, ...]

    @property
    def address(self) -> str:
        """The run's folder."""
        return Storage(self.out, OptionError).address(self.settings.folder)

    @property
    def pictures(self) -> int:
        """Of all jobs."""
        return sum(len(job.seeds) for job in self.jobs)

    def open_folder(self, patience_s: float = PATIENCE_S) -> Storage:
        """The run's folder, as a storage."""
        return Storage(f"{self.out.rstrip('/')}/{self.settings.folder}", OptionError, patience_s=patience_s)


def plan_run(
    target: Target,
    drawing: Settings,
    seeds: Sequence[int],
    out: str,
    *,
    image_format: str,
    per_shard: int,
    sampler: Sampler,
    device: str,
    precision: str,
    network: str | None = None,
    verify: bool = False,
) -> Plan:
    """Find out what is left to do for a run, after checking that its place can be written to.

    Args:
        target: What to draw from.
        drawing: How to draw.
        seeds: Of the wanted pictures.
        out: A folder, or an address such as s3://bucket/apes.
        image_format: Of the picture files.
        per_shard: Most pictures of a shard.
        sampler: That draws like those of the workers do, see `sampler_like`.
        device: Kind of device of the workers.
        precision: As `Sampler` takes it.
        network: Which network of the file.
        verify: Examine the shards that are there.

    Raises:
        OptionError: The place can't be listed or written to, or belongs to another run.
    """
    require_size(image_format, sampler.size, f"--format {image_format}", "choose --format png")
    labels(sampler.generator, drawing.label, 1)
    settings = RunSettings(
        name=target.name,
        weights=sha256_of(target.weights),
        network=network,
        psi=drawing.psi,
        label=drawing.label if sampler.generator.c_dim else None,
        noise=drawing.noise,
        upscaler=sha256_of(target.upscaler) if target.upscaler else None,
        format=image_format,
        program=_program(sampler, device),
        batch=_batch(sampler, device),
        version=__version__,
    )
    parent = Storage(out, OptionError, patience_s=PREFLIGHT_PATIENCE_S)
    parent.require_bucket()
    _require_no_run(parent, out)
    empty = RunManifest(settings=settings, width=sampler.size.width, height=sampler.size.height)
    plan = Plan(out, target, settings, device, precision, empty, ())
    folder = plan.open_folder(PREFLIGHT_PATIENCE_S)
    if (content := folder.read(MANIFEST)) is not None:
        found = read_manifest(content, folder.address(MANIFEST))
        if found.settings != settings:
            raise OptionError(
                "this is another run's manifest",
                where=folder.address(MANIFEST),
                fix="choose another --out, or move that folder away",
            )
    finished, begun = shards_in(folder.sizes())
    wanted = set(seeds)
    jobs = [Job(each, stored=True) for each in begun if not wanted.isdisjoint(each)]
    if verify:
        jobs += [Job(each, stored=True) for each in finished if not wanted.isdisjoint(each)]
    known = [*finished, *(job.seeds for job in jobs)]
    missing = missing_shards(seeds, known, per_shard)
    _require_few(missing, seeds, per_shard)
    jobs += [Job(each) for each in missing]
    manifest = _with_shards(empty, finished)
    if jobs:
        folder.write(MANIFEST, manifest.encode())
    return Plan(out, target, settings, device, precision, manifest, tuple(jobs))


def finish_run(plan: Plan) -> RunManifest:
    """Write the manifest of all shards that a run has now.

    Raises:
        OptionError: It can't be written.
    """
    folder = plan.open_folder()
    manifest = _with_shards(plan.manifest, shards_in(folder.sizes())[0])
    if manifest.encode() != folder.read(MANIFEST):
        folder.write(MANIFEST, manifest.encode())
    return manifest


def draw_here(plan: Plan, sampler: Sampler) -> Iterator[Done]:
    """Draw a plan's shards in this process, and yield each that is finished."""
    writer = ShardWriter(plan, sampler)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        try:
            yield from _each(pool, writer.write, plan.jobs)
        finally:
            writer.stop()


def sampler_like(
    target: Target, device: str, precision: str, network: str | None, note: Callable[[str], None]
) -> Sampler:
    """A sampler whose batches don't depend on how much memory happens to be free."""
    sampler = open_sampler(target, device, 1, precision, network=network, note=note)
    sampler.batch = automatic_batch(sampler.size, sampler.device.type)
    return sampler


class ShardWriter:
    """Draws shards and stores them; `write` may be called from several threads.

    Only one of them draws at a time, and always on the same thread, so the others send meanwhile.

    Args:
        plan: The run.
        sampler: For its target.

    Raises:
        OptionError: This sampler would draw other bytes than the run's.
    """

    def __init__(self, plan: Plan, sampler: Sampler) -> None:
        self.settings = plan.settings
        program = _program(sampler, sampler.device.type)
        if (program, __version__) != (plan.settings.program, plan.settings.version):
            raise OptionError(
                f"a worker draws by {program} of metagan {__version__}, the run by {plan.settings.program} of "
                f"metagan {plan.settings.version}; their pictures would differ",
                fix="install the same packages everywhere; on processors of several kinds, set "
                "METAGAN_KERNEL=x86-64-v3 before you start",
            )
        if plan.settings.batch is not None:
            sampler.batch = plan.settings.batch
        self._sampler, self._folder = sampler, plan.open_folder()
        self._drawing = ThreadPoolExecutor(1)
        self._encoding = ThreadPoolExecutor(threads) if (threads := _encoders(sampler)) > 1 else None
        self._stopped = False

    def stop(self) -> None:
        """End what is being drawn, before the next picture."""
        self._stopped = True
        self._folder.give_up()
        for pool in (self._drawing, self._encoding):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)

    def write(self, job: Job) -> Done:
        """Draw a shard and store it, or find it intact.

        Raises:
            MetaganError: The storage refuses, for as long as one is patient, or the device fails.
        """
        seeds = job.seeds
        if job.stored and self._examine(seeds):
            return Done(seeds, "kept")
        content, rows = self._drawing.submit(self._draw, seeds).result()
        if not job.stored:
            if self._folder.create(zip_name(seeds), content):
                self._folder.create(index_name(seeds), encode_index(rows))
                return Done(seeds, "drawn")
            if self._examine(seeds):  # another worker was faster
                return Done(seeds, "kept")
        self._folder.write(zip_name(seeds), content)
        self._folder.write(index_name(seeds), encode_index(rows))
        return Done(seeds, "mended")

    def _examine(self, seeds: range) -> bool:
        """Whether a shard is there and intact; an index that is missing is made from its zip."""
        content = self._folder.read(zip_name(seeds))
        if content is None:
            return False
        index = self._folder.read(index_name(seeds))
        if index is None:
            rows = unpack(self.settings, seeds, content)
            if rows is None:
                return False
            self._folder.create(index_name(seeds), encode_index(rows))
            return True
        rows = decode_index(index)
        return (
            rows is not None
            and is_intact(seeds, rows, content)
            and unpack(self.settings, seeds, content) == rows
        )

    def _draw(self, seeds: range) -> tuple[bytes, list[Row]]:
        return pack(self.settings, self._files(seeds))

    def _files(self, seeds: range) -> Iterator[tuple[int, bytes]]:
        drawing = Settings(psi=self.settings.psi, label=self.settings.label, noise=self.settings.noise)
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        for seed, picture in self._sampler.pictures(seeds, drawing):
            if self._stopped:
                raise KeyboardInterrupt
            if self._encoding is None:
                yield seed, self._encode(seed, picture)
                continue
            waiting.append((seed, self._encoding.submit(self._encode, seed, picture)))
            if len(waiting) > 2 * self._sampler.batch:
                first, encoded = waiting.popleft()
                yield first, encoded.result()
        for seed, encoded in waiting:
            yield seed, encoded.result()

    def _encode(self, seed: int, picture: Picture) -> bytes:
        label = Provenance(f"{self.settings.name} (metagan)", seed, self.settings.psi)
        return encode(picture, self.settings.format, label)


def _each(pool: ThreadPoolExecutor, write: Callable[[Job], Done], jobs: Sequence[Job]) -> Iterator[Done]:
    left, running = iter(jobs), set[Future[Done]]()
    while True:
        while len(running) < IN_FLIGHT and (job := next(left, None)) is not None:
            running.add(pool.submit(write, job))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for each in done:
            yield each.result()


def _program(sampler: Sampler, device: str) -> str:
    kind = device.partition(":")[0]
    pytorch = f"PyTorch {torch.__version__.partition('+')[0]}, {sampler.precision} on {kind}"
    if kind == "cpu" and sampler.program.startswith(_KERNEL):
        return sampler.program if sampler.upscaler is None else f"{sampler.program}; {pytorch}"
    return pytorch


def _batch(sampler: Sampler, device: str) -> int | None:
    """Pictures at once, where their last bits depend on it."""
    if _program(sampler, device).startswith(_KERNEL):
        return None
    return automatic_batch(sampler.size, device.partition(":")[0])


def _encoders(sampler: Sampler) -> int:
    """Threads that encode: no more than draw, where that takes the processor itself."""
    if sampler.device.type == "cpu":
        return torch.get_num_threads()
    return min(16, os.cpu_count() or 1)


def _with_shards(manifest: RunManifest, finished: Sequence[range]) -> RunManifest:
    return manifest.model_copy(
        update={
            "pictures": sum(map(len, finished)),
            "shards": tuple((each[0], each[-1]) for each in finished),
        }
    )


def _require_no_run(parent: Storage, out: str) -> None:
    """Refuse the folder of a run as the folder of runs."""
    if parent.read(MANIFEST) is not None or any(shards_in(parent.sizes())):
        raise OptionError(
            "this is the folder of a run's shards; --out wants the folder above it, where each run gets its own",
            where=parent.address("").rstrip("/"),
            fix=f"try --out {printable(out.rstrip('/').rpartition('/')[0] or '.')}",
        )


def _require_few(missing: Sequence[range], seeds: Sequence[int], per_shard: int) -> None:
    """Refuse seeds with so many gaps that shards would be no better than files."""
    most = max(MOST_SMALL_SHARDS, 2 * len(seeds) // per_shard)
    if len(missing) > most:
        raise OptionError(
            f"--seeds: a shard has the seeds of one range without gaps, and these would take "
            f"{counted(len(missing), 'shard')}",
            fix="ask for whole ranges, or leave --shards out",
        )
