"""Large pictures whose encoding takes longer than all that is asked of them: `python -m tests.large_pictures` writes them anew.

Each is of one colour, so that together they are some kilobytes; a process that decodes one allocates for all its pixels.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bombs import clear, flat, heic

FILE = Path(__file__).with_suffix(".zip")
PHONE = (8064, 6048)
Draw = Callable[[int, int], bytes]
COSTLY: dict[str, tuple[Draw, tuple[int, int]]] = {
    "HEIC of 10 bits, 4:2:2": (partial(heic, bits=10, chroma="422"), (7008, 5264)),
    "HEIC of 10 bits, 4:4:4": (partial(heic, bits=10, chroma="444"), (6552, 4912)),
    "HEIC with alpha, 4:4:4": (partial(heic, chroma="444", alpha=True), (7296, 5472)),
    "HEIC of 10 bits with alpha, 4:4:4": (partial(heic, bits=10, chroma="444", alpha=True), (5696, 4272)),
    "AVIF with alpha, 4:4:4": (partial(clear, kind="AVIF", speed=10, subsampling="4:4:4"), (7152, 5368)),
    "AVIF with alpha": (partial(clear, kind="AVIF", speed=10), (7600, 5704)),
}
"""Kinds of which each pixel takes more than of photos, and a size of each that is hardly taken."""
ALL_PIXELS: dict[str, tuple[Draw, tuple[int, int]]] = {
    "HEIC of 10 bits in tiles, as of phones": (partial(heic, bits=10, tile=512), PHONE),
    "HEIC with alpha": (partial(heic, alpha=True), PHONE),
    "AVIF, 4:4:4": (partial(flat, kind="AVIF", speed=10, subsampling="4:4:4"), PHONE),
}
"""Kinds that may have all pixels that there may be."""
USUAL: dict[str, tuple[Draw, tuple[int, int]]] = {
    "HEIC": (heic, PHONE),
    "AVIF": (partial(flat, kind="AVIF", speed=10), PHONE),
}
"""Photos of phones."""
DRAWN = COSTLY | ALL_PIXELS | USUAL


def stored(name: str) -> bytes:
    """The picture of DRAWN of this name."""
    with zipfile.ZipFile(FILE) as file:
        return file.read(name)


if __name__ == "__main__":
    with zipfile.ZipFile(FILE, "w", zipfile.ZIP_LZMA) as file:
        for name, (draw, size) in DRAWN.items():
            file.writestr(zipfile.ZipInfo(name), draw(*size), zipfile.ZIP_LZMA)
