"""A client for the marketplace API of OpenSea, version 2, after its published OpenAPI file.

Requests are sent one after the other, as fast as the answers' `X-RateLimit-*` and `Retry-After` headers allow.
Transient failures (429, 599 and other 5xx, a body that ends early or isn't JSON) are retried with growing, jittered
pauses. The key is sent to the API's host only, and appears in no message.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from metagan import __version__
from metagan.collection.attributes import clean
from metagan.collection.model import LAST_SECOND, MOST
from metagan.errors import CollectionError
from metagan.files import open_regular
from metagan.registry.weights_ref import LOOPBACK
from metagan.values import counted

API_URL: Final = "https://api.opensea.io"
KEY_VARIABLE: Final = "OPENSEA_API_KEY"
PAGE_ITEMS: Final = 200  # the API's largest page
BATCH_ITEMS: Final = 50
MAX_ANSWER_BYTES: Final = 64 << 20
_MAX_KEY: Final = 4096
_MOST_SAID: Final = 64 << 10
# Requests to this machine don't go through a proxy.
DIRECT: Final[Mapping[str, None]] = {
    f"all://{host}": None for host in ("127.0.0.1", "localhost", "*.localhost", "[::1]")
}
_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_TRANSIENT_4XX: Final = frozenset({408, 425, 429})


class ApiRecord(BaseModel):
    """A part of an answer; fields that metagan doesn't use are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ApiContract(ApiRecord):
    """A collection's contract."""

    address: str
    chain: str


class ApiCollection(ApiRecord):
    """GET /api/v2/collections/{slug}."""

    collection: str
    name: str
    description: str | None = None
    category: str | None = None
    opensea_url: str | None = None
    contracts: tuple[ApiContract, ...] = ()
    unique_item_count: int | None = None
    total_supply: int | None = None


class ApiNft(ApiRecord):
    """An item of GET /api/v2/collection/{slug}/nfts or POST /api/v2/nfts/batch."""

    identifier: str
    contract: str = ""
    name: str | None = None
    description: str | None = None
    image_url: str | None = None
    original_image_url: str | None = None
    display_image_url: str | None = None
    opensea_url: str | None = None
    is_nsfw: bool | None = None
    traits: list[Any] | None = None


class ApiPayment(ApiRecord):
    """A payment: `quantity` units of 10^-decimals `symbol`."""

    quantity: str = Field(max_length=400)
    decimals: int
    symbol: str


class ApiEvent(ApiRecord):
    """A sale of GET /api/v2/events/collection/{slug}."""

    event_type: str
    event_timestamp: int = Field(ge=0, le=LAST_SECOND)
    transaction: str | None = None
    order_hash: str | None = None
    payment: ApiPayment | None = None
    closing_date: int | None = Field(default=None, ge=0, le=LAST_SECOND)
    quantity: int = Field(default=1, le=MOST)
    nft: ApiNft | None = None


class _Page(ApiRecord):
    next: str | None = None


class _NftPage(_Page):
    nfts: list[Any]


class _EventPage(_Page):
    asset_events: list[Any]


