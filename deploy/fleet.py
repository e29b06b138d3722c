"""What is odd about the workers, in sentences: who answers with another recipe and in what it differs, who refuses what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from packsight.shared.catalog.recipe import Recipe
from packsight.shared.matching.fingerprint import matching_fingerprint
from packsight.shared.queue.registry import ChildEntry, ReplicaEntry


def differing(children: Sequence[ChildEntry]) -> list[str]:
    """A sentence for each worker that is of an older release or differs from most others in its recipe."""
    recipes = Counter(recipe for child in children if not (recipe := Recipe.of(child)).is_former)
    usual = recipes.most_common(1)[0][0] if recipes else None
    told = {}
    for child in children:
        recipe, place = Recipe.of(child), child.node or child.host
        if recipe.is_former:
            told[place] = f"{place} runs an older release; it serves what that published, until it is replaced"
        elif recipe != usual and usual is not None:
            builds = "every sync" if recipe.matching == matching_fingerprint() else "only a sync of its own release"
            told[place] = f"{place} answers with {recipe.differences(usual)}; {builds} builds a version for it"
    return list(told.values())


def complaints(children: Sequence[ChildEntry], replicas: Sequence[ReplicaEntry]) -> list[str]:
    """What keeps workers from serving what is published."""
    lines = [f"{replica.node}: catalog {name}: {text}" for replica in replicas for name, text in replica.errors.items()]
    lines += [
        f"{replica.node} takes no work: {name}: {text}" for replica in replicas for name, text in replica.outages.items()
    ]
    lines += [f"{child.node or child.host}: {text}" for child in children for text in child.refused.values()]
    return list(dict.fromkeys(lines))
