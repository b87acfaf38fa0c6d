"""Fetches collections from a marketplace: items and traits, sales, pictures.

Each page of a list is stored in `.fetch/` with the cursor of the next one, in a file that is renamed into place. After
a kill, the same call continues after the last page, and requests only missing pictures. At the end the pages become
items.jsonl and sales.jsonl, and `.fetch/` is removed.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from metagan.collection.attributes import clean, parse_attributes
from metagan.collection.downloads import Downloads, download_pictures
from metagan.collection.marketplace import ApiEvent, ApiNft, Marketplace, Page
from metagan.collection.metadata import MAX_DESCRIPTION
from metagan.collection.model import Contract, Facts, Item, Sale, SourceFacts
from metagan.collection.sources.made import FetchReport, report_of
from metagan.collection.store import (
    PROGRESS_NAME,
    Writer,
    json_bytes,
    now,
    open_collection,
    read_facts,
    sweep,
    writing,
)
from metagan.collection.usd import Rates, in_usd
from metagan.files import write_bytes
from metagan.values import counted, json_text

_REFRESH_NAME: Final = "refresh"  # in PROGRESS_NAME: when the refresh under way began
_DONE_NAME: Final = ".fetch-done"
_MAX_DECIMALS: Final = 60
_MOST_REPEATED: Final = 10  # lists overlap by a page or two when they grow while they are read


class _KeptPage(BaseModel):
    """A page on disk.

    Args:
        next: The cursor of the next page; None at the end.
        records: Items or sales.
        wrong: Why other records couldn't be read.
    """

    model_config = ConfigDict(extra="forbid")

    next: str | None = None
    records: list[dict[str, Any]]
    wrong: list[str] = []


@dataclass(frozen=True)
class OpenseaSource:
    """A collection of a marketplace.

    Args:
        name: Name of the collection on disk.
        slug: The marketplace's name for it.
        market: The connection.
        downloads: How to download pictures.
        rates: Rates for prices in USD; empty leaves prices in their token.
        licence: Licence of the pictures, or None.
    """

    name: str
    slug: str
    market: Marketplace
    downloads: Downloads
    rates: Rates
    licence: str | None = None


def fetch_opensea(
    source: OpenseaSource,
    out: Path,
    *,
    refresh: bool = False,
    begin: Callable[[str, int | None], None] = lambda _, __: None,
    advance: Callable[[int], None] = lambda _: None,
) -> FetchReport:
    """Fetch a collection into `out`, or continue; for a complete one, retry missing pictures.

    Args:
        source: The collection, and how to fetch it.
        out: Its folder.
        refresh: Whether to list the items and sales of a complete one again; pictures stay.
        begin: Called with the stage's name and its number of items.
        advance: Called with the number of further pictures done.

    Raises:
        CollectionError: If the API refuses the request or can't be reached; everything that has arrived is kept.
    """
    known = read_facts(out)
    facts = known if known and known.source.kind == "opensea" else _facts(source)
    wanted = SourceFacts(kind="opensea", reference=source.slug, options={"api": source.market.api_url})
    given = {"source": wanted, "licence": source.licence or facts.licence}
    with writing(out, facts.model_copy(update=given)) as writer:
        shutil.rmtree(out / _DONE_NAME, ignore_errors=True)
        sweep(out)
        mark = out / PROGRESS_NAME / _REFRESH_NAME
        if refresh and writer.facts.complete and not mark.exists():
            _forget(out)
            write_bytes(mark, now().encode())
        if writer.facts.complete and not refresh and not (out / PROGRESS_NAME / "nfts").is_dir():
            return _ask_missing_again(source, out, writer, begin, advance)
        return _fetch_all(source, out, writer, begin, advance)


def _fetch_all(
    source: OpenseaSource,
    out: Path,
    writer: Writer,
    begin: Callable[[str, int | None], None],
    advance: Callable[[int], None],
) -> FetchReport:
    begin("listing items", writer.facts.count or None)
    nfts = _List(out / PROGRESS_NAME / "nfts")
    nfts.fetch(lambda cursor: _items_page(source, writer.facts, cursor), advance)
    begin("listing sales", None)
    sales = _List(out / PROGRESS_NAME / "sales")
    sales.fetch(lambda cursor: _sales_page(source, writer.facts, cursor), advance)
    items = _unique(Item.model_validate(record) for record in nfts.records())
    sold = [_priced(sale, source.rates) for sale in _unique_sales(map(Sale.model_validate, sales.records()))]
    items = _with_sales(items, sold)
    begin("fetching pictures", len(items))
    items = download_pictures(out, items, source.downloads, advance)
    remarks = [*nfts.remarks("items"), *sales.remarks("sales"), *_without_rate(sold, source.rates)]
    mark = out / PROGRESS_NAME / _REFRESH_NAME
    if mark.exists():
        writer.facts = writer.facts.model_copy(update={"fetched_at": mark.read_text()})
    collection = writer.finish(items, sold)
    mark.unlink(missing_ok=True)
    if nfts.stalled or sales.stalled:
        nfts.forget_what_led_back()
        sales.forget_what_led_back()
    else:
        _forget(out)
    return report_of(collection, remarks)


def _ask_missing_again(
    source: OpenseaSource,
    out: Path,
    writer: Writer,
    begin: Callable[[str, int | None], None],
    advance: Callable[[int], None],
) -> FetchReport:
    collection = open_collection(out)
    sold = [_priced(sale, source.rates) if source.rates else sale for sale in collection.sales]
    items = _with_sales(collection.items, sold)
    missing = [item for item in items if item.missing]
    begin("fetching pictures", len(missing))
    again = {item.id: item for item in download_pictures(out, missing, source.downloads, advance)}
    items = [again.get(item.id, item) for item in items]
    shutil.rmtree(out / PROGRESS_NAME, ignore_errors=True)
    return report_of(writer.finish(items, sold), list(_without_rate(sold, source.rates)))


class _List:
    """One list of the API, kept page by page.

    Args:
        folder: Folder of its pages.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stalled = False

    def fetch(self, ask: Callable[[str | None], Page], advance: Callable[[int], None]) -> None:
        """Request the pages that are not on disk."""
        pages = self._pages()
        cursors = [page.next for page in pages]
        known: set[bytes] = set()
        repeated = 0  # pages in a row that brought nothing new
        for page in pages:
            advance(len(page.records))
            repeated = 0 if _add_new(page, known) else repeated + 1
        while not cursors or cursors[-1] is not None:
            new = ask(cursors[-1] if cursors else None)
            if new.next is not None and (new.next in cursors or repeated >= _MOST_REPEATED):
                self.stalled = True  # for ever, if we went on
                return
            kept = _KeptPage(next=new.next, records=list(new.records), wrong=list(new.wrong))
            write_bytes(self.folder / f"{len(cursors):06d}.json", json_bytes(kept))
            cursors.append(new.next)
            repeated = 0 if _add_new(kept, known) else repeated + 1
            advance(len(new.records))

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of all pages on disk."""
        for page in self._pages():
            yield from page.records

    def remarks(self, what: str) -> Iterator[str]:
        """Yield remarks about the list."""
        wrong = Counter(one for page in self._pages() for one in page.wrong)
        one = what.removesuffix("s")
        yield from (
            f"{counted(count, one, what)} could not be read ({reason})"
            for reason, count in wrong.most_common(5)
        )
        if self.stalled:
            yield f"the list of {what} came back to a page that was there already, and ends here; try again later"

    def forget_what_led_back(self) -> None:
        """Remove the page whose cursor led back to an earlier one, so that the next call requests it again."""
        if self.stalled:
            sorted(self.folder.glob("[0-9]*.json"))[-1].unlink()

    def _pages(self) -> list[_KeptPage]:
        names = sorted(self.folder.glob("[0-9]*.json"))
        return [_KeptPage.model_validate_json(name.read_bytes()) for name in names]


def _add_new(page: _KeptPage, known: set[bytes]) -> bool:
    """Note a page's records, and return whether one of them is new."""
    before = len(known)
    known |= {hashlib.sha256(json_text(record).encode()).digest() for record in page.records}
    return len(known) > before


