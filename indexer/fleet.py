"""What the running workers say of themselves: what they answer with, which catalog versions they serve."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from packsight.shared.catalog.pointer import Current
from packsight.shared.catalog.recipe import Recipe
from packsight.shared.contract.errors import Dependency
from packsight.shared.queue import registry
from packsight.shared.queue.connection import result_database
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.settings import Settings

NO_WORKERS = (
    "No worker is up that could describe photos. Start one with `packsight up` or `packsight worker`, then sync again."
)


@dataclass(frozen=True, slots=True)
class Uptake:
    """How far the children have taken up what a catalog's pointer names."""

    serving: list[ChildEntry]
    refusing: list[ChildEntry]
    """They have looked at it and stay with what they had."""
    late: list[ChildEntry]
    without: list[ChildEntry]
    """The pointer names no version for their recipe."""


class Fleet:
    """The registry of workers in the result database."""

    def __init__(self, settings: Settings) -> None:
        self.redis = result_database(settings)

    def children(self) -> list[ChildEntry]:
        """All children that are ready."""
        return registry.children(self.redis)

    def idle(self, recipe: Recipe) -> str:
        """Why workers that describe photos as a recipe says take no work now, if none of them does; empty where one may."""
        nodes = {child.node for child in self.children() if Recipe.of(child).parts == recipe.parts}
        # Describing asks no catalog.
        missed = {
            one.node: {name: text for name, text in one.outages.items() if name != Dependency.CATALOG}
            for one in registry.processes(self.redis) if one.node in nodes
        }  # fmt: skip
        away = {node: outages for node, outages in missed.items() if outages}
        told = (f"{node}: {name}: {text}" for node, outages in sorted(away.items()) for name, text in outages.items())
        return "; ".join(told) if nodes == away.keys() else ""

    def recipes(self) -> list[Recipe]:
        """What the children of this release answer with, each recipe once, that of most children first."""
        found = Counter(Recipe.of(child) for child in self.children())
        return [recipe for recipe, _ in found.most_common() if not recipe.is_former]

    def former_recipes(self) -> list[Recipe]:
        """The same for children of releases that do not name their matching: nothing can be built for them."""
        return sorted({r for child in self.children() if (r := Recipe.of(child)).is_former}, key=lambda r: r.key)

    def scripts(self) -> frozenset[str]:
        """Scripts that the children read, as Unicode calls them; none while no child says so."""
        return frozenset(script for child in self.children() for script in child.scripts)

    def announce(self, catalog: str) -> None:
        """Hint to the replicas that a pointer moved; they find out by themselves if nobody hears it."""
        registry.hint(self.redis, catalog)

    def uptake(self, catalog: str, current: Current) -> Uptake:
        """See which children serve what the pointer names for them; those of older releases are not asked."""
        seen = Uptake([], [], [], [])
        for child in self.children():
            recipe = Recipe.of(child)
            if recipe.is_former:
                continue
            wanted = current.version_for(recipe)
            tried = current.canary_for(recipe)
            takes = child.canaries is None or child.canaries.get(catalog) == (tried.version if tried is not None else None)
            if wanted is None:
                seen.without.append(child)
            elif child.catalogs.get(catalog) == wanted and takes:
                seen.serving.append(child)
            elif child.latest.get(catalog) == wanted and (takes or catalog in child.refused):
                seen.refusing.append(child)
            else:
                seen.late.append(child)
        return seen

    def wait_for(self, catalog: str, current: Current, seconds: float) -> Uptake:
        """Wait until every child has looked at what the pointer names for it, `seconds` at most."""
        deadline = time.monotonic() + seconds
        while (seen := self.uptake(catalog, current)).late and time.monotonic() < deadline:
            time.sleep(0.2)
        return seen

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
