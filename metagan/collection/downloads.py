"""Downloads pictures from the addresses in metadata, several at a time, and checks them in separate processes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx2
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event

from metagan import __version__
from metagan.collection.marketplace import DIRECT, RetryPolicy, TransientError, asked_pause
from metagan.collection.model import Item
from metagan.collection.pictures import MAX_BYTES, NoPictureError, check_picture, decode_data_uri, file_stem
from metagan.collection.sources.made import CRASHED, KnownPictures, keep_picture
from metagan.collection.store import IMAGES_NAME, PROGRESS_NAME
from metagan.datasets.pool import OrderedPool
from metagan.registry.weights_ref import LOOPBACK

GATEWAY: Final = "https://ipfs.io/ipfs/"
AT_ONCE: Final = 8
LONGEST_PAUSE_S: Final = 60.0
_SAID_FROM_S: Final = 5
_MAX_REDIRECTS: Final = 5
_PART: Final = ".part"


@dataclass(frozen=True)
class Downloads:
    """How to download pictures.

    Args:
        gateway: Address of the IPFS gateway for `ipfs://` addresses.
        at_once: Number of simultaneous requests.
        svg_px: Longer side of drawn SVG pictures in pixels.
        local: Whether plain http to this machine is allowed, for a marketplace that runs on it.
        workers: Number of processes that check pictures; 0 uses only this one.
        retry_policy: When to give up on a picture; its `sleep` is used only if it isn't `time.sleep`.
        note: Called with what the user should know: that a host asked for a pause.
    """

    gateway: str = GATEWAY
    at_once: int = AT_ONCE
    svg_px: int = 512
    local: bool = False
    workers: int = 0
    retry_policy: RetryPolicy = field(default_factory=lambda: RetryPolicy(tries=4, longest_s=LONGEST_PAUSE_S))
    note: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class _Arrived:
    item: Item
    part: Path | None = None
    reason: str = ""


def download_pictures(
    out: Path, items: Sequence[Item], how: Downloads, advance: Callable[[int], None] = lambda _: None
) -> list[Item]:
    """Download the pictures of items; those on disk that came from the same address are not requested again.

    Args:
        out: The collection's folder.
        items: The items, with the address of their picture in `url`.
        how: How to download.
        advance: Called with the number of further pictures done.

    Returns:
        The items in order, with `file` and `sha256`, or with the reason in `missing`.
    """
    (out / IMAGES_NAME).mkdir(exist_ok=True)
    (out / PROGRESS_NAME).mkdir(exist_ok=True)
    known = KnownPictures(out)
    done = {item.id: kept for item in items if (kept := known.of(item))}
    wanted = [item for item in items if item.id not in done]
    advance(len(done))
    pool = OrderedPool(partial(_check, out, how.svg_px), how.workers, partial(_crashed, out))
    with known.recording() as record, closing(_arriving(out, wanted, how)) as arriving:
        for item in pool.map(arriving):
            done[item.id] = item
            record(item)
            advance(1)
    return [done[item.id] for item in items]


def address_of(url: str, gateway: str = GATEWAY, *, local: bool = False) -> str:
    """Convert a picture's URL to an https address.

    Raises:
        NoPictureError: If addresses of its kind are not downloaded.
    """
    text = url.strip()
    scheme = text.partition(":")[0].lower()
    if scheme == "ipfs":
        path = text.partition(":")[2].lstrip("/").removeprefix("ipfs/")
        return f"{gateway.rstrip('/')}/{path.replace('#', '%23')}"  # a name such as "Ape #1.png", no fragment
    if scheme == "ar":
        return f"https://arweave.net/{text.partition(':')[2].lstrip('/')}"
    try:
        host = urlsplit(text).hostname
    except ValueError as error:
        raise NoPictureError("a damaged address") from error
    if scheme == "https" and host:
        return text
    if scheme == "http" and local and is_this_machine(host):
        return text
    raise NoPictureError(f"an address that isn't https, ipfs or data ({scheme[:20]}:)")


def is_this_machine(host: str | None) -> bool:
    """Return whether a host's name stands for this machine: 127.0.0.1, localhost, or CID.ipfs.localhost (RFC 6761)."""
    return host is not None and (host in LOOPBACK or host.endswith(".localhost"))


