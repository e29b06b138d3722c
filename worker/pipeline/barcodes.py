"""EAN and UPC symbols on a photo, read by zxing-cpp, which passes on only what has the right check digit."""

from __future__ import annotations

from collections import Counter

import cv2
import zxingcpp

from packsight.shared.catalog.gtin import gtin
from packsight.shared.parameters import MATCHING, BarcodeParameters
from packsight.worker.pipeline.bars import upright_bars
from packsight.worker.pipeline.decode import Pixels

# All are sought, also where some are not wanted: the left half of an EAN-13 would be taken for a UPC-E.
SYMBOLS = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.EANUPC)


def read_barcodes(pixels: Pixels, parameters: BarcodeParameters = MATCHING.barcodes) -> tuple[int, ...]:
    """GTINs of the EAN-13, EAN-8, UPC-A and UPC-E symbols, each once, in rising order.

    pixels: RGB uint8 [height, width, 3]. The photo is read as it stands; only if that gives nothing, what looks like bars is
    turned upright and read, in two halves. A UPC-E has so few bars that it counts only if it is read twice.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype("uint8", copy=False)
    sure, short = _read(grey)
    if sure:
        return tuple(sorted(sure))
    votes = Counter(short)
    if short:  # once more in other pixels
        scale = parameters.reduced
        votes.update(_read(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))[1])  # type: ignore[arg-type]
    for strip in upright_bars(grey, parameters):
        middle = strip.shape[0] // 2
        for part in (strip, strip[:middle], strip[middle:]):
            long, short = _read(part)
            sure |= long
            if part is not strip:
                votes.update(short)
    return tuple(sorted(sure | {number for number, count in votes.items() if count >= parameters.readings}))


def _read(grey: Pixels) -> tuple[set[int], set[int]]:
    """What rows of pixels cross, UPC-E apart; columns are not tried, since bars are turned upright."""
    long, short = set[int](), set[int]()
    for symbol in zxingcpp.read_barcodes(grey, formats=SYMBOLS, try_rotate=False, try_downscale=False, try_invert=False):
        # A UPC is given as the EAN-13 that it stands for.
        if (number := gtin(symbol.text)) is not None:
            (short if symbol.format is zxingcpp.BarcodeFormat.UPCE else long).add(number)
    return long, short
