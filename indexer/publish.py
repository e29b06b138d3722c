"""Let a built version become the catalog that workers serve: check, upload, set CURRENT, prune; roll back."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.versions import CatalogStore, Current, Manifest, verify
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.storage.objects import Conflict

TOLERANCE = 0.02
"""Share of photos by which the self-check may fall short of the parent's, on top of chance."""
UNFINISHED_KEPT = timedelta(days=1)


def check(folder: Path, parent: Manifest | None, *, force: bool) -> Manifest:
    """Check a built version before anyone sees it.

    Files against their hashes, that it opens, that it has photos, and that it recognises its own photos no worse than its
    parent; `force` waives the last. Raises CatalogError for a damaged version, UserError for one not worth publishing.
    """
    manifest = verify(folder)
    Snapshot.open(folder)
    if manifest.photos == 0:
        raise UserError(
            "The new version has no photo at all, so it was not published. See which photos failed, and why."
        )
    if parent is not None and not force:
        before, after = parent.self_check, manifest.self_check
        allowed = TOLERANCE + _noise(before.top1, min(before.photos, after.photos))
        if after.top1 < before.top1 - allowed:
            raise UserError(
                f"The new version recognises {after.top1:.1%} of its own photos, its parent {parent.version} {before.top1:.1%}; "
                f"no more than {allowed:.1%} less is published. Look at the photos that changed, or sync with --force."
            )
    return manifest


def _noise(share: float, photos: int) -> float:
    """Two standard errors of a share counted over so many photos."""
    return 2 * math.sqrt(share * (1 - share) / photos) if photos else 1.0


def publish(
    catalogs: CatalogStore, folder: Path, manifest: Manifest, expected: Current | None, still_ours: Callable[[], None]
) -> None:
    """Upload a checked version and let CURRENT name it, if CURRENT still names what `expected` says.

    `still_ours` is asked before the pointer is set and raises when it must not be. A lost race leaves CURRENT as the
    winner set it, removes the upload and raises UserError.
    """
    catalogs.upload(folder)
    still_ours()
    try:
        _point(catalogs, manifest.version, expected)
    except Conflict:
        catalogs.remove(manifest.version)
        raise UserError(
            f"Catalog {catalogs.name} was published by someone else during this sync, so its own version was dropped. "
            "Run the sync again."
        ) from None


def _point(catalogs: CatalogStore, version: str, expected: Current | None) -> None:
    try:
        catalogs.point(version, expected=expected)
    except Conflict:
        now = catalogs.current()
        if now is not None and now.version == version:
            return  # our own write had arrived; only its answer was lost and the request repeated
        if now is None or expected is None or now.version != expected.version:
            raise
        # Rewritten, but it still names the version that ours was made from.
        catalogs.point(version, expected=now)


def prune(catalogs: CatalogStore, keep: int) -> list[str]:
    """Remove versions beyond the `keep` worth keeping, and uploads that never ended; return what was removed.

    CURRENT and its ancestors come first, since they are what one rolls back to, then the newest others. CURRENT always
    stays.
    """
    current = catalogs.current()
    manifests = {manifest.version: manifest for manifest in catalogs.versions()}
    kept: list[str] = []
    following = current.version if current is not None else None
    while following is not None and following in manifests and following not in kept:
        kept.append(following)
        following = manifests[following].parent
    kept += sorted(manifests.keys() - set(kept), reverse=True)
    removed = [*kept[max(keep, 1) :], *(version for version in catalogs.unfinished() if _is_old(version))]
    for version in removed:
        catalogs.remove(version)
    return removed


def _is_old(version: str) -> bool:
    try:
        made = datetime.strptime(version.split("-", maxsplit=1)[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return datetime.now(UTC) - made > UNFINISHED_KEPT


def roll_back(catalogs: CatalogStore, version: str | None) -> str:
    """Let CURRENT name an earlier version (default: its parent) and return it.

    Raises CatalogError when there is no such version, UserError when there is nothing to go back to or someone else
    published meanwhile.
    """
    current = catalogs.current()
    if current is None:
        raise UserError(f"Catalog {catalogs.name} was never published. Publish it with `packsight catalog sync`.")
    target = version or catalogs.manifest(current.version).parent
    if target is None:
        raise UserError(
            f"Version {current.version} has no parent. Name one of `packsight catalog versions --catalog {catalogs.name}`."
        )
    try:
        _point(catalogs, target, current)
    except CatalogError as error:
        raise UserError(f"{error.message}. {error.remedy}") from None
    except Conflict:
        raise UserError(
            f"Catalog {catalogs.name} was published by someone else just now. Look at it and decide again."
        ) from None
    return target
