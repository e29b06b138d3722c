"""Evidence in the form in which it leaves the system."""

from __future__ import annotations

import numpy as np

from packsight.shared.catalog.arrays import IntArray
from packsight.shared.catalog.manifest import ProductRow
from packsight.shared.catalog.snapshot import Snapshot
from packsight.shared.contract.outcomes import Evidence, Product, WordEvidence
from packsight.shared.matching.candidates import Query
from packsight.shared.matching.close import Laid
from packsight.shared.matching.evidence import BoolArray, Compared
from packsight.shared.matching.exclusion import NO_PHOTO
from packsight.shared.parameters import EXPLANATION, ExplanationParameters

_DIGITS = 4
"""Decimals of a word's rarity."""


def product(row: ProductRow) -> Product:
    """The product as it stands in an answer."""
    return Product(id=row.id, name=row.name, vendor=row.vendor, url=row.url, picture=row.picture)


def evidence(
    query: Query,
    candidates: Compared,
    row: int,
    snapshot: Snapshot,
    laid: Laid | None = None,
    code: int | None = None,
    parameters: ExplanationParameters = EXPLANATION,
) -> Evidence:
    """Evidence for the candidate of that row; `code`: its barcode on the photo."""
    nearest = int(candidates.appearance.nearest[row])
    seen, lies = nearest != NO_PHOTO and len(query.vectors) > 0, laid is not None and laid.photo != NO_PHOTO
    shown = laid.photo if laid is not None and lies and not seen else nearest
    return Evidence(
        visual_similarity=round(float(np.clip(candidates.columns["appearance"][row], -1, 1)), 4) if seen else None,
        nearest_photo=None if shown == NO_PHOTO else snapshot.photo_table.sha256(shown),
        word_score=round(float(np.clip(candidates.columns["word_share"][row], 0, 1)), 4),
        words=_words(candidates, row, snapshot, parameters.words),
        missing_words=_missing(candidates, row, snapshot, parameters),
        barcode=None if code is None else printed(code),
        inliers=None if laid is None else laid.match.inliers,
        spanned=round(float(candidates.columns["span"][row]), 4) if lies else None,
    )


def printed(code: int) -> str:
    """A GTIN in the digits of its symbol: 8 of an EAN-8, 13 of an EAN-13; a UPC gets a leading zero."""
    return f"{code:08}" if code < 10**8 else f"{code:013}"


def sole(snapshot: Snapshot) -> float:
    """Rarity, as evidence has it, of a word that one product of the catalog has alone."""
    return round(float(snapshot.words.rarity(np.ones(1))[0]), _DIGITS)


def all_words(candidates: Compared, row: int, snapshot: Snapshot) -> frozenset[str]:
    """All words that the candidate of that row has in the catalog, also those that were read badly."""
    expected, vocabulary = candidates.expected, snapshot.words.vocabulary
    return frozenset(vocabulary.text(term) for term in expected.term[expected.candidate == row].tolist())


def _words(candidates: Compared, row: int, snapshot: Snapshot, most: int) -> list[WordEvidence]:
    read, explained, vocabulary = candidates.read, candidates.explained, snapshot.words.vocabulary
    value = explained.value[:, row] * read.confidence
    order = np.argsort(-value, kind="stable")[:most]
    worth = read.weight * explained.rarity * explained.has[:, row]
    found = []
    for word in order[value[order] > 0].tolist():
        meant = np.flatnonzero(read.word == word)
        by = int(meant[worth[meant].argmax()])
        found.append(WordEvidence(
            read=read.texts[word],
            expected=vocabulary.text(int(read.term[by])),
            rarity=round(float(explained.rarity[by]), _DIGITS),
            similarity=round(float(read.weight[by]), 4),
        ))  # fmt: skip
    return found


def _missing(candidates: Compared, row: int, snapshot: Snapshot, parameters: ExplanationParameters) -> list[str]:
    """Words that a person can look for on the pack: those of the feed, and what was clearly read on the product's photos."""
    expected, read = candidates.expected, candidates.explained.read
    own = expected.candidate == row
    absent = np.flatnonzero(own & (read < parameters.read) & (expected.expected >= parameters.expected))
    certain = expected.named[absent] | expected.vendor[absent]
    product = int(candidates.products[row])
    certain[~certain] = _clearly_read(expected.term[absent[~certain]], product, parameters.surely_read, snapshot)
    absent = absent[certain]
    weight = expected.expected * expected.rarity
    absent = absent[np.argsort(-weight[absent], kind="stable")][: parameters.missing_words]
    return [snapshot.words.vocabulary.text(int(term)) for term in expected.term[absent]]


def _clearly_read(terms: IntArray, product: int, least: float, snapshot: Snapshot) -> BoolArray:
    """Which terms stand on a line of a product's photos that was read at least so surely."""
    clear = np.zeros(len(terms), np.bool_)
    for photo in snapshot.photos(product):
        if clear.all():
            break
        _, found, confidence = snapshot.lines.words(photo)
        clear |= np.isin(terms, found[confidence >= least])
    return clear