def _facts(source: OpenseaSource) -> Facts:
    said = source.market.collection(source.slug)
    contract = said.contracts[0] if said.contracts else None
    return Facts(
        name=source.name,
        title=clean(said.name, 300) or None,
        description=clean(said.description, MAX_DESCRIPTION) if said.description else None,
        source=SourceFacts(kind="opensea", reference=source.slug),
        licence=source.licence,
        fetched_at=now(),
        count=said.unique_item_count or said.total_supply or 0,
        contract=Contract(chain=clean(contract.chain, 60), address=clean(contract.address, 100))
        if contract
        else None,
        category=clean(said.category, 100) if said.category else None,
        page=clean(said.opensea_url, 300) if said.opensea_url else None,
    )


def _items_page(source: OpenseaSource, facts: Facts, cursor: str | None) -> Page:
    page = source.market.nfts(source.slug, cursor)
    nfts: Sequence[ApiNft] = page.records
    bare = [nft for nft in nfts if nft.traits is None]
    if not bare and not any(nft.traits for nft in nfts):
        bare = list(nfts)  # some answers have empty lists in place of traits
    known: dict[tuple[str, str], ApiNft] = {}
    if bare and facts.contract:
        address = facts.contract.address
        tokens = [(nft.contract or address, nft.identifier) for nft in bare]
        found = source.market.batch(facts.contract.chain, tokens, source.slug)
        known = {((nft.contract or address).lower(), nft.identifier): nft for nft in found}
    items = []
    for nft in nfts:
        more = known.get(
            ((nft.contract or (facts.contract.address if facts.contract else "")).lower(), nft.identifier)
        )
        items.append(
            _item(nft, more, facts).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        )
    return Page(tuple(items), page.next, page.wrong)


