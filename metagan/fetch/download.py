"""Downloads a file by https into the cache: streams it, resumes it, retries, and verifies its hash.

An interrupted download resumes only if the host still has the same version of the file, or sends no version.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
from filelock import FileLock, Timeout

from metagan import __version__
from metagan.errors import FetchError, HashMismatchError, OfflineError
from metagan.fetch.cache import Slot, cache_folder, mismatch, safe_name
from metagan.fetch.transfer import DownloadLimits, Progress, Transfer, fetch_error
from metagan.fetch.weights_file import sha256_of
from metagan.registry.weights_ref import LOOPBACK

MAX_BYTES = 64 << 30
MAX_REQUESTS = 200
MAX_REDIRECTS = 10
MAX_WAIT_S = 120.0

# --------------------------------------------------------------------------------------------
# Responses of hosts and errors of the HTTP client, as messages with a fix.
# RFC 9110, section 14 (Range), 13.1.5 (If-Range) and 15 (status codes).

_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)")


class InterruptedTransferError(Exception):
    """A failed request that is worth retrying. It is caught within this package.

    Args:
        gained: Whether it downloaded some bytes nevertheless.
        wait_s: How long the host asks to wait, or None.
    """

    def __init__(self, what: str, *, gained: bool = False, wait_s: float | None = None) -> None:
        self.gained = gained
        self.wait_s = wait_s
        super().__init__(what)


def extent(url: str, response: httpx2.Response, done: int) -> tuple[int, int | None]:
    """Return where in the file the response starts, and the size of the file."""
    status = response.status_code
    if status in _TRANSIENT_STATUSES:
        raise InterruptedTransferError(f"answers {_reason(response)}", wait_s=_retry_after(response))
    if status not in {200, 206}:
        raise fetch_error(url, f"answers {_reason(response)}", _fix_for(status))
    if response.headers.get("Content-Encoding", "identity") != "identity":
        what = f"was sent compressed ({response.headers['Content-Encoding']}) although the request did not allow it"
        raise fetch_error(
            url, what, "download it in a browser, unpack it and write its path into the registry"
        )
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() and len(length) < 30 else None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or match[1] != str(done):
        raise fetch_error(
            url, "sends another part of the file than requested", "report this to the publisher"
        )
    return done, None if match[2] == "*" else int(match[2])


def size_behind_end(response: httpx2.Response) -> int | None:
    """Return the file's size if the response says that the requested range is past its end."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[2]) if response.status_code == 416 and match and match[2] != "*" else None


