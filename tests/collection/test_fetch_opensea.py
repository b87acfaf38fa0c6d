"""The marketplace's source against a server that answers by the published API and fails as real ones do."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from metagan.cli import metagan
from metagan.collection.downloads import Downloads, address_of
from metagan.collection.marketplace import Marketplace, RetryPolicy, read_key
from metagan.collection.pictures import NoPictureError
from metagan.collection.sources.made import FetchReport
from metagan.collection.sources.opensea import OpenseaSource, fetch_opensea
from metagan.collection.store import open_collection
from metagan.collection.table import open_table
from metagan.errors import CollectionError
from tests.collection.making import contents
from tests.collection.market import CONTRACT, KEY, Market, data_uri, plain_png, serving
from tests.conftest import SHARED

NFTS, SALES, BATCH = "/api/v2/collection/apes/nfts", "/api/v2/events/collection/apes", "/api/v2/nfts/batch"


@pytest.fixture
def market() -> Iterator[Market]:
    with serving(Market()) as running:
        yield running


def fetch(market: Market, out: Path, slept: list[float] | None = None, **more: Any) -> FetchReport:
    retry_policy = RetryPolicy(
        tries=4, backoff_s=0.001, timeout_s=5, sleep=(slept if slept is not None else []).append
    )
    downloads = Downloads(
        local=True, retry_policy=retry_policy, **{k: more.pop(k) for k in ("at_once",) if k in more}
    )
    client = Marketplace(more.pop("key", KEY), market.url, retry_policy)
    try:
        slug, rates, licence = more.pop("slug", "apes"), more.pop("rates", {}), more.pop("licence", None)
        source = OpenseaSource("apes", slug, client, downloads, rates, licence)
        return fetch_opensea(source, out, **more)
    finally:
        client.close()


def test_a_collection_arrives_with_traits_sales_and_pictures(market: Market, tmp_path: Path) -> None:
    report = fetch(market, tmp_path / "apes")
    collection = open_collection(tmp_path / "apes")
    assert (collection.facts.title, collection.facts.count, collection.facts.category) == ("Apes", 10, "pfps")
    assert collection.facts.contract
    assert (collection.facts.contract.chain, collection.facts.contract.address) == ("ethereum", CONTRACT)
    third = collection.items[3]
    assert [(trait.type, trait.value) for trait in third.traits] == [("Hat", "Hat 3"), ("Fur", "Fur 0")]
    # Sold twice; sale 3 is newer than sale 13, at 0.4 ETH.
    assert (third.price, third.symbol, third.sales, third.sold_at) == (0.4, "ETH", 2, 1_600_000_000 - 3)
    picture = collection.picture(third)
    assert picture
    assert picture.read_bytes() == plain_png(3)
    assert len(collection.sales) == 20
    assert not report.missing
    assert sorted(path.name for path in (tmp_path / "apes").iterdir()) == [
        "collection.json",
        "images",
        "items.jsonl",
        "sales.jsonl",
    ]


@pytest.mark.parametrize("lacking", ["null", "empty"])
def test_traits_that_the_list_lacks_come_from_the_batch(market: Market, tmp_path: Path, lacking: str) -> None:
    market.count, market.traits = 130, lacking
    items = fetch(market, tmp_path / "apes").collection.items
    assert all(len(item.traits) == 2 for item in items)
    assert market.asked[BATCH] == 3


def test_the_key_goes_to_the_api_alone_and_is_never_written(market: Market, tmp_path: Path) -> None:
    fetch(market, tmp_path / "apes")
    assert market.keys == {("api", KEY), ("images", None)}
    assert not [
        file
        for file in (tmp_path / "apes").rglob("*")
        if file.is_file() and KEY.encode() in file.read_bytes()
    ]


def test_a_refused_key_is_said_without_showing_it(market: Market, tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="refuses the API key") as raised:
        fetch(market, tmp_path / "apes", key="a-wrong-key")
    assert "a-wrong-key" not in str(raised.value)
    assert not (tmp_path / "apes").exists()


FAULTS = ["429 later", "429 reset", "500", "502", "599", "cut off", "no JSON", "other JSON", "hang up"]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_asked_again(market: Market, tmp_path: Path, fault: str) -> None:
    market.page = 4
    market.faults = {path: {1: fault, 2: fault} for path in (NFTS, SALES, "/images/3.png")}
    slept: list[float] = []
    report = fetch(market, tmp_path / "apes", slept)
    assert len(report.collection.items) == 10
    assert len(report.collection.sales) == 20
    assert not report.missing
    if fault == "429 later":
        assert 7.0 in slept
    if fault == "429 reset":
        assert any(30 < pause <= 41 for pause in slept)


def test_a_limit_that_is_used_up_is_waited_for_before_the_next_request(
    market: Market, tmp_path: Path
) -> None:
    market.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 60)}
    slept: list[float] = []
    fetch(market, tmp_path / "apes", slept)
    assert len(slept) == 2  # before the second and the third of three requests to the API
    assert all(50 < pause <= 61 for pause in slept)


def test_giving_up_keeps_what_arrived_and_the_next_call_goes_on(market: Market, tmp_path: Path) -> None:
    market.page = 4
    market.faults = {NFTS: dict.fromkeys(range(1, 9), "500")}
    with pytest.raises(CollectionError, match="the same call goes on"):
        fetch(market, tmp_path / "apes")
    with pytest.raises(CollectionError, match="it goes on"):
        open_collection(tmp_path / "apes")
    market.faults = {}
    asked = market.asked[NFTS]
    assert len(fetch(market, tmp_path / "apes").collection.items) == 10
    assert market.asked[NFTS] == asked + 2  # the first page is not asked for again
    assert market.asked["/api/v2/collections/apes"] == 1


def test_a_cursor_that_comes_again_ends_the_list_and_says_so(market: Market, tmp_path: Path) -> None:
    market.page = 4
    market.faults = {NFTS: dict.fromkeys(range(1, 9), "same cursor")}
    for _ in range(2):
        report = fetch(market, tmp_path / "apes")
        assert len(report.collection.items) == 8
        assert any("came back to a page" in remark for remark in report.remarks)
    market.faults = {}
    assert len(fetch(market, tmp_path / "apes").collection.items) == 10


def test_cursors_that_never_end_end_the_list_when_nothing_new_comes(tmp_path: Path) -> None:
    class Endless(Market):
        def answer(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> Any:
            at = int(query.get("next", ["cursor0"])[0].removeprefix("cursor"))
            found = super().answer(path, {"next": [f"cursor{min(at, 8)}"]}, body)
            return found | {"next": f"cursor{at + 4}"} if path in (NFTS, SALES) else found

    with serving(Endless(page=4)) as market:
        report = fetch(market, tmp_path / "apes")
        assert len(report.collection.items) == 10
        assert 10 < market.asked[NFTS] < 20
        assert any("came back to a page" in remark for remark in report.remarks)


def test_sales_that_cannot_be_cost_only_themselves(tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [
        {"event_timestamp": 10**20},
        {"closing_date": -1},
        {"payment": {"quantity": "1e999999999", "decimals": 0, "symbol": "ETH"}},
        {"payment": {"quantity": "1e400", "decimals": 18, "symbol": "ETH"}},
        {"payment": {"quantity": "nan", "decimals": 18, "symbol": "ETH"}},
        {"payment": {"quantity": "-5", "decimals": 18, "symbol": "ETH"}},
        {"payment": {"quantity": "5", "decimals": -2, "symbol": "ETH"}},
        {"payment": {"quantity": "9" * 5000, "decimals": 18, "symbol": "ETH"}},
        {"payment": {"quantity": "many", "decimals": 18, "symbol": "ETH"}},
        {"payment": None},
        {"nft": None},
        {"quantity": 0},
        {"quantity": 10**400},
    ]

    class Odd(Market):
        def sale(self, number: int) -> dict[str, Any]:
            return super().sale(number) | (wrong[number] if number < len(wrong) else {})

    with serving(Odd()) as market:
        report = fetch(market, tmp_path / "apes", rates={("2020-09-13", "ETH"): 1e308})
    assert len(report.collection.sales) == 20 - len(wrong)
    assert all("could not be read" in remark or "no rate" in remark for remark in report.remarks)
    assert open_table(tmp_path / "apes").items["sold_at"].max() == 1_600_000_000 - 13


@pytest.mark.parametrize("path", [NFTS, "/images/3.png"])
@pytest.mark.parametrize(
    ("after", "least", "most"),
    [
        ("7", 7, 7),
        ("in an hour", 800, 900),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("nan", 0, 0.001),
        ("-5", 0, 0.001),
        ("soon", 0, 0.001),
        (None, 0, 0.001),
    ],
)
def test_retry_after_in_seconds_as_a_date_or_absent(
    market: Market, tmp_path: Path, path: str, after: str | None, least: float, most: float
) -> None:
    if after == "in an hour":
        after = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    market.faults, market.retry_after = {path: {0: "429 later"}}, after
    slept: list[float] = []
    assert not fetch(market, tmp_path / "apes", slept).missing
    (pause,) = slept
    assert least <= pause <= most


@pytest.mark.parametrize("before", [165, 175, 185, 270, 280, 290])
def test_a_key_at_the_edge_of_a_long_answer_is_not_shown_in_part(
    market: Market, tmp_path: Path, before: int
) -> None:
    market.refusal = "x" * before + " {key} is wrong"
    with pytest.raises(CollectionError, match="refuses the API key") as raised:
        fetch(market, tmp_path / "apes", key="secret-key-0123456789")
    assert "secr" not in str(raised.value)


def test_a_record_that_cannot_be_read_costs_only_itself(market: Market, tmp_path: Path) -> None:
    market.faults = {NFTS: {0: "odd record"}, SALES: {0: "odd record"}}
    report = fetch(market, tmp_path / "apes")
    assert len(report.collection.items) == 10
    assert [remark.partition(" (")[0] for remark in report.remarks] == [
        "1 item could not be read",
        "1 sale could not be read",
    ]


def test_what_is_no_picture_is_listed_and_asked_for_again(market: Market, tmp_path: Path) -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>'
    market.pictures = {
        1: b"<!DOCTYPE html><html>rate limited</html>",
        2: svg,
        3: data_uri(svg, "image/svg+xml"),
        4: data_uri(plain_png(4)),
        5: "ftp://example.org/x.png",
        6: "data:image/png;base64,!!!",
        7: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="/etc/passwd"/></svg>',
        8: f"{market.url}/api/v2/unknown",
    }
    report = fetch(market, tmp_path / "apes")
    reasons = dict(report.missing)
    assert set(reasons) == {"1", "5", "6", "7", "8"}
    assert reasons["1"] == "a web page, not a picture"
    assert "isn't https" in reasons["5"]
    assert "asks for a file" in reasons["7"]
    assert reasons["8"].startswith("HTTP 40")
    assert report.collection.items[3].url == "data:image/svg+xml"
    market.pictures = {}
    asked = market.asked[NFTS], market.asked["/images/0.png"], market.asked["/images/1.png"]
    again = fetch(market, tmp_path / "apes")
    assert "1" not in dict(again.missing)
    assert (market.asked[NFTS], market.asked["/images/0.png"], market.asked["/images/1.png"]) == (
        *asked[:2],
        asked[2] + 1,
    )


def test_names_that_lead_elsewhere_stay_inside(market: Market, tmp_path: Path) -> None:
    market.names = {1: "../../x", 2: "/etc/passwd", 3: "..\\..\\y", 4: "=cmd|' /C calc'!A0"}
    items = fetch(market, tmp_path / "apes").collection.items
    files = [(tmp_path / "apes" / str(item.file)).resolve() for item in items]
    assert all(file.parent == (tmp_path / "apes/images").resolve() and file.is_file() for file in files)
    assert len(set(files)) == 10


def test_refresh_lists_anew_and_keeps_pictures(market: Market, tmp_path: Path) -> None:
    fetch(market, tmp_path / "apes")
    market.count = 12
    assert len(fetch(market, tmp_path / "apes").collection.items) == 10
    assert len(fetch(market, tmp_path / "apes", refresh=True).collection.items) == 12
    assert market.asked["/images/0.png"] == 1


def test_a_refresh_that_fails_leaves_the_collection_as_it_was(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    out, market.page = tmp_path / "apes", 4
    fetch(market, out)
    before = contents(out)
    with pytest.raises(CollectionError, match="refuses the API key"):
        fetch(market, out, refresh=True, key="expired")
    assert {name: digest for name, digest in contents(out).items() if ".fetch" not in name} == before
    assert len(open_collection(out).items) == 10

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    market.count, asked = 12, market.asked[NFTS]
    market.faults = {NFTS: dict.fromkeys(range(asked + 1, asked + 9), "500")}
    with pytest.raises(CollectionError, match="the same call goes on"):
        fetch(market, out, refresh=True)
    market.faults, asked = {}, market.asked[NFTS]
    assert len(fetch(market, out, refresh=True).collection.items) == 12
    assert market.asked[NFTS] == asked + 2  # the first page is not asked for again
    assert not (out / ".fetch").exists()


def test_a_licence_that_is_given_later_is_kept(market: Market, tmp_path: Path) -> None:
    assert fetch(market, tmp_path / "apes").collection.facts.licence is None
    assert fetch(market, tmp_path / "apes", licence="CC0-1.0").collection.facts.licence == "CC0-1.0"
    assert fetch(market, tmp_path / "apes").collection.facts.licence == "CC0-1.0"


def test_prices_in_usd_by_the_days_rate(market: Market, tmp_path: Path) -> None:
    market.count = 2
    report = fetch(market, tmp_path / "apes", rates={("2020-09-13", "ETH"): 400.0})
    assert [(item.price, item.price_usd) for item in report.collection.items] == [(0.1, 40), (0.2, 80)]
    absent = fetch(market, tmp_path / "other", rates={("2020-09-12", "ETH"): 400.0})
    assert absent.remarks == ("4 sales in ETH have no rate of their day in --usd, and stay in ETH",)
    assert absent.collection.items[0].price_usd is None


@pytest.mark.parametrize(
    ("slug", "words"), [("unknown", "no such collection"), ("../x", "no slug"), ("a b", "no slug")]
)
def test_slugs_that_are_none(market: Market, tmp_path: Path, slug: str, words: str) -> None:
    with pytest.raises(CollectionError, match=words):
        fetch(market, tmp_path / "apes", slug=slug)


def test_a_host_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="look at the network"):
        fetch(Market(url="http://127.0.0.1:9"), tmp_path / "apes")


def test_keys_and_addresses_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENSEA_API_KEY", raising=False)
    with pytest.raises(CollectionError, match="export OPENSEA_API_KEY"):
        read_key(None)
    (tmp_path / "key").write_text("\n")
    with pytest.raises(CollectionError, match="is empty"):
        read_key(tmp_path / "key")
    with pytest.raises(CollectionError, match="characters that no key has"):
        Marketplace("a key")
    with pytest.raises(CollectionError, match="want an https address"):
        Marketplace(KEY, "http://example.org")
    with pytest.raises(CollectionError, match="want an https address"):
        Marketplace(KEY, "https://[::1")
    with pytest.raises(CollectionError, match="want an https address"):
        Marketplace(KEY, "https://a..b").collection("apes")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ipfs://Qm1/2.png", "https://gate/ipfs/Qm1/2.png"),
        ("ipfs://ipfs/Qm1/2.png", "https://gate/ipfs/Qm1/2.png"),
        ("ipfs://Qm1/Ape #2.png", "https://gate/ipfs/Qm1/Ape %232.png"),
        ("ar://abc", "https://arweave.net/abc"),
        ("https://example.org/x", "https://example.org/x"),
    ],
)
def test_addresses_of_pictures(url: str, address: str) -> None:
    assert address_of(url, "https://gate/ipfs") == address


def test_a_gateway_on_this_machine_may_lead_to_a_host_for_each_cid() -> None:
    url = "http://bafy.ipfs.localhost:8080/x"
    assert address_of(url, local=True) == url
    for other in (url, "http://localhost.example.org/x"):
        with pytest.raises(NoPictureError):
            address_of(other, local=other != url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://example.org/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[",
        "",
    ],
)
def test_addresses_that_are_not_fetched(url: str) -> None:
    with pytest.raises(NoPictureError):
        address_of(url)


def test_the_command_fetches_with_the_key_from_the_environment(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENSEA_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rates.csv").write_text("day,symbol,rate\n2020-09-13,ETH,400\n")
    options = ["--from", "opensea", "--api-url", market.url, "--workers", "0", "--usd", "rates.csv"]
    result = CliRunner().invoke(metagan, ["collection", "fetch", "apes", *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    assert "collections/apes: 10 items, 10 pictures, 2 trait types, 20 sales" in result.stdout
    assert KEY not in result.output


@pytest.mark.parametrize("line", ["x,ETH,1", "2020-01-01,ETH", "2020-01-01,ETH,free", "2020-01-01,ETH,-1"])
def test_rates_that_are_none(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("OPENSEA_API_KEY", KEY)
    (tmp_path / "rates.csv").write_text(f"{line}\n")
    options = [
        "--from",
        "opensea",
        "--api-url",
        market.url,
        "--usd",
        str(tmp_path / "rates.csv"),
        "--out",
        str(tmp_path / "x"),
    ]
    result = CliRunner().invoke(metagan, ["collection", "fetch", "apes", *options])
    assert "rates.csv:1: want day,symbol,rate" in str(result.exception)


def test_kills_at_random_moments_leave_the_bytes_of_an_undisturbed_fetch(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    market.count, market.page = 60, 7
    market.traits = "null"
    began = time.monotonic()
    fetch(market, tmp_path / "undisturbed")
    lasts_s = time.monotonic() - began
    rng = random.Random(1)
    for _ in range(8):
        child = os.fork()
        if child == 0:
            try:
                fetch(market, tmp_path / "killed")
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0, lasts_s / 2))  # the moment of the kill, not a wait for anything
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    fetch(market, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def test_the_server_answers_as_the_published_api_says() -> None:
    file = SHARED / "opensea-api.json"
    if not file.is_file():
        pytest.skip("no ../shared/opensea-api.json beside this checkout")
    api = json.loads(file.read_text())
    market = Market()
    answers = {
        "CollectionDetailedResponse": market.answer("/api/v2/collections/apes", {}, {}),
        "NftListResponse": market.answer(NFTS, {}, {}),
        "NftBatchResponse": None,
        "AssetEventsResponse": market.answer(SALES, {}, {}),
    }
    required = {
        name: set(api["components"]["schemas"][name].get("required", [])) <= set(answer or {})
        for name, answer in answers.items()
        if answer
    }
    assert all(required.values()), required
    nft = {"components": api["components"], "$ref": "#/components/schemas/Nft"}
    payment = {"components": api["components"], "$ref": "#/components/schemas/Payment"}
    jsonschema.validate(market.nft(1, batch=True) | {"traits": []}, nft)
    jsonschema.validate(market.sale(1)["payment"], payment)
