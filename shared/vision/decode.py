"""The one way from file bytes to pixels, for queries and catalog photos alike, so that the two cannot drift apart."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
import pyarrow as pa

# The plugins are imported here, so that Pillow never loads those of the formats that are refused.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from PIL.ExifTags import Base

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode

Pixels = npt.NDArray[np.uint8]

# JPEG also opens MPO (a phone's JPEG with further pictures behind the first).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
_PLAIN_MODES = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"}
_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_SIXTEEN_BIT_MODES = {"I;16", "I;16B", "I;16L", "I;16N"}
_TRAILERS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND", b"GIF8": b";"}
_END_WORDS = ("truncated", "end of file", "end of data", "premature end", "unexpected end", "eof")

# Pictures above this many pixels are decoded one at a time: each takes 7 bytes a pixel, in Pillow and as an array.
_LARGE = 12_000_000
_STRIP = 2_000_000
_one_large_picture = threading.Lock()

pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Every remark of the decoders ends as a typed error or not at all; catching warnings per call would not be thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif\.")


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright picture.

    pixels: RGB uint8 [height, width, 3], C-contiguous; possibly a reduced copy of the original.
    width, height: pixels of the upright original.
    """

    pixels: Pixels
    width: int
    height: int


def decode(data: bytes, limits: Decode, *, max_side: int | None = 2048) -> Photo:
    """Decode a picture: upright, on white where it is transparent, first frame or primary image of several.

    Samples of 16 bits are scaled to 8. A picture whose longer side exceeds `max_side` is reduced to it by area
    averaging (JPEG first by the DCT, never below that size). Limits are checked on the header, before any pixel is
    decoded. Safe to call from several threads.

    Raises ImageError: FILE_EMPTY, FORMAT_UNSUPPORTED, IMAGE_TRUNCATED, IMAGE_TOO_MANY_PIXELS, IMAGE_TOO_SMALL or
    IMAGE_BROKEN.
    """
    if not data:
        raise ImageError(ErrorCode.FILE_EMPTY, "The file has 0 bytes")
    # Pillow's own limit guards the few plugins that reserve memory while reading the header.
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_size(image.size, limits)
            large = image.width * image.height > _LARGE
            with _one_large_picture if large else contextlib.nullcontext():
                return _load(image, max_side)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        message = f"The picture has more than {limits.max_pixels} pixels"
        raise ImageError(ErrorCode.IMAGE_TOO_MANY_PIXELS, message) from None
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except Exception as error:  # decoders of damaged files raise nearly anything
        ended = isinstance(error, (EOFError, struct.error))
        raise _damage(data, str(error) or type(error).__name__, ended=ended) from error


def _check_size(size: tuple[int, int], limits: Decode) -> None:
    width, height = size
    if min(size) < limits.min_side:
        message = f"The picture is {width} × {height} pixels; its shorter side is below {limits.min_side}"
        raise ImageError(ErrorCode.IMAGE_TOO_SMALL, message)
    if width * height > limits.max_pixels:
        message = f"The picture is {width} × {height} pixels, more than {limits.max_pixels}"
        raise ImageError(ErrorCode.IMAGE_TOO_MANY_PIXELS, message)


def _load(image: Image.Image, max_side: int | None) -> Photo:
    width, height = image.size
    scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale < 1 and isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(None, target)
    image.load()
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    # By strips, since conversions hold several copies of what they convert.
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        strip = image if bottom - top == image.height else image.crop((0, top, image.width, bottom))
        _copy_rgb(strip, pixels[top:bottom])
    if scale < 1:
        pixels = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    # Read after loading: Pillow turns TIFF itself and then takes the tag away.
    orientation = _orientation(image)
    image.close()  # frees Pillow's copy before the next large picture may start
    if orientation > 4:
        width, height = height, width
    return Photo(np.ascontiguousarray(_upright(pixels, orientation)), width, height)


def _copy_rgb(image: Image.Image, to: Pixels) -> None:
    """Write the colours of a loaded picture into RGB uint8 [height, width, 3]."""
    if image.mode in _SIXTEEN_BIT_MODES:
        # 257 = 65535 / 255; Pillow's own conversion clips at 255 instead of scaling.
        to[:] = np.rint(np.asarray(image, np.float32) / 257)[:, :, None]
        return
    # Pillow keeps RGB in four bytes a pixel; through Arrow they are read where they are, at half the price of copies.
    samples = pa.array(_opaque(image)).values
    # Not by to_numpy, which loads pandas.
    pixels = np.frombuffer(samples.buffers()[1], np.uint8, len(samples), samples.offset)
    cv2.cvtColor(pixels.reshape(image.height, image.width, 4), cv2.COLOR_RGBA2RGB, dst=to)


def _opaque(image: Image.Image) -> Image.Image:
    """The picture in the mode RGB, on white where it is transparent."""
    if image.mode in _ALPHA_MODES or (image.mode in _PLAIN_MODES and "transparency" in image.info):
        # The hidden colour of transparent pixels is arbitrary; shops show packs on white.
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    if image.mode not in _PLAIN_MODES:
        raise ImageError(ErrorCode.FORMAT_UNSUPPORTED, f"{image.format} with samples of the kind {image.mode}")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where the tag is missing or damaged."""
    try:
        value = image.getexif().get(Base.Orientation, 1)
    except Exception:  # damaged metadata does not make the pixels worse
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the EXIF orientation (EXIF 2.32, tag 0x0112)."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels


def _unidentified(data: bytes) -> ImageError:
    signatures = [accept for name, (_, accept) in Image.OPEN.items() if name in _FORMATS and name != "HEIF"]
    if data[4:8] == b"ftyp" or any(accept and accept(data[:16]) for accept in signatures):
        # Only here, where nothing was read: many whole files have something behind their end, or no end mark.
        trailer = next((end for start, end in _TRAILERS.items() if data.startswith(start)), b"")
        return _damage(data, "its header cannot be read", ended=trailer not in data[-32:])
    return ImageError(ErrorCode.FORMAT_UNSUPPORTED, "The file is no picture of a supported format")


def _damage(data: bytes, reason: str, *, ended: bool = False) -> ImageError:
    """Tell a file that ends too early from one that is damaged otherwise."""
    if ended or _claimed_bytes(data) > len(data) or any(word in reason.lower() for word in _END_WORDS):
        return ImageError(ErrorCode.IMAGE_TRUNCATED, f"The file ends too early, after {len(data)} bytes")
    return ImageError(ErrorCode.IMAGE_BROKEN, f"The picture cannot be decoded: {reason}")


def _claimed_bytes(data: bytes) -> int:
    """Length that the file's header claims, at least; 0 for formats that do not say."""
    if data[:4] == b"RIFF":  # WebP
        return int.from_bytes(data[4:8], "little") + 8
    if data[:4] in {b"II*\0", b"MM\0*"}:  # TIFF: where its directory starts, often at the end of the file
        return int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big") + 2
    if data[:2] == b"BM":
        return int.from_bytes(data[2:6], "little")
    end = 0
    if data[4:8] == b"ftyp":  # ISO base media: AVIF, HEIF
        # Top-level boxes follow each other, each with its size in front; sizes below 8 have special meanings.
        while (size := int.from_bytes(data[end : end + 4], "big")) >= 8:
            end += size
    return end
