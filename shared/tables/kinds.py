"""What a file is that is handed over as a table, told by how it begins: HTML, or what cannot be read."""

from __future__ import annotations

import re
from html import unescape

from packsight.shared.tables.encoding import beginning
from packsight.shared.tables.html_table import declared

HEAD = 4096
"""Bytes that tell."""
_HTML = re.compile(
    rb"(?><\?xml[^>]*>|<!--.*?-->|\s)*+<(?:!doctype\s+html|(?:html|head|meta|title|style|body|table|div|center|font)[\s>])",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})</title>", re.IGNORECASE)
_OTHERS = (
    (re.compile(rb'\s*(?:\{\s*["}]|\[\s*[\[{"\]])'), "JSON"),
    (re.compile(rb"(?:\s|<[?!][^>]*>)*<(?:\w+:)?Workbook[\s>]"), "a workbook of Excel 2003 in XML"),
    (re.compile(rb"(?:\s|<[?!][^>]*>)*<office:document[\s>]"), "a document of OpenDocument in XML"),
    (re.compile(rb"\s*<(?:\?xml|\w)"), "XML"),
    (re.compile(rb"\s*(?:MIME-Version:|Content-Type: *multipart)", re.IGNORECASE), "a web archive (MHTML)"),
    (re.compile(rb"%PDF-"), "a PDF file"),
    (re.compile(rb"\{\\rtf"), "an RTF document"),
    (re.compile(rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c"), "an archive (RAR or 7z)"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "packed with bzip2"),
    (re.compile(rb"\xfd7zXZ\x00"), "packed with xz"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "packed with Zstandard"),
    (re.compile(rb".{257}ustar", re.DOTALL), "an archive (tar)"),
    (re.compile(rb"\xef\xbb\xbf\x1f\x8b"), "a gzip file that a byte order mark was written before"),
    (re.compile(rb"\t[\x00\x02\x04\x08][\x04-\x10]\x00"), "a workbook of Excel before 1997"),
    (re.compile(rb"\xff\xd8\xff|\x89PNG\r\n"), "a picture"),
)
"""Never the beginning of a table of text."""


def is_html(head: bytes) -> bool:
    """Whether what begins so is a page, perhaps only a table of one."""
    return _HTML.match(beginning(head, declared(head))) is not None


def page_title(head: bytes) -> str:
    """What the page that begins so calls itself, as a server's error does; empty where it does not say."""
    found = _TITLE.search(head.decode("utf-8", "replace"))
    return " ".join(unescape(found[1]).split()) if found else ""


def foreign(head: bytes) -> str:
    """What it is that begins so and that nothing here reads; empty where it may be a table of text."""
    either = (head, beginning(head))
    return next((what for begin, what in _OTHERS if any(map(begin.match, either))), "")
