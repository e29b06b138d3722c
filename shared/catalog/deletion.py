"""The word that a catalog was deleted: signed, kept, and heard by hosts that were away meanwhile.

    catalogs/.deleted/<name>.json

A catalog that is merely not there any more is served on by whoever has a copy, since a bucket may have been emptied by mistake.
The word counts while nothing is published under the name; it goes when something is. It is later than every pointer before it,
and every pointer after it is later, whatever the clocks say of who writes them.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from packsight.shared.catalog.signatures import Document, Kind
from packsight.shared.catalog.trust import Trust
from packsight.shared.contract.errors import CatalogError, ErrorCode, StorageError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore

_TICK = timedelta(microseconds=1)
"""By which a word or a pointer is later than what was before it, whatever the clock says."""


class Deletion(BaseModel):
    """That a catalog was deleted, and when."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    catalog: str
    deleted_at: AwareDatetime


def write_deletion(store: ObjectStore, name: str, trust: Trust, pointed_at: datetime | None = None) -> Deletion:
    """Say that a catalog is deleted; the caller holds its lock. pointed_at: when its pointer was written, as that says itself.

    Raises UserError where catalogs are signed and there is no key here, StorageError.
    """
    word = Deletion(catalog=name, deleted_at=later_than(pointed_at, trust.newest(name), deleted_at(store, name, trust)))
    body = trust.keyring.sign(Kind.DELETION, word.model_dump_json().encode())
    store.write(layout.deletion(name), body, content_type="application/json")
    return word


def read_deletion(store: ObjectStore, name: str, trust: Trust) -> Deletion | None:
    """The word of a name under which nothing is published; None where there is none, or a later pointer was followed here.

    Raises CatalogError for one that is not readable, or that nobody who is believed signed.
    """
    try:
        document = Document.split(store.read(layout.deletion(name)).data)
    except StorageError as error:
        if error.code in {ErrorCode.OBJECT_MISSING, ErrorCode.BUCKET_MISSING}:
            return None
        raise
    what = f"The word that catalog {name} was deleted"
    try:
        trust.keyring.check(Kind.DELETION, document, what)
    except CatalogError as error:
        raise CatalogError(error.code, error.message, remedy=f"`packsight catalog delete {name}` says it anew.") from None
    try:
        word = Deletion.model_validate_json(document.body)
    except ValidationError:
        raise CatalogError(ErrorCode.CATALOG_REFUSED, f"{what} is not readable") from None
    newest = trust.newest(name) if trust.keyring.checks else None
    return None if word.catalog != name or (newest is not None and word.deleted_at < newest) else word


def deleted_at(store: ObjectStore, name: str, trust: Trust) -> datetime | None:
    """When a catalog was deleted, as a word says that counts and is believed; None where there is none. Raises StorageError."""
    with suppress(CatalogError):
        return word.deleted_at if (word := read_deletion(store, name, trust)) is not None else None
    return None


def later_than(*before: datetime | None) -> datetime:
    """Now, or just after the last of these where the clock is behind them."""
    return max([datetime.now(UTC), *(known + _TICK for known in before if known is not None)])
