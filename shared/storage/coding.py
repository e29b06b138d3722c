"""Files that are stored or served packed: what their headers say of it is not believed, their first bytes are.

Tools write `aws-chunked`, `none` or `UTF-8` into Content-Encoding where nothing is packed, and `gzip` where it is; no picture
begins as a packed file does.
"""

from __future__ import annotations

import zlib

from packsight.shared.contract.errors import ErrorCode, ImageError

_GZIP, _ZLIB = b"\x1f\x8b\x08", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_UNREADABLE = frozenset(("br", "zstd", "compress", "x-compress"))


def check_coding(header: str | None, name: str) -> None:
    """Raise ImageError FETCH_FAILED where a file came in a coding that nothing here unpacks; it was not asked for."""
    coding = (header or "").lower().replace(" ", "")
    if _UNREADABLE & set(coding.split(",")):
        remedy = "Store and serve it as it is, or packed with gzip."
        raise ImageError(ErrorCode.FETCH_FAILED, f"{name} came with Content-Encoding {coding}", remedy=remedy, retryable=False)


def unpacked(data: bytes, limit: int, name: str) -> bytes:
    """The file itself, where these bytes are it packed with gzip or deflate; else the bytes.

    Raises ImageError FILE_TOO_LARGE when it has more than `limit` bytes.
    """
    if not data.startswith((_GZIP, *_ZLIB)):
        return data
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(data, limit + 1)
    except zlib.error:
        return data  # the decoder says what it is
    if len(plain) > limit:
        raise ImageError(ErrorCode.FILE_TOO_LARGE, f"{name} unpacks to more than {limit} bytes")
    return plain
