"""One typed settings tree: PACKSIGHT_… variables, `__` between levels, files that they name, or this folder's stack file."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from packsight.shared.contract.errors import UserError
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.logs import LogFormat
from packsight.shared.secret_files import Environment


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


EXAMPLE = "change-me"
"""What stands for a secret in examples, and is none."""


def _no_example(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value() == EXAMPLE:
        raise PydanticCustomError("example", "this is the example's value, which everybody knows: put a secret in its place")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_no_example)]


class Redis(_Section):
    """How the servers of broker and results are entered; for addresses that say no user and password of their own."""

    user: str = ""
    """Empty: the one that the address names, or none."""
    password: Secret = SecretStr("")
    """As it is: nothing in it need be encoded."""
    ca: Path | None = None
    """Certificates by which a server is known over rediss://; None: those of the system."""
    cert: Path | None = None
    """Our own certificate, where the server asks for one, with `key`."""
    key: Path | None = None
    """The private key of `cert`."""

    def address(self, url: SecretStr) -> str:
        """An address with all that is needed to connect, encoded as addresses are: a secret."""
        parts = urlsplit(url.get_secret_value())
        place, password = parts.netloc, self.password.get_secret_value()
        if "@" not in place and (self.user or password):
            place = f"{quote(self.user, safe='')}:{quote(password, safe='')}@{place}"
        query = dict(parse_qsl(parts.query))
        if parts.scheme == "rediss":
            files = {"ssl_ca_certs": self.ca, "ssl_certfile": self.cert, "ssl_keyfile": self.key}
            # kombu would not look at the certificate unless it is told to.
            query = {"ssl_cert_reqs": "required", **{name: str(file) for name, file in files.items() if file}, **query}
        return urlunsplit((parts.scheme, place, parts.path, urlencode(query), ""))


class Flower(_Section):
    """The page that watches the queues."""

    user: str = "packsight"
    """Who signs in at the page; ASCII alone."""
    password: Secret = SecretStr("")
    """Flower does not start without one; ASCII alone."""


class Metrics(_Section):
    """Where the figures of a worker, the indexer or the HTTP door are scraped."""

    port: int = Field(default=0, ge=0, le=65535)
    """Each process of a machine needs its own; 0 = nowhere."""
    address: str = "127.0.0.1"
    """That of an interface. The page asks for no password: open it to no more than a network on which Prometheus alone is."""


def _bucket(text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9][\w.:-]{1,61}[A-Za-z0-9]", text, re.ASCII):
        raise PydanticCustomError("bucket", "a bucket's name has 3 to 63 letters, digits, dots and dashes, as in my-photos")
    if re.fullmatch(r"\d+(\.\d+){3}|.*([.-]\.|\.-).*|.*(-s3alias|--ol-s3)", text):  # which the client refuses to ask for
        raise PydanticCustomError("bucket", "no bucket can be called so: take letters, digits and single dashes, as in my-photos")
    return text


def _is_host(text: str) -> bool:
    """Whether it is a host, or a host and a port of it: IPv6 addresses stand in brackets."""
    try:
        parts = urlsplit(f"//{text}")
        return parts.netloc == text and bool(parts.hostname) and parts.port != 0 and not re.search(r"[\s@]", text)
    except ValueError:
        return False


def _public_store(text: str) -> str:
    kind, _, host = text.rstrip("/").partition("://")
    if text and (kind not in {"http", "https"} or not _is_host(host)):
        raise PydanticCustomError("store", "write it as https://host or http://host:port")
    return text


def _endpoint(text: str) -> str:
    if text and not _is_host(text):
        raise PydanticCustomError("endpoint", "write it as host:port, without http:// or a path, and IPv6 as [::1]:9000")
    return text


