"""The word that a catalog was deleted: signed, kept, and heard by hosts that were away meanwhile.

    catalogs/.deleted/<name>.json

A catalog that is merely not there any more is served on by whoever has a copy, since a bucket may have been emptied by mistake.
The word counts while nothing is published under the name; it goes when something is.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from packsight.shared.catalog.signatures import Document, Kind
from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import is_published
from packsight.shared.contract.errors import CatalogError, ErrorCode, StorageError
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore


class Deletion(BaseModel):
    """That a catalog was deleted, and when."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    catalog: str
    deleted_at: AwareDatetime


def write_deletion(store: ObjectStore, name: str, trust: Trust) -> Deletion:
    """Say that a catalog is deleted; raises UserError where catalogs are signed and there is no key here."""
    word = Deletion(catalog=name, deleted_at=datetime.now(UTC))
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
    trust.keyring.check(Kind.DELETION, document, what)
    try:
        word = Deletion.model_validate_json(document.body)
    except ValidationError:
        raise CatalogError(ErrorCode.CATALOG_REFUSED, f"{what} is not readable") from None
    newest = trust.newest(name) if trust.keyring.checks else None
    return None if word.catalog != name or (newest is not None and word.deleted_at < newest) else word


def is_deleted(store: ObjectStore, name: str) -> bool:
    """Whether a catalog was deleted and not published again, whoever says so."""
    return not is_published(store, name) and store.exists(layout.deletion(name))
