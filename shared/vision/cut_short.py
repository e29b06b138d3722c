"""Files that end too early, of which next to nothing is lacking: an end mark, some rows. They are taken, as browsers do.

Taken is only what can be measured by rows. A JPEG gets its end mark. Of PNG, GIF, BMP and TIFF that is not packed that is kept
which was decoded until the file ended, and the rest is grey. Of other formats a few bytes may hold half of a picture that is
plain below, and nothing tells how much lacks: they are refused, but for a WebP without the byte that makes its length even.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import eq
from typing import TypeVar

from PIL import Image, ImageChops
from PIL.ImageFile import ImageFile

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision.picture import load, opened
from packsight.shared.vision.structure import end_of_jpeg, last_scan

T = TypeVar("T")

MOST_LACKING = 0.02
"""Share of the rows that may lack."""
_LONGER, _SHORTER = 2048, 512
"""Pixels of a JPEG's sides from which it is measured smaller."""
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
NOTHING = 128
"""Each sample of what a decoder makes of blocks of a JPEG that lack."""
_MORE = bytes(number * 37 % 255 for number in range(200))
"""What decodes to some blocks that are not plain."""
_PLAIN = 4
"""Difference of rows that follow each other up to which they are plain, in steps of brightness."""
_BY_ROWS = {"zip", "gif", "raw"}
"""Pillow's decoders of PNG, GIF, BMP and TIFF that write nothing but what stands in the file."""
_GREY = (131, 127, 129, 254)
"""What rows have that nothing was decoded into: no picture has a row of it in any channel, but by chance."""


def read_most(data: bytes, limits: Decode, read: Callable[[bytes, Callable[[Image.Image], None]], T]) -> T:
    """What `read` makes of a file; where that ends too early and next to nothing is lacking, of the file with an end.

    `read` is given the file, and what is to be done with the picture once it is opened. Raises what it does for the file itself.
    """
    try:
        return read(data, as_it_is)
    except ImageError as error:
        if error.code is not ErrorCode.IMAGE_TRUNCATED:
            raise
        failure = ImageError(error.code, error.message)  # the error itself would keep what was decoded
    whole = _completed(data, limits)
    if whole is None:
        raise failure
    try:
        return read(whole, _load_most)
    except ImageError:
        raise failure from None


def as_it_is(_image: Image.Image) -> None:
    """What is done with a picture whose file is not known to end too early."""


def must_be_whole(data: bytes, limits: Decode) -> None:
    """Raise ImageError IMAGE_TRUNCATED for a JPEG whose end mark stands before all of it was coded, as repairs put it there.

    To be asked of one whose last rows are NOTHING all over: decoders make that of what lacks, and say nothing. What stands behind
    the last row that is coded changes no pixel; where rows lack it is taken for them.
    """
    coded = data[: end_of_jpeg(data)]
    given, more = (_brightness(coded + part + _JPEG_END, limits) for part in (b"", _MORE))
    if ImageChops.difference(given, more).getbbox() is not None:
        raise ImageError(ErrorCode.IMAGE_TRUNCATED, f"The picture ends too early, after {len(coded)} bytes")


def _completed(data: bytes, limits: Decode) -> bytes | None:
    """A file that ends too early with an end that decoders take; None where that cannot help."""
    if data.startswith(_JPEG):
        return data + _JPEG_END if _lacking(data, limits) <= MOST_LACKING else None
    if data.startswith(b"RIFF"):  # a WebP, whose pixels come first where it has nothing else
        return data + b"\0" if 20 + int.from_bytes(data[16:20], "little") == len(data) else None
    return data


def _load_most(image: Image.Image) -> None:
    """Decode the pixels as far as the file goes; in the modes of one bit white rows count as lacking.

    Raises ImageError IMAGE_TRUNCATED where more than MOST_LACKING of the rows lack, or where they cannot be counted.
    """
    if not isinstance(image, ImageFile) or image.format in {"JPEG", "MPO", "WEBP"}:
        return  # nothing lacks any longer, or it was measured
    size = getattr(image, "_tile_size", image.size)  # not yet turned
    if not image.tile or any(one[0] not in _BY_ROWS or (one[1] or ())[::2] != (0, size[0]) for one in image.tile):
        raise ImageError(ErrorCode.IMAGE_TRUNCATED, "The file ends too early")
    colour: int | tuple[int, ...] = _GREY[: len(image.getbands())] if len(image.getbands()) > 1 else _GREY[0]
    if image.format == "GIF" and "transparency" in image.info:
        colour = image.info["transparency"]  # with which Pillow begins
    else:
        image.im = Image.new(image.mode, size, colour).im
    try:
        image.load()
    except OSError:
        if not image.tile:
            raise
        image.tile = []
        lacking = _blank_rows(image, Image.new(image.mode, (1, 1), colour))
        if lacking > MOST_LACKING * size[1]:
            message = f"The file ends too early: {lacking} of {size[1]} rows lack"
            raise ImageError(ErrorCode.IMAGE_TRUNCATED, message) from None
        image.load_end()


def _blank_rows(image: Image.Image, blank: Image.Image) -> int:
    """How many rows are as blank as a pixel in any channel: those of a TIFF may follow each other."""
    width, height = image.im.size  # not yet turned
    grey, begins = _extrema(blank), _first(blank, 0)
    might = (row for row in range(height) if any(map(eq, _first(image, row), begins)))  # of a photo's rows next to none
    rows = (_extrema(image._new(image.im.crop((0, row, width, row + 1)))) for row in might)
    return sum(any(one == other for one, other in zip(row, grey, strict=True)) for row in rows)


def _first(image: Image.Image, row: int) -> tuple[float, ...]:
    """A row's first pixel."""
    pixel = image.im.getpixel((0, row))
    return pixel if isinstance(pixel, tuple) else (pixel,)


def _extrema(image: Image.Image) -> list[object]:
    """Least and most of each channel."""
    return [channel.getextrema() for channel in image.split()]


def _lacking(data: bytes, limits: Decode) -> float:
    """Share of a JPEG's rows for which it ends too early.

    A decoder does not tell. But rows are coded from top to bottom, in each scan of a progressive one too, so that those which
    change when a little more is taken away are those where the file ends. The last scan of a progressive one says nothing of what
    is plain, as the ground below a pack is; before it a whole scan lacks.
    """
    try:
        with opened(data, limits) as image:
            is_progressive = "progressive" in image.info
        begin = last_scan(data)
        if is_progressive and not begin:
            return 1.0
        shorter = max(begin, len(data) - max(32, len(data) // 50))
        given, less = (_brightness(part + _JPEG_END, limits) for part in (data, data[:shorter]))
    except ImageError:
        return 1.0
    changed = ImageChops.difference(given, less).getbbox()
    if changed is None:
        return 1.0
    width, height = given.size
    last = changed[3] - 1
    if not is_progressive:
        return (height - 1 - last) / height
    following = (given.crop((0, top, width, top + height - 1 - last)) for top in (last, last + 1))
    steps = ImageChops.difference(*following)
    rows = (steps.crop((0, row, width, row + 1)).getextrema() for row in range(steps.height))
    return sum(most > _PLAIN for _, most in rows) / height  # type: ignore[operator]  # of one channel


def _brightness(data: bytes, limits: Decode) -> Image.Image:
    """A JPEG as it is coded, in grey, perhaps reduced."""
    with opened(data, limits) as image:
        scale = min(1.0, max(_LONGER / max(image.size), _SHORTER / min(image.size)))
        image.draft("L", (round(image.width * scale), round(image.height * scale)))
        load(image)
        return image.convert("L")
