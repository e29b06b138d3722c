"""The one way from file bytes to an opened picture: which formats are taken, within which limits, and what is wrong with it."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import pillow_heif

# The plugins are imported here, so that Pillow never loads those of the formats that are refused.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from PIL.ExifTags import Base

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import Decode
from packsight.shared.vision import png, tiff
from packsight.shared.vision.peak import of_format, room_a_pixel
from packsight.shared.vision.room import Room
from packsight.shared.vision.strangers import unsupported
from packsight.shared.vision.structure import STRUCTURE, Size, examine
from packsight.shared.vision.unread import unread

# JPEG also opens MPO (a phone's JPEG with further pictures behind the first).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
_PLAIN_MODES = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr"}
_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
SIXTEEN_BIT_MODES = {"I;16", "I;16B", "I;16L", "I;16N"}
_TRAILERS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND", b"GIF8": b";"}
_END_WORDS = ("truncated", "end of file", "end of data", "premature end", "unexpected end", "eof")

_room = Room()

pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Every remark of the decoders ends as a typed error or not at all; catching warnings per call would not be thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif\.")


@contextlib.contextmanager
def opened(data: bytes, limits: Decode) -> Iterator[Image.Image]:
    """Open a picture, structure and header checked before any pixel is decoded; what is raised in the context is its damage.

    It waits for room in memory first (`limits.memory`), and its pixels are gone at the end of the context. Safe to use from
    several threads, but not for a second picture within the context of the first.

    Raises ImageError: FILE_EMPTY, FORMAT_UNSUPPORTED, IMAGE_TRUNCATED, IMAGE_TOO_MANY_PIXELS, IMAGE_TOO_SMALL or
    IMAGE_BROKEN.
    """
    if not data:
        raise ImageError(ErrorCode.FILE_EMPTY, "The file has 0 bytes")
    # Pillow's own limit guards the few plugins that reserve memory while reading the header.
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    try:
        data = tiff.at_its_picture(data)
        with contextlib.ExitStack() as held:
            if size := examine(data):
                _check_size(size, limits)
                each = of_format("WEBP" if data.startswith(b"RIFF") else "GIF")
                held.enter_context(_room.taken(_needed(size, each), limits.memory))
            image = held.enter_context(Image.open(io.BytesIO(png.pixels_alone(data)), formats=_FORMATS))
            image.info.pop("xmp", None)  # by it Pillow would turn a TIFF
            tiff.let_libtiff_read_planes(image)
            _check_size(image.size, limits)
            if not size:
                each = room_a_pixel(image, data, limits.max_pixels)
                held.enter_context(_room.taken(_needed(image.size, each), limits.memory))
            held.callback(_let_go, image)
            yield image
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


def _needed(size: Size, each: float) -> int:
    return int(size[0] * size[1] * each)


def load(image: Image.Image) -> None:
    """Decode the pixels, and free what the decoder holds beside them, which would else live as long as the picture.

    A picture with colours that is transparent all over is taken as opaque: programs leave an alpha that they do not use at 0.
    Grey of more than 8 bits is given all of 16, and white where it is 0 is the most. Where the first frame of a GIF leaves some
    of its canvas open, that is transparent.
    """
    frame = image.tile[0][1] if isinstance(image, GifImagePlugin.GifImageFile) and image.tile else None
    if isinstance(image, AvifImagePlugin.AvifImageFile):
        image._decoder = _Once(image._decoder)
    image.load()
    _forget_decoder(image)
    if image.mode in _ALPHA_MODES and image.getbbox() is None and image.getbbox(alpha_only=False):
        image.putalpha(255)
    if image.mode in SIXTEEN_BIT_MODES:
        tiff.scale(image)
    if frame not in {None, (0, 0, *image.size)} and "transparency" not in image.info:  # else Pillow has begun with that
        alpha = Image.new("L", image.size)
        alpha.paste(255, frame)
        image.putalpha(alpha)


class _Once:
    """A decoder of AVIF that is gone once it has given a frame: what it holds is as large, and Pillow copies the frame next."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def get_frame(self, number: int) -> Any:
        """The frame, as Pillow's own decoder gives it."""
        decoder, self._decoder = self._decoder, None
        return decoder.get_frame(number)


