"""What was published before there was a key is signed once, as it is, by whoever publishes next."""

from __future__ import annotations

import logging
from contextlib import closing

from packsight.shared.catalog.trust import Trust
from packsight.shared.catalog.versions import CatalogStore, catalog_names
from packsight.shared.contract.errors import PacksightError, UserError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

log = logging.getLogger(__name__)


def sign_unsigned(store: ObjectStore, settings: Settings, *names: str) -> None:
    """Sign what was published of these catalogs, of all for none, where nobody has.

    Never where a signed pointer has been seen from here: what is unsigned then was put there by somebody else. Raises
    UserError when there is no key though signatures are asked for, Conflict when somebody publishes meanwhile.
    """
    trust = Trust.of_publisher(settings)
    trust.keyring.require_own()
    if not trust.keyring.own:
        return
    for name in names or tuple(catalog_names(store)):
        catalogs = CatalogStore(store, name, trust)
        if trust.newest(name) is None and catalogs.is_unsigned():
            signed = catalogs.sign()
            log.warning(
                "catalog %s was published before there was a key; signed with %s as it is: %s",
                name, trust.keyring.own, ", ".join(manifest.version for manifest in signed) or "no version",
                extra={"action": "catalog_signed"},
            )  # fmt: skip


def sign_at_start(settings: Settings) -> None:
    """The same of all catalogs. Where that fails, the indexer starts all the same; the next sync does it, or says why not."""
    with closing(ObjectStore(settings.s3)) as store:
        try:
            sign_unsigned(store, settings)
        except (PacksightError, UserError) as error:
            log.warning("what was published before there was a key is not signed yet: %s", error)