class _Pauses:
    """Waits between requests, which end when the fetch does; the longest of those at a time is announced.

    Args:
        policy: The policy of retries.
        note: Called with the announcement.
    """

    def __init__(self, policy: RetryPolicy, note: Callable[[str], None]) -> None:
        self.ended = threading.Event()
        self._policy = policy
        self._note = note
        self._said_until = 0.0
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the fetch ends."""
        with self._lock:
            news = seconds >= _SAID_FROM_S and time.monotonic() >= self._said_until
            if news:
                self._said_until = time.monotonic() + seconds
        if news:
            self._note(f"waiting {seconds:.0f} s for a picture, as its host asks or after it failed")
        if self._policy.sleep is time.sleep:
            sleep_using_event(self.ended)(seconds)
        else:
            self._policy.sleep(seconds)


def _arriving(out: Path, items: Sequence[Item], how: Downloads) -> Generator[_Arrived, None, None]:
    """Yield each item in order when its file has arrived; a bounded number of downloads run ahead."""
    headers = {"User-Agent": f"metagan/{__version__}", "Accept": "image/*,*/*;q=0.5"}
    limits = httpx2.Limits(max_connections=how.at_once)
    client = httpx2.Client(
        timeout=how.retry_policy.timeout_s, headers=headers, limits=limits, mounts=dict(DIRECT)
    )
    pauses = _Pauses(how.retry_policy, how.note)
    with client, ThreadPoolExecutor(how.at_once) as threads:
        waiting: deque[Future[_Arrived]] = deque()
        ahead = iter(items)
        try:
            while True:
                while len(waiting) < 4 * how.at_once and (item := next(ahead, None)) is not None:
                    waiting.append(threads.submit(_fetch, client, out, item, how, pauses))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pauses.ended.set()
            for future in waiting:
                future.cancel()


def _fetch(client: httpx2.Client, out: Path, item: Item, how: Downloads, pauses: _Pauses) -> _Arrived:
    if not item.url:
        return _Arrived(item, reason="its source names no picture")
    part = out / PROGRESS_NAME / f".{file_stem(item.id)}{_PART}.tmp"
    try:
        if item.url.strip()[:5].lower() == "data:":
            part.write_bytes(decode_data_uri(item.url.strip()))
        else:
            _download(client, address_of(item.url, how.gateway, local=how.local), part, how, pauses)
    except (NoPictureError, TransientError) as error:
        part.unlink(missing_ok=True)
        return _Arrived(item, reason=str(error))
    return _Arrived(item, part)


def _download(client: httpx2.Client, url: str, part: Path, how: Downloads, pauses: _Pauses) -> None:
    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TransientError) and error.wait_s is not None:
            return min(error.wait_s, how.retry_policy.longest_s)
        return wait_random_exponential(how.retry_policy.backoff_s, max=LONGEST_PAUSE_S)(state)

    retrying = Retrying(
        stop=stop_after_attempt(how.retry_policy.tries) | stop_when_event_set(pauses.ended),
        wait=wait,
        retry=retry_if_exception_type(TransientError),
        sleep=pauses.sleep,
        reraise=True,
    )
    retrying(_download_once, client, url, part, how, pauses.ended)


def _download_once(
    client: httpx2.Client, url: str, part: Path, how: Downloads, ended: threading.Event
) -> None:
    for _ in range(_MAX_REDIRECTS + 1):
        try:
            with client.stream("GET", url) as response:
                if response.is_redirect:
                    url = address_of(
                        urljoin(url, response.headers.get("Location", "")), how.gateway, local=how.local
                    )
                    continue
                status = response.status_code
                if status >= 500 or status in (408, 425, 429):
                    raise TransientError(f"HTTP {status}", asked_pause(response.headers))
                if status != 200:
                    raise NoPictureError(f"HTTP {status}")
                _receive(response, part, ended)
                return
        except httpx2.HTTPError as error:
            raise TransientError(f"no answer ({type(error).__name__})") from error
        except (httpx2.InvalidURL, ValueError) as error:  # of urljoin, and of the codec for hosts' names
            raise NoPictureError("a damaged address") from error
    raise NoPictureError(f"want at most {_MAX_REDIRECTS} redirections, got more")


def _receive(response: httpx2.Response, part: Path, ended: threading.Event) -> None:
    size = 0
    with part.open("wb") as file:
        for chunk in response.iter_bytes():
            if ended.is_set():
                raise NoPictureError("the fetch was stopped")
            size += len(chunk)
            if size > MAX_BYTES:
                told = response.headers.get("Content-Length", "")
                got = f"{max(int(told[:15]), size):,}" if told.isdecimal() and told.isascii() else "more"
                raise NoPictureError(f"want at most {MAX_BYTES:,} bytes for a picture, got {got}")
            file.write(chunk)


def _check(out: Path, svg_px: int, arrived: _Arrived) -> Item:
    if arrived.part is None:
        return arrived.item.model_copy(update={"missing": arrived.reason, "file": None, "sha256": None})
    try:
        return _without_data(
            keep_picture(out, arrived.item, check_picture(arrived.part.read_bytes(), svg_px))
        )
    except NoPictureError as error:
        return arrived.item.model_copy(update={"missing": str(error), "file": None, "sha256": None})
    finally:
        arrived.part.unlink(missing_ok=True)


def _crashed(out: Path, arrived: _Arrived) -> Item:
    del out
    if arrived.part is not None:
        arrived.part.unlink(missing_ok=True)
    return arrived.item.model_copy(update={"missing": CRASHED, "file": None, "sha256": None})


def _without_data(item: Item) -> Item:
    # A picture that came inside its address need not stand in the table as well.
    if item.url and item.url[:5].lower() == "data:":
        return item.model_copy(update={"url": item.url.partition(",")[0].partition(";")[0]})
    return item