def _let_go(image: Image.Image) -> None:
    image.close()
    _forget_decoder(image)


def _forget_decoder(image: Image.Image) -> None:
    for name in ("_decoder", "_heif_file", "fp"):  # of WebP and AVIF, of HEIC, and what the former two wrote
        if hasattr(image, name):
            setattr(image, name, None)


def _check_size(size: Size, limits: Decode) -> None:
    width, height = size
    if min(size) < limits.min_side:
        message = f"The picture is {width} × {height} pixels; its shorter side is below {limits.min_side}"
        raise ImageError(ErrorCode.IMAGE_TOO_SMALL, message)
    if width * height > limits.max_pixels:
        message = f"The picture is {width} × {height} pixels, more than {limits.max_pixels}"
        raise ImageError(ErrorCode.IMAGE_TOO_MANY_PIXELS, message)


def within(size: Size, side: int) -> Size:
    """Width and height of a picture of this size once its longer side is at most `side` pixels."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def opaque(image: Image.Image) -> Image.Image:
    """The picture in the mode RGB, on white where it is transparent."""
    if image.mode in _ALPHA_MODES or (image.mode in _PLAIN_MODES and "transparency" in image.info):
        # The hidden colour of transparent pixels is arbitrary; shops show packs on white.
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    if image.mode not in _PLAIN_MODES:
        message = f"The file is a {image.format} with samples of the kind {image.mode}, which are not read"
        raise ImageError(ErrorCode.FORMAT_UNSUPPORTED, message, remedy="Save it in grey or RGB with 8 or 16 bits a sample.")
    return image if image.mode == "RGB" else image.convert("RGB")


def orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where the tag is missing or damaged, or EXIF so long that reading it would take seconds.

    EXIF alone tells, as in browsers, and not XMP or ImageMagick's profile, which stay behind when programs turn pixels.
    """
    data = image.info.get("exif") or b""
    if not 0 < len(data) <= STRUCTURE.exif:
        return 1
    exif = Image.Exif()
    try:
        exif.load(data)
        value = exif.get(Base.Orientation, 1)
    except Exception:  # damaged metadata does not make the pixels worse
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _unidentified(data: bytes) -> ImageError:
    signatures = [accept for name, (_, accept) in Image.OPEN.items() if name in _FORMATS and name != "HEIF"]
    if data[4:8] == b"ftyp" or any(accept and accept(data[:16]) for accept in signatures):
        # Only here, where nothing was read: many whole files have something behind their end, or no end mark.
        trailer = next((end for start, end in _TRAILERS.items() if data.startswith(start)), b"")
        return _damage(data, "its header cannot be read", ended=trailer not in data[-32:])
    return unsupported(data)


def _damage(data: bytes, reason: str, *, ended: bool = False) -> ImageError:
    """Tell a file of a kind that nothing reads, one that ends too early, and one that is damaged otherwise."""
    if error := unread(data):
        return error
    if ended or _claimed_bytes(data) > len(data) or any(word in reason.lower() for word in _END_WORDS):
        return ImageError(ErrorCode.IMAGE_TRUNCATED, f"The file ends too early, after {len(data)} bytes")
    return ImageError(ErrorCode.IMAGE_BROKEN, f"The picture cannot be decoded: {reason}")


def _claimed_bytes(data: bytes) -> int:
    """Length that the file's header claims, at least; 0 for formats that do not say."""
    if data[:4] == b"RIFF":  # WebP
        return int.from_bytes(data[4:8], "little") + 8
    if data.startswith(tiff.MARKS):
        return tiff.claimed_bytes(data)
    if data[:2] == b"BM":
        return int.from_bytes(data[2:6], "little")
    end = 0
    if data[4:8] == b"ftyp":  # ISO base media: AVIF, HEIF
        # Top-level boxes follow each other, each with its size in front; sizes below 8 have special meanings.
        while (size := int.from_bytes(data[end : end + 4], "big")) >= 8:
            end += size
    return end
