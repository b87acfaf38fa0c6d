"""Collections from tables, in the encodings and number formats that spreadsheets write."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from metagan.cli import metagan
from metagan.collection.downloads import Downloads, download_pictures
from metagan.collection.model import Item
from metagan.collection.sources import csv_table
from metagan.collection.sources.csv_table import CsvSource, parse_number
from metagan.collection.sources.made import FetchReport, fetch_made
from metagan.collection.store import open_collection
from metagan.collection.table import open_table
from metagan.errors import CollectionError
from tests.collection.market import Market, data_uri, plain_png, serving


def fetched(tmp_path: Path, text: str | bytes, **options: Any) -> FetchReport:
    path = tmp_path / "art.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return fetch_made(CsvSource("art", path, **options), tmp_path / "out")


FULL = """title,name,creator,art_series,price,symbol,type,likes,nsfw,tokens,year,rights,royalty,cid,path
Dawn,jo,Jo Ann,Suns,1.25,ETH,photo,12,False,3,2019,CC0,10,bafyabc,dawn.png
"""


def test_every_column_finds_its_place(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures/dawn.png")
    report = fetched(tmp_path, FULL, pictures=tmp_path / "pictures")
    (item,) = report.collection.items
    assert (item.id, item.name, item.creator, item.series) == ("1", "Dawn", "Jo Ann", "Suns")
    assert (item.price, item.symbol, item.year, item.likes, item.tokens) == (1.25, "ETH", 2019, 12, 3)
    assert (item.type, item.rights, item.royalty, item.nsfw) == ("photo", "CC0", 10, False)
    assert (item.url, item.file) == ("ipfs://bafyabc", "images/1.png")
    assert not report.notes
    assert not report.missing


def test_other_column_names_and_traits_by_map(tmp_path: Path) -> None:
    columns = {"price": "Cost", "trait:Hat": "hat", "title": "Werk"}
    report = fetched(tmp_path, "Werk,COST,hat,other\nDawn,2,Crown,x\nDusk,3,,y\n", columns=columns)
    assert [(item.name, item.price) for item in report.collection.items] == [("Dawn", 2), ("Dusk", 3)]
    assert [[(trait.type, trait.value) for trait in item.traits] for item in report.collection.items] == [
        [("Hat", "Crown")],
        [],
    ]
    assert report.remarks == ("columns not used: other; give them a meaning with --map",)


def test_semicolons_decimal_commas_and_windows_1252(tmp_path: Path) -> None:
    report = fetched(tmp_path, "title;price;year\nMüll;1.234,50 €;2020\nÄhre;0,08;2021\n".encode("cp1252"))
    assert [(item.name, item.price, item.year) for item in report.collection.items] == [
        ("Müll", 1234.5, 2020),
        ("Ähre", 0.08, 2021),
    ]
    assert any("decimal commas in price" in remark for remark in report.remarks)
    assert any("Windows-1252" in remark for remark in report.remarks)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    bom = b"\xfe\xff" if encoding == "utf-16-be" else b""
    report = fetched(tmp_path, bom + "title\tprice\nDämmerung\t1\n".encode(encoding))
    assert report.collection.items[0].name == "Dämmerung"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_encodings_that_are_known_by_their_zeros(tmp_path: Path, encoding: str) -> None:
    report = fetched(tmp_path, "id,title\n1,Ä\n2,夜明け\n".encode(encoding))
    assert [item.name for item in report.collection.items] == ["Ä", "夜明け"]


def test_the_line_that_tells_spreadsheets_the_separator(tmp_path: Path) -> None:
    report = fetched(tmp_path, 'sep=;\r\nid;title;price\r\n1;"a, b, c";0,5\r\n')
    assert [(item.name, item.price) for item in report.collection.items] == [("a, b, c", 0.5)]


def test_a_long_cell_and_quotes_inside_of_cells_are_read(tmp_path: Path) -> None:
    report = fetched(tmp_path, f'id,title,description\n1,a 5" disc,"{"x " * 100_000}"\n2,"b"" c",d\n')
    assert [item.name for item in report.collection.items] == ['a 5" disc', 'b" c']


def test_numbers_that_no_table_holds_are_left_out_and_the_report_goes_on(tmp_path: Path) -> None:
    rows = "id,likes,tokens,royalty\n1,9223372036854775808,-3,-10\n2,1e300,3,10\n3,9007199254740992,0,0\n"
    report = fetched(tmp_path, rows)
    assert [(i.likes, i.tokens, i.royalty) for i in report.collection.items] == [
        (None, None, None),
        (None, 3, 10),
        (2**53, 0, 0),
    ]
    assert len(report.notes) == 4
    assert open_table(report.collection.path).items["likes"].to_list() == [None, None, 2**53]


def test_an_encoding_that_is_said(tmp_path: Path) -> None:
    assert (
        fetched(tmp_path, "title,price\n夜明け,1\n".encode("shift_jis"), encoding="shift_jis")
        .collection.items[0]
        .name
        == "夜明け"
    )


@pytest.mark.parametrize(
    ("text", "comma", "number"),
    [
        ("1,234.50", False, 1234.5),
        ("1.234,50", True, 1234.5),
        ("$ 1 234.5", False, 1234.5),
        ("0,08 Ξ", True, 0.08),
        ("1e-18", False, 1e-18),
        ("-3", False, -3.0),
        ("1e999", False, None),
        ("nan", False, None),
        ("on request", False, None),
        ("1e-400", False, None),
        ("0.00e5", False, 0.0),
        ("-0", False, 0.0),
        ("1,234,567", False, 1234567.0),
        ("12,34,567.5", False, 1234567.5),
        ("1.234.567", True, 1234567.0),
        ("0,080", False, None),
        ("3430,75", False, None),
        ("1,2345", False, None),
        ("1.5", True, None),
        ("1,234.567,8", False, None),
    ],
)
def test_numbers_as_spreadsheets_show_them(text: str, comma: bool, number: float | None) -> None:
    assert parse_number(text, comma=comma) == number


@pytest.mark.parametrize(
    ("rows", "price"),
    [
        ("\n1;1,234\n", 1.234),
        ("\n1;1,234\n2;1,2\n", 1.234),
        ("\n1;1.234\n", 1.234),
        ('\n1,"1,234"\n', 1234.0),
        ('\n1,"0,080"\n2,"1,234"\n', 0.08),
    ],
    ids=[
        *("semicolons decide", "another cell decides", "a point", "commas that separate thousands"),
        "no thousands begin with 0",
    ],
)
def test_a_number_that_can_be_read_both_ways(tmp_path: Path, rows: str, price: float) -> None:
    header = "title;price" if ";" in rows else "title,price"
    assert fetched(tmp_path, header + rows).collection.items[0].price == price


def test_odd_prices_and_years_are_said_and_left_out(tmp_path: Path) -> None:
    header = "title,price,symbol,year,likes,nsfw\n"
    rows = "A,0,ETH,20121,-1,maybe\nB,-5,ETH,2020,1.5,yes\nC,,ETH,,,\nD,free,ETH,1,3,0\n"
    report = fetched(tmp_path, header + rows)
    assert [(item.price, item.symbol, item.year) for item in report.collection.items] == [
        (0, "ETH", None),
        (None, None, 2020),
        (None, None, None),
        (None, None, None),
    ]
    notes = [f"{item_id}: {note}" for item_id, note in report.notes]
    assert [note.partition(";")[0].partition(": want")[0] for note in notes] == [
        "1: year 20121",
        "1: likes -1",
        "1: nsfw 'maybe'",
        "2: price -5: less than 0",
        "2: likes 1.5",
        "4: price 'free'",
        "4: year 1",
    ]


def test_pictures_that_are_missing_or_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    os.mkfifo(tmp_path / "pictures/pipe.png")
    rows = "title,path\nA,../../etc/passwd\nB,/etc/passwd\nC,absent.png\nD,\nE,..\\x.png\nF,a\0b.png\nG,pipe.png\n"
    rows += f"H,{'x' * 300}.png\n"
    report = fetched(tmp_path, rows, pictures=tmp_path / "pictures")
    reasons = dict(report.missing)
    assert all("leads out of" in reasons[item_id] for item_id in ("1", "2", "5"))
    assert "No such file" in reasons["3"]
    assert "path is empty" in reasons["4"]
    assert "no name of a file" in reasons["6"]
    assert "not a regular file" in reasons["7"]
    assert "File name too long" in reasons["8"]


def test_a_device_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_BYTES", 1 << 20)
    with pytest.raises(CollectionError, match="it is no regular file"):
        CsvSource("zero", Path("/dev/zero")).entries()


def test_two_lines_of_one_id_are_both_kept(tmp_path: Path) -> None:
    report = fetched(tmp_path, "id,title\n7,A\n7-3,B\n7,C\n7,D\n7,E\n7-3,F\n")
    assert [item.id for item in report.collection.items] == ["7", "7-3", "7-2", "7-4", "7-5", "7-3-2"]
    assert "a second item of id 7" in report.notes[0][1]


@pytest.mark.timeout(60)
def test_many_lines_of_one_id_take_no_longer_than_others(tmp_path: Path) -> None:
    path = tmp_path / "art.csv"
    path.write_text("id\n" + "7\n" * 50_000)  # minutes, if each tried all numbers before its own
    assert CsvSource("art", path).entries()[-1].id == "7-50000"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", {}, "no line below"),
        ("title,price\n", {}, "no line below"),
        ("foo,bar\n1,2\n", {}, "--map price=foo"),
        ("title\nA\n", {"columns": {"price": "cost"}}, "its columns are title"),
        ("title\nA\n", {"columns": {"cost": "title"}}, "want one of id, title"),
        ("title\nA\n", {"encoding": "klingon"}, "try utf-8"),
        ("title\nA\n", {"encoding": "undefined"}, "try utf-8"),
        ("title\nA\n", {"encoding": "\0"}, "try utf-8"),
        ("title\nA\n", {"pictures": Path("nowhere")}, "check --pictures"),
        (b"title\n\x81\x8d\n", {}, "say its encoding"),
        ('id,title\n1,a\n2,"b\n3,c\n', {}, "csv:3: a quote .* is never closed"),
        ("\x89PNG\r\n\0\0\0".encode("latin-1") * 9, {}, "art.csv"),
    ],
)
def test_tables_that_cannot_be_read_say_the_way_out(
    tmp_path: Path, text: str | bytes, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(CollectionError, match=words):
        fetched(tmp_path, text, **options)
    assert not (tmp_path / "out").exists()


def test_pictures_at_ipfs_and_at_addresses_come_through_the_gateway_once(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures/dawn.png")
    table = tmp_path / "art.csv"
    table.write_text(
        "title,path,cid,url\nA,dawn.png,9.png,\nB,gone.png,2.png,\nC,,ipfs://3.png,\nD,,,ftp://x/4.png\nE,,,\n"
    )
    with serving(Market(1)) as market:
        options = ["--from", f"csv:{table}", "--pictures", str(tmp_path / "pictures"), "--workers", "0"]
        options += ["--gateway", f"{market.url}/images", "--out", str(tmp_path / "out")]
        for _ in range(2):
            result = CliRunner().invoke(metagan, ["collection", "fetch", "art", *options, "--json"])
            assert result.exit_code == 0, result.output
        assert dict(market.asked) == {"/images/2.png": 1, "/images/3.png": 1}
    collection = open_collection(tmp_path / "out")
    assert [bool(item.file) for item in collection.items] == [True, True, True, False, False]
    assert (tmp_path / "out/images/2.png").read_bytes() == plain_png(2)
    missing = dict(json.loads(result.stdout)["missing"])
    assert missing["4"] == "an address that isn't https, ipfs or data (ftp:)"
    assert "path is empty" in missing["5"]
    assert not (tmp_path / "out/.fetch").exists()


def test_a_picture_on_disk_is_taken_for_its_own_address_only(tmp_path: Path) -> None:
    table, out = tmp_path / "art.csv", tmp_path / "out"

    def pictures(market: Market, *lines: str, more: tuple[str, ...] = ()) -> list[bytes]:
        table.write_text("title,cid\n" + "".join(f"{line}\n" for line in lines))
        options = ["--from", f"csv:{table}", "--gateway", f"{market.url}/images", "--out", str(out), *more]
        result = CliRunner().invoke(metagan, ["collection", "fetch", "art", *options, "--workers", "0"])
        assert result.exit_code == 0, result.output
        return [(out / str(item.file)).read_bytes() for item in open_collection(out).items]

    with serving(Market(1)) as market:
        pictures(market, "red,1.png", "green,2.png")
        found = pictures(market, "blue,3.png", "red,1.png", "green,2.png")
        assert found == [plain_png(3), plain_png(1), plain_png(2)]
        market.asked.clear()
        assert pictures(market, "blue,3.png", "red,1.png", "green,4.png")[2] == plain_png(4)
        again = pictures(market, "blue,3.png", "red,1.png", "green,4.png", more=("--no-download",))
        assert again == [plain_png(3), plain_png(1), plain_png(4)]
        assert dict(market.asked) == {"/images/4.png": 1}


def test_a_fetch_that_was_killed_asks_for_no_picture_twice(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def kill_at_the_third(done: int) -> None:
        arrived.append(done)
        if sum(arrived) == 3:
            raise Killed

    arrived: list[int] = []
    with serving(Market(1)) as market:
        items = [Item(id=str(n), url=f"{market.url}/images/{n}.png") for n in range(6)]
        how = Downloads(at_once=1, local=True)
        with pytest.raises(Killed):
            download_pictures(tmp_path, items, how, kill_at_the_third)
        with (tmp_path / ".fetch/pictures.jsonl").open("ab") as record:
            record.write(b'{"id": "5", "file')  # as a kill amid a write leaves it
        market.asked.clear()
        found = download_pictures(tmp_path, items, how)
        assert [(tmp_path / str(item.file)).read_bytes() for item in found] == [*map(plain_png, range(6))]
        assert not {f"/images/{n}.png" for n in range(3)} & market.asked.keys()
        assert download_pictures(tmp_path, items, how) == found
        assert max(market.asked.values()) == 1


def test_a_licence_that_is_given_to_a_second_fetch_is_kept(tmp_path: Path) -> None:
    licences = [
        fetched(tmp_path, "title\nDawn\n", licence=licence).collection.facts.licence
        for licence in (None, "CC0-1.0", None, "CC-BY-4.0")
    ]
    assert licences == [None, "CC0-1.0", "CC0-1.0", "CC-BY-4.0"]


def test_a_second_fetch_without_the_folder_of_pictures_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "dawn.png")
    rows = "title,path\nDawn,dawn.png\n"
    fetched(tmp_path, rows)
    fetched(tmp_path, rows, pictures=tmp_path)
    with pytest.raises(CollectionError, match="it would lose without that option"):
        fetched(tmp_path, rows)
    assert open_collection(tmp_path / "out").items[0].file


@pytest.mark.parametrize(
    "url", ["https://a..b/x", f"https://{'a' * 70}/x", "redirect https://[x/", "redirect https://a..b/x"]
)
def test_an_address_that_cannot_be_costs_only_its_own_picture(tmp_path: Path, url: str) -> None:
    with serving(Market(1, faults={"/images/1.png": {0: url}})) as market:
        urls = [
            f"{market.url}/images/1.png" if url.startswith("redirect") else url,
            f"{market.url}/images/2.png",
        ]
        items = [Item(id=str(n), url=one) for n, one in enumerate(urls)]
        found = download_pictures(tmp_path, items, Downloads(local=True))
    assert found[0].missing == "a damaged address"
    assert found[1].file


def test_a_fetch_that_ends_waits_for_no_host_and_says_what_it_waits_for(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop(_: int) -> None:
        if not busy.wait(30):
            raise AssertionError("no pause was announced")
        raise Stopped

    def note(text: str) -> None:
        said.append(text)
        busy.set()

    said: list[str] = []
    busy = threading.Event()
    faults = {f"/images/{n}.png": dict.fromkeys(range(9), "429 later") for n in range(1, 6)}
    with serving(Market(1, faults=faults, retry_after="40")) as market:
        items = [Item(id=str(n), url=f"{market.url}/images/{n}.png") for n in range(6)]
        before, began = set(threading.enumerate()), time.monotonic()
        with pytest.raises(Stopped):
            download_pictures(tmp_path, items, Downloads(local=True, note=note), lambda n: n and stop(n))
        left = [one for one in set(threading.enumerate()) - before if "ThreadPool" in one.name]
        assert not left
        assert time.monotonic() - began < 30
    assert said == ["waiting 40 s for a picture, as its host asks or after it failed"]


def test_as_many_downloads_run_at_once_as_asked(tmp_path: Path) -> None:
    there = threading.Barrier(40, timeout=60)

    class Together(Market):
        def picture(self) -> None:
            there.wait()

    with serving(Together(1)) as market:
        items = [Item(id=str(n), url=f"{market.url}/images/{n}.png") for n in range(40)]
        assert all(
            item.file for item in download_pictures(tmp_path, items, Downloads(at_once=40, local=True))
        )


def test_addresses_are_only_noted_with_no_download(tmp_path: Path) -> None:
    table = tmp_path / "art.csv"
    table.write_text("title,cid\nA,bafy\n")
    options = ["--from", f"csv:{table}", "--no-download", "--out", str(tmp_path / "out"), "--workers", "0"]
    assert CliRunner().invoke(metagan, ["collection", "fetch", "art", *options]).exit_code == 0
    (item,) = open_collection(tmp_path / "out").items
    assert (item.url, item.file) == ("ipfs://bafy", None)


def test_a_picture_within_its_address_may_be_long(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(out, "PNG")
    uri = data_uri(out.getvalue())
    assert len(uri) > 4000
    (tmp_path / "art.csv").write_text(f'title,url\nA,"{uri}"\n')
    options = ["--from", f"csv:{tmp_path / 'art.csv'}", "--out", str(tmp_path / "out"), "--workers", "0"]
    assert CliRunner().invoke(metagan, ["collection", "fetch", "art", *options]).exit_code == 0
    (item,) = open_collection(tmp_path / "out").items
    assert (tmp_path / "out" / str(item.file)).read_bytes() == out.getvalue()


def test_a_column_that_is_named_twice_is_refused() -> None:
    options = ["--from", "csv:art.csv", "--map", "price=cost", "--map", "price=amount"]
    result = CliRunner().invoke(metagan, ["collection", "fetch", "art", *options])
    assert result.exit_code == 2
    assert "want each column once, got 'price' twice" in result.output


def test_what_is_wrong_with_usable_items_is_called_a_remark(tmp_path: Path) -> None:
    (tmp_path / "art.csv").write_text("title,likes\nA,x\n")
    options = ["--from", f"csv:{tmp_path / 'art.csv'}", "--out", str(tmp_path / "out"), "--workers", "0"]
    result = CliRunner().invoke(metagan, ["collection", "fetch", "art", *options])
    assert f"{tmp_path / 'out'}: 1 item, 0 pictures, 0 trait types\n" in result.stdout
    assert "  1 remark about an item:\n    1: likes 'x': want a number; left out\n" in result.stdout


@pytest.mark.parametrize("gateway", ["ipfs.io", "http://ipfs.io/", "ftp://x", "", "https://[::1"])
def test_a_gateway_is_an_https_address(gateway: str) -> None:
    result = CliRunner().invoke(
        metagan, ["collection", "fetch", "art", "--from", "csv:art.csv", "--gateway", gateway]
    )
    assert result.exit_code == 2
    assert "want an address such as https://ipfs.io/ipfs/" in result.output
