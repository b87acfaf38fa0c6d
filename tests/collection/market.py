"""A marketplace that answers as OpenSea's OpenAPI file says, and can be told to fail as real ones do."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from PIL import Image

KEY = "a-key-that-nobody-may-see"
CONTRACT = "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D"


@dataclass
class Market:
    """What the server has, and how it fails.

    Args:
        count: Items in the collection "apes".
        traits: "list" where the list has them; "null" or "empty" is how it lacks them where only /nfts/batch has them.
        faults: By request number (from 0, of each path): what goes wrong with it.
        pictures: By token: bytes, or a URL in place of the server's own.
        asked: How often each path was asked for.
        retry_after: What "429 later" says in Retry-After.
        refusal: What a request with another key gets.
        headers: What every answer of the API says besides.
        keys: The first part of each path that was asked for, with the key that came along.
    """

    count: int = 10
    traits: str = "list"
    page: int = 200
    faults: dict[str, dict[int, str]] = field(default_factory=dict)
    pictures: dict[int, bytes | str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    keys: set[tuple[str, str | None]] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: str | None = "7"
    refusal: str = "Invalid API key {key}"
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def picture(self) -> None:
        """Called before a picture is sent."""

    def nft(self, number: int, *, batch: bool) -> dict[str, Any]:
        identifier = self.names.get(number, str(number))
        picture = self.pictures.get(number)
        image = picture if isinstance(picture, str) else f"{self.url}/images/{number}.png"
        traits: list[dict[str, Any]] | None = [
            {"trait_type": "Hat", "value": f"Hat {number % 7}", "display_type": None, "max_value": None},
            {"trait_type": "Fur", "value": f"Fur {number % 3}", "display_type": None, "max_value": None},
        ]
        if not batch and self.traits != "list":
            traits = [] if self.traits == "empty" else None
        one = {
            "identifier": identifier,
            "collection": "apes",
            "contract": CONTRACT.lower(),
            "token_standard": "erc721",
            "name": f"Ape #{number}",
            "description": "An ape",
            "image_url": image,
            "metadata_url": "ipfs://x/1",
            "opensea_url": f"https://opensea.io/{number}",
            "updated_at": "2024-01-01T00:00:00",
            "is_disabled": False,
            "is_nsfw": number % 5 == 0,
            "traits": traits,
        }
        return {name: value for name, value in one.items() if value is not None}

    def sale(self, number: int) -> dict[str, Any]:
        token = number % self.count
        return {
            "event_type": "sale",
            "event_timestamp": 1_600_000_000 - number,
            "closing_date": 1_600_000_000 - number,
            "transaction": f"0x{number:x}",
            "order_hash": f"0xf{number:x}",
            "chain": "ethereum",
            "payment": {
                "quantity": str((number + 1) * 10**17),
                "token_address": "0x0",
                "decimals": 18,
                "symbol": "ETH",
            },
            "seller": "0x1",
            "buyer": "0x2",
            "quantity": 1,
            "nft": self.nft(token, batch=True),
        }

    def answer(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> dict[str, Any] | None:
        at = int(query.get("next", ["0"])[0].removeprefix("cursor"))
        if path == "/api/v2/collections/apes":
            return COLLECTION | {"total_supply": self.count, "unique_item_count": self.count}
        if path == "/api/v2/collection/apes/nfts":
            numbers = range(self.count)[at : at + self.page]
            return self._paged(
                {"nfts": [self.nft(number, batch=False) for number in numbers]}, at, self.count
            )
        if path == "/api/v2/nfts/batch":
            wanted = [one["token_id"] for one in body["identifiers"]]
            return {"nfts": [self.nft(int(token), batch=True) for token in wanted if token.isdigit()]}
        if path == "/api/v2/events/collection/apes":
            sales = range(self.count * 2)[at : at + self.page]
            return self._paged({"asset_events": [self.sale(number) for number in sales]}, at, self.count * 2)
        return None

    def _paged(self, page: dict[str, Any], at: int, total: int) -> dict[str, Any]:
        return page | ({"next": f"cursor{at + self.page}"} if at + self.page < total else {})


COLLECTION: dict[str, Any] = {
    "collection": "apes",
    "name": "Apes",
    "description": "Apes that are for sale",
    "image_url": "",
    "banner_image_url": "",
    "owner": "0x1",
    "safelist_status": "verified",
    "category": "pfps",
    "is_disabled": False,
    "is_nsfw": False,
    "trait_offers_enabled": True,
    "collection_offers_enabled": True,
    "opensea_url": "https://opensea.io/collection/apes",
    "contracts": [{"address": CONTRACT, "chain": "ethereum"}],
    "editors": ["0x1"],
    "fees": [{"fee": 2.5, "recipient": "0x1", "required": True}],
    "created_date": "2021-04-22",
    "pricing_currencies": {},
}


class _Handler(BaseHTTPRequestHandler):
    market: ClassVar[Market]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait 40 ms for the ACK of its headers

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._answer(json.loads(self.rfile.read(length) or b"{}"))

    def do_GET(self) -> None:
        self._answer({})

    def _answer(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        market = self.market
        with market.lock:
            number = market.asked[parts.path]
            market.asked[parts.path] += 1
            market.keys.add((parts.path.split("/")[1], self.headers.get("x-api-key")))
        fault = market.faults.get(parts.path, {}).get(number) or market.faults.get("*", {}).get(number)
        if fault and self._fail(fault):
            return None
        if parts.path.startswith("/images/"):
            market.picture()
            return self._send(
                200, picture_of(market, int(parts.path.split("/")[2].split(".")[0])), "image/png"
            )
        if self.headers.get("x-api-key") != KEY:
            return self._send(
                401,
                json.dumps({"errors": [market.refusal.format(key=self.headers.get("x-api-key"))]}).encode(),
            )
        found = market.answer(parts.path, parse_qs(parts.query), body)
        if found is None:
            return self._send(404, b'{"errors": ["not found"]}')
        if fault == "same cursor":
            found["next"] = "cursor0"
        if fault == "odd record":
            next(iter(found.values())).append({"nonsense": True})
        data = json.dumps(found).encode()
        if fault == "cut off":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return None
        return self._send(200, data, headers=market.headers)

    def _fail(self, fault: str) -> bool:
        if fault == "429 later":
            after = self.market.retry_after
            self._send(429, b"{}", headers={"Retry-After": after} if after is not None else {})
        elif fault == "429 reset":
            self._send(
                429,
                b"{}",
                headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 40)},
            )
        elif fault.isdigit():
            self._send(int(fault), b"<html>Bad gateway</html>", "text/html")
        elif fault == "no JSON":
            self._send(200, b"<html>Just a moment...</html>", "text/html")
        elif fault == "other JSON":
            self._send(200, b'{"nfts": "many"}')
        elif fault.startswith("redirect "):
            self._send(302, b"", headers={"Location": fault.removeprefix("redirect ")})
        elif fault == "hang up":
            self.close_connection = True
        else:
            return False
        return True

    def _send(
        self, status: int, data: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def picture_of(market: Market, number: int) -> bytes:
    made = market.pictures.get(number)
    return made if isinstance(made, bytes) else plain_png(number)


def plain_png(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256 % 256, 7)).save(out, "PNG")
    return out.getvalue()


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@contextmanager
def serving(market: Market) -> Iterator[Market]:
    handler = type("Handler", (_Handler,), {"market": market})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    market.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield market
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
