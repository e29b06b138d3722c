"""Files that are made to take time or memory: `python -m tests.bombs FILE COPIES` says what decoding one takes.

Each is small for what it makes a decoder do. None is damaged, so that a decoder without limits answers all of them.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from packsight.shared.contract.errors import ImageError
from packsight.shared.launch import FRUGAL
from packsight.shared.settings import Decode
from packsight.worker.pipeline.decode import decode
from tests.grids import Grid

pillow_heif.register_heif_opener()

RED = (200, 60, 60)
LIMIT = 600
"""Seconds after which a file's process is ended by SIGALRM."""


class Taken(NamedTuple):
    """What decoding copies of one file at a time took."""

    answers: list[str]
    """Of each copy its size in pixels, or the code of the error."""
    seconds: float
    """Of a processor for each copy."""
    megabytes: float
    """By which the peak of resident memory rose."""


Decoding = Callable[[Path, int], Taken]
"""Decodes a file in a process of its own that is set up like a worker's, as many copies at a time."""


@contextmanager
def decoding() -> Iterator[Decoding]:
    """Each file's process is a fork of one that has loaded all it needs: to load that takes longer than most files."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bombs"]
    with subprocess.Popen(command, env=FRUGAL | os.environ, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        asked, told = process.stdin, process.stdout

        def taken(file: Path, copies: int) -> Taken:
            print(json.dumps([str(file), copies, LIMIT]), file=asked, flush=True)
            result, ended = json.loads(told.readline())
            if result is None:
                raise RuntimeError(f"decoding {file.name}: exit code {ended}")
            return Taken(*result)

        yield taken
        asked.close()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flat(width: int, height: int, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    return saved(Image.new("RGB", (width, height), RED).convert(mode), kind, **options)


def clear(width: int, height: int, kind: str, **options: Any) -> bytes:
    """One colour, half transparent."""
    return saved(Image.new("RGBA", (width, height), (*RED, 128)), kind, **options)


def heic(width: int, height: int, *, bits: int = 8, chroma: str = "420", alpha: bool = False, tile: int = 0) -> bytes:
    """A HEIC of one colour, half transparent where it has an alpha; tile: side of the tiles that it is made of, as by phones."""
    pixels = np.full((height, width, 3 + alpha), (*RED, *[128] * alpha), np.uint8 if bits == 8 else np.uint16)
    if bits > 8:
        pixels *= 257
    mode, buffer = ("RGBA" if alpha else "RGB") + ("" if bits == 8 else ";16"), io.BytesIO()
    pillow_heif.encode(
        mode, (width, height), pixels.data.cast("B"), buffer, chroma=chroma, tile_size=tile, enc_params={"preset": "ultrafast"}
    )
    return buffer.getvalue()


def grained(kind: str, side: int, items: int = 0, **options: Any) -> bytes:
    """A picture of 49 megapixels at least, all of whose tiles are the same grain: small as a file, large for its decoder."""
    grain = np.random.default_rng(7).normal(128, 60, (side, side, 3)).clip(0, 255).astype(np.uint8)
    tile = saved(Image.fromarray(grain), kind, **options)
    return Grid(kind, tile, side, -(-6048 // side), -(-8064 // side), items).file()


def claiming(data: bytes, width: int, height: int) -> bytes:
    """An AVIF or HEIC whose pictures are said to have this size."""
    return re.sub(rb"(?<=ispe\0{4}).{8}", struct.pack(">II", width, height), data, flags=re.DOTALL)


def scans(width: int, height: int, count: int, mode: str = "RGB") -> bytes:
    """A progressive JPEG whose last scan, which has hardly any bytes, is repeated until there are `count`."""
    whole = flat(width, height, "JPEG", mode, progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * (count - whole.count(b"\xff\xda")) + whole[-2:]


def in_jpeg(content: bytes) -> bytes:
    """A small JPEG with something behind its first mark."""
    whole = flat(160, 96, "JPEG")
    return whole[:2] + content + whole[2:]


def chunk(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def chunks(count: int, name: bytes, before: bytes) -> bytes:
    """A small PNG with many empty chunks before one of its own."""
    whole = flat(160, 96, "PNG")
    at = whole.index(before) - 4
    return whole[:at] + chunk(name) * count + whole[at:]


def unpacked_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG of RGB pixels as they are, without a search for what packs them best."""
    height, width, _ = pixels.shape
    rows = np.pad(pixels.reshape(height, 3 * width), ((0, 0), (1, 0)))  # before each row: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = memoryview(zlib.compress(rows.tobytes(), 0))
    parts = [chunk(b"IDAT", packed[at : at + 65_536].tobytes()) for at in range(0, len(packed), 65_536)]
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *parts, chunk(b"IEND")])


