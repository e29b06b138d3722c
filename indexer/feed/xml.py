"""Feeds in XML, from untrusted producers: one item after the other, in constant memory, whatever encoding they are in.

Real feeds carry `<!DOCTYPE yml_catalog SYSTEM "shops.dtd">`, so a DOCTYPE is allowed, but it is never loaded and may declare
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from html.entities import html5
from typing import Any

from lxml import etree

from packsight.indexer.feed.offers import Faults, FeedError
from packsight.shared.tables.encoding import CONTROL, SPACED, Recoder
from packsight.shared.tables.lines import Readable

MAX_ELEMENTS = 10_000
"""Elements that may stand in an item, or between two; real ones have some dozens."""
MAX_SILENCE = 12_000_000
"""Bytes of one item, or between two tags outside of items; a text may have ten million.

The parser's own limits come too late: it gathers a comment, an attribute or a CDATA section whole before it looks.
"""
CHUNK = 64 * 1024
"""Bytes parsed at a time; what grows is looked at between two of them."""
SAFE = {
    "huge_tree": False,
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "remove_comments": True,
    "remove_pis": True,
    "encoding": "utf-8",
}
_BEFORE = re.compile(rb"(?:[\x00-\x20\x7f]|\xef\xbb\xbf|\xe2\x80\x8b|\xc2\xa0)+")
"""What is not seen before the first tag: blanks, controls, a further byte order mark."""
_DECLARATION = re.compile(rb"<\?xml\s+version")
"""Not `<?xml:namespace …?>`, which Word leaves in descriptions."""
_LATEST = 4096
"""Bytes within which a declaration stands, behind what a program said before it wrote the feed."""
_FORBIDDEN = re.compile(rb"\xef\xbf[\xbe\xbf]|\xed[\xa0-\xbf][\x80-\xbf]")
"""No characters, and halves of such as programs write that take UTF-16 for text, in UTF-8 (XML 1.0, 2.2)."""
_REFERENCE = re.compile(rb"&(?:#x([0-9A-Fa-f]{1,8})|#([0-9]{1,10})|(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]{1,31}));")
_LONGEST = 40
"""Bytes of such a reference, at most."""
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_GOOGLE = re.compile(rb"<(?:rss|feed)(?=[\s>])(?![^>]*\sxmlns:g\s*=)")
"""The beginning of a root that does not say what `g:` means."""

REMEDIES: Mapping[str, str] = {
    "ERR_NAME_REQUIRED": "a bare & or < must be written &amp; or &lt;",
    "ERR_ENTITYREF_SEMICOL_MISSING": "a bare & must be written &amp;",
    "ERR_INVALID_ENCODING": "save the feed as UTF-8 and let its declaration say so",
    "ERR_TAG_NAME_MISMATCH": "close each tag by its own name",
    "ERR_TAG_NOT_FINISHED": "close every tag, comment and CDATA section",
    "ERR_DOCUMENT_END": "take away what stands behind the end of its root",
    "ERR_RESERVED_XML_NAME": "take away the second declaration, or what stands before the first",
    "NS_ERR_UNDEFINED_NAMESPACE": "let the root say what the prefix means, as xmlns:PREFIX=\"ADDRESS\"",
    "ERR_DOCUMENT_EMPTY": "the file is empty or no XML",
}
"""What to do, by libxml2's name of the error."""


def items(stream: Readable, name: str, faults: Faults, roots: Mapping[str, Collection[str]]) -> Iterator[tuple[str, Any]]:
    """Yield the local name of the root, and each element that is an item, or something beside items that its root's reader needs.

    roots: by local name of the root those of its elements that are yielded. An element is freed when the next one is asked for.
    Only of these elements is Python told at all, which is what makes it quick. Raises FeedError with the line and the item when
    the XML is broken, has another root, or declares entities.
    """
    text = _Text(stream, name)
    parsing = _Parsing(name, roots)
    try:
        while data := text.read(CHUNK):
            for event, element in parsing.feed(data):
                if event == "start":
                    if parsing.inside is None and local(element) in parsing.wanted:
                        parsing.inside = element
                elif element is parsing.inside:
                    yield parsing.root, element
                    parsing.leave()
            parsing.look_around(len(data))
        parsing.close()
    except etree.XMLSyntaxError as error:
        raise parsing.explain(error, text.latest) from None
    except UnicodeDecodeError as error:
        raise FeedError(
            f"{name} is no text in {error.encoding}, {_place(parsing.identity)}: byte {error.object[error.start]:#04x}. "
            "Save it as UTF-8."
        ) from None
    if text.dropped:
        faults.count("characters in the feed that XML forbids, which count as spaces", text.first_dropped, text.dropped)


