"""Files of versions as object storage has them where that is less: compressed with zstd (Collet & Kucherawy, RFC 8878, 2021).

Tables of words and photos are written whole for every version, since their numbers move; they are a third of their size then.
Codes and thumbnails, which most of a version is, hardly become less, and are kept as they are.
"""

from __future__ import annotations

from pathlib import Path
from shutil import copyfileobj

from packsight.shared.catalog.zstandard import zstd

_LEAST = 4096
"""Bytes of a file below which it is not worth the work."""
_SAMPLE = 1 << 20
"""Bytes at a file's beginning that say whether it becomes less."""
_WORTH = 0.75
"""Share of its bytes that is left at most: every host unpacks it."""
_BLOCK = 1 << 20
_LEVEL = 1
"""That of most speed: the next ones take longer for bytes that are hardly fewer."""


def pack(path: Path, into: Path) -> bool:
    """Write a file compressed, the same bytes for the same file; False, with nothing written, where it becomes hardly less."""
    size = path.stat().st_size
    if size < _LEAST:
        return False
    with path.open("rb") as source:
        sample = source.read(_SAMPLE)
        if len(zstd.compress(sample, _LEVEL)) > _WORTH * len(sample):
            return False
        source.seek(0)
        with zstd.open(into, "wb", level=_LEVEL) as packed:
            copyfileobj(source, packed, _BLOCK)
    if into.stat().st_size <= _WORTH * size:
        return True
    into.unlink()
    return False


def unpack(path: Path, into: Path, size: int) -> None:
    """Write what `pack` compressed; raises ValueError when it is damaged or is more than so many bytes."""
    left = size
    with zstd.open(path, "rb") as packed, into.open("wb") as sink:
        while block := _read(packed):
            left -= len(block)
            if left < 0:
                raise ValueError(f"more than {size} bytes are packed in it")
            sink.write(block)


def _read(packed: zstd.ZstdFile) -> bytes:
    try:
        return packed.read(_BLOCK)
    except (zstd.ZstdError, EOFError) as error:
        raise ValueError(str(error)) from None
