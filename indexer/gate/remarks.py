"""What a shop may want to see to in a version, named product by product, whatever was there before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from packsight.indexer.gate.parameters import GateParameters
from packsight.indexer.gate.tables import Tables, among, found_in
from packsight.shared.catalog.arrays import evenly_spread
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.catalog.told import Asked
from packsight.shared.catalog.words.word_notes import NAMED, VENDOR
from packsight.shared.vision.scripts import script

NAMES_LOOKED_AT = 10_000
"""Names by which the shop's alphabet is told."""
SHORTEST_WORD = 3
"""Letters from which what was read is a word."""
SHOWN = 20
"""Products of a shared picture that are named."""


def one_photo(tables: Tables) -> pa.Table:
    """Products with one photo, of which nothing can be learned by leaving it out."""
    count = tables.photos.group_by("product_id").aggregate([("sha256", "count")])
    return _of(tables, count.filter(pc.equal(count["sha256_count"], 1))["product_id"])


def no_photo(tables: Tables) -> pa.Table:
    """Products without a photo, which can be found by their words alone."""
    return tables.products.select(["id", "name"]).filter(pc.invert(among(tables.products["id"], tables.photos["product_id"])))


def shared_pictures(tables: Tables) -> pa.Table:
    """Pictures that several products have, those of most first: `sha256`, `source`, how many `products`, and the `first` ids."""
    grouped = tables.photos.group_by("sha256", use_threads=False).aggregate(
        [("product_id", "count_distinct"), ("source", "first")]
    )
    shared = grouped.filter(pc.greater(grouped["product_id_count_distinct"], 1))
    shared = shared.sort_by([("product_id_count_distinct", "descending"), ("sha256", "ascending")])
    owners = tables.photos.filter(among(tables.photos["sha256"], shared["sha256"])).select(["sha256", "product_id"])
    ids: dict[str, list[str]] = {}
    for sha, product in zip(*(owners[name].to_pylist() for name in owners.column_names), strict=True):
        if len(first := ids.setdefault(sha, [])) < SHOWN:
            first.append(product)
    first_ids = [", ".join(ids[sha]) for sha in shared["sha256"].to_pylist()]
    return pa.table({
        "sha256": shared["sha256"], "source": shared["source_first"],
        "products": shared["product_id_count_distinct"], "first": pa.array(first_ids, pa.string()),
    })  # fmt: skip


def twins(tables: Tables, asked: Sequence[Asked], parameters: GateParameters) -> pa.Table:
    """Products that are hard to tell apart: `like` another of the same name, or likely the `other` by a photo of theirs."""
    products = tables.products
    first = found_in(products["name"], products["name"])  # place of the first one of that name
    later = pc.and_(pc.not_equal(first, pa.array(np.arange(len(products)), pa.int32())), pc.not_equal(products["name"], ""))
    alike = products.filter(later)
    likes, whys = [*products["id"].take(first.filter(later)).to_pylist()], ["same name"] * len(alike)
    ids = alike["id"].to_pylist()
    for photo, answer in asked:
        if photo.product and answer.first not in ("", photo.product) and answer.confidence >= parameters.taken_for:
            ids.append(photo.product)
            likes.append(answer.first)
            whys.append("its photo is taken for the other's")
    names = [products["name"].take(found_in(pa.array(column, pa.string()), products["id"])) for column in (ids, likes)]
    return pa.table({
        "id": pa.array(ids, pa.string()), "name": names[0], "like": pa.array(likes, pa.string()), "other": names[1],
        "why": pa.array(whys, pa.string()),
    })  # fmt: skip


def unread(tables: Tables, snapshot: Snapshot) -> tuple[str, pa.Table]:
    """The shop's alphabet, and products with photos on which no word in it was read."""
    alphabet = _alphabet(tables.products["name"])
    if not alphabet:
        return "", tables.products.select(["id", "name"]).slice(0, 0)
    words = snapshot.words
    seen = np.fromiter((_is_word(words.vocabulary.text(term), alphabet) for term in range(len(words.vocabulary))), np.bool_)
    told = seen[np.asarray(words.products.values)] & (np.asarray(words.photo_frequency) > 0)
    until = np.concatenate([[0], np.cumsum(told)])
    starts = np.asarray(words.products.starts)
    has_photo = np.diff(np.asarray(snapshot.photo_starts)) > 0
    none = (until[starts[1:]] == until[starts[:-1]]) & has_photo
    return alphabet, tables.products.select(["id", "name"]).filter(pa.array(none))