def png_animation(count: int) -> bytes:
    frames = [Image.new("RGB", (160, 96), colour) for colour in (RED, (0, 99, 0))]
    whole = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    first = whole.index(b"fcTL", whole.index(b"IDAT")) - 4
    end = whole.index(b"IEND") - 4
    counted = whole[:first].replace(chunk(b"acTL", bytes([0, 0, 0, 2, 0, 0, 0, 0])), chunk(b"acTL", struct.pack(">II", count, 0)))
    return counted + whole[first:end] * (count - 1) + whole[end:]


def gif_animation(count: int) -> bytes:
    frames = [Image.new("RGB", (160, 96), colour) for colour in (RED, (0, 99, 0))]
    whole = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    second = whole.index(b"!\xf9", whole.index(b",\0\0\0\0"))
    return whole[:second] + whole[second:-1] * count + whole[-1:]


def webp_animation(count: int) -> bytes:
    frames = [Image.new("RGB", (160, 96), colour) for colour in (RED, (0, 99, 0))]
    whole = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    second = whole.rindex(b"ANMF")
    content = whole[8:second] + whole[second:] * count
    return b"RIFF" + struct.pack("<I", len(content)) + content


def avif_animation(count: int) -> bytes:
    frames = [Image.new("RGB", (64, 64), (number % 250, 99, 0)) for number in range(count)]
    return saved(frames[0], "AVIF", save_all=True, append_images=frames[1:], speed=10)


def long_exif(kind: str, numbers: int) -> bytes:
    """A small picture whose orientation is a long row of fractions."""
    name, orientation = (struct.pack("<HHII", tag, 5, numbers, 26) for tag in (270, 274))
    whole = flat(160, 96, kind, exif=b"Exif\0\0II*\0\x08\0\0\0\1\0" + name + bytes(4) + b"\1\0\0\0" * 2 * numbers)
    whole = whole.replace(name, orientation)
    if kind == "PNG":
        at = whole.index(b"eXIf") - 4
        end = at + 12 + int.from_bytes(whole[at : at + 4])
        whole = whole[:at] + chunk(b"eXIf", whole[at + 8 : end - 4]) + whole[end:]
    return whole


def tiff_pages(count: int) -> bytes:
    """A small TIFF with many pages of the same pixels."""
    fields = [(256, 64), (257, 64), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 64), (279, 4096)]
    size = 2 + 12 * len(fields) + 4
    pages = b""
    for number in range(count):
        after = 8 + 4096 + size * (number + 1) if number + 1 < count else 0
        pages += struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
        pages += struct.pack("<I", after)
    return b"II*\0" + struct.pack("<I", 8 + 4096) + b"\x70" * 4096 + pages


