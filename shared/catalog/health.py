"""What a shop may want to see to in the catalog that is served: lists with stable names, from what a sync told of the version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packsight.shared.catalog.told import LIST, read_lists
from packsight.shared.contract.errors import UserError
from packsight.shared.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class HealthList:
    """One of them. name: under which it is asked for and stays; title: for people; remedy: what to do; columns: of its rows."""

    name: str
    title: str
    remedy: str
    columns: tuple[str, ...]


LISTS = {
    one.name: one
    for one in (
        HealthList(
            "contradicted", "Names that are not on the pack", "Correct the name in the feed, or the picture.",
            ("id", "name", "read_share", "not_read", "read"),
        ),
        HealthList(
            "shared_pictures", "One picture for several products", "Give each of these products a picture of its own.",
            ("sha256", "source", "products", "first"),
        ),
        HealthList(
            "twins", "Products that are hard to tell apart", "Photograph the side on which they differ, or list them once.",
            ("id", "name", "like", "other", "why"),
        ),
        HealthList(
            "one_photo", "Products with a single photo",
            "Add another view: in a folder of extra photos, or confirm customers' photos.", ("id", "name"),
        ),
        HealthList("no_photo", "Products without a photo", "Add a picture: they are known by their words alone.", ("id", "name")),
        HealthList(
            "unread", "Products on whose photos no word was read", "Add a larger, sharper photo of the side with the text.",
            ("id", "name"),
        ),
        HealthList(
            "unreadable_names", "Names in letters that no worker reads", "Serve a head that reads them (docs/models.md).",
            ("id", "name", "scripts"),
        ),
        HealthList(
            "failed", "Pictures that could not be used", "See the remedy of each; correct its address or the file.",
            ("source", "code", "message", "remedy"),
        ),
        HealthList(
            "forgotten", "Own photos that are recognised no longer", "Look at what they are taken for.",
            ("photo", "sha256", "id", "taken_for", "picture", "confidence"),
        ),
        HealthList(
            "left_out", "Confirmed photos that were left out", "Review them again where the reason is wrong.",
            ("id", "sha256", "photo", "by", "why"),
        ),
    )
}  # fmt: skip
"""By name, what wants looking at first."""


def health_list(name: str) -> HealthList:
    """The list of this name; raises UserError for another one."""
    if name not in LISTS:
        raise UserError(f"There is no list {name}. There are: {', '.join(LISTS)}.")
    return LISTS[name]


def counts(store: ObjectStore, catalog: str, version: str) -> Mapping[str, int]:
    """How many rows each list of a version has; nothing of a version of which no sync told anything."""
    found = Counter(str(line[LIST]) for line in read_lists(store, catalog, version))
    return {name: found[name] for name in LISTS}


def rows(store: ObjectStore, catalog: str, version: str, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a list, its columns in their order; raises UserError for a list that there is not."""
    columns = health_list(name).columns
    for line in read_lists(store, catalog, version):
        if line[LIST] == name:
            yield {column: line.get(column) for column in columns}