def contradicted(tables: Tables, snapshot: Snapshot, parameters: GateParameters) -> pa.Table:
    """Products whose names, without their brands, are hardly to be read on their photos, those of which least is first.

    `read_share`: of the name's words, by rarity; `not_read`: those that were not; `read`: the rarest words that were read
    instead. Words in letters that were read on no photo of the catalog at all say nothing.
    """
    words = snapshot.words
    starts, terms = np.asarray(words.products.starts), np.asarray(words.products.values)
    owner = np.repeat(np.arange(len(words.products)), np.diff(starts))
    seen, flags = np.asarray(words.photo_frequency) > 0, np.asarray(words.flags)
    known = {script(letter) for term in np.unique(terms[seen]).tolist() for letter in words.vocabulary.text(term)}
    legible = np.fromiter(
        ({script(letter) for letter in words.vocabulary.text(term)} <= known for term in range(len(words.vocabulary))), np.bool_
    )
    named = ((flags & NAMED) > 0) & ((flags & VENDOR) == 0) & (legible[terms] if len(terms) else np.zeros(0, np.bool_))
    rarity = words.rarity(words.frequency(terms))
    count = len(words.products)
    whole = np.bincount(owner, np.where(named, rarity, 0.0), count)
    part = np.bincount(owner, np.where(named & seen, rarity, 0.0), count)
    share = part / np.maximum(whole, 1e-9)
    enough = np.bincount(owner, seen, count) >= parameters.words_read
    wrong = np.flatnonzero((whole > 0) & (share <= 1 - parameters.contradicted) & enough)
    wrong = wrong[np.argsort(share[wrong], kind="stable")]

    def spelt(product: int, which: npt.NDArray[np.bool_]) -> str:
        row = np.arange(starts[product], starts[product + 1])
        row = row[which[row]]
        row = row[np.argsort(-rarity[row], kind="stable")][:SHOWN]
        return " ".join(words.vocabulary.text(term) for term in terms[row].tolist())

    chosen = tables.products.select(["id", "name"]).take(pa.array(wrong))
    return chosen.append_column("read_share", pa.array(np.round(share[wrong], 3))).append_column(
        "not_read", pa.array([spelt(one, named & ~seen) for one in wrong.tolist()], pa.string())
    ).append_column("read", pa.array([spelt(one, seen & ((flags & NAMED) == 0)) for one in wrong.tolist()], pa.string()))


def _of(tables: Tables, ids: pa.ChunkedArray) -> pa.Table:
    return tables.products.select(["id", "name"]).filter(among(tables.products["id"], ids))


def _alphabet(names: pa.ChunkedArray) -> str:
    """Of which most letters of the names are, as Unicode calls it; empty where there are none."""
    some = names.take(pa.array(evenly_spread(len(names), NAMES_LOOKED_AT))) if len(names) else names
    count = Counter(name for text in some.to_pylist() for letter in text if (name := script(letter)))
    return count.most_common(1)[0][0] if count else ""


def _is_word(text: str, alphabet: str) -> bool:
    return sum(script(letter) == alphabet for letter in text) >= SHORTEST_WORD


def remarks(
    tables: Tables, snapshot: Snapshot, asked: Sequence[Asked], parameters: GateParameters
) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
    """All of them by their names, and what of it is worth a line on the terminal."""
    alphabet, without = unread(tables, snapshot)
    shared = shared_pictures(tables)
    wrong = contradicted(tables, snapshot, parameters)
    lists = {
        "one_photo": one_photo(tables),
        "no_photo": no_photo(tables),
        "unread": without,
        "contradicted": wrong,
        "twins": twins(tables, asked, parameters),
        "shared_pictures": shared,
    }
    notes = []
    many = shared.filter(pc.greater_equal(shared["products"], parameters.noted))
    if len(many):
        first = many.slice(0, 1).to_pylist()[0]
        more = f", and {len(many) - 1} other pictures for {parameters.noted} or more" if len(many) > 1 else ""
        notes.append(f"one picture stands for {first['products']} products, perhaps for want of another: {first['source']}{more}")
    if len(without):
        few = f"{len(without)} of {len(tables.products)} products"
        notes.append(f"no {alphabet.capitalize()} word was read on any photo of {few}")
    if len(wrong):
        notes.append(f"the names of {len(wrong)} of {len(tables.products)} products are hardly to be read on their packs")
    return lists, tuple(notes)
