"""Every figure that packsight tells Prometheus, in one table: docs, alerts and board are held against it.

Labels have few values, all known beforehand but for the names of catalogs and of their current versions: no photo, no address,
no job and no host is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from packsight.shared.contract.outcomes import STAGES


class Kind(StrEnum):
    """As Prometheus tells figures apart."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Where(StrEnum):
    """Who tells it. What is of the whole queue or fleet the indexer tells alone, so that a sum counts nothing twice."""

    WORKER = "worker"
    INDEXER = "indexer"
    BOTH = "worker, indexer"
    HTTP = "HTTP door"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure under the name by which it is scraped."""

    name: str
    kind: Kind
    where: Where
    text: str
    labels: tuple[str, ...] = ()

    def of(self, *labels: str, value: float = 1.0) -> Sample:
        """A value of it, to be added or observed."""
        return Sample(self.name, labels, value)


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a metric, with those of its labels in their order."""

    metric: str
    labels: tuple[str, ...]
    value: float


def _worker(name: str, kind: Kind, text: str, *labels: str) -> Metric:
    return Metric(name, kind, Where.WORKER, text, labels)


def _indexer(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, Where.INDEXER, text, labels)


SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets: from a look into the cache to the longest that decoding a photo may take."""

PHOTOS = _worker("packsight_photos_total", Kind.COUNTER, "Photos answered; code: why they failed, else empty", "status", "code")
DESCRIBED = _worker(
    "packsight_described_photos_total", Kind.COUNTER, "Catalog photos described; code: why they could not be, else empty", "code"
)
PHOTO_SECONDS = _worker(
    "packsight_photo_seconds", Kind.HISTOGRAM, f"What a photo took in a stage: {', '.join(STAGES)}", "stage"
)
PHOTO_WORDS = _worker("packsight_photo_words", Kind.SUMMARY, "Lines of text that answers rest on; their count is that of answers")
CACHE = _worker(
    "packsight_cache_lookups_total", Kind.COUNTER, "Whether what the networks see on a photo was known from earlier", "found"
)
DELIVERIES = _worker("packsight_deliveries_total", Kind.COUNTER, "Messages that a child has begun with", "task")
REDELIVERIES = _worker("packsight_redeliveries_total", Kind.COUNTER, "Those of them that had been handed out before", "task")
ENDINGS = _worker(
    "packsight_deliveries_ended_total",
    Kind.COUNTER,
    "How deliveries ended: done, failed, put_back (the child died), handed_back (something is away), put_off (its hosts are)",
    "task",
    "ending",
)
DEATHS = _worker("packsight_child_deaths_total", Kind.COUNTER, "Children that died over a message", "cause")
OUTAGES = _worker("packsight_outages_total", Kind.COUNTER, "How often a breaker opened", "dependency")
SWAP_SECONDS = _worker("packsight_catalog_swap_seconds", Kind.SUMMARY, "What bringing versions to this host took", "catalog")
CHILDREN_EXPECTED = _worker("packsight_children_expected", Kind.GAUGE, "Children that this worker should have")
CHILDREN_READY = _worker("packsight_children_ready", Kind.GAUGE, "Children of this worker that have given a sign of life lately")

READY = Metric("packsight_ready", Kind.GAUGE, Where.BOTH, "1 when all that belongs to the process was there once")
COMPLAINT = Metric("packsight_complaint", Kind.GAUGE, Where.BOTH, "1 while a restart may mend what is wrong with it", ("kind",))
BREAKER = Metric(
    "packsight_breaker_open", Kind.GAUGE, Where.BOTH, "1 while this is away and no work that needs it is taken", ("dependency",)
)

DEPENDENCY = _indexer("packsight_dependency_up", "Whether the indexer could ask it a moment ago", "dependency")
MEMORY = _indexer("packsight_results_memory_bytes", "Memory of the server that holds results, mostly the broker too")
MEMORY_LIMIT = _indexer("packsight_results_memory_limit_bytes", "What it may take (maxmemory); nothing where it has no limit")
QUEUE = _indexer("packsight_queue_messages", "Messages that wait", "queue")
OLDEST = _indexer("packsight_queue_oldest_seconds", "Age of the message that has waited longest; 0 where none waits", "queue")
UNACKED = _indexer("packsight_messages_in_work", "Messages that workers hold")
PARKED = _indexer("packsight_messages_parked", "Messages that wait for their time")
DEAD_LETTERS = _indexer("packsight_dead_letters", "Messages and photos that were put aside for a person")
WORKERS = _indexer("packsight_fleet_workers", "Parent processes of workers that give signs of life")
FLEET_EXPECTED = _indexer("packsight_fleet_children_expected", "Children that these should have")
FLEET_READY = _indexer("packsight_fleet_children_ready", "Children that are ready, of all hosts")

CATALOG = _indexer(
    "packsight_catalog_info", "1 for each version that answers; canary: on a share of messages", "catalog", "version", "canary"
)
PUBLISHED = _indexer("packsight_catalog_published_timestamp_seconds", "When the current version was made", "catalog")
CANARY = _indexer("packsight_canary_published_timestamp_seconds", "When the version was made that is tried on a share", "catalog")
HELD = _indexer("packsight_catalog_held_timestamp_seconds", "When somebody went back to where syncs leave it", "catalog")
PRODUCTS = _indexer("packsight_catalog_products", "Products of the current version", "catalog")
CATALOG_PHOTOS = _indexer("packsight_catalog_photos", "Photos of the current version", "catalog")
UPTAKE = _indexer(
    "packsight_catalog_children", "Children by how far they are with what is current: serving, late, refusing, without",
    "catalog", "uptake",
)  # fmt: skip

SYNC_PERIOD = _indexer("packsight_sync_period_seconds", "How often the indexer syncs the catalog that it follows", "catalog")
SYNC_ENDED = _indexer("packsight_sync_ended_timestamp_seconds", "When the last sync ended, however it did", "catalog")
SYNC_SUCCEEDED = _indexer("packsight_sync_succeeded_timestamp_seconds", "When the last sync ended that succeeded", "catalog")
SYNC_SECONDS = _indexer("packsight_sync_seconds", "What the last sync took", "catalog")
SYNC_ENDING = _indexer(
    "packsight_sync_ending", "1 for how the last sync ended: published, unchanged, refused, failed, held_back",
    "catalog", "ending",
)  # fmt: skip
SYNCS = Metric("packsight_syncs_total", Kind.COUNTER, Where.INDEXER, "Syncs by how they ended", ("catalog", "ending"))
FEED_CHANGED = _indexer("packsight_feed_changed_timestamp_seconds", "When a sync last found the shop's offers changed", "catalog")

REVIEWED = _indexer("packsight_reviewed_matched", "Answers of a random sample of matched ones that a person judged", "catalog")
REVIEWED_RIGHT = _indexer("packsight_reviewed_matched_right_ratio", "Share of these that were right", "catalog")
PROMISED = _indexer("packsight_promised_matched_right_ratio", "What is promised of it: PACKSIGHT_REVIEW__PRECISION", "catalog")
PROMISE_BROKEN = _indexer("packsight_promise_broken", "1 while so many were wrong that it is surely not kept", "catalog")

HTTP_REQUESTS = Metric(
    "packsight_http_requests_total", Kind.COUNTER, Where.HTTP, "Requests by endpoint and status of the answer",
    ("endpoint", "status"),
)  # fmt: skip
HTTP_SECONDS = Metric(
    "packsight_http_request_seconds", Kind.HISTOGRAM, Where.HTTP, "What requests took; streams take as long as they are read",
    ("endpoint",),
)  # fmt: skip
WEBHOOKS_GIVEN_UP = Metric(
    "packsight_webhooks_given_up_total", Kind.COUNTER, Where.HTTP, "Webhooks that nobody took, however often they were tried"
)

METRICS = {value.name: value for value in list(globals().values()) if isinstance(value, Metric)}
"""All of them by name."""