@dataclass(frozen=True)
class Page:
    """One page of a list.

    Args:
        records: The readable records.
        next: The cursor of the next page; None at the end.
        wrong: Why other records couldn't be read.
    """

    records: tuple[Any, ...]
    next: str | None
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a host.

    Args:
        tries: Requests for the same thing before giving up.
        backoff_s: Longest first pause; each further one may be twice as long.
        longest_s: Longest pause, including those that the host asks for.
        timeout_s: Longest time without a byte from the host.
        sleep: Function that waits.
    """

    tries: int = 8
    backoff_s: float = 1.0
    longest_s: float = 900.0
    timeout_s: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


class TransientError(Exception):
    """An answer that may be better at the next request.

    Args:
        what: What is wrong with the answer.
        wait_s: How long the host asks to wait, or None.
    """

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


Answer = TypeVar("Answer", bound=ApiRecord)


class Marketplace:
    """A connection to the API.

    Args:
        key: The API key.
        api_url: The API's address: https, or http on this machine.
        retry_policy: When to give up.

    Raises:
        CollectionError: If the key or the address is invalid.
    """

    def __init__(self, key: str, api_url: str = API_URL, retry_policy: RetryPolicy | None = None) -> None:
        self.retry_policy = retry_policy or RetryPolicy()
        self.api_url = api_url.rstrip("/")
        try:
            parts = urlsplit(self.api_url)
        except ValueError as error:
            raise _no_address(api_url) from error
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise _no_address(api_url)
        if not (key.isascii() and key.isprintable() and key) or " " in key:
            raise CollectionError(
                "the API key has characters that no key has, such as spaces or line ends",
                fix=f"set {KEY_VARIABLE} to the key alone",
            )
        self._key = key
        self._free_at = 0.0
        self._client = httpx2.Client(
            timeout=self.retry_policy.timeout_s,
            headers={"User-Agent": f"metagan/{__version__}", "Accept": "application/json", "x-api-key": key},
            mounts=dict(DIRECT),
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def collection(self, slug: str) -> ApiCollection:
        """Request a collection's facts.

        Raises:
            CollectionError: If the slug is unknown, the key is refused, or the API can't be reached.
        """
        return self._ask(ApiCollection, "GET", f"/api/v2/collections/{_checked(slug)}", slug)

    def nfts(self, slug: str, cursor: str | None) -> Page:
        """Request a page of a collection's items.

        Raises:
            CollectionError: As for `collection`.
        """
        params = {"limit": str(PAGE_ITEMS)} | ({"next": cursor} if cursor else {})
        page = self._ask(_NftPage, "GET", f"/api/v2/collection/{_checked(slug)}/nfts", slug, params=params)
        return _page(ApiNft, page.nfts, page.next)

    def batch(self, chain: str, tokens: Sequence[tuple[str, str]], slug: str) -> list[ApiNft]:
        """Request items by (contract, identifier); those that the API doesn't know are left out.

        Raises:
            CollectionError: As for `collection`.
        """
        found: list[ApiNft] = []
        for at in range(0, len(tokens), BATCH_ITEMS):
            some = tokens[at : at + BATCH_ITEMS]
            wanted = [
                {"chain": chain, "contract_address": contract, "token_id": token} for contract, token in some
            ]
            page = self._ask(_NftPage, "POST", "/api/v2/nfts/batch", slug, json={"identifiers": wanted})
            found += _page(ApiNft, page.nfts, None).records
        return found

    def sales(self, slug: str, cursor: str | None) -> Page:
        """Request a page of a collection's sales, newest first.

        Raises:
            CollectionError: As for `collection`.
        """
        params = {"event_type": "sale", "limit": str(PAGE_ITEMS)} | ({"next": cursor} if cursor else {})
        page = self._ask(
            _EventPage, "GET", f"/api/v2/events/collection/{_checked(slug)}", slug, params=params
        )
        return _page(ApiEvent, page.asset_events, page.next)

    def _ask(self, answer: type[Answer], method: str, path: str, slug: str, **more: Any) -> Answer:
        retrying = Retrying(
            stop=stop_after_attempt(self.retry_policy.tries),
            wait=self._wait,
            retry=retry_if_exception_type(TransientError),
            sleep=self.retry_policy.sleep,
            reraise=True,
        )
        try:
            given: Answer = retrying(self._ask_once, answer, method, path, slug, more)
        except TransientError as error:
            raise CollectionError(
                f"{self._redacted(str(error))}, {self.retry_policy.tries} times in a row",
                where=f"{self.api_url}{path}",
                fix="look at the network, or try again later; what has arrived is kept, and the same call goes on",
            ) from None
        return given

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_s if isinstance(error, TransientError) else None
        if asked is not None:
            return min(asked, self.retry_policy.longest_s)
        return wait_random_exponential(self.retry_policy.backoff_s, max=self.retry_policy.longest_s)(state)

    def _ask_once(
        self, answer: type[Answer], method: str, path: str, slug: str, more: Mapping[str, Any]
    ) -> Answer:
        pause = self._free_at - time.time()
        if pause > 0:
            self.retry_policy.sleep(min(pause, self.retry_policy.longest_s))
        try:
            with self._client.stream(method, f"{self.api_url}{path}", **more) as response:
                body = _bounded(response)
        except httpx2.HTTPError as error:
            raise TransientError(f"no answer ({type(error).__name__}: {error})") from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise _no_address(self.api_url) from error
        self._free_at = _free_at(response.headers)
        self._refuse(response, path, slug, body)
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            raise TransientError(f"an answer of another form ({_first_problem(error)})") from None

    def _refuse(self, response: httpx2.Response, path: str, slug: str, body: bytes) -> None:
        status = response.status_code
        if status == 200:
            return
        said = clean(self._redacted(body[:_MOST_SAID].decode("utf-8", "replace")), 200)  # cut after redacting
        if status >= 500 or status in _TRANSIENT_4XX:
            raise TransientError(f"HTTP {status}", asked_pause(response.headers))
        if status in (401, 403):
            raise CollectionError(
                f"refuses the API key (HTTP {status}: {said})",
                where=self.api_url,
                fix=f"get a key from the marketplace, and set {KEY_VARIABLE} to it, or give --key-file",
            )
        if status == 404:
            raise CollectionError(
                f"no such collection at {self.api_url}",
                where=slug,
                fix="take the last part of its page's address, https://opensea.io/collection/SLUG",
            )
        raise CollectionError(
            f"HTTP {status}: {said}",
            where=f"{self.api_url}{path}",
            fix="check the slug and --api-url; if they are right, try again later",
        )

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[the key]")


def read_key(key_file: Path | None) -> str:
    """Read the API key from a file, or from the environment.

    Raises:
        CollectionError: If there is no key, or the file can't be read.
    """
    if key_file is not None:
        try:
            with open_regular(key_file) as file:
                key = file.read(_MAX_KEY + 1).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise CollectionError(
                f"can't be read ({reason})", where=f"--key-file {key_file}", fix="check the path"
            ) from error
        if len(key) > _MAX_KEY or len(key.split()) > 1:
            raise CollectionError(
                f"want one key of at most {_MAX_KEY} characters, got {len(key):,} in "
                f"{counted(len(key.split()), 'word')}",
                where=f"--key-file {key_file}",
                fix="write the key alone on one line",
            )
    else:
        key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        what = (
            f"no API key: {KEY_VARIABLE} is not set"
            if key_file is None
            else f"--key-file {key_file}: is empty"
        )
        raise CollectionError(what, fix=f"export {KEY_VARIABLE}=..., or give --key-file FILE")
    return key


def _no_address(url: str) -> CollectionError:
    return CollectionError(
        "want an https address, or http on this machine",
        where=f"--api-url {url}",
        fix="give an address such as https://api.opensea.io",
    )


def _checked(slug: str) -> str:
    if not _SLUG.fullmatch(slug):
        raise CollectionError(
            f"{slug[:80]!r}: no slug of a collection",
            fix="take the last part of its page's address, https://opensea.io/collection/SLUG",
        )
    return quote(slug, safe="")


def _bounded(response: httpx2.Response) -> bytes:
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise TransientError(f"want at most {MAX_ANSWER_BYTES:,} bytes in an answer, got more")
        parts.append(part)
    return b"".join(parts)


def _page(kind: type[ApiNft] | type[ApiEvent], raw: Iterable[Any], cursor: str | None) -> Page:
    records: list[ApiNft | ApiEvent] = []
    wrong = []
    for one in raw:
        try:
            records.append(kind.model_validate(one))
        except ValidationError as error:
            wrong.append(f"{_first_problem(error)}; left out")
    return Page(tuple(records), cursor or None, tuple(wrong))


def _first_problem(error: ValidationError) -> str:
    """Return the place and reason of an answer's first invalid field, without its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all'}: {first['msg']}"


def _free_at(headers: httpx2.Headers) -> float:
    """Return the Unix time from which the next request may be sent."""
    if headers.get("X-RateLimit-Remaining", "").strip() != "0":
        return 0.0
    return _number(headers.get("X-RateLimit-Reset")) or 0.0


def asked_pause(headers: httpx2.Headers) -> float | None:
    """Return how many seconds an answer asks to wait by `Retry-After` or `X-RateLimit-Reset`, or None."""
    after = headers.get("Retry-After", "").strip()
    seconds = _number(after)
    if seconds is None and after:
        try:
            moment = parsedate_to_datetime(after)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    if seconds is None and (reset := _number(headers.get("X-RateLimit-Reset"))):
        seconds = reset - time.time()
    return None if seconds is None else max(seconds, 0.0)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None
