"""What is odd about the workers, in sentences: who answers with another recipe, who refuses what, who does not work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from packsight.shared.catalog.recipe import Recipe
from packsight.shared.matching.fingerprint import matching_fingerprint
from packsight.shared.queue.registry import ChildEntry, ProcessEntry, ReplicaEntry, idleness


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


def complaints(
    children: Sequence[ChildEntry], replicas: Sequence[ReplicaEntry], processes: Sequence[ProcessEntry]
) -> list[str]:
    """What keeps workers from serving what is published."""
    lines = [f"{replica.node}: catalog {name}: {text}" for replica in replicas for name, text in replica.errors.items()]
    lines += [
        f"{process.node} {idleness(name)}: {name}: {text}" for process in processes for name, text in process.outages.items()
    ]
    lines += [f"{child.node or child.host}: {text}" for child in children for text in child.refused.values()]
    return list(dict.fromkeys(lines))


def ailing(children: Sequence[ChildEntry], processes: Sequence[ProcessEntry]) -> list[str]:
    """What keeps workers and the indexer from working: children that are missing, work that does not end, parents that hang."""
    ready = Counter(child.node for child in children)
    lines = []
    for process in processes:
        lines += [f"{process.node}: {text}" for text in process.complaints]
        if process.ready and ready[process.node] < process.children:
            lines.append(f"{process.node}: {ready[process.node]} of its {process.children} children are ready")
        if process.overdue:
            lines.append(f"{process.node}: in work for longer than their limit: {', '.join(process.overdue)}")
    told = {process.node for process in processes}
    silent = {child.node for child in children if child.node not in told and not Recipe.of(child).is_former} - {""}
    return lines + [f"{node}: its children are there, but it gives no sign of life itself" for node in sorted(silent)]


def starting(children: Sequence[ChildEntry], processes: Sequence[ProcessEntry]) -> list[str]:
    """Who is not complete yet."""
    ready = Counter(child.node for child in children)
    return [
        f"{process.node} is starting: {ready[process.node]} of its {process.children} children are ready"
        for process in processes
        if not process.ready and process.children
    ]
