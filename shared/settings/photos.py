"""Which photos are taken, and by which networks they are looked at and read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from packsight.shared.settings.section import Section


def _object_prefix(text: str) -> str:
    bucket = text.removeprefix("s3://").partition("/")[0]
    if not text.startswith("s3://") or not bucket or not text.removeprefix(f"s3://{bucket}"):
        raise PydanticCustomError("object_prefix", "write it as s3://bucket/ for a whole bucket, or as s3://bucket/prefix/")
    return text


ObjectPrefix = Annotated[str, AfterValidator(_object_prefix)]
"""A prefix of keys in a bucket."""


class Fetch(Section):
    """Where image bytes may come from, and how long and how large a download may be."""

    root: Path | None = None
    """Folder under which plain paths are read; None refuses them."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts (`name` or `name:port`) that http(s) references may name although their address is not public."""
    allowed_prefixes: tuple[ObjectPrefix, ...] = ()
    """Prefixes (`s3://bucket/prefix/`) that s3:// references may name beside the rooms of photos in packsight's bucket."""
    max_bytes: int = 32_000_000
    """Size of a file: larger ones are neither read nor uploaded."""
    connect_timeout: float = 3.0
    """Seconds for one try to connect."""
    read_timeout: float = 5.0
    """Seconds without a byte."""
    deadline: float = 20.0
    """Seconds for one image, redirects and retries included."""
    retries: int = 2
    """Further attempts at once; see `attempts` for those after a while."""
    attempts: int = Field(default=4, ge=1)
    """Deliveries in which a photo of a foreign host is asked for, minutes apart in the end, before its failure is final."""
    threads: int = 8
    """Files fetched at a time by a worker's child, and by a sync."""


class Decode(Section):
    """How large a photo may be, and what decoding it may take; sizes are checked before any pixel is decoded."""

    max_pixels: int = 52_000_000
    """Phones that are said to have 48 and 50 megapixels write up to 8,192 × 6,144."""
    memory: int = Field(default=400_000_000, gt=0)
    """Bytes that decoding may take at a time in a process: photos wait for it, and one that needs more is decoded alone.

    Four JPEG of 12 megapixels are decoded together, or two HEIC; those of 48 one after the other.
    """
    seconds: float = Field(default=30.0, gt=0)
    """What decoding one photo may take, waiting for memory included; looked at afterwards, since decoders cannot be stopped.
    Time in which the whole process stood still does not count.

    No file within the other limits is known to need more than 5 s of a processor, so this is for what nobody has thought of.
    """
    min_side: int = 32
    """Pixels: of smaller photos none is recognised any longer. Also the reason why a strip of 20,000 × 1 is refused."""


class Runtime(StrEnum):
    """What runs the embedder. `auto` takes torch where CUDA is present, else OpenVINO."""

    AUTO = "auto"
    OPENVINO = "openvino"
    TORCH = "torch"


class Precision(StrEnum):
    """Arithmetic of the networks; named explicitly, since OpenVINO's own default differs between machines.

    `int8` runs the networks that `packsight models quantise` has accepted in 8-bit integers, and the rest as `auto` does.
    """

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"


class Models(Section):
    """Which networks look and read."""

    embedder: str = "resnet50-thin"
    """`resnet50-thin`, `efficientnet-lite2`, `resnet50`, `resnet101`, or the path of a file: .onnx, .xml, .pt or .pth."""
    spotter: str = "ppocr"
    """`ppocr`, or the folder with the IR files of an Open Model Zoo text-spotting model."""
    alphabet: str = "cyrillic"
    """Letters that `ppocr` reads besides Latin, Greek, Chinese and Japanese ones: `cyrillic`, the path of a head that
    `make train-alphabet` wrote (.npz), or nothing."""
    recogniser: str = ""
    """Path of a further PP-OCR recogniser (.onnx or .xml) for scripts that the bundled one can't read; ppocr only."""
    recogniser_dictionary: str = ""
    """Text file with one character of that recogniser per line; empty when the recogniser's metadata holds them."""
    runtime: Runtime = Runtime.AUTO
    """What runs the embedder: `openvino`, `torch`, or `auto`: torch where it sees a GPU, else OpenVINO. torch runs what comes as
    weights alone (`resnet50`, `resnet101`, .pt and .pth); all else, the default embedder among it, runs on OpenVINO by `auto`."""
    precision: Precision = Precision.AUTO
    """`f32`, `bf16`, `int8`, or `auto`: bfloat16 where the processor multiplies it natively, with torch where the GPU does, else
    float32."""
    cache_dir: Path = Path(".packsight/models")
    """Compiled networks, fetched weights, networks in int8; may be deleted at any time."""