class S3(_Section):
    """Object storage; any S3-compatible endpoint."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = "127.0.0.1:9000"
    """Host and port, without http://."""
    access_key: str = ""
    """Name of the key."""
    secret_key: Secret = SecretStr("")
    """Its secret."""
    secure: bool = False
    """Whether it is asked over TLS."""
    ca: Path | None = None
    """Certificates by which a server is known when `secure`; None: those that urllib3 knows."""
    region: str = "us-east-1"
    """As the server names it, which checks signatures by it."""
    bucket: Annotated[str, AfterValidator(_bucket)] = "packsight"
    """Whoever keeps nothing there, as Flower, may have none."""
    connect_timeout: float = 2.0
    """Seconds for one try to connect."""
    read_timeout: float = 10.0
    """Seconds without a byte of an answer."""


def _object_prefix(text: str) -> str:
    bucket = text.removeprefix("s3://").partition("/")[0]
    if not text.startswith("s3://") or not bucket or not text.removeprefix(f"s3://{bucket}"):
        raise PydanticCustomError("object_prefix", "write it as s3://bucket/ for a whole bucket, or as s3://bucket/prefix/")
    return text


ObjectPrefix = Annotated[str, AfterValidator(_object_prefix)]
"""A prefix of keys in a bucket."""


class Fetch(_Section):
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


class Worker(_Section):
    """Sizes and limits of a recognition worker."""

    children: int = 0
    """Prefork children; 0 = one per usable core where memory allows, at least one."""
    threads: int = 0
    """Threads of the networks per child; 0 = usable cores divided by children."""
    spare: int = 1
    """Further children where memory allows, that only work on single photos while jobs keep the others busy."""
    time_limit: float = Field(default=60.0, gt=0)
    """Seconds that photos in work together may take however few they are, before their child is killed: fetching one may take
    20, decoding it 30."""
    image_seconds: float = Field(default=5.0, ge=0)
    """Seconds that each of them adds to it: twenty times and more what a quick core takes, so that a starved machine gets through
    what a quick one does."""
    begin_timeout: float = Field(default=30.0, gt=0)
    """Seconds after which a child is killed that was handed a batch and has not begun with it, or is stopped over it: an idle one
    begins at once."""
    beside_timeout: float = Field(default=120.0, gt=0)
    """Seconds after which a child is killed that stands still over a batch beside its photos: before the first, between parts,
    while its result is stored; counted anew whenever a server is asked again. The longest that it may wait for is a catalog on
    its way, 30 s, after two questions to object storage, 37 s each. Servers that do not answer take 16 s of a callback, 10 s of a
    result and 5 s of a question to the result database, and the look-up of a name may add 30 s to any of them. To be raised along
    with PACKSIGHT_QUEUE__SOCKET_TIMEOUT."""
    start_timeout: int = 120
    """Seconds that a child may take to build its models."""
    max_batch: int = 64
    """Photos that a message may carry."""
    max_memory_mb: int = 0
    """Resident size at which a child is replaced after its task; 0 = never."""
    catalogs_mb: int = Field(default=4096, gt=0)
    """Size of the catalogs that a child keeps open together; beyond it those that nobody asks for are closed. Their files are
    mapped, and what is open without being asked for takes the page cache from what is."""
    remember: int = Field(default=20_000, ge=0)
    """Photos of which the result database keeps what the networks saw, so that none is looked at twice; 0 = none.

    They take about 2.5 KB each there, and an old half is dropped when a new half is full.
    """

    def seconds_for(self, images: int) -> float:
        """Seconds that so many photos in work together may take."""
        return self.time_limit + images * self.image_seconds


class Queue(_Section):
    """How messages are held and handed out."""

    visibility_timeout: int = 10
    """Seconds without a sign of life of its worker after which a message is handed out again."""
    result_expires: int = 7 * 24 * 3600
    """Seconds for which results can be read."""
    socket_timeout: float = 5.0
    """Seconds after which broker or results count as away that do not answer."""
    outage_seconds: float = 60.0
    """How long a producer in the middle of a job waits for a broker that has gone away before it gives up."""
    stuck_after: float = Field(default=60.0, gt=0)
    """Seconds for which messages may wait while a worker with nothing in work begins none, before it counts as unhealthy: an idle
    child begins within milliseconds, and what is in work has limits of its own. For the indexer: without a tick of its clock."""
    reconcile_seconds: float = 10.0
    """Period of the reconciler, and how old a batch without a message must be to be enqueued again."""


PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""An Ed25519 public key in hex digits."""


class Catalog(_Section):
    """Life cycle of catalog versions."""

    poll_seconds: float = 2.0
    """How often a worker looks at the pointers of its catalogs, where nobody tells it of a new version."""
    keep_versions: int = 5
    """Versions that stay, the current one among them, of each recipe that a worker has, that is held where somebody went back to,
    or whose version was pointed at last; the last two that only show other prices and texts of the same products stay beside
    them."""
    max_loss: float = Field(default=0.2, ge=0)
    """Share of products, photos, distinct names or distinct pictures that a new version may lack before publishing it must be
    forced: of those of its parent, and of the most that one of the last versions had. A shop hardly drops a fifth at a time."""
    max_renamed: float = Field(default=0.3, ge=0)
    """Share of the products that stay whose names may change: a brand is renamed, a column moved by one renames all."""
    max_repictured: float = Field(default=0.5, ge=0)
    """Share of the products that stay of which no photo may stay: a season is photographed anew, seldom the whole shop."""
    max_reidentified: float = Field(default=0.1, ge=0)
    """Share of the parent's products that may come back under another id: answers that were given name the old one."""
    max_shared_picture: float = Field(default=0.05, ge=0)
    """Share of the products that one picture may come to stand for: it is none of them, a shop shows it for want of another."""
    max_placeholder: float = Field(default=0.2, ge=0)
    """Share of the products that one picture may stand for in a first version: more than a shop is likely to sell without a
    picture, and then the catalog recognises nothing of them."""
    max_changed_answers: float = Field(default=0.1, ge=0)
    """Share of the stored queries that may be answered by another product, or by none, though both are in both versions."""
    queries: str = ""
    """Folder or s3:// prefix with photos such as customers send, of which both versions are asked before the new one is
    published; empty = none."""
    canary: float = Field(default=0.0, ge=0, lt=1)
    """Share of the messages that a new version answers beside the one that is current, until a person promotes it or gives it up;
    no sync goes on meanwhile. 0 = it answers all at once."""
    job_queries: int = Field(default=100, ge=0)
    """Photos of recent jobs, of those in object storage, of which both versions are asked too; 0 = none. Each is described once,
    never while a job is under way. Of 100, eleven answers that change stop a version."""
    keep_refused: int = Field(default=3, ge=0)
    """Versions that were not published that are kept for a look, two weeks at most."""
    feed: str = ""
    """Feed of the periodic sync; empty = no periodic sync."""
    photos: str = ""
    """Folder or s3:// prefix with extra photos for the periodic sync."""
    sync_seconds: float = 900.0
    """Period of the sync with `feed`."""
    include_unavailable: bool = True
    """Whether offers that the feed marks available="false" stay in the catalog: they may still stand on a shelf."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Columns of a feed's table by field (docs/feeds.md), where they have no usual name; as JSON, {"id": "Item no."}."""
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
    picture_first_seconds: float = Field(default=3600.0, gt=0)
    """The soonest that a picture is asked for again at its host: a shop that replaces a photo may do so again within the hour."""
    picture_last_seconds: float = Field(default=7 * 24 * 3600.0, gt=0)
    """The latest, also for one that has failed: a picture that was replaced under its old address is wrong for a week at most."""
    picture_age_share: float = Field(default=0.1, ge=0)
    """Between the two the pause is this share of the time for which the picture has stayed as it is: what has not changed for
    long will hardly change tomorrow."""
    picture_retry_seconds: float = Field(default=900.0, gt=0)
    """After the first failure of a picture or a host in a row; doubled with each further one."""
    picture_budget: int = Field(default=2000, ge=0)
    """Known pictures asked for at one host in one sync, those due longest first: with a sync every 15 minutes two a second, which
    no host notices, and a million pictures in five days. Pictures with new addresses come on top."""
    name: str = "default"
    """Catalog that the periodic sync maintains."""
    signing_key: SecretStr = SecretStr("")
    """Private key (PEM) with which the indexer signs what it publishes; empty: nothing is signed. `packsight catalog keys` writes
    one into a file, to be named by …_FILE."""
    public_keys: tuple[PublicKey, ...] = ()
    """Keys of who may publish: what none of them signed is not served. Several while one follows another; none = no check."""
    prior: Path | None = None
    """File of weights that versions start from (`python -m bench.prior` writes them); None = those that are shipped."""


