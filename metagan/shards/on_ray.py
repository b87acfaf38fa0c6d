"""Draws a run's missing shards on a Ray cluster.

Plain actors, one a GPU or one a few processors: an actor holds the generator that it loaded once, and Ray gives it
its GPU and starts it again wherever there is room when its process or its machine is lost. Ray Data would add pandas,
pyarrow and a store of blocks for data that never flow here: a worker sends its shard to the storage and returns which
it was. What is left for the driver is to hand the next shard to a worker that has room, and a lost worker's to another.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from metagan.errors import MetaganError, OptionError
from metagan.fetch.cache import cache_folder, safe_name
from metagan.fetch.weights_file import files_of, sha256_of
from metagan.files import write_bytes
from metagan.shards.draw import IN_FLIGHT, Done, Job, Plan, ShardWriter, sampler_like
from metagan.shards.manifest import shard_name
from metagan.storage import without_secrets
from metagan.values import counted

MOST_LOSSES = 5  # workers that die with the same shard
ANSWER_S = 5.0
PATIENCE_OF_A_WORKER_S = 10.0
Files = dict[str, list[Any]]
"""By a weights file's SHA-256, a reference to its content in Ray's object store; in a list, so that Ray leaves it."""
_DEFAULT_PORTS = {"ray": 10001, "": 6379}


class Worker:
    """What runs in an actor: opens the target when it is first asked to, and then writes shards.

    Args:
        plan: The run.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._writer: ShardWriter | None = None
        self._opening = threading.Lock()

    def open(self, files: Files) -> str:
        """Load the generator and look at the storage; return this machine's name.

        Args:
            files: What the weights consist of; read only on machines that don't have them.

        Raises:
            MetaganError: This machine can't use the storage, or would draw other pictures.
        """
        self._opened(files)
        return socket.gethostname()

    def write(self, job: Job, files: Files) -> Done:
        """Draw a shard and store it, see ShardWriter."""
        return self._opened(files).write(job)

    def _opened(self, files: Files) -> ShardWriter:
        with self._opening:
            if self._writer is None:
                self._writer = self._load(files)
            return self._writer

    def _load(self, files: Files) -> ShardWriter:
        plan, settings = self._plan, self._plan.settings
        try:
            plan.open_folder(PATIENCE_OF_A_WORKER_S).sizes()
        except MetaganError as error:
            raise OptionError(
                f"a worker on {socket.gethostname()} can't use the storage: {error.what}",
                fix="give every machine of the cluster the credentials and settings of the storage",
            ) from None
        weights, upscaler = plan.target.weights, plan.target.upscaler
        target = replace(
            plan.target,
            weights=_find(weights, settings.weights, files),
            upscaler=_find(upscaler, settings.upscaler or "", files) if upscaler else None,
        )
        sampler = sampler_like(target, plan.device, plan.precision, settings.network, lambda _text: None)
        return ShardWriter(plan, sampler)


def _find(path: Path, sha256: str, files: Files) -> Path:
    """A file of this machine with that hash: the driver's own, the cache's, or the one that the driver sent."""
    import ray

    cached = cache_folder() / "weights" / sha256 / safe_name(path.name)
    for place in (path, cached):
        if place.exists() and sha256_of(place) == sha256:
            return place
    content: dict[str, bytes] = ray.get(files[sha256][0])
    for name, data in content.items():
        write_bytes(cached / name if name else cached, data)
    return cached


def cluster_has_gpus() -> bool:
    """Whether the cluster that one is connected to has GPUs."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0) >= 1)


def import_ray() -> Any:
    """Import Ray, which reports nothing about its use unless RAY_USAGE_STATS_ENABLED asks for it.

    Raises:
        OptionError: It isn't installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise OptionError("--on ray needs Ray", fix="pip install 'metagan[ray]'") from error
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a cluster while the block runs.

    Args:
        address: Of the cluster, "ray://head:10001" or "head:6379"; None for RAY_ADDRESS, a cluster that runs on this
            machine, or else a new one of this machine for as long as the block runs.

    Raises:
        OptionError: Ray isn't installed, doesn't answer, or has another version.
    """
    ray = import_ray()
    stated = address or os.environ.get("RAY_ADDRESS") or None
    if stated not in (None, "auto", "local"):
        _require_answer(stated)
    quiet = {} if "://" in (stated or "") else {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address=stated, **quiet)
    except Exception as error:
        raise _not_connected(error, stated) from error
    try:
        with redirect_stdout(sys.stderr):  # where Ray's news of lost workers belong
            yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens, which Ray would try for a minute."""
    shown = without_secrets(address)
    fix = "start a cluster with `ray start --head`, or correct --on or RAY_ADDRESS"
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme, 6379)
    except ValueError as error:
        raise OptionError(f"not an address of a Ray cluster: {error}", where=shown, fix=fix) from error
    if not host:
        raise OptionError("not an address of a Ray cluster: it has no host", where=shown, fix=fix)
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError as error:
        reason = error.strerror or error
        raise OptionError(f"no Ray answers at {host}:{port} ({reason})", where=shown, fix=fix) from error


