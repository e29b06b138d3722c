"""Photos with key points and lines of print in known places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from packsight.shared.contract.outcomes import WordRead
from packsight.shared.vision.features import Features
from tests.unit.matching_catalog import photo
from tests.unit.siblings_catalog import print_of


def printed(name: str, look: int, lines: Mapping[int, str], kinds: range, scale: float = 1.0, shift: float = 0.0) -> Features:
    """A photo of 400 by 400 pixels with lines by the height of their top, all scaled and moved by a share of its sides."""
    words = []
    for top, text in lines.items():
        corners = np.array([(60, top), (340, top), (340, top + 40), (60, top + 40)]) * scale + 400 * shift
        words.append(WordRead(text=text, confidence=0.9, box=[(float(x), float(y)) for x, y in corners]))
    return replace(photo(name, [], look, local=print_of(kinds, scale, shift)), words=tuple(words))