class Storage(_Section):
    """How long object storage keeps what nothing needs any more. `packsight storage` says what that is.

    What a version, a job under way or a sync needs stays however old it is.
    """

    collect_hours: float = Field(default=24.0, gt=0)
    """Period of the collection, which the indexer does after a sync, also one that failed.

    Looking at all objects takes a request per thousand.
    """
    photos_days: float = Field(default=7.0, ge=0)
    """Catalog photos that no kept version has: a product that is out of the feed over a few days is not fetched again. The first
    sync of a catalog, which ends within a day, is at work with photos before anything names them."""
    features_days: float = Field(default=30.0, ge=0)
    """What the networks saw on photos that no kept version has, or by networks that no worker and version has: seeing it again
    takes a worker a second a photo, keeping it about 50 kB. A month covers a product out of season and networks that are
    gone back to."""
    uploads_days: float = Field(default=7.0, ge=1)
    """Photos submitted from a disk that no kept job asks for: as long as the results of single ones can be read."""
    jobs_days: float = Field(default=30.0, ge=1)
    """Lists of what jobs asked for, and their uploads, after the job was submitted, unless it is under way: results can be read
    for PACKSIGHT_QUEUE__RESULT_EXPIRES, a week, and asked for again by `packsight submit --resume` afterwards."""


class Http(_Section):
    """The HTTP door, `packsight serve`."""

    host: str = "127.0.0.1"
    """Address of the interface that it listens on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """0 = any that is free."""
    max_body: int = Field(default=40_000_000, gt=0)
    """Bytes of a request: the largest photo (PACKSIGHT_FETCH__MAX_BYTES) with the form around it, or as base64 one of 30 million;
    a table of a hundred thousand addresses."""
    requests_per_minute: int = Field(default=1200, gt=0)
    """Of one client or person, over a minute; what was not used of it can be used at once."""
    sign_ins_per_minute: int = Field(default=10, gt=0)
    """Of one address, of IPv6 one /64: whoever guesses passwords gets no further, whoever mistypes theirs does."""
    in_work: int = Field(default=64, gt=0)
    """Requests that wait for a worker's answer at a time; further ones are refused with 429."""
    large: int = Field(default=24, gt=0)
    """Requests at a time that take in or give out much, or for long: jobs, uploads, streams of results and progress."""
    messages_ahead: int = Field(default=2_000, gt=0)
    """Messages of a job that wait for workers at a time: some 4 MB of the broker. A large job is queued within seconds, so that
    the next one has its turn."""
    body_seconds: float = Field(default=60.0, gt=0)
    """For a request's body to come in: 40 MB at 6 Mbit/s."""
    deadline: float = Field(default=60.0, gt=0)
    """Seconds that a request waits for a worker's answer at most, and unless it says how long; as long as the command does."""
    session_hours: float = Field(default=12.0, gt=0)
    """After which a person has to sign in again: a working day."""
    session_secret: Secret = SecretStr("")
    """Signs sessions; empty: one that is made once below PACKSIGHT_HOME. Several servers of one address need the same."""
    upload_seconds: int = Field(default=3600, gt=0, le=7 * 24 * 3600)
    """For which an address that photos are sent to can be used."""
    store: Annotated[str, AfterValidator(_public_store)] = ""
    """Where object storage is for those who send photos past the server (`https://photos.example.com`); empty: where it is for
    us."""
    proxies: str = ""
    """Addresses of proxies in front, with commas between: who comes through them is who they say in X-Forwarded-For. Empty:
    nobody is believed, and all that come through a proxy count as one when sign-ins are counted."""
    https: bool = False
    """Whether people come over https alone (a proxy in front): then browsers send the session over nothing else."""