class _Parsing:
    """A feed's parser: another one looks at the beginning first, to learn which elements are items."""

    def __init__(self, name: str, roots: Mapping[str, Collection[str]]) -> None:
        self._name, self._roots = name, roots
        self._first = etree.XMLPullParser(events=("start",), **SAFE)
        self._parser = self._first
        self._head: list[bytes] = []
        self._tree: Any = None
        self._innermost: Any = None
        self.root = ""
        self.wanted = frozenset[str]()
        self._ended = False
        self._before: str | None = None
        self.inside: Any = None
        """The item that is not whole yet."""
        self.silent = 0
        """Bytes since something was told."""
        self.strangers = 0
        """Elements freed since the last item."""

    def feed(self, data: bytes) -> Iterator[tuple[str, Any]]:
        """Parse on, and yield the beginning and end of each wanted element; raises XMLSyntaxError behind what is sound."""
        broken = None
        try:
            self._feed(data)
        except etree.XMLSyntaxError as error:
            broken = error
        if self._tree is not None:
            yield from self._parser.read_events()
        if broken is not None:
            raise broken

    def _feed(self, data: bytes) -> None:
        if self._tree is not None:
            self._parser.feed(data)
            return
        self._head.append(data)
        broken = None
        try:
            self._first.feed(data)
        except etree.XMLSyntaxError as error:
            broken = error
        _, root = next(iter(self._first.read_events()), (None, None))
        if root is not None:
            self.root, self.wanted = _root(root, self._roots, self._name)
            tags = [f"{{*}}{tag}" for tag in (self.root, *self.wanted)]
            self._parser = etree.XMLPullParser(events=("start", "end"), tag=tags, **SAFE)
            head, self._head = b"".join(self._head), []
            try:
                self._parser.feed(head)
            finally:
                _, self._tree = next(iter(self._parser.read_events()))
        elif broken is not None:
            raise broken

    def look_around(self, size: int) -> None:
        """Free what lies between items, and raise FeedError when there is no end to what grows."""
        self.silent += size
        if self.inside is not None:
            if (found := sum(1 for _ in self.inside.iter())) > MAX_ELEMENTS:
                raise _too_many(self._name, self.identity, found)
        elif self._tree is not None:
            innermost = self._tree
            while len(innermost):
                self.strangers += len(innermost) - 1
                del innermost[:-1]
                innermost = innermost[-1]
            if self.strangers > MAX_ELEMENTS:
                raise _too_many(self._name, self.identity, self.strangers)
            if innermost is not self._innermost:
                self._innermost, self.silent = innermost, 0
        if self.silent > MAX_SILENCE:
            raise FeedError(f"{self._name} has more than {MAX_SILENCE} bytes between two tags. Correct the feed.")

    def leave(self) -> None:
        """Free the item, which is whole and was looked at."""
        self._before = _id_of(self.inside)
        _release(self.inside)
        self.inside, self.silent, self.strangers = None, 0, 0

    @property
    def identity(self) -> str | None:
        """Id of the item that is not whole yet, as far as it has come, else of the one before; None before the first."""
        return self._before if self.inside is None else _id_of(self.inside) or self._before or ""

    def close(self) -> None:
        """Let the parser see the end; raises XMLSyntaxError when it comes too early."""
        self._ended = True
        self._parser.close()

    def explain(self, error: etree.XMLSyntaxError, latest: bytes) -> FeedError:
        """What is wrong, where, and what helps; latest: the bytes before it."""
        last = self._parser.feed_error_log[0] if len(self._parser.feed_error_log) else None
        line, reason = (last.line, last.message) if last else (error.lineno, str(error.msg).split(", line ")[0])
        if self._ended and self.root and not re.search(rb"</(?:[\w.-]+:)?%b\s*>" % self.root.encode(), latest):
            # Whatever the parser missed first: an end in the middle of a tag looks like many faults.
            return FeedError(
                f"{self._name} ends too early, in line {line}, {_place(self.identity)}: the end of <{self.root}> is missing. "
                "Write it whole before it is fetched, and sync again; the published catalog goes on serving."
            )
        remedy = REMEDIES.get(last.type_name if last else "", "write it as XML")
        return FeedError(
            f"{self._name} is not well-formed in line {line}, {_place(self.identity)}: {reason}. Correct the feed ({remedy}) and "
            "sync again; the published catalog goes on serving."
        )


def declared(head: bytes) -> str:
    """The encoding that a feed names at its beginning; empty without one."""
    found = _DECLARED.search(head)
    return found.group(1).decode() if found else ""