def _item(nft: ApiNft, more: ApiNft | None, facts: Facts) -> Item:
    traits, notes = parse_attributes((more.traits if more else None) or nft.traits or ())
    item_id = _id(nft, facts)
    description = nft.description or (more.description if more else None)
    url = nft.original_image_url or nft.image_url or nft.display_image_url
    return Item(
        id=item_id,
        name=clean(nft.name, 300) if nft.name else f"#{item_id}",
        description=clean(description, MAX_DESCRIPTION) if description else None,
        traits=traits,
        nsfw=nft.is_nsfw,
        url=url.strip() if url else None,
        page=clean(nft.opensea_url, 500) if nft.opensea_url else None,
        notes=notes,
    )


def _id(nft: ApiNft, facts: Facts) -> str:
    identifier = clean(nft.identifier, 100) or "unnamed"
    same = (
        not nft.contract or facts.contract is None or nft.contract.lower() == facts.contract.address.lower()
    )
    return identifier if same else f"{clean(nft.contract, 60)}:{identifier}"


def _sales_page(source: OpenseaSource, facts: Facts, cursor: str | None) -> Page:
    page = source.market.sales(source.slug, cursor)
    sales, wrong = [], list(page.wrong)
    for event in page.records:
        try:
            sale = _sale(event, facts)
        except ValueError as error:
            wrong.append(str(error))
            continue
        sales.append(sale.model_dump(mode="json", exclude_none=True, exclude_defaults=True))
    return Page(tuple(sales), page.next, tuple(wrong))


def _sale(event: ApiEvent, facts: Facts) -> Sale:
    """Return a sale, with the price of one copy.

    Raises:
        ValueError: If the sale has no valid price or no item.
    """
    if event.payment is None or event.nft is None:
        raise ValueError("a sale without a payment or an item; left out")
    payment = event.payment
    try:
        units = Decimal(payment.quantity)
    except InvalidOperation as error:
        raise ValueError("a sale whose payment is no number; left out") from error
    if not (
        units.is_finite() and units >= 0 and 0 <= payment.decimals <= _MAX_DECIMALS and event.quantity > 0
    ):
        raise ValueError("a sale whose payment can't be (negative, or for no copies); left out")
    try:
        price = float(units.scaleb(-payment.decimals) / event.quantity)
    except (ArithmeticError, ValueError):  # beyond what decimals or floats hold
        price = math.inf
    if not math.isfinite(price):
        raise ValueError("a sale whose payment is too large for a number; left out")
    return Sale(
        id=_id(event.nft, facts),
        price=price,
        symbol=clean(payment.symbol, 40),
        at=event.closing_date or event.event_timestamp,
        quantity=event.quantity,
        transaction=clean(event.transaction, 120) if event.transaction else None,
        order=clean(event.order_hash, 120) if event.order_hash else None,
    )


def _unique(items: Iterable[Item]) -> list[Item]:
    """Return each item once: pages overlap when a list grows while it is read."""
    return list({item.id: item for item in items}.values())


def _unique_sales(sales: Iterable[Sale]) -> list[Sale]:
    return list(
        {(sale.id, sale.at, sale.transaction, sale.order, sale.price): sale for sale in sales}.values()
    )


def _priced(sale: Sale, rates: Rates) -> Sale:
    return sale.model_copy(update={"price_usd": in_usd(sale.price, sale.symbol, sale.at, rates)})


def _with_sales(items: Sequence[Item], sales: Sequence[Sale]) -> list[Item]:
    """Return items with the price of their newest sale and their number of sales."""
    newest: dict[str, Sale] = {}
    for sale in sales:
        if sale.id not in newest or sale.at > newest[sale.id].at:
            newest[sale.id] = sale
    counts = Counter(sale.id for sale in sales)

    def sold(item: Item) -> Item:
        sale = newest.get(item.id)
        if sale is None:
            return item
        price = {"price": sale.price, "symbol": sale.symbol, "price_usd": sale.price_usd}
        return item.model_copy(update=price | {"sold_at": sale.at, "sales": counts[item.id]})

    return [sold(item) for item in items]


def _without_rate(sales: Sequence[Sale], rates: Rates) -> Iterator[str]:
    if rates:
        absent = Counter(sale.symbol for sale in sales if sale.price_usd is None)
        for symbol, count in absent.most_common(5):
            have = (
                "has no rate of its day in --usd, and stays"
                if count == 1
                else "have no rate of their day in --usd, and stay"
            )
            yield f"{counted(count, 'sale')} in {symbol} {have} in {symbol}"


def _forget(out: Path) -> None:
    """Remove the state of the fetch; it is renamed first, so that a kill leaves all of it or none."""
    if (out / PROGRESS_NAME).is_dir():
        (out / PROGRESS_NAME).rename(out / _DONE_NAME)
        shutil.rmtree(out / _DONE_NAME, ignore_errors=True)
