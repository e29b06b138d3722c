"""What came where a picture was expected: servers answer with pages, errors and documents under any name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packsight.shared.contract.errors import ErrorCode, ImageError

_HEAD = 2048
"""Bytes at the beginning that are looked at."""
_PAGE = "The address leads to a page: give that of the picture itself."
_DATA = "The address leads to data: give that of the picture itself."
_DECODED = "Store and serve the picture's own bytes: decode the text."
_ORDINARY = "Give it as an ordinary JPEG or PNG."
_PACKED = "Store and serve the picture as it is, or packed with gzip."
_TEXT = "Read what it says: servers answer so where a picture is missing or may not be seen."
_BODY = "Store the body of the answer alone, without the lines before it: of curl, not by -i."
_AS_TEXT = "Store and send its bytes as they are: a program took them for text, and what that changed does not come back."
_READABLE = re.compile(rb"[ -~]")
_BINARY = re.compile(rb"[^\t-\r\x1b -~\x80-\xff]|[\x80-\xff]{200}")
"""What no text has: control characters. So many bytes beyond ASCII in a row are no words either."""
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
    (re.compile(rb"/9j/[A-Za-z0-9+/_-]|iVBORw0KGgo|R0lGOD[lh]|UklGR[A-Za-z0-9+/_-]{6}"), "a picture as base64", _DECODED),
    (re.compile(rb"(?i)data:image/"), "a picture as a data URI", _DECODED),
    (
        re.compile(rb"(?i)--[^\r\n]{1,70}\r?\ncontent-(?:disposition|type):"),
        "the body of a form (multipart)",
        "Store and serve the file that the form holds, without the lines around it.",
    ),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS", "Fetch the picture itself: `git lfs pull`."),
    (re.compile(rb"\[(?:InternetShortcut|Desktop Entry)\]"), "a shortcut", "Give the address that stands in it."),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "a PostScript drawing", "Give it as a PNG or JPEG."),
    (re.compile(rb"8BPS"), "a Photoshop document", _ORDINARY),
    (re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"), "a JPEG XL", _ORDINARY),
    (re.compile(rb"\0\0\0\x0cjP|\xff\x4f\xff\x51"), "a JPEG 2000", _ORDINARY),
    (re.compile(rb"II(?:R[OS]|U\0)|MMOR|FUJIFILMCCD-RAW|FOVb|\0MRM|.{6}HEAPCCDR", re.DOTALL), "camera raw", _ORDINARY),
    (
        re.compile(rb"\x1a\x45\xdf\xa3|RIFF.{4}AVI |FLV\x01|\0\0\x01[\xb3\xba]|.{4}(?:moov|mdat|wide)", re.DOTALL),
        "a video",
        "Give a frame of it as a JPEG.",
    ),
    (
        # What FF D8 FF and 89 became, unknown characters or letters of Latin-1 or Windows' code pages, and a PNG's line ends.
        re.compile(
            rb"(?:(?:\xef\xbf\xbd|\?){3,4}.{2,6}(?:JFIF|Exif)\0|(?:\xef\xbf\xbd|\?|\xc2\x89|\xe2\x80\xb0)PNG\r?\n|"
            rb"\xc3\xbf\xc3\x98\xc3\xbf|\xd1\x8f\xd0\xa8\xd1\x8f|\x89PNG(?:\n|\r\r|\r\x1a|\r\n\x1a\r))",
            re.DOTALL,
        ),
        "a picture that was converted as if it were text",
        _AS_TEXT,
    ),
    (re.compile(rb"HTTP/\d(?:\.\d)? \d{3}[ \r\n]"), "an answer over HTTP with its headers", _BODY),
    (
        re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF.{4}WEBP", re.DOTALL),  # here only where blanks were before it
        "blank lines or a byte order mark with a picture behind",
        "Send the picture's own bytes alone: a program that sends it, say in PHP, is saved with these before its beginning.",
    ),
    (re.compile(rb"\0\x05\x16\x07"), "what macOS keeps beside a file (AppleDouble)", "Give the file of this name without `._`."),
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
    if _READABLE.search(head) and not _BINARY.search(head):
        return ImageError(ErrorCode.FORMAT_UNSUPPORTED, "The file is a piece of text, no picture", remedy=_TEXT)
    return ImageError(ErrorCode.FORMAT_UNSUPPORTED, "The file is no picture of a supported format")
