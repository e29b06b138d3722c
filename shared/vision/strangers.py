"""What came where a picture was expected: servers answer with pages, errors and documents under any name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packsight.shared.contract.errors import ErrorCode, ImageError

_HEAD = 2048
"""Bytes at the beginning that are looked at."""
_PAGE = "The address leads to a page: give that of the picture itself."
_DATA = "The address leads to data: give that of the picture itself."
_PACKED = "Store and serve the picture as it is, or packed with gzip."
_KINDS: Sequence[tuple[re.Pattern[bytes], str, str]] = (
    (
        re.compile(rb"(?s)<(?:.*?<)?Error[\s>].*?<Code>\s*(\w{1,60})"),
        "an error of object storage",
        "Look whether the address is right and still holds, and whether the object may be read; or give it as s3://bucket/key.",
    ),
    (re.compile(rb"(?is)<(?:.*?<)?(?:!doctype\s+html|html|head|body)[\s>]"), "an HTML page", _PAGE),
    (re.compile(rb"(?is)<(?:.*?<)?(?:\w+:)?svg[\s>/]"), "an SVG drawing", "Give it as a PNG or JPEG."),
    (re.compile(rb"<\?xml"), "XML", _DATA),
    (re.compile(rb"<[\w!]"), "a piece of HTML or XML", _PAGE),
    (re.compile(rb"\{\s*[\"}]|\[\s*[\[{\"\d\]]"), "JSON", _DATA),
    (re.compile(rb"%PDF-"), "a PDF document", "Give its pages as pictures, say as JPEG."),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive", "Give the pictures in it one by one."),
    (re.compile(rb"\x1f\x8b\x08"), "a gzip file that is damaged or was packed more than twice", _PACKED),
    (re.compile(rb"BZh[1-9]|\x28\xb5\x2f\xfd|\xfd7zXZ"), "a packed file that is not gzip", _PACKED),
)
"""How it begins, what it is, and what to do; the first that fits."""


def unsupported(data: bytes) -> ImageError:
    """The error for a file that is no picture of ours, by name where it is known."""
    head = data[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()
    for begins, what, remedy in _KINDS:
        if found := begins.match(head):
            said = "".join(f" ({code.decode()})" for code in found.groups())
            return ImageError(ErrorCode.FORMAT_UNSUPPORTED, f"The file is {what}{said}, no picture", remedy=remedy)
    return ImageError(ErrorCode.FORMAT_UNSUPPORTED, "The file is no picture of a supported format")