def _not_connected(error: Exception, address: str | None) -> OptionError:
    said = " ".join(str(error).split())
    where = without_secrets(address) if address else "--on ray"
    if "ersion mismatch" in said:
        fix = "install the cluster's Ray and Python here, or this machine's there"
        return OptionError(f"the cluster has another Ray or Python: {said:.400}", where=where, fix=fix)
    fix = (
        "start a cluster with `ray start --head`, or correct --on or RAY_ADDRESS; a cluster with token authentication "
        "wants RAY_AUTH_MODE=token and its token here, too"
    )
    return OptionError(f"Ray can't be used: {type(error).__name__}: {said:.400}", where=where, fix=fix)


def draw_on_ray(plan: Plan, cpus_per_worker: int, note: Callable[[str], None]) -> Iterator[Done]:
    """Draw a plan's shards on the cluster that one is connected to, and yield each that is finished.

    Args:
        plan: What is left to do.
        cpus_per_worker: Processors, and threads, of each worker.
        note: Called with what is worth knowing.

    Raises:
        OptionError: The cluster has no room for a worker, or a shard's workers die again and again.
        MetaganError: What a worker raises.
    """
    import ray

    workers = _start_workers(plan, cpus_per_worker, note)
    files = _put_files(plan)
    left, losses = deque(plan.jobs), Counter[str]()
    pending: dict[Any, tuple[Any, Job | None]] = {_open(worker, files): (worker, None) for worker in workers}
    unfinished = len(plan.jobs)
    try:
        while unfinished:
            (answer,), _ = ray.wait(list(pending), num_returns=1)
            worker, job = pending.pop(answer)
            try:
                done = _result(answer)
            except ray.exceptions.RayError as error:
                if job is not None:
                    _count_loss(losses, job, error)
                    left.appendleft(job)
                if not any(other is worker and what is None for other, what in pending.values()):
                    pending[_open(worker, files)] = (worker, None)
                continue
            if job is not None:
                unfinished -= 1
                yield done
            busy = sum(other is worker for other, _ in pending.values())
            for _ in range(IN_FLIGHT - busy):
                if left:
                    given = left.popleft()
                    pending[worker.write.remote(given, files)] = (worker, given)
    finally:
        for worker in workers:
            ray.kill(worker)


def _open(worker: Any, files: Files) -> Any:
    """Ask a worker to open its target; it answers when Ray has started it, or started it again."""
    return worker.open.options(max_task_retries=-1).remote(files)


def _result(answer: Any) -> Any:
    """What a worker returned.

    Raises:
        MetaganError: What it raised.
        RayError: It was lost.
    """
    import ray

    try:
        return ray.get(answer)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, MetaganError):
            raise cause from None
        said = " ".join(str(cause).split())
        raise OptionError(
            f"a worker failed: {type(cause).__name__}: {said:.400}",
            where="--on ray",
            fix="check that every machine of the cluster has the same metagan and PyTorch as this one",
        ) from error


def _start_workers(plan: Plan, cpus_per_worker: int, note: Callable[[str], None]) -> list[Any]:
    """One actor a GPU, or one for each `cpus_per_worker` processors; no more than there are shards."""
    import ray

    there = ray.cluster_resources()
    gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    on_gpus = plan.device != "cpu"
    room = min(gpus, cpus // cpus_per_worker) if on_gpus else cpus // cpus_per_worker
    if room < 1:
        raise OptionError(
            f"a worker takes {counted(cpus_per_worker, 'processor')}{' and a GPU' if on_gpus else ''}, "
            f"and the cluster has {counted(cpus, 'processor')} and {counted(gpus, 'GPU')}",
            where="--on ray",
            fix="lower --cpus-per-worker, add machines, or choose --device cpu",
        )
    count = min(room, len(plan.jobs))
    machines = sum(node["Alive"] for node in ray.nodes())
    note(f"{counted(count, 'worker')} on {counted(machines, 'machine')}")
    environment = {"OMP_NUM_THREADS": str(cpus_per_worker), "RAY_USAGE_STATS_ENABLED": "0"}
    if plan.settings.program.startswith("metagan's kernel"):
        environment["METAGAN_KERNEL"] = plan.settings.program.split(", ")[1].partition(";")[0]
    actor = ray.remote(Worker).options(
        num_cpus=cpus_per_worker,
        num_gpus=1 if on_gpus else 0,
        max_restarts=-1,
        max_concurrency=IN_FLIGHT,
        runtime_env={"env_vars": environment},
    )
    return [actor.remote(plan) for _ in range(count)]


def _put_files(plan: Plan) -> Files:
    import ray

    both = ((plan.target.weights, plan.settings.weights), (plan.target.upscaler, plan.settings.upscaler))
    return {
        sha256: [ray.put(_content(path))] for path, sha256 in both if path is not None and sha256 is not None
    }


def _content(path: Path) -> dict[str, bytes]:
    """The files of weights, by their path inside a SavedModel's folder, or "" for a file."""
    return {
        file.relative_to(path).as_posix() if path.is_dir() else "": file.read_bytes()
        for file in files_of(path)
    }


def _count_loss(losses: Counter[str], job: Job, error: Exception) -> None:
    name = shard_name(job.seeds)
    losses[name] += 1
    if losses[name] >= MOST_LOSSES:
        said = " ".join(str(error).split())
        raise OptionError(
            f"{losses[name]} workers were lost while they drew shard {name}: {said:.300}",
            where="--on ray",
            fix="see `ray logs`; workers that run out of memory need more --cpus-per-worker, or a smaller --shards",
        )
