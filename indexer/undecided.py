"""What a person has to decide before a catalog is synced again: a version on trial, or one that was gone back to."""

from __future__ import annotations

from collections.abc import Iterable

from packsight.shared import advice
from packsight.shared.catalog.canary import Canary
from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import UserError


class UndecidedError(UserError):
    """Nothing is published by a sync until a person has decided. what: the reason, as the rest of a sentence."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        super().__init__(f"{what[:1].upper()}{what[1:]}. {remedy}")


class CanaryError(UndecidedError):
    """A canary is tried."""

    def __init__(self, catalog: str, current: Current) -> None:
        tried = {canary.version: canary for canary in current.canaries.values()}
        super().__init__(
            f"catalog {catalog} has a canary, {' and '.join(map(told, tried.values()))}",
            f"Decide first: `packsight catalog promote --catalog {catalog}` lets it answer all, `packsight catalog rollback "
            f"--catalog {catalog}` none. With --force a sync takes its place.",
        )


class HeldError(UndecidedError):
    """The catalog stays where somebody went back to."""

    def __init__(self, catalog: str, current: Current) -> None:
        since = min(hold.since for hold in current.holds.values())
        kept = sorted({current.versions[key] for key in current.holds if key in current.versions})
        left = sorted({hold.gone_back_from for hold in current.holds.values()})
        for_whom = " for some of the workers" if current.versions.keys() - current.holds.keys() else ""
        super().__init__(
            f"catalog {catalog} stays at {' and '.join(kept)}{for_whom}, to which somebody went back from {' and '.join(left)} "
            f"at {since:%Y-%m-%d %H:%M} UTC",
            f"When the feed is mended, `packsight catalog resume{advice.of_catalog(catalog)}` lets syncs publish again. "
            "With --force a sync publishes now.",
        )


class DeletedError(UndecidedError):
    """The catalog was deleted; the clock does not bring it back."""

    def __init__(self, catalog: str) -> None:
        super().__init__(
            f"catalog {catalog} was deleted",
            f"If it is wanted again, sync it once by hand: `packsight catalog sync{advice.of_catalog(catalog)} --feed …`. "
            "Else give the indexer another PACKSIGHT_CATALOG__NAME, or no PACKSIGHT_CATALOG__FEED.",
        )


def told(canary: Canary) -> str:
    """A canary in words."""
    return f"{canary.version} for {canary.share:.3g} of the messages"


def undecided(catalog: str, current: Current | None) -> UndecidedError | None:
    """What keeps syncs of a catalog from publishing; None where nothing does."""
    if current is None:
        return None
    if current.canaries:
        return CanaryError(catalog, current)
    return HeldError(catalog, current) if current.holds else None


def keeps_all_back(waits: UndecidedError, current: Current, recipes: Iterable[Recipe]) -> bool:
    """Whether a sync for these recipes has nothing to publish meanwhile: those that nobody went back for are not held."""
    return not isinstance(waits, HeldError) or all(recipe.key in current.holds for recipe in recipes)
