"""What was published before there was a key is signed once, as it is, by the indexer's process."""

from __future__ import annotations

import logging
from contextlib import closing
from functools import lru_cache

from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import ErrorCode, PacksightError, StorageError, UserError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)


def sign_former(settings: Settings) -> None:
    """Sign all catalogs that nobody has, the first time that there is a key in this home, and never again.

    What is unsigned later was put there by somebody else. Where object storage is away it is tried again at the next
    call; where it cannot be done, the log says why, once.
    """
    try:
        trust = Trust.of_publisher(settings)
        trust.keyring.require_own()
        if not trust.keyring.own or not trust.is_new:
            return
        with closing(ObjectStore(settings.s3)) as store:
            for name in _published(store):
                _sign(CatalogStore(store, name, trust))
        trust.begin()
    except (PacksightError, UserError, OSError) as error:
        _say_why(str(error))


@lru_cache(maxsize=1)
def _say_why(error: str) -> None:
    """Say a reason once, however often it is met in a row."""
    log.error("what was published before there was a key is not signed (`packsight catalog sign` does it too): %s", error)


def _published(store: ObjectStore) -> list[str]:
    try:
        return list(catalog_names(store))
    except StorageError as error:
        if error.code is ErrorCode.BUCKET_MISSING:  # made by the first who needs it
            return []
        raise


def _sign(catalogs: CatalogStore) -> None:
    if catalogs.is_unsigned():
        signed = ", ".join(manifest.version for manifest in catalogs.sign()) or "no version"
        text = "catalog %s was published before there was a key; it is signed now as it is: %s"
        log.warning(text, catalogs.name, signed, extra={"action": "catalog_signed"})
