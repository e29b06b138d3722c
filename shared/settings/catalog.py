"""The life of catalogs, and of what object storage has for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from packsight.shared.settings.section import Section

PublicKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""An Ed25519 public key in hex digits."""


class Catalog(Section):
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


class Storage(Section):
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