def validator(response: httpx2.Response) -> str | None:
    """Return a validator for If-Range: a strong ETag, or the date of the last change."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):
        return str(etag)
    date = response.headers.get("Last-Modified")
    return str(date) if date and not etag else None


def _retry_after(response: httpx2.Response) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), MAX_WAIT_S) if seconds.isdecimal() and len(seconds) < 9 else None


def _reason(response: httpx2.Response) -> str:
    return f"{response.status_code} {response.reason_phrase}".strip()


def _fix_for(status: int) -> str:
    if status in {401, 402, 403, 407}:
        return "the host requires a login or forbids access: download it by browser and put its path into the registry"
    if status in {404, 410}:
        return "the file does not exist (any more): correct the address, or ask the publisher for the new one"
    return "open the address in a browser to see the reason"


@contextmanager
def explained(url: str, gained: Callable[[], bool]) -> Iterator[None]:
    """Turn errors of the HTTP client into errors with a fix, or into interruptions that are retried."""
    try:
        yield
    except httpx2.TooManyRedirects as error:
        raise fetch_error(url, f"redirects more than {MAX_REDIRECTS} times", "correct the address") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
        raise fetch_error(url, f"can't be requested: {error}", "correct the address") from error
    except UnicodeError as error:
        raise fetch_error(url, f"there is no such host: {error}", "correct the host name") from error
    except httpx2.TransportError as error:
        cause = _first_cause(error)
        if isinstance(error, httpx2.ConnectError) and isinstance(cause, ssl.SSLError):
            fix = "check the machine's clock and certificates (SSL_CERT_FILE), and the address"
            raise fetch_error(url, f"no secure connection: {cause}", fix) from error
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            fix = "correct the host name, or check the network"
            raise fetch_error(url, "there is no host with this name", fix) from error
        raise InterruptedTransferError(_in_words(error), gained=gained()) from error
    except httpx2.HTTPError as error:
        raise fetch_error(url, _in_words(error), "try again later") from error


def _first_cause(error: BaseException) -> BaseException:
    while following := error.__cause__ or error.__context__:
        error = following
    return error


def _in_words(error: httpx2.HTTPError) -> str:
    if isinstance(error, httpx2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return "no more bytes in time"
    return f"{str(error) or type(error).__name__}"


# --------------------------------------------------------------------------------------------
# The download.


def download(
    url: str, sha256: str, *, offline: bool, progress: Progress | None, limits: DownloadLimits
) -> Path:
    """Return the cached file of a URL, after downloading it if needed.

    Args:
        url: An https address, or http on this machine itself.
        sha256: The file's SHA-256.
        offline: Use the cache only.
        progress: Called with the state of the transfer.
        limits: When to give up.

    Raises:
        OfflineError: If `offline` is set and the file is not in the cache.
        HashMismatchError: If the file has another hash. It is kept in mismatched/.
        FetchError: If it can't be downloaded.
    """
    slot = Slot(cache_folder(), sha256, safe_name(unquote(urlsplit(url).path).rpartition("/")[2]))
    try:
        if offline:
            return _find_offline(slot, url)
        slot.part.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(slot.lock, timeout=limits.lock_s):
            return _find(slot, url) or _download(slot, url, progress, limits)
    except Timeout as error:
        what = f"another process has been downloading it for {limits.lock_s:.0f} s"
        raise fetch_error(url, what, "wait until it ends, or stop it, then try again") from error
    except OSError as error:
        what = f"the cache {slot.folder} can't be used: {error.strerror or error}"
        fix = "free some space, give your user permission to write there, or choose another folder with METAGAN_CACHE"
        raise fetch_error(url, what, fix) from error


def _find_offline(slot: Slot, url: str) -> Path:
    if found := slot.find(url):
        return found
    raise OfflineError(
        f"not in the cache {slot.folder}, and --offline is set",
        where=url,
        fix="run the command once without --offline to download it",
    )


def _find(slot: Slot, url: str) -> Path | None:
    try:
        return slot.find(url)
    except HashMismatchError:
        return None  # the cached file was damaged and has been moved aside: download it again


def _download(slot: Slot, url: str, progress: Progress | None, limits: DownloadLimits) -> Path:
    continued = slot.done_bytes() > 0
    while True:
        _transfer(slot, url, progress, limits)
        actual = sha256_of(slot.part)
        if actual == slot.sha256:
            return slot.keep()
        if not continued:
            raise mismatch(url, slot.sha256, actual, slot.set_aside(slot.part, actual))
        slot.start_over()  # the part may be of another version of the file
        continued = False


def _transfer(slot: Slot, url: str, progress: Progress | None, limits: DownloadLimits) -> None:
    """Request the file until it is complete."""
    failures = 0
    with _client(url, limits) as client:
        for _ in range(MAX_REQUESTS):
            try:
                return _request(client, slot, url, progress)
            except InterruptedTransferError as error:
                failures = 1 if error.gained else failures + 1
                if failures >= limits.failures:
                    raise _given_up(url, error, slot) from error
                pause = limits.backoff_s * 2 ** (failures - 1) if error.wait_s is None else error.wait_s
                time.sleep(pause)
    raise fetch_error(
        url, f"interrupted {MAX_REQUESTS} times", "try again later; the downloaded part is kept"
    )


def _given_up(url: str, error: InterruptedTransferError, slot: Slot) -> FetchError:
    done = slot.done_bytes()
    kept = f"; the {done:,} bytes downloaded so far are kept, and the next try resumes there" if done else ""
    return fetch_error(url, str(error), f"check the network, or try again later{kept}")


def _client(url: str, limits: DownloadLimits) -> httpx2.Client:
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK

    def refuse_insecure(request: httpx2.Request) -> None:
        if request.url.scheme != "https" and not (local and request.url.host in LOOPBACK):
            what = f"redirects to {request.url}, which is not https"
            raise fetch_error(url, what, "ask the publisher for an https address, or download it by hand")

    return httpx2.Client(
        timeout=httpx2.Timeout(limits.read_s, connect=limits.connect_s),
        follow_redirects=True,
        max_redirects=MAX_REDIRECTS,
        event_hooks={"request": [refuse_insecure]},
        mounts={f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")},  # not by a proxy
        headers={"User-Agent": f"metagan/{__version__}", "Accept-Encoding": "identity"},
    )


def _request(client: httpx2.Client, slot: Slot, url: str, progress: Progress | None) -> None:
    """Send one request for the missing part."""
    done = slot.done_bytes()
    headers = {"Range": f"bytes={done}-"} if done else {}
    if done and (version := slot.validator(url)):
        headers["If-Range"] = version
    with (
        explained(url, lambda: slot.done_bytes() > done),
        client.stream("GET", url, headers=headers) as response,
    ):
        if done and response.status_code == 416:
            if size_behind_end(response) == done:
                return
            slot.start_over()
            raise InterruptedTransferError(
                "the host has another version than the downloaded part", wait_s=0.0
            )
        start, total = extent(url, response, done)
        _check_size(url, slot, start, total)
        if start == 0:
            slot.start_over()
            slot.note_validator(url, validator(response))
        _receive(url, response, slot, total, progress)


def _check_size(url: str, slot: Slot, start: int, total: int | None) -> None:
    if total is None:
        return
    free = shutil.disk_usage(slot.part.parent).free + (slot.done_bytes() if start == 0 else 0)
    if total > MAX_BYTES:
        raise fetch_error(url, f"want at most {MAX_BYTES:,} bytes, got {total:,}", "use a smaller file")
    if total - start > free:
        what = f"{total - start:,} bytes are needed, but only {free:,} are free in {slot.folder}"
        raise fetch_error(url, what, "free some space, or choose a folder on another disk with METAGAN_CACHE")


def _receive(
    url: str, response: httpx2.Response, slot: Slot, total: int | None, progress: Progress | None
) -> None:
    done = slot.done_bytes()
    with slot.part.open("ab") as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            if done > MAX_BYTES:
                raise fetch_error(url, f"want at most {MAX_BYTES:,} bytes, got more", "use a smaller file")
            if progress:
                progress(Transfer(slot.name, done, total))
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise InterruptedTransferError(f"ends after {done:,} of {total:,} bytes")