def without_what_is_before(data: bytes) -> bytes:
    """UTF-8 from the first tag on, or from the declaration where text of a program stands before it."""
    if (match := _BEFORE.match(data)) is not None:
        data = data[match.end() :]
    found = _DECLARATION.search(data, 0, _LATEST)
    return data[found.start() :] if found else data


def local(element: Any) -> str:
    """Name of an element without its namespace."""
    tag: str = element.tag
    return tag.rpartition("}")[2] if tag[0] == "{" else tag


def text_of(element: Any) -> str:
    """All text in an element; a named entity that nobody knows stays a node of its own and stands for a space."""
    if not len(element):
        return element.text or ""
    parts = [element.text or ""]
    for node in element.iterdescendants():
        parts += [" " if node.tag is etree.Entity else node.text or "", node.tail or ""]
    return "".join(parts)


class _Text:
    """Hands UTF-8 to the parser, from the first tag on; what XML forbids in text counts as spaces.

    Entities of HTML, which XML does not know, are characters, and `g:` has the meaning that Google gives it where a root forgot
    to say so.
    """

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream, self._name = stream, name
        self._recoder: Recoder | None = None
        self._begun = False
        self._held = b""
        self._given = 0
        self.dropped = 0
        self.first_dropped = ""
        self.latest = b""
        """The end of what was read."""

    def read(self, size: int) -> bytes:
        while True:
            raw = self._stream.read(size)
            if self._recoder is None:
                self._recoder = Recoder(declared(raw[:_LATEST]))
            data = self._held + self._recoder.recode(raw, final=not raw)
            if not self._begun:
                data = _GOOGLE.sub(rb'\g<0> xmlns:g="http://base.google.com/ns/1.0"', without_what_is_before(data), count=1)
                self._begun = bool(data)
            data, self._held = _whole(data) if raw else (data, b"")
            if data or not raw:
                break
        if (b"\xef\xbf" in data or b"\xed" in data) and (strange := _FORBIDDEN.findall(data)):
            if not self.dropped:
                self.first_dropped = f"bytes {strange[0].hex(' ')}"
            self.dropped += len(strange)
            data = _FORBIDDEN.sub(b"   ", data)
        if found := len(data) - len(data.translate(None, CONTROL)):
            if not self.dropped:
                at = next(index for index, byte in enumerate(data) if byte in CONTROL)
                self.first_dropped = f"character {data[at]:#04x} in byte {self._given + at + 1}"
            self.dropped += found
            data = data.translate(SPACED)
        self._given += len(data)
        self.latest = (self.latest + data)[-_LATEST:]
        return _REFERENCE.sub(self._character, data) if b"&" in data else data

    def _character(self, reference: re.Match[bytes]) -> bytes:
        """What a reference stands for that a parser of XML does not know, or refuses."""
        whole, hexadecimal, decimal, name = reference[0], *reference.groups()
        if name is not None:
            character = html5.get(f"{name.decode()};", "")
            return character.replace("&", "&amp;").replace("<", "&lt;").encode() if character else whole
        if _is_character(int(hexadecimal, 16) if hexadecimal else int(decimal)):
            return whole
        if not self.dropped:
            self.first_dropped = f"character {whole.decode()}"
        self.dropped += 1
        return b" "


def _whole(data: bytes) -> tuple[bytes, bytes]:
    """The data without a reference at its end that is not whole yet, and that."""
    at = data.rfind(b"&", max(0, len(data) - _LONGEST))
    return (data, b"") if at < 0 or b";" in data[at:] else (data[:at], data[at:])


def _is_character(code: int) -> bool:
    """Whether XML allows it in text (XML 1.0, 2.2)."""
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


def _id_of(item: Any) -> str:
    """Its id as YML has it, in an attribute, or as Google has it."""
    return item.get("id") or item.findtext("{*}id") or ""


def _too_many(name: str, identity: str | None, found: int) -> FeedError:
    return FeedError(f"{name}, {_place(identity)}: {found} elements, more than {MAX_ELEMENTS}. Correct the feed.")


def _place(identity: str | None) -> str:
    return f"in or after offer {identity!r}" if identity is not None else "outside of any offer"


def _root(root: Any, roots: Mapping[str, Collection[str]], name: str) -> tuple[str, frozenset[str]]:
    tag = local(root)
    if tag == "Workbook" or "opendocument" in root.tag:
        what = "workbook of Excel 2003" if tag == "Workbook" else "document of OpenDocument"
        raise FeedError(f"{name} is a {what} in XML. Save it as .xlsx, or as CSV in UTF-8.")
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
