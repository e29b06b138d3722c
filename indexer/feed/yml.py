"""Product feeds in YML (Yandex Market Language): streamed, in UTF-8 or Windows-1251, from untrusted producers.

The format: `yml_catalog/shop/offers/offer`, https://yandex.ru/support/marketplace/tools/elements. Real feeds carry
`<!DOCTYPE yml_catalog SYSTEM "shops.dtd">`, so a DOCTYPE is allowed, but it is never loaded and may declare nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from lxml import etree, html

from packsight.indexer.feed.offers import Faults, FeedError, Offer
from packsight.shared.catalog.manifest import ProductRow

MAX_ELEMENTS = 10_000
"""Elements that may stand between two offers or in one of them; real offers have some dozens."""
MAX_SILENCE = 12_000_000
"""Bytes between two tags; a text may have ten million."""
MAX_FIELD = 20_000
"""Characters kept of a field."""


def read_feed(stream: IO[bytes], name: str, faults: Faults, *, unavailable: bool = True) -> Iterator[Offer]:
    """Yield the offers of a feed in constant memory.

    `unavailable`: whether offers with available="false" are kept. Offers without an id are counted in `faults`.
    Raises FeedError with the line and the offer when the XML is broken, is not YML, or declares entities.
    """
    categories: dict[str, str] = {}
    offer_id: str | None = None
    elements = 0
    paced = _Paced(stream, name)
    parser = etree.iterparse(
        paced,
        events=("start", "end"),
        huge_tree=False,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for event, element in parser:
            paced.unanswered = 0
            if event == "start":
                elements += 1
                if element.getparent() is None:
                    _check_root(element, name)
                elif element.tag == "offer":
                    offer_id, elements = element.get("id", ""), 0
                if elements > MAX_ELEMENTS:
                    raise FeedError(f"{name}, {_place(offer_id)}: more than {MAX_ELEMENTS} elements. Correct the feed.")
                continue
            if element.tag == "category":
                categories[element.get("id", "")] = _text(element)
            elif element.tag == "offer":
                offer = _offer(element, categories, unavailable=unavailable)
                if offer is not None:
                    yield offer
                elif not element.get("id", "").strip():
                    faults.count("offers without an id, left out", f"line {element.sourceline}")
                _release(element)
                offer_id, elements = None, 0
            elif offer_id is None:
                _release(element)
    except etree.XMLSyntaxError as error:
        log = parser.error_log
        line, reason = (log[0].line, log[0].message) if len(log) else (error.lineno, str(error.msg).split(", line ")[0])
        raise FeedError(
            f"{name} is not well-formed in line {line}, {_place(offer_id)}: {reason}. "
            "Correct the feed (a bare & must be written &amp;) and sync again; the published catalog goes on serving."
        ) from None


class _Paced:
    """Hands bytes to the parser, and stops when it swallows many without seeing a tag in them.

    The parser's own limits come too late: it gathers a comment, an attribute or a CDATA section whole before it looks.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self.unanswered = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.unanswered += len(data)
        if self.unanswered > MAX_SILENCE:
            raise FeedError(f"{self._name} has more than {MAX_SILENCE} bytes between two tags. Correct the feed.")
        return data


def _place(offer_id: str | None) -> str:
    return f"in or after offer {offer_id!r}" if offer_id is not None else "outside of any offer"


def _check_root(root: Any, name: str) -> None:
    if root.tag != "yml_catalog":
        raise FeedError(f"{name} is not a YML feed: its root is <{root.tag}>, not <yml_catalog>. Check the address.")
    internal = root.getroottree().docinfo.internalDTD
    if internal is not None and next(internal.iterentities(), None) is not None:
        raise FeedError(f"{name} declares XML entities, which are refused. Write the text itself into the feed.")


def _release(element: Any) -> None:
    """Free an element and everything before it: what is cleared still hangs in its parent."""
    element.clear(keep_tail=False)
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _text(element: Any) -> str:
    # A named entity of HTML, say &nbsp;, stays a node of its own; it stands for a break between words.
    parts = [element.text or ""]
    for node in element.iterdescendants():
        parts += [" " if node.tag is etree.Entity else node.text or "", node.tail or ""]
    return " ".join("".join(parts).split())[:MAX_FIELD]


def _plain(markup: str) -> str:
    """Text of a description, which is often HTML inside CDATA."""
    if "<" not in markup:
        return markup
    try:
        return " ".join(" ".join(html.fromstring(markup).itertext()).split())
    except (etree.ParserError, ValueError):
        return markup


def _offer(element: Any, categories: dict[str, str], *, unavailable: bool) -> Offer | None:
    identity = element.get("id", "").strip()
    if not identity or (not unavailable and element.get("available", "").strip().lower() == "false"):
        return None
    fields: dict[str, list[str]] = {}
    params: list[str] = []
    for child in element:
        value = _text(child)
        if not value or not isinstance(child.tag, str):
            continue
        if child.tag == "param":
            params.append(
                " ".join(filter(None, [f"{child.get('name', '').strip()}:", value, child.get("unit", "").strip()]))
            )
        else:
            fields.setdefault(child.tag, []).append(value)

    def first(tag: str) -> str:
        return fields.get(tag, [""])[0]

    pictures = tuple(dict.fromkeys(fields.get("picture", [])))
    words = (first("typePrefix"), first("vendor"), first("model"))
    product = ProductRow(
        id=identity,
        name=first("name") or " ".join(filter(None, words)) or first("title"),
        vendor=first("vendor"),
        model=first("model"),
        type_prefix=first("typePrefix"),
        vendor_code=vendor_code(first("vendorCode"), first("url"), identity),
        url=first("url"),
        price=first("price"),
        old_price=first("oldprice"),
        currency=first("currencyId"),
        category=categories.get(first("categoryId"), first("categoryId")),
        description=". ".join(filter(None, [_plain(first("description")), *params])),
        barcodes=tuple(dict.fromkeys(fields.get("barcode", []))),
        picture=pictures[0] if pictures else "",
    )
    return Offer(product, pictures)


def vendor_code(code: str, url: str, identity: str) -> str:
    """Name of the product's folder of extra photos: its vendor code, else the `utm_term` of its url, else its id."""
    if code:
        return code
    try:
        terms = parse_qs(urlsplit(url).query).get("utm_term", [])
    except ValueError:
        terms = []
    return terms[0].strip() if terms and terms[0].strip() else identity
