"""What the last sync made of people's verdicts, for everybody to read: `catalogs/<name>/reviewed.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.contract.errors import ObjectMissing
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TakenPhoto(_Value):
    """A confirmed photo that is a photo of its product. verdict: id of what confirmed it; by: who did.

    product: its id now, which may be another one than the verdict says.
    """

    sha256: str
    name: str
    product: str
    verdict: str
    by: str = ""


class LeftPhoto(TakenPhoto):
    """A confirmed photo that is not, and why."""

    reason: str
    lasting: bool = False
    """Whether it is left out until somebody gives another verdict, or a sync is forced; else as long as the reason holds."""


class KnownProduct(_Value):
    """What a verdict says that its photo shows, as it was offered last: by name and main picture, since ids change.

    id: empty while nobody knows where it is, or whether it is offered. alone: whether it alone had its name when that began.
    """

    id: str
    name: str = ""
    picture: str = ""
    alone: bool = False


class ReviewUse(_Value):
    """Of one catalog. pairs: photos by which the version was calibrated; absent: those of them that are not in the catalog."""

    version: str = ""
    """The version that is served to all messages since: all of this is true of what it offers."""
    products: dict[str, KnownProduct] = Field(default_factory=dict)
    """By verdict, those too that have been replaced since."""
    taken: tuple[TakenPhoto, ...] = ()
    left_out: tuple[LeftPhoto, ...] = ()
    gone: tuple[str, ...] = ()
    """Verdicts whose photos cannot be had any more, so that no sync asks for them again unless it is forced."""
    pairs: int = 0
    absent: int = 0
    disputed: int = 0


def read_use(store: ObjectStore, catalog: str) -> ReviewUse:
    """What is written, nothing where there is none; raises StorageError when storage does not answer."""
    try:
        return ReviewUse.model_validate_json(store.read(layout.review_use(catalog)).data)
    except (ObjectMissing, ValidationError):  # one of another release is written anew by the next sync
        return ReviewUse()


def write_use(store: ObjectStore, catalog: str, use: ReviewUse) -> None:
    """Take the place of what was written before."""
    store.write(layout.review_use(catalog), use.model_dump_json(indent=1).encode(), content_type="application/json")
