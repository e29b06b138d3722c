"""Fonts: which there are, what each can write, and which families are held out for judging."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError
from PIL import ImageFont

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts")
HELD_OUT = (
    "PT Sans", "PT Serif", "Roboto Condensed", "Noto Serif", "Play", "Lato", "URW Bookman", "Bookman Uralic", "Comfortaa",
    "Vollkorn", "Inter",
)  # fmt: skip
"""Beginnings of the names of families that are never trained on: sans, serif, condensed, round and book faces."""
_UNFIT = ("Caps", "Symbola", "Unifont", "Math", "Emoji", "Icons", "Braille", "Barcode", "OpenSymbol", "Fallback")
"""Parts of names: small capitals, which say one case and show the other, bitmaps, signs."""
_CODE = ("Mono", "Code", "Hack", "Agave", "agave", "Courier", "Cousine", "Typewriter", "3270", "monofur", "mononoki")
CODE_SHARE = 0.3
"""How often a face for code is drawn, beside 1 for others: labels are rarely set in them."""


@dataclass(frozen=True)
class Face:
    """One font file."""

    path: Path
    family: str
    covered: frozenset[str]
    """Characters that it can write."""
    capitals: bool
    """Whether small letters look like capitals in it."""
    weight: float
    """How often it is chosen within its family's group, 1 for most."""

    def writes(self, text: Iterable[str]) -> bool:
        """Tell whether it has all the characters."""
        return self.covered.issuperset(text)


def find(folders: Sequence[Path] = FOLDERS) -> list[Face]:
    """All fit fonts below the folders, sorted by path."""
    files = (file for folder in folders if folder.is_dir() for file in folder.rglob("*.[ot]tf"))
    faces = (_face(file) for file in sorted({file.resolve() for file in files}))
    return [face for face in faces if face is not None]


def held_out(face: Face, families: Sequence[str] = HELD_OUT) -> bool:
    """Tell whether a face is kept for judging."""
    return face.family.startswith(tuple(families))


def by_family(faces: Iterable[Face]) -> Mapping[str, list[Face]]:
    """Faces grouped by family, so that one with forty weights is drawn no more often than one with a single."""
    families: dict[str, list[Face]] = {}
    for face in faces:
        families.setdefault(face.family, []).append(face)
    return families


@lru_cache(maxsize=512)
def at_size(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """The font in pixels."""
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _face(file: Path) -> Face | None:
    try:
        with warnings.catch_warnings(), TTFont(file, lazy=True) as font:
            warnings.simplefilter("ignore")
            table = font.getBestCmap() or {}
            family = str(font["name"].getBestFamilyName() or file.stem)
            full = f"{family} {font['name'].getBestFullName() or ''} {file.stem}"
    except (TTLibError, OSError, KeyError, AssertionError, ValueError):
        return None
    if any(part in full for part in _UNFIT) or not table:
        return None
    covered = frozenset(chr(point) for point in table if point >= ord(" "))
    inked = frozenset(character for character in covered if character == " " or character.isprintable())
    if not _legible(file, inked):
        return None
    pairs = [(small, small.upper()) for small in "aenжбя" if {small, small.upper()} <= inked]
    capitals = bool(pairs) and all(_same(file, *pair) for pair in pairs)
    return Face(file, family, inked, capitals, CODE_SHARE if any(part in full for part in _CODE) else 1.0)


def _legible(file: Path, covered: frozenset[str]) -> bool:
    """Whether letters that differ are drawn differently and with ink; some fonts declare letters that they leave empty."""
    letters = [pair for pair in (("H", "O"), ("Ж", "Щ"), ("ა", "კ"), ("Ա", "Կ")) if set(pair) <= covered]
    try:
        return bool(letters) and all(not _same(file, *pair) and _ink(file, pair[0]) for pair in letters)
    except OSError:
        return False


def _same(file: Path, one: str, other: str) -> bool:
    font = at_size(file, 32)
    return bytes(font.getmask(one)) == bytes(font.getmask(other))


def _ink(file: Path, character: str) -> bool:
    return any(at_size(file, 32).getmask(character))
