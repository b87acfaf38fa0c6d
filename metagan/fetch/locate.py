"""A registry's reference to weights -> a verified file on this machine."""

from __future__ import annotations

from pathlib import Path

from metagan.errors import FetchError
from metagan.fetch.cache import verify
from metagan.fetch.transfer import Patience, Progress, fetch_error
from metagan.fetch.weights_file import SAVED_MODEL_MARKER
from metagan.registry.models import WeightsRef
from metagan.registry.weights_ref import bundled_weights

PATIENCE = Patience()


def locate_weights(
    ref: WeightsRef, *, offline: bool = False, progress: Progress | None = None, patience: Patience = PATIENCE
) -> Path:
    """The weights file itself, downloaded if it must be, and proved to be the one meant.

    Args:
        ref: Where the file is; a stated SHA-256 is always checked, and must be stated for a remote file.
        offline: Download nothing; remote files must be in the cache.
        progress: Called with the state of a download.
        patience: When a download is given up.

    Raises:
        OfflineError: The file isn't in the cache, and asked for offline.
        HashMismatchError: The file isn't the one meant; names both hashes and where it is.
        FetchError: The file isn't there, can't be read or can't be downloaded.
        OptionError: There are no bundled weights of that name.
    """
    if ref.kind in {"path", "bundled"}:
        path = bundled_weights(ref.location) if ref.kind == "bundled" else Path(ref.location)
        return _local(path, ref)
    if ref.sha256 is None:
        raise fetch_error(
            ref.text,
            "has no SHA-256 to prove it by",
            "state the file's sha256 in the registry, or with --sha256",
        )
    if ref.kind == "hf":
        from metagan.fetch.hub import fetch_from_hub

        return fetch_from_hub(ref.location, ref.sha256, offline=offline, progress=progress)
    from metagan.fetch.download import download

    return download(ref.location, ref.sha256, offline=offline, progress=progress, patience=patience)


def _local(path: Path, ref: WeightsRef) -> Path:
    try:
        if not path.is_file() and not (path / SAVED_MODEL_MARKER).is_file():
            raise FetchError(f"{path}: there is no such file\n  fix: correct the path, or put the file there")
        return verify(path, ref.sha256, ref.text) if ref.sha256 else path
    except OSError as error:
        fix = "give yourself the right to read it"
        raise fetch_error(str(path), f"can't be read: {error.strerror or error}", fix) from error
