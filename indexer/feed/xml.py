"""Feeds in XML, from untrusted producers: one item after the other, in constant memory, whatever encoding they are in.

Real feeds carry `<!DOCTYPE yml_catalog SYSTEM "shops.dtd">`, so a DOCTYPE is allowed, but it is never loaded and may declare
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lxml import etree

from packsight.indexer.feed.offers import Faults, FeedError
from packsight.shared.tables.cells import Readable
from packsight.shared.tables.encoding import CONTROL, SPACED, Recoder

MAX_ELEMENTS = 10_000
"""Elements that may stand between two items or in one of them; real ones have some dozens."""
MAX_SILENCE = 12_000_000
"""Bytes between two tags; a text may have ten million."""
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")

REMEDIES: Mapping[str, str] = {
    "ERR_NAME_REQUIRED": "a bare & or < must be written &amp; or &lt;",
    "ERR_ENTITYREF_SEMICOL_MISSING": "a bare & must be written &amp;",
    "ERR_INVALID_CHAR": "take the character out, which may be written as a number",
    "ERR_INVALID_ENCODING": "save the feed as UTF-8 and let its declaration say so",
    "ERR_TAG_NAME_MISMATCH": "close each tag by its own name",
    "ERR_TAG_NOT_FINISHED": "the feed ends too early: write it whole before it is fetched",
    "ERR_DOCUMENT_END": "the feed ends too early: write it whole before it is fetched",
    "ERR_DOCUMENT_EMPTY": "the file is empty or no XML",
}
"""What to do, by libxml2's name of the error."""


def items(stream: Readable, name: str, faults: Faults, roots: Mapping[str, Collection[str]]) -> Iterator[tuple[str, Any]]:
    """Yield the local name of the root, and each element that is an item, or something beside items that its root's reader needs.

    roots: by local name of the root those of its elements that are yielded. An element is freed when the next one is asked for.
    Raises FeedError with the line and the item when the XML is broken, has another root, or declares entities.
    """
    text = _Text(stream, name)
    parser = etree.iterparse(
        text,
        events=("start", "end"),
        huge_tree=False,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
        encoding="utf-8",
    )
    root, wanted, inside, elements = "", frozenset[str](), "", 0
    identity: str | None = None
    try:
        for event, element in parser:
            text.unanswered = 0
            tag = local(element)
            if event == "start":
                elements += 1
                if not root:
                    root, wanted = _root(element, roots, name)
                elif not inside and tag in wanted:
                    inside, elements, identity = tag, 0, element.get("id", "")
                if elements > MAX_ELEMENTS:
                    raise FeedError(f"{name}, {_place(identity)}: more than {MAX_ELEMENTS} elements. Correct the feed.")
            elif inside == tag:
                yield root, element
                _release(element)
                inside, elements = "", 0
            elif not inside:
                _release(element)
    except etree.XMLSyntaxError as error:
        last = parser.error_log[0] if len(parser.error_log) else None
        line, reason = (last.line, last.message) if last else (error.lineno, str(error.msg).split(", line ")[0])
        remedy = REMEDIES.get(last.type_name if last else "", "write it as XML")
        raise FeedError(
            f"{name} is not well-formed in line {line}, {_place(identity)}: {reason}. Correct the feed ({remedy}) and sync "
            "again; the published catalog goes on serving."
        ) from None
    except UnicodeDecodeError as error:
        raise FeedError(
            f"{name} is no text in {error.encoding}, {_place(identity)}: byte {error.object[error.start]:#04x}. Save it as UTF-8."
        ) from None
    if text.dropped:
        faults.count("control characters in the feed, which count as spaces", text.first_dropped, text.dropped)


def local(element: Any) -> str:
    """Name of an element without its namespace."""
    tag: str = element.tag
    return tag.rpartition("}")[2] if tag[0] == "{" else tag


def text_of(element: Any) -> str:
    """All text in an element; a named entity of HTML, say &nbsp;, stays a node of its own and stands for a space."""
    if not len(element):
        return element.text or ""
    parts = [element.text or ""]
    for node in element.iterdescendants():
        parts += [" " if node.tag is etree.Entity else node.text or "", node.tail or ""]
    return "".join(parts)


class _Text:
    """Hands UTF-8 to the parser, and stops when it swallows much without seeing a tag in it.

    The parser's own limits come too late: it gathers a comment, an attribute or a CDATA section whole before it looks. White
    space before the declaration is left out; control characters, which XML forbids, are spaces.
    """

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream, self._name = stream, name
        self._recoder: Recoder | None = None
        self._begun = False
        self._given = 0
        self.unanswered = 0
        self.dropped = 0
        self.first_dropped = ""

    def read(self, size: int) -> bytes:
        while True:
            raw = self._stream.read(size)
            if self._recoder is None:
                declared = _DECLARED.search(raw[:400])
                self._recoder = Recoder(declared.group(1).decode() if declared else "")
            data = self._recoder.recode(raw, final=not raw)
            if not self._begun:
                data = data.lstrip()
                self._begun = bool(data)
            if data or not raw:
                break
        self.unanswered += len(data)
        if self.unanswered > MAX_SILENCE:
            raise FeedError(f"{self._name} has more than {MAX_SILENCE} bytes between two tags. Correct the feed.")
        if found := len(data) - len(data.translate(None, CONTROL)):
            if not self.dropped:
                at = next(index for index, byte in enumerate(data) if byte in CONTROL)
                self.first_dropped = f"character {data[at]:#04x} in byte {self._given + at + 1}"
            self.dropped += found
            data = data.translate(SPACED)
        self._given += len(data)
        return data


def _place(identity: str | None) -> str:
    return f"in or after offer {identity!r}" if identity is not None else "outside of any offer"


def _root(root: Any, roots: Mapping[str, Collection[str]], name: str) -> tuple[str, frozenset[str]]:
    tag = local(root)
    if tag not in roots:
        raise FeedError(
            f"{name} is no product feed: its root is <{tag}>. YML (<yml_catalog>), Google Merchant (<rss> or <feed>) and tables "
            "are read. Check the address."
        )
    internal = root.getroottree().docinfo.internalDTD
    if internal is not None and next(internal.iterentities(), None) is not None:
        raise FeedError(f"{name} declares XML entities, which are refused. Write the text itself into the feed.")
    return tag, frozenset(roots[tag])


def _release(element: Any) -> None:
    """Free an element and everything before it: what is cleared still hangs in its parent."""
    element.clear(keep_tail=False)
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
