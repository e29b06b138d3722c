"""Let a built version become the catalog that workers serve: upload, set the pointer, prune; roll back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packsight.shared.catalog.manifest import Manifest, sync_once
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import CatalogError, UserError
from packsight.shared.storage.objects import Conflict


def publish(
    catalogs: CatalogStore,
    folder: Path,
    manifest: Manifest,
    expected: Current | None,
    still_ours: Callable[[], None],
    *,
    anew: bool = False,
    share: float = 0.0,
) -> None:
    """Upload a checked version, all of it if `anew`, and let the pointer name it for its recipe.

    share: of the messages that it is to answer as a canary, if there is a version for its recipe yet; else all. `still_ours` is
    asked before the pointer is set and raises when it must not be: then nothing names the version, and the upload is removed.
    When the pointer has come to name another version for this recipe than `expected` does, it stays so, the upload is removed
    and UserError raised.
    """
    catalogs.upload(folder, anew=anew)
    try:
        still_ours()
    except UserError:
        catalogs.remove(manifest.version)
        raise
    try:
        point(catalogs, [manifest], expected, share=share)
    except Conflict:
        catalogs.remove(manifest.version)
        raise UserError(
            f"Catalog {catalogs.name} was published by someone else during this sync, so its own version was dropped. "
            "Run the sync again."
        ) from None


def point(
    catalogs: CatalogStore,
    targets: Sequence[Manifest],
    expected: Current | None,
    *,
    share: float = 0.0,
    hold: bool = False,
) -> None:
    """Let the pointer name versions as `CatalogStore.point` does; raises Conflict only when theirs are named otherwise."""
    while True:
        try:
            catalogs.point(*(made.version for made in targets), expected=expected, share=share, hold=hold)
        except Conflict:
            now = catalogs.current()
            if now is None:
                raise
            if all(_named(now, made.recipe) == _wanted(expected, made, share) for made in targets):
                return  # our own write had arrived; only its answer was lost and the request repeated
            if any(_named(now, made.recipe) != _named(expected, made.recipe) for made in targets):
                raise
            expected = now  # rewritten, but for other recipes, or to what ours was made from
        else:
            return


def _named(pointer: Current | None, recipe: Recipe) -> tuple[str | None, str | None]:
    """What a pointer names for a recipe: its version, its canary."""
    if pointer is None:
        return None, None
    canary = pointer.canary_for(recipe)
    return pointer.version_for(recipe), canary.version if canary is not None else None


def _wanted(pointer: Current | None, made: Manifest, share: float) -> tuple[str | None, str | None]:
    """What it is to name for the recipe of a version that is to answer a share."""
    beside = _named(pointer, made.recipe)[0] if share else None
    return (made.version, None) if beside is None else (beside, made.version)


def prune(catalogs: CatalogStore, keep: int, living: Collection[Recipe]) -> list[str]:
    """Remove versions beyond the `keep` worth keeping, and uploads of former releases that never ended; return what was removed.

    The caller holds the catalog's lock, so nobody else is uploading.

    living: recipes of the workers that are up, those of older releases included. Of each, of those that are held where somebody
    went back to, and of the version that was pointed at last, `keep` versions stay: the one that the pointer names and its
    ancestors first, since they are what one rolls back to, then the newest others. Of ancestors that only show products otherwise
    the last two stay beside them: prices that change each hour push out nothing that was built, which the gate looks back to.
    Versions of other recipes stay while fewer than `keep` versions of all are newer; then the pointer no longer names them
    either. A canary stays as long as the version that it is tried beside. What is kept for a look is none of them
    (packsight.indexer.refused). A lost race leaves all to the next sync.
    """
    current = catalogs.current()
    former = catalogs.former()
    tried = {key: canary.version for key, canary in current.canaries.items()} if current is not None else {}
    named = catalogs.served()
    whole = catalogs.versions()
    looked_at = for_a_look(whole, named)
    manifests = {one.version: one for one in whole if one.version not in looked_at}
    groups: dict[str, list[str]] = defaultdict(list)
    for version in sorted(manifests, reverse=True):
        groups[manifests[version].recipe.key].append(version)
    alive = {recipe.key for recipe in living}
    if current is not None:
        alive |= current.holds.keys()
    if current is not None and current.version in manifests:
        alive.add(manifests[current.version].recipe.key)
    kept = set(sorted(manifests, reverse=True)[:keep])
    for key in alive & groups.keys():
        kept.difference_update(groups[key])
        first = next((version for version in groups[key] if version in named and version != tried.get(key)), None)
        chain = ancestors(first, manifests) if first is not None else []
        built = [version for version in chain if not manifests[version].shown]
        kept.update([*built, *(version for version in groups[key] if version not in chain)][: max(keep, 1)])
        kept.update(chain[: min(keep, 2)])
    if current is not None:
        kept.update(version for key, version in tried.items() if current.versions.get(key) in kept)
    try:
        if current is not None and (gone := {key for key, v in current.versions.items() if v not in kept}):
            catalogs.drop(gone, expected=current)
    except Conflict:
        return []
    if former is not None and former not in kept:
        catalogs.drop_former()
    removed = [*(manifests.keys() - kept), *catalogs.unfinished()]
    for version in removed:
        catalogs.remove(version)
    return removed


def for_a_look(whole: Collection[Manifest], named: Collection[str]) -> set[str]:
    """Which of the versions that are there were refused and never served: those that are named are, and parents were.

    A refused version may be let be served. It is one to go back to from then on, like any other.
    """
    served = {*named, *(one.parent for one in whole)}
    return {one.version for one in whole if one.refused and one.version not in served}


def ancestors(version: str, manifests: Mapping[str, Manifest]) -> list[str]:
    """A version and those before it of the same recipe, as far as they are there.

    Where one is not that only showed products otherwise, what it showed follows.
    """
    recipe, chain = manifests[version].recipe, []
    following: str | None = version
    while following is not None and following in manifests and following not in chain:
        if manifests[following].recipe == recipe:
            chain.append(following)
        parent = manifests[following].parent
        following = parent if parent in manifests else manifests[following].former
    return chain


def roll_back(
    catalogs: CatalogStore, version: str | None, living: Sequence[Recipe], *, everyone: bool = False
) -> list[str]:
    """Let the pointer name earlier versions and return them.

    Without `version`, each recipe of `living`, those of the workers that are up, goes back to the version before of the
    same recipe; every recipe that has a version does so when no worker is up, or with `everyone`. `version` must be one
    that such workers can serve, unless `everyone`; it is pointed at also where the present pointer is refused. All go back
    or none, and stay there, unless what they had is older: no sync publishes until `resume`.

    Raises UserError when there is no such version, nothing to go back to, or someone else published meanwhile.
    """
    current = catalogs.current() if version is None else _known(catalogs, version)
    if current is None and version is None:
        raise UserError(f"Catalog {catalogs.name} was never published. Publish it with `packsight catalog sync`.")
    before = dict(current.versions) if current is not None else {}
    manifests = {manifest.version: manifest for manifest in catalogs.versions()}
    try:
        if version is not None:
            targets = [catalogs.manifest(version)]
            if living and not everyone and targets[0].recipe not in living:
                targets[0].require(living[0])
        else:
            asked = {recipe.key for recipe in living} if living and not everyone else before.keys()
            targets = [_before(catalogs, before[key], manifests) for key in sorted(asked & before.keys())]
        if not targets:
            raise UserError(
                f"Catalog {catalogs.name} has no version for the workers that are up. {sync_once(catalogs.name)}"
            )
        point(catalogs, targets, current, hold=True)
    except CatalogError as error:
        raise UserError(f"{error.message}. {error.remedy}") from None
    except Conflict:
        raise meanwhile(catalogs) from None
    return [target.version for target in targets]


def resume(catalogs: CatalogStore) -> Current | None:
    """Let syncs publish again where somebody went back, and return what held them; None where nothing did.

    The caller holds the catalog's lock. Raises UserError when someone else published meanwhile.
    """
    current = catalogs.current()
    if current is None or not current.holds:
        return None
    try:
        catalogs.drop_holds(expected=current)
    except Conflict:
        now = catalogs.current()
        if now is None or now.holds:  # else our own write had arrived
            raise meanwhile(catalogs) from None
    return current


def meanwhile(catalogs: CatalogStore) -> UserError:
    """What to say to somebody who decided about a catalog while another published."""
    return UserError(f"Catalog {catalogs.name} was published by someone else just now. Look at it and decide again.")


def _known(catalogs: CatalogStore, version: str) -> Current | None:
    """What is overwritten when somebody goes to a version; of a pointer that is refused, what it most likely named.

    That is the newest version of the recipe: whoever leaves it behind does not want it back with the next sync.
    """
    current = catalogs.overwritable()
    if current is not None and current.versions:
        return current
    recipe = catalogs.manifest(version).recipe
    newest = max((one.version for one in catalogs.versions() if one.recipe == recipe and not one.refused), default=version)
    return replace(current or Current("", {}, None), versions={recipe.key: newest})


def _before(catalogs: CatalogStore, version: str, manifests: Mapping[str, Manifest]) -> Manifest:
    if version not in manifests:
        raise UserError(
            f"Version {version}, which is served, cannot be read, so that nobody knows the one before. "
            f"Name one of `packsight catalog versions --catalog {catalogs.name}`."
        )
    earlier = ancestors(version, manifests)[1:]
    if not earlier:
        raise UserError(
            f"Version {version} has no parent that the same workers could serve. "
            f"Name one of `packsight catalog versions --catalog {catalogs.name}`."
        )
    return manifests[earlier[0]]
