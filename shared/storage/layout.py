"""Where things lie in our bucket: the one home of its object keys.

    photos/<sha256>                                  catalog photos, as they were downloaded
    made/<by>/<sha256>.jpg                           photos made of catalog photos, by what made them
    uploads/<sha256>                                 photos that were submitted from a disk
    incoming/…                                       photos and feeds that others put here, under names of their own
    jobs/<job>/…                                     what a job asks for, and what is told of it
    features/<part>/<fingerprint>/<shard>.parquet    features, each part by what made it
    catalogs/<name>/CURRENT.json                     which versions are served
    catalogs/<name>/CURRENT                          which version workers of older releases serve
    catalogs/<name>/versions/<version>/<file>        a version: its manifest, and what is told of it
    catalogs/<name>/parts/<sha256>                   files of its versions, each once
    catalogs/<name>/pictures.jsonl.gz                what was seen at the sources of its photos
    catalogs/<name>/reports/<version>/<file>         what a sync says of a version, published or refused
    catalogs/<name>/reviewed.json                    what the last sync made of reviews
    catalogs/.deleted/<name>.json                    that a catalog was deleted; no catalog has such a name
    reviews/<catalog>/new|packs/<file>               what people say of answers
    reviews/<catalog>/removed/<job>                  that nothing of this is read any more which is said of the job
    models/int8/<key>/…                              networks of 8-bit integers
"""

from __future__ import annotations

PHOTOS = "photos/"
MADE = "made/"
UPLOADS = "uploads/"
INCOMING = "incoming/"
JOBS = "jobs/"
FEATURES = "features/"
SHARD = ".parquet"
CATALOGS = "catalogs/"
DELETIONS = f"{CATALOGS}.deleted/"
REVIEWS = "reviews/"
NEW, PACKS, REMOVED = "new/", "packs/", "removed/"
"""Parts of a catalog's reviews: verdicts by themselves, many together, and jobs of which nothing is to be left."""
MODELS = "models/"
INT8 = f"{MODELS}int8/"

FETCHED = (UPLOADS, INCOMING, PHOTOS, MADE)
"""Where references may always reach."""
CLOSED = (JOBS, FEATURES, CATALOGS, REVIEWS, MODELS)
"""Where they never reach."""

MANIFEST = "manifest.json"
"""Written last: a job or version without one is unfinished."""


def photo(sha256: str) -> str:
    """Bytes of a catalog photo."""
    return f"{PHOTOS}{sha256}"


def made(maker: str, sha256: str = "") -> str:
    """A photo made of the catalog photo with this hash; without it the prefix of all that were made in one way."""
    return f"{MADE}{maker}/{sha256 + '.jpg' if sha256 else ''}"


def upload(sha256: str) -> str:
    """Bytes of a submitted photo."""
    return f"{UPLOADS}{sha256}"


def job(name: str, file: str) -> str:
    """A file of a job."""
    return f"{JOBS}{name}/{file}"


def features(part: str, fingerprint: str, shard: str = "") -> str:
    """A shard of one part of photos' features; without `shard` the prefix of all of them."""
    return f"{FEATURES}{part}/{fingerprint}/{shard + SHARD if shard else ''}"


def catalog(name: str) -> str:
    """Prefix of all that a catalog has, but what people say of its answers."""
    return f"{CATALOGS}{name}/"


def deletion(catalog: str) -> str:
    """The word that a catalog was deleted."""
    return f"{DELETIONS}{catalog}.json"


def pointer(catalog: str) -> str:
    """Which versions of a catalog are served."""
    return f"{CATALOGS}{catalog}/CURRENT.json"


def former_pointer(catalog: str) -> str:
    """Which version of a catalog workers of older releases serve."""
    return f"{CATALOGS}{catalog}/CURRENT"


def versions(catalog: str) -> str:
    """Prefix of all versions of a catalog."""
    return f"{CATALOGS}{catalog}/versions/"


def version(catalog: str, name: str, file: str = "") -> str:
    """A file of a version; without `file` the prefix of all of them."""
    return f"{versions(catalog)}{name}/{file}"


def part(catalog: str, sha256: str = "") -> str:
    """A file of a catalog's versions, by its hash; without it the prefix of all of them."""
    return f"{CATALOGS}{catalog}/parts/{sha256}"


def pictures(catalog: str) -> str:
    """What was seen at the sources of a catalog's photos."""
    return f"{CATALOGS}{catalog}/pictures.jsonl.gz"


def former_sources(catalog: str) -> str:
    """Prefix of the same as releases wrote it that kept it nowhere else."""
    return f"{CATALOGS}{catalog}/sources/"


def reports(catalog: str, version: str = "", file: str = "") -> str:
    """A file of the report on a version; without `file` the prefix of the whole of it, without `version` of all of a catalog."""
    return f"{CATALOGS}{catalog}/reports/{version + '/' if version else ''}{file}"


def review_use(catalog: str) -> str:
    """What the last sync made of reviews."""
    return f"{CATALOGS}{catalog}/reviewed.json"


def reviews(catalog: str, file: str = "") -> str:
    """A file with verdicts on a catalog's answers, below `NEW` or `PACKS`; without it the prefix of all of them."""
    return f"{REVIEWS}{catalog}/{file}"


def removed_job(key: str) -> str:
    """The job of which nothing is to be left by a word among reviews; empty for any other key."""
    before, mark, job = key.partition(f"/{REMOVED}")
    return job if mark and before.startswith(REVIEWS) else ""


def address(bucket: str, key: str) -> str:
    """Reference under which workers fetch an object."""
    return f"s3://{bucket}/{key}"
