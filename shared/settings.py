"""One typed settings tree: PACKSIGHT_… variables, `__` between levels, or `.packsight/stack.env` of this folder."""

from __future__ import annotations

import os
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.logs import LogFormat


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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


class S3(_Section):
    """Object storage; any S3-compatible endpoint."""

    endpoint: str = "127.0.0.1:9000"
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    secure: bool = False
    region: str = "us-east-1"
    bucket: str = "packsight"
    connect_timeout: float = 2.0
    read_timeout: float = 10.0


class Fetch(_Section):
    """Where image bytes may come from, and how long and how large a download may be."""

    root: Path | None = None
    """Folder under which plain paths are read; None refuses them."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts (`name` or `name:port`) that http(s) references may name although their address is not public."""
    max_bytes: int = 32_000_000
    connect_timeout: float = 3.0
    read_timeout: float = 5.0
    deadline: float = 20.0
    """Seconds for one image, redirects and retries included."""
    retries: int = 2
    threads: int = 8


class Decode(_Section):
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


class Models(_Section):
    """Which networks look and read."""

    embedder: str = "resnet50-thin"
    """`resnet50-thin`, `efficientnet-lite2`, `resnet50`, `resnet101`, or the path of a file: .onnx, .xml, .pt or .pth."""
    spotter: str = "ppocr"
    """`ppocr`, or the folder with the IR files of an Open Model Zoo text-spotting model."""
    recogniser: str = ""
    """Path of a further PP-OCR recogniser (.onnx or .xml) for scripts that the bundled one can't read; ppocr only."""
    recogniser_dictionary: str = ""
    """Text file with one character of that recogniser per line; empty when the recogniser's metadata holds them."""
    runtime: Runtime = Runtime.AUTO
    precision: Precision = Precision.AUTO
    cache_dir: Path = Path(".packsight/models")


class Worker(_Section):
    """Sizes and limits of a recognition worker."""

    children: int = 0
    """Prefork children; 0 = one per usable core where memory allows, at least one."""
    threads: int = 0
    """Threads of the networks per child; 0 = usable cores divided by children."""
    spare: int = 1
    """Further children where memory allows, that only work on single photos while jobs keep the others busy."""
    time_limit: int = 120
    """Seconds that one batch may take before its child is killed."""
    begin_timeout: float = 30.0
    """Seconds after which a child that was handed a batch and has not begun with it is killed: an idle one begins at once."""
    start_timeout: int = 120
    """Seconds that a child may take to build its models."""
    max_deliveries: int = 3
    """Deliveries of one message before its images are run one by one."""
    max_batch: int = 64
    max_memory_mb: int = 0
    """Resident size at which a child is replaced after its task; 0 = never."""
    remember: int = Field(default=20_000, ge=0)
    """Photos of which the result database keeps what the networks saw, so that none is looked at twice; 0 = none.

    They take about 2.5 KB each there, and an old half is dropped when a new half is full.
    """


class Queue(_Section):
    """How messages are held and handed out."""

    visibility_timeout: int = 10
    """Seconds without a sign of life of its worker after which a message is handed out again."""
    result_expires: int = 7 * 24 * 3600
    socket_timeout: float = 5.0
    outage_seconds: float = 60.0
    """How long a producer in the middle of a job waits for a broker that has gone away before it gives up."""
    reconcile_seconds: float = 10.0
    """Period of the reconciler, and how old a batch without a message must be to be enqueued again."""


class Catalog(_Section):
    """Life cycle of catalog versions."""

    poll_seconds: float = 2.0
    keep_versions: int = 5
    max_loss: float = 0.2
    """Share of its parent's products that a new version may lack before publishing it must be forced."""
    feed: str = ""
    """Feed of the periodic sync; empty = no periodic sync."""
    photos: str = ""
    """Folder or s3:// prefix with extra photos for the periodic sync."""
    sync_seconds: float = 900.0
    include_unavailable: bool = True
    """Whether offers that the feed marks available="false" stay in the catalog: they may still stand on a shelf."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Columns of a feed's table by field (`packsight.shared.tables.columns.KNOWN`), where they have no usual name; as JSON."""
    identity: str = Field(default="id", pattern=r"^(id|vendor_code|url:[A-Za-z0-9_.-]+)$")
    """What a product is known by: the feed's `id`, its `vendor_code`, or `url:NAME`, a parameter of its address. Offers that
    have it in common are one product."""
    max_feed_bytes: int = 2_000_000_000
    """Unpacked size of a feed."""
    describe_batch: int = 32
    """Photos per message that asks the workers to describe them."""
    made_photos: int = Field(default=150, ge=0)
    """Products' only photos of which another is made, described and asked about, so that thresholds can rise; 0 = none.

    Each takes a worker about as long as a new photo of the catalog, once.
    """
    name: str = "default"
    """Catalog that the periodic sync maintains."""
    prior: Path | None = None
    """File of weights that versions start from (`python -m bench.prior` writes them); None = those that are shipped."""


def _one_redis_server(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    parts = urlsplit(text)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or ";" in text:
        raise PydanticCustomError(
            "redis_url",
            "{scheme} is not supported: name one Redis or Valkey server as redis://:password@host:port/database, "
            "or rediss://… for TLS",
            {"scheme": "a list of servers" if ";" in text else f"{parts.scheme}://"},
        )
    if parts.scheme == "rediss" and "ssl_cert_reqs=" not in parts.query:
        # kombu would not look at the certificate, and Celery refuses such an address later on.
        raise PydanticCustomError("redis_url", "say how to check the certificate: rediss://…?ssl_cert_reqs=required")
    return url


RedisUrl = Annotated[SecretStr, AfterValidator(_one_redis_server)]
"""Address of a Redis database; the transport's scripts need one server that holds all keys."""


class Settings(BaseSettings):
    """All settings of packsight. Environment first, then the folder's stack file, then these defaults."""

    model_config = SettingsConfigDict(
        env_prefix="PACKSIGHT_",
        env_nested_delimiter="__",
        env_file_encoding="utf-8",
        extra="forbid",
        frozen=True,
    )

    broker_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    result_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/1")
    home: Path = Path(".packsight")
    """Folder of local state: stack, logs, model cache, catalog replica."""
    log_format: LogFormat = LogFormat.TEXT
    s3: S3 = S3()
    fetch: Fetch = Fetch()
    decode: Decode = Decode()
    models: Models = Models()
    worker: Worker = Worker()
    queue: Queue = Queue()
    catalog: Catalog = Catalog()


STACK_FILE = Path(".packsight/stack.env")


def load_settings(stack_file: Path | None = None) -> Settings:
    """Read the settings.

    `stack_file` defaults to PACKSIGHT_STACK_FILE, else `.packsight/stack.env` below the current folder, if it exists.

    Raises UserError that names the variable when a value is wrong.
    """
    file = stack_file or Path(os.environ.get("PACKSIGHT_STACK_FILE", STACK_FILE))
    try:
        return Settings(_env_file=file if file.exists() else None)
    except ValidationError as error:
        wrong = wrong_fields(error, lambda location: f"PACKSIGHT_{'__'.join(map(str, location)).upper()}")
        raise UserError(f"Wrong settings: {wrong}. Correct the variable or {file}.") from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load_settings()
