"""Downloads a file from the Hugging Face hub, with the hub's library and into its cache."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import CRITICAL
from pathlib import Path
from typing import Any

from metagan.errors import FetchError, OfflineError
from metagan.fetch.cache import verify
from metagan.fetch.transfer import Progress, Transfer, fetch_error
from metagan.fetch.weights_file import sha256_of


def fetch_from_hub(location: str, sha256: str, *, offline: bool, progress: Progress | None) -> Path:
    """Return the cached copy of a file on the hub, after downloading it if needed.

    Args:
        location: "owner/repo/file", or "owner/repo@revision/file".
        sha256: The file's SHA-256.
        offline: Use the hub library's cache only, as with HF_HUB_OFFLINE=1.
        progress: Called with the state of the transfer.

    Raises:
        OfflineError: If `offline` is set and the file is not in the cache.
        HashMismatchError: If the file has another hash. It stays in the hub library's cache.
        FetchError: If it can't be downloaded, or huggingface_hub is not installed.
    """
    source = f"hf://{location}"
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        fix = "pip install 'metagan[hub]'"
        raise fetch_error(source, "needs huggingface_hub, which is not installed", fix) from error
    owner, repo_and_revision, file = location.split("/", 2)
    repo, _, revision = repo_and_revision.partition("@")

    def ask(*, local: bool, bar: type[Any] | None = None) -> Path:
        repo_id = f"{owner}/{repo}"
        return Path(
            hf_hub_download(repo_id, file, revision=revision or None, local_files_only=local, tqdm_class=bar)
        )

    with _quiet(), _explained(source, offline=offline):
        with suppress(errors.LocalEntryNotFoundError):
            cached = ask(local=True)
            if offline or sha256_of(cached) == sha256:
                return verify(cached, sha256, source)
        bar = _bar_class(file.rpartition("/")[2], progress)
        return verify(ask(local=offline, bar=bar), sha256, source)


@contextmanager
def _explained(source: str, *, offline: bool) -> Iterator[None]:
    """Turn errors of the hub's library into errors with a fix."""
    from huggingface_hub import constants, errors

    later = "check the network and the disk, or try again later"
    try:
        yield
    except FetchError:
        raise
    except errors.LocalEntryNotFoundError as error:
        if offline or constants.HF_HUB_OFFLINE:
            raise OfflineError(
                "not in the hub library's cache, and offline mode is set",
                where=source,
                fix="run the command once without --offline and HF_HUB_OFFLINE to download it",
            ) from error
        what = f"the hub refuses the file: {_first_line(error.__cause__ or error)}"
        raise fetch_error(source, what, later) from error
    except errors.GatedRepoError as error:
        fix = "accept its conditions on the hub's page, then run `hf auth login`"
        raise fetch_error(source, "the repository is gated", fix) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        fix = "correct owner, repository, revision or file; for a private repository run `hf auth login`"
        raise fetch_error(source, "the hub has no such file", fix) from error
    except (OSError, ValueError) as error:
        raise fetch_error(source, _first_line(error), later) from error
    except Exception as error:
        # The library passes on errors of its HTTP client, and that client has changed between versions.
        if not any(base.__name__ == "HTTPError" for base in type(error).__mro__):
            raise
        raise fetch_error(source, _first_line(error), later) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's logging to stderr. Errors are raised anyway."""
    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _bar_class(name: str, progress: Progress | None) -> type[Any]:
    """Make a tqdm class that draws nothing and passes the library's progress on."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    best = 0

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})

        def update(self, n: int | float | None = 1) -> bool | None:
            nonlocal best
            shown: bool | None = super().update(n)
            if progress and self.n > best:
                best = int(self.n)
                progress(Transfer(name, best, int(self.total) if self.total else None))
            return shown

    return Bar
