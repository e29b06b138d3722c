"""Files that are stored or served packed: what their headers say of it is not believed where their first bytes tell.

Tools write `aws-chunked`, `none` or `UTF-8` into Content-Encoding where nothing is packed, `br` where it is gzip, and `gzip`
where it was packed twice; no picture begins as a packed file does. Stores that do not know signed uploads keep their chunks.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.tables.encoding import CONTROL, MARKS

CHUNK = 64 * 1024
_LAYERS = 2
"""A server packs once more what was stored packed; nobody packs three times."""
_MEMBERS = 100_000
"""Files in one gzip file. Tools that pack in blocks make one of 64 KB; each costs some microseconds, however little it has."""
_HEAD = 512
"""Bytes at the beginning that are looked at."""
_GZIP, _GZIP_BITS = b"\x1f\x8b\x08", zlib.MAX_WBITS | 16
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FRAMED = re.compile(rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF|II[*+]\0|MM\0[*+]|.{4}ftyp|\x1f\x8b\x08|<\?xml", re.DOTALL)
"""What never stands in the second line of text that begins with a number."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_FRAME = re.compile(rb"(?:\r\n)?([0-9A-Fa-f]{1,8})(;chunk-signature=[0-9a-f]{64})?\r\n")
"""Before each chunk of an upload: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html. The last is empty."""
_FRAME_BYTES = 128
"""No frame is longer."""
_UNREADABLE = frozenset(("br", "zstd", "compress", "x-compress"))


@dataclass(frozen=True, slots=True)
class Received:
    """What is known of a file beside its bytes: the mark by which it is asked for again, and its Content-Encoding."""

    mark: str
    coding: str = ""


def unpacked(data: bytes, limit: int, name: str, coding: str = "") -> bytes:
    """The file itself, where these bytes are it packed with gzip or deflate, also twice; else the bytes.

    Of one that ends too early it is what there is. Raises ImageError: FILE_TOO_LARGE when it has more than `limit` bytes on the
    way or at the end, FETCH_FAILED as `unpacking` does.
    """

    def check(given: int) -> None:
        if given > limit:
            raise ImageError(ErrorCode.FILE_TOO_LARGE, f"{name} unpacks to more than {limit} bytes")

    plain = io.BytesIO()
    try:
        for chunk in unpacking((data[at : at + CHUNK] for at in range(0, len(data), CHUNK)), name, coding, check):
            plain.write(chunk)
    except EOFError:
        pass
    except zlib.error:
        return data  # the decoder says what it is
    return plain.getvalue()


def unpacking(chunks: Iterator[bytes], name: str, coding: str, check: Callable[[int], None]) -> Iterator[bytes]:
    """The same in pieces, in constant memory; `check` hears of each layer how many bytes it has given, and may raise.

    Raises EOFError where it ends too early, zlib.error where it is damaged or packed more than twice, ImageError FETCH_FAILED
    where it is in a coding that nothing here unpacks; that was not asked for.
    """
    codings = frozenset(coding.lower().replace(" ", "").split(","))
    head, chunks = _peeked(chunks)
    if (frame := _FRAME.match(head)) is not None and (frame[2] or "aws-chunked" in codings or _FRAMED.match(head, frame.end())):
        head, chunks = _peeked(_counted(_unframed(chunks), check))
    for _ in range(_LAYERS):
        if not (bits := _packing(head, codings)):
            break
        head, chunks = _peeked(_counted(_members(chunks, bits), check))
    else:
        if head.startswith(_GZIP):
            raise zlib.error("it is packed more than twice")
    if codings & _UNREADABLE and not _is_plain(head):
        remedy = "Store and serve it as it is, or packed with gzip."
        raise ImageError(ErrorCode.FETCH_FAILED, f"{name} came with Content-Encoding {coding}", remedy=remedy, retryable=False)
    yield from chunks


def _peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning, and all of it."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    return head, chain((head,) if head else (), chunks)


def _packing(head: bytes, codings: frozenset[str]) -> int:
    """How zlib unpacks what begins so; 0 where it is not packed.

    Text may begin as zlib does, and deflate alone has no mark: that is what can be unpacked, and the latter only where it is
    declared, as some servers send it.
    """
    if head.startswith(_GZIP):
        return _GZIP_BITS
    header = int.from_bytes(head[:2], "big")  # RFC 1950, 2.2: method and window, a multiple of 31, no dictionary
    if header & 0x8F20 == zlib.DEFLATED << 8 and header % 31 == 0 and _unpacks(head, zlib.MAX_WBITS):
        return zlib.MAX_WBITS
    if "deflate" in codings and not _is_picture(head) and _unpacks(head, -zlib.MAX_WBITS):
        return -zlib.MAX_WBITS
    return 0


def _unpacks(head: bytes, bits: int) -> bool:
    unpacker = zlib.decompressobj(bits)
    try:
        given = unpacker.decompress(head, CHUNK)
    except zlib.error:
        return False
    if unpacker.eof:  # zlib ends with a checksum; deflate alone ends by chance too, but not where the file does
        return bits > 0 or not unpacker.unused_data
    return len(given) == CHUNK or (bool(given) and len(head) >= _HEAD)


def _is_picture(head: bytes) -> bool:
    return head.startswith(_PICTURES) or head[4:8] == b"ftyp"


def _is_plain(head: bytes) -> bool:
    """Whether it is a picture, a workbook or text: what is packed has control characters before long."""
    beginnings = (*_WORKBOOKS, *(mark for mark, _ in MARKS))
    return _is_picture(head) or head.startswith(beginnings) or head[:_HEAD].translate(None, CONTROL) == head[:_HEAD]


def _counted(chunks: Iterator[bytes], check: Callable[[int], None]) -> Iterator[bytes]:
    given = 0
    for chunk in chunks:
        given += len(chunk)
        check(given)
        yield chunk


def _unframed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What the chunks of a streamed upload hold."""
    rest, left = b"", 0
    for chunk in chunks:
        rest += chunk
        while rest:
            if left:
                part, rest = rest[:left], rest[left:]
                left -= len(part)
                yield part
            elif (frame := _FRAME.match(rest)) is not None:
                left, rest = int(frame[1], 16), rest[frame.end() :]
                if not left:
                    return  # behind it stand checksums
            elif len(rest) < _FRAME_BYTES:
                break  # more of it may tell
            else:
                raise zlib.error("a chunk does not begin where the one before ends")
    raise EOFError("it ends too early")


def _members(chunks: Iterator[bytes], bits: int) -> Iterator[bytes]:
    """What was packed: all files of a gzip file in a row, without what follows the last one, as gunzip has it."""
    unpacker, members = zlib.decompressobj(bits), 1
    rest = b""
    for chunk in chunks:
        rest += chunk
        while True:
            if unpacker.eof:
                rest = rest.lstrip(b"\0")
                if len(rest) < len(_GZIP) and _GZIP.startswith(rest):
                    break  # more of it may tell
                if bits != _GZIP_BITS or not rest.startswith(_GZIP):
                    return
                unpacker, members = zlib.decompressobj(bits), members + 1
                if members > _MEMBERS:
                    raise zlib.error(f"it is made of more than {_MEMBERS:,} files")
            plain = unpacker.decompress(rest, CHUNK)
            if plain:
                yield plain
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if not unpacker.eof and not rest and len(plain) < CHUNK:
                break
    if not unpacker.eof:
        raise EOFError("it ends too early")
