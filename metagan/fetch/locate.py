"""Turns a registry's reference to weights into a verified local file."""

from __future__ import annotations

from pathlib import Path

from metagan.errors import FetchError
from metagan.fetch.cache import verify
from metagan.fetch.transfer import DownloadLimits, Progress, fetch_error
from metagan.files import why_no_file
from metagan.registry.weights_ref import SAVED_MODEL_MARKER, WeightsRef, bundled_weights

LIMITS = DownloadLimits()


def locate_weights(
    ref: WeightsRef,
    *,
    offline: bool = False,
    progress: Progress | None = None,
    limits: DownloadLimits = LIMITS,
) -> Path:
    """Find the weights file, download it if needed, and verify it.

    Args:
        ref: The reference. A stated SHA-256 is always checked; remote files require one.
        offline: Don't download; remote files must be in the cache.
        progress: Called with the state of a download.
        limits: When to give up a download.

    Raises:
        OfflineError: If `offline` is set and the file is not in the cache.
        HashMismatchError: If the file has another hash. The message has both hashes and the file's path.
        FetchError: If the file does not exist, can't be read or can't be downloaded.
        OptionError: If there are no bundled weights with this name.
    """
    if ref.kind in {"path", "bundled"}:
        path = bundled_weights(ref.location) if ref.kind == "bundled" else Path(ref.location)
        return _local(path, ref)
    if ref.sha256 is None:
        raise fetch_error(
            ref.text,
            "needs a SHA-256",
            "state the file's sha256 in the registry, or with --sha256",
        )
    if ref.kind == "hf":
        from metagan.fetch.hub import fetch_from_hub

        return fetch_from_hub(ref.location, ref.sha256, offline=offline, progress=progress)
    from metagan.fetch.download import download

    return download(ref.location, ref.sha256, offline=offline, progress=progress, limits=limits)


def _local(path: Path, ref: WeightsRef) -> Path:
    try:
        if not path.is_file() and not (path / SAVED_MODEL_MARKER).is_file():
            raise FetchError(why_no_file(path), where=path, fix="correct the path, or put the file there")
        return verify(path, ref.sha256, ref.text) if ref.sha256 else path
    except OSError as error:
        fix = "give your user permission to read it"
        raise fetch_error(str(path), f"can't be read: {error.strerror or error}", fix) from error
