"""What differs between two versions, by whole columns, named product by product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.gate.tables import Tables, among, found_in, whole

_BETWEEN = "\0"
"""Joins the id of a product with the hash of a photo: neither has it."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Tables of the products that differ, each with `id` and `name`.

    renamed: `name_before`. changed: `fields`, by name. reidentified: gone products that came back under the id `now`, as their
    name or their main picture tells. photos: products of both versions with photos that `came` and `went`; repictured: those of
    them of which no photo stayed. photoless: products of both that have lost all photos.
    """

    before: int
    """Products of the former version."""
    stayed: int
    """Products of both."""
    added: pa.Table
    gone: pa.Table
    renamed: pa.Table
    changed: pa.Table
    reidentified: pa.Table
    photos: pa.Table
    repictured: pa.Table
    photoless: pa.Table

    @property
    def lost(self) -> int:
        """Products that are gone, or cannot be recognised by looks any longer."""
        return len(self.gone) + len(self.photoless)

    @property
    def lists(self) -> dict[str, pa.Table]:
        """All tables by their names, in the order in which they are told."""
        names = ("gone", "reidentified", "renamed", "photoless", "repictured", "added", "changed", "photos")
        return {name: getattr(self, name) for name in names}


def changes(before: Tables, after: Tables) -> Changes:
    """Compare two versions."""
    place = found_in(after.products["id"], before.products["id"])
    known = pc.is_valid(place)
    new = after.products.filter(known)
    old = before.products.take(place.filter(known))
    gone = before.products.filter(pc.invert(among(before.products["id"], after.products["id"])))
    added = after.products.filter(pc.invert(known))
    renamed = _differs(old, new, "name")
    fields = {
        name: _differs(old, new, name) for name in new.column_names if name not in ("id", "name") and name in old.column_names
    }
    named = [pc.if_else(mask, f", {name}", "") for name, mask in {"name": renamed, **fields}.items()]
    any_field = reduce(pc.or_, fields.values(), renamed)
    told = _told(new).append_column("fields", pc.utf8_slice_codeunits(pc.binary_join_element_wise(*named, ""), 2))
    return Changes(
        before=len(before.products),
        stayed=len(new),
        added=_told(added),
        gone=_told(gone),
        renamed=_told(new).append_column("name_before", old["name"]).filter(renamed),
        changed=told.filter(any_field),
        reidentified=_reidentified(gone, added),
        **_photos(before.photos, after.photos, _told(new)),
    )


def _told(products: pa.Table) -> pa.Table:
    return products.select(["id", "name"])


def _differs(old: pa.Table, new: pa.Table, name: str) -> Any:
    return pc.not_equal(_text(old[name]), _text(new[name]))


def _text(column: pa.ChunkedArray) -> pa.Array:
    """A column as strings in one piece, those of a list joined."""
    if pa.types.is_list(column.type):
        column = pc.binary_join(column, _BETWEEN)
    return pc.fill_null(whole(column), "")


def _reidentified(gone: pa.Table, added: pa.Table) -> pa.Table:
    """Gone products with the id under which one of their name, or else of their main picture, was added."""
    place = pc.coalesce(*(found_in(_filled(gone[name]), _filled(added[name])) for name in ("name", "picture")))
    back = pc.is_valid(place)
    return _told(gone).filter(back).append_column("now", added["id"].take(place.filter(back)))


def _filled(column: pa.ChunkedArray) -> pa.Array:
    """A column with null for empty texts: what is not there is found nowhere."""
    text = _text(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _photos(before: pa.Table, after: pa.Table, both: pa.Table) -> dict[str, pa.Table]:
    keys = [_keys(photos) for photos in (before, after)]
    went = pc.invert(among(keys[0], keys[1]))
    stays = among(keys[1], keys[0])
    counts = [_count(before.filter(went), "went"), _count(after.filter(pc.invert(stays)), "came")]
    moved = counts[0].join(counts[1], "id", join_type="full outer")
    place = found_in(both["id"], moved["id"])
    known = pc.is_valid(place)
    moved = moved.take(place.filter(known))
    had, has = among(both["id"], before["product_id"]), among(both["id"], after["product_id"])
    kept = among(both["id"], after.filter(stays)["product_id"])
    photos = both.filter(known)
    for name in ("came", "went"):
        photos = photos.append_column(name, pc.fill_null(moved[name], 0))
    return {
        "photos": photos,
        "repictured": both.filter(pc.and_(pc.and_(had, has), pc.invert(kept))),
        "photoless": both.filter(pc.and_(had, pc.invert(has))),
    }


def _keys(photos: pa.Table) -> Any:
    return pc.binary_join_element_wise(photos["product_id"], photos["sha256"], _BETWEEN)


def _count(photos: pa.Table, name: str) -> pa.Table:
    counted = photos.group_by("product_id").aggregate([("sha256", "count")])
    return pa.table({"id": counted["product_id"], name: counted["sha256_count"]})