class Review(_Section):
    """Answers that people look at."""

    sample: float = Field(default=0.05, ge=0, le=1)
    """Share of the `matched` answers that are drawn by lot, by a hash of the photo, and offered for review however sure they are:
    of a thousand photos fifty, which tell 2 % of wrong ones from 10 %."""
    precision: float = Field(default=0.98, gt=0, lt=1)
    """Promised precision of `matched` answers, which is what versions are calibrated for."""
    days: float = Field(default=90.0, gt=0)
    """How far back reviewed answers count for the figure that is held against it: what was mended is forgotten after a season."""


def _one_redis_server(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    kind, mark, _ = text.partition("://")
    if not mark or kind not in {"redis", "rediss"} or ";" in text:
        raise PydanticCustomError(
            "redis_url",
            "{scheme} is not supported: name one Redis or Valkey server as redis://:password@host:port/database, "
            "or rediss://… for TLS",
            {"scheme": "a list of servers" if ";" in text else f"{kind}://" if mark else "an address without redis://"},
        )
    try:
        parts = urlsplit(text)
        is_named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port, or of brackets
        is_named = False
    if not is_named:
        raise PydanticCustomError(
            "redis_host",
            "no host is named, or no port: write redis://:password@host:port/database, IPv6 as [::1]:6379, "
            "and %2F for / in a password",
        )
    if parts.password == EXAMPLE:
        raise PydanticCustomError("example", "its password is the example's, which everybody knows: put a secret in its place")
    return url


RedisUrl = Annotated[SecretStr, AfterValidator(_one_redis_server)]
"""Address of a Redis database; the transport's scripts need one server that holds all keys."""


class Settings(BaseSettings):
    """All settings of packsight. Environment first, then files that it names, the folder's stack file, these defaults."""

    model_config = SettingsConfigDict(
        env_prefix="PACKSIGHT_",
        env_nested_delimiter="__",
        env_file_encoding="utf-8",
        extra="forbid",
        frozen=True,
    )

    broker_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")
    """Where messages wait: one Redis or Valkey server as redis://host:port/database, or rediss:// for TLS."""
    result_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/1")
    """Where results and the books of jobs lie; the same server will do, in another database."""
    home: Path = Path(".packsight")
    """Folder of local state: stack, logs, catalog replica; networks are kept where `PACKSIGHT_MODELS__CACHE_DIR` says."""
    log_format: LogFormat = LogFormat.TEXT
    """`text`, or `json`: each line of a log is an object."""
    redis: Redis = Redis()
    flower: Flower = Flower()
    metrics: Metrics = Metrics()
    s3: S3 = S3()
    fetch: Fetch = Fetch()
    decode: Decode = Decode()
    models: Models = Models()
    worker: Worker = Worker()
    queue: Queue = Queue()
    catalog: Catalog = Catalog()
    storage: Storage = Storage()
    http: Http = Http()
    review: Review = Review()

    @property
    def broker(self) -> str:
        """Address of the broker with all that is needed to connect; a secret."""
        return self.redis.address(self.broker_url)

    @property
    def results(self) -> str:
        """The same of the result database."""
        return self.redis.address(self.result_url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables name files too."""
        return init_settings, Environment(settings_cls), dotenv_settings


STACK_FILE = Path(".packsight/stack.env")


def nearest_stack() -> Path | None:
    """The file of a stack in this folder, else in the nearest one above it; None without one.

    Above, only a file of our own counts: where others may write, one of theirs would have photos sent to them.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / STACK_FILE
        if _is_there(file) if folder == here else os.path.isfile(file) and file.stat().st_uid == os.getuid():  # noqa: PTH113
            return file
    return None


def _is_there(file: Path) -> bool:
    """Raises UserError where the folder of the file may not be looked into."""
    try:
        return file.exists()
    except PermissionError:
        raise UserError(
            f"{file} is another user's, who lets nobody else look. Work in a folder of yours, or name a file of settings "
            "by PACKSIGHT_STACK_FILE."
        ) from None


def named_stack() -> Path | None:
    """The file that PACKSIGHT_STACK_FILE names; None where it names none."""
    named = os.environ.get("PACKSIGHT_STACK_FILE")
    return Path(named) if named else None


def check_named_stack() -> None:
    """Raise UserError where PACKSIGHT_STACK_FILE names a file that is not there."""
    file = named_stack()
    if file is not None and not _is_there(file):
        raise UserError(
            f"PACKSIGHT_STACK_FILE names {file}, which does not exist. Correct the variable, or unset it: then the file "
            "of the nearest stack is read."
        )


def settings_file() -> Path:
    """The file that settings are read from beside the environment: PACKSIGHT_STACK_FILE, or a stack's.

    That is the stack in PACKSIGHT_HOME, of which `status` and `down` speak then, else the nearest.
    """
    return named_stack() or _stack_at_home() or nearest_stack() or STACK_FILE


def _stack_at_home() -> Path | None:
    home = os.environ.get("PACKSIGHT_HOME")
    # Not Path.is_file, which raises where somebody else's folder may not be looked into.
    return Path(home) / STACK_FILE.name if home and os.path.isfile(Path(home) / STACK_FILE.name) else None  # noqa: PTH113


def load_settings(stack_file: Path | None = None) -> Settings:
    """Read the settings.

    `stack_file` defaults to what `settings_file` says.

    Raises UserError that names the variable when a value is wrong, or PACKSIGHT_STACK_FILE names a file that is not there.
    """
    file = stack_file or settings_file()
    if stack_file is None:
        check_named_stack()
    try:
        return Settings(_env_file=file if _is_there(file) else None)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Give read access, or name another file.") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is no text in UTF-8. Save it as that; `packsight up` writes a stack's anew.") from None
    except SettingsError as error:
        section = str(error).partition('"')[2].partition('"')[0].upper()
        raise UserError(
            f"Wrong settings: a value of PACKSIGHT_{section}__… is no JSON ({error.__cause__}). Correct the variable or {file}: "
            'lists are written as ["a", "b"], in variables also as a,b, and tables as {"name": "value"}.'
        ) from None
    except ValidationError as error:
        meant = "".join(f" Is {name} meant?" for name in _meant(error))
        raise UserError(f"Wrong settings: {wrong_fields(error, _variable)}.{meant} Correct the variable or {file}.") from None


def _variable(location: tuple[int | str, ...]) -> str:
    return f"PACKSIGHT_{'__'.join(map(str, location)).upper()}"


def _meant(error: ValidationError) -> list[str]:
    """Variables whose names are like those of settings that there are not."""
    there = [
        _variable((name, key))
        for name, field in Settings.model_fields.items()
        for key in (type(field.default).model_fields if isinstance(field.default, _Section) else ())
    ]
    strange = [_variable(item["loc"]) for item in error.errors() if item["type"] == "extra_forbidden"]
    return list(dict.fromkeys(name for one in strange for name in get_close_matches(one, there, n=1, cutoff=0.8)))


def act_as(role: str) -> None:
    """From here on read the file that the stack's folder has for a role, if it has one: its keys are others than a person's."""
    file = settings_file().with_name(f"{role}.env")
    if _is_there(file):
        os.environ["PACKSIGHT_STACK_FILE"] = str(file)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load_settings()
