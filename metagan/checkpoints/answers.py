"""What hosts answer to a request for a file, and what the HTTP client raises, in words with a way out.

RFC 9110, section 14 (Range), 13.1.5 (If-Range) and 15 (status codes).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2

from metagan.checkpoints.transfer import fetch_error

MAX_REDIRECTS = 10
MAX_WAIT_S = 120.0

_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)")


class InterruptedTransferError(Exception):
    """A request that failed in a way that may pass; never leaves this room.

    Args:
        gained: Whether it brought the file forward nevertheless.
        wait_s: How long its host asks to wait; None if it doesn't.
    """

    def __init__(self, what: str, *, gained: bool = False, wait_s: float | None = None) -> None:
        self.gained = gained
        self.wait_s = wait_s
        super().__init__(what)


def extent(url: str, response: httpx2.Response, done: int) -> tuple[int, int | None]:
    """Where in the file the response starts, and how large the file is."""
    status = response.status_code
    if status in _TRANSIENT_STATUSES:
        raise InterruptedTransferError(f"answers {_reason(response)}", wait_s=_retry_after(response))
    if status not in {200, 206}:
        raise fetch_error(url, f"answers {_reason(response)}", _fix_for(status))
    if response.headers.get("Content-Encoding", "identity") != "identity":
        what = f"comes compressed ({response.headers['Content-Encoding']}), although that wasn't asked for"
        raise fetch_error(url, what, "download it in a browser, unpack it and name its path in the registry")
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() and len(length) < 30 else None
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or match[1] != str(done):
        raise fetch_error(
            url, "sends another part of the file than was asked for", "report it to its publisher"
        )
    return done, None if match[2] == "*" else int(match[2])


def size_behind_end(response: httpx2.Response) -> int | None:
    """How large the file is, if the response says that it ends before the range that was asked for."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[2]) if response.status_code == 416 and match and match[2] != "*" else None


def validator(response: httpx2.Response) -> str | None:
    """What If-Range may be compared with: a strong ETag, else the date of the last change."""
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
        return (
            "its host wants a login or forbids it: download it in a browser and name its path in the registry"
        )
    if status in {404, 410}:
        return "the file is not there (any more): correct the address, or ask its publisher for the new one"
    return "open the address in a browser to see what is wrong"


@contextmanager
def explained(url: str, gained: Callable[[], bool]) -> Iterator[None]:
    """Turns what the HTTP client raises into errors with a way out, or into interruptions that may pass."""
    try:
        yield
    except httpx2.TooManyRedirects as error:
        raise fetch_error(url, f"redirects more than {MAX_REDIRECTS} times", "correct the address") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
        raise fetch_error(url, f"can't be requested: {error}", "correct the address") from error
    except UnicodeError as error:
        raise fetch_error(url, f"there is no such host: {error}", "correct the host's name") from error
    except httpx2.TransportError as error:
        cause = _first_cause(error)
        if isinstance(error, httpx2.ConnectError) and isinstance(cause, ssl.SSLError):
            fix = "look at the machine's clock and certificates (SSL_CERT_FILE), or at the address"
            raise fetch_error(url, f"no secure connection: {cause}", fix) from error
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            fix = "correct the host's name, or look at the network"
            raise fetch_error(url, "there is no host of that name", fix) from error
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