def tiff_tiles(side: int, tile: int) -> bytes:
    """A grey TIFF all of whose tiles are the same bytes."""
    count = (side // tile) ** 2
    behind = 8 + 2 + 12 * 9 + 4
    fields = [
        (256, 1, side), (257, 1, side), (258, 1, 8), (259, 1, 1), (262, 1, 1), (277, 1, 1), (322, 1, tile), (323, 1, tile),
        (324, count, behind),
    ]  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", tag, 4, n, value) for tag, n, value in fields)
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + struct.pack("<I", behind + 4 * count) * count + b"\x70" * tile**2


def gif_comment(blocks: int) -> bytes:
    whole = flat(160, 96, "GIF")
    at = whole.index(b",\0\0\0\0")
    return whole[:at] + b"!\xfe" + b"\1a" * blocks + b"\0" + whole[at:]


def run_lengths(runs: int, side: int) -> bytes:
    """A BMP that is all one run per pixel, as far as they go, and a run of the rest of each row behind."""
    rows = b"\1\1" * side + b"\0\0"
    body = rows * (runs // side) + (b"\xff\1" * (side // 255) + bytes([side % 255, 1]) + b"\0\0") * (side - runs // side)
    start = 54 + 4 * 256
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + bytes(4 * 256) + body


BROKEN: dict[str, Callable[[], bytes]] = {
    "3,000 scans of 36 megapixels": lambda: scans(6000, 6000, 3000),
    "a million segments": lambda: in_jpeg(b"\xff\xe5\0\2" * 1_000_000),
    "eight million fill bytes": lambda: in_jpeg(b"\xff" * 8_000_000),
    "20 million bytes behind a mark without length": lambda: in_jpeg(b"\xff\xf0" + b"\0" * 20_000_000),
    "2 MB of EXIF": lambda: in_jpeg((b"\xff\xe1\xea\x62Exif\0\0" + bytes(59_994)) * 34),
    "a million chunks before the pixels": lambda: chunks(1_000_000, b"prVt", b"IDAT"),
    "a million chunks of pixels": lambda: chunks(1_000_000, b"IDAT", b"IDAT"),
    "a million chunks behind the pixels": lambda: chunks(1_000_000, b"tEXt", b"IEND"),
    "200,000 tiles": lambda: tiff_tiles(7168, 16),
    "a million fractions as orientation of an AVIF": lambda: long_exif("AVIF", 1_000_000),
    "a million fractions as orientation of a HEIC": lambda: long_exif("HEIF", 1_000_000),
    "four million blocks of comment": lambda: gif_comment(4_000_000),
}
"""Refused as broken."""

REPEATED: dict[str, Callable[[], bytes]] = {
    "AVIF whose tiles lie at one place": lambda: grained("AVIF", 512, quality=90, speed=10),
    "HEIC whose tiles lie at one place": lambda: grained("HEIF", 256, quality=90),
    "HEIC of one tile many times": lambda: grained("HEIF", 256, 1, quality=90),
}
"""Of more bytes than are decoded in time, most of them the same."""

DEEP: dict[str, Callable[[], bytes]] = {
    "TIFF of 3,000 pages": lambda: tiff_pages(3000),
    "GIF of 10,000 frames": lambda: gif_animation(10_000),
    "PNG of 10,000 frames": lambda: png_animation(10_000),
    "WebP of 10,000 frames": lambda: webp_animation(10_000),
    "AVIF of 2,000 frames": lambda: avif_animation(2000),
    "a million fractions as orientation of a PNG": lambda: long_exif("PNG", 1_000_000),
    "a million fractions as orientation of a WebP": lambda: long_exif("WEBP", 1_000_000),
}
"""Of which the first picture is taken, and what would take long besides is left alone."""


def _take(path: str, copies: int) -> Taken:
    data = Path(path).read_bytes()

    def answer(_: int) -> str:
        try:
            photo = decode(data, Decode())
        except ImageError as error:
            return str(error.code)
        return f"{photo.width}x{photo.height}"

    before, started = _peak(), time.process_time()
    with ThreadPoolExecutor(copies) as pool:
        answers = list(pool.map(answer, range(copies)))
    seconds = (time.process_time() - started) / copies
    return Taken(answers, seconds, _peak() - before)


def _serve(lines: Iterable[str]) -> None:
    """Take each file of the list in a fork, whose peak of memory begins with what is loaded here."""
    for line in lines:
        path, copies, limit = json.loads(line)
        child = os.fork()
        if not child:
            signal.alarm(limit)
            print(json.dumps([_take(path, copies), 0]), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps([None, os.waitstatus_to_exitcode(status)]), flush=True)


def _peak() -> float:
    """Not by getrusage, whose peak begins with that of the process that started this one."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    decode(flat(64, 64, "JPEG"), Decode())  # what is loaded late is there
    if len(sys.argv) > 1:
        print(json.dumps(_take(sys.argv[1], int(sys.argv[2]))))
    else:
        _serve(sys.stdin)
