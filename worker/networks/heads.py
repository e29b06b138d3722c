"""Where the heads for further alphabets lie."""

from __future__ import annotations

from pathlib import Path

HEADS = Path(__file__).parent / "spotters" / "ppocr" / "heads"
"""Those that come along, by the name of their alphabet."""


def head_file(alphabet: str) -> Path:
    """The file of a head that comes along by this name, or else the path that it is."""
    bundled = HEADS / f"{alphabet}.npz"
    return bundled if "/" not in alphabet and bundled.is_file() else Path(alphabet)
