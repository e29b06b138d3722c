"""One flat row per photo: the columns of tables and frames, and what each holds."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packsight.producer.rows import Row
from packsight.shared.contract.outcomes import STAGES, Polygon

Value = str | int | float | bool | None
Kind = type[str] | type[int] | type[float] | type[bool]

COLUMNS: dict[str, Kind] = {
    "name": str,
    "image": str,
    "status": str,
    "product_id": str,
    "product_name": str,
    "vendor": str,
    "confidence": float,
    "region": str,
    "found_ids": str,
    "found_confidences": str,
    "found_regions": str,
    "first_id": str,
    "first_name": str,
    "second_id": str,
    "second_confidence": float,
    "words": str,
    "reason": str,
    "lacking": str,
    "failure_code": str,
    "failure_message": str,
    "remedy": str,
    "retryable": bool,
    "catalog": str,
    "catalog_version": str,
    **{f"seconds_{stage}": float for stage in STAGES},
    "sha256": str,
    "job": str,
    "index": int,
}
"""`product_…` is filled when the photo matched; `first_…` and `second_…` are the candidates, whatever the status.
`found_…` are all products that were found, the surest first, with bars between them; a region is its corners, x and y in
pixels, one after the other."""

_OWN = "own_"
_OURS = re.compile(f"(?:{_OWN})*(?:{'|'.join(COLUMNS)})")


def own_column(name: str) -> str:
    """What the producer's own column is called in tables: by its name, unless one of ours has that, or may be called so."""
    return f"{_OWN}{name}" if _OURS.fullmatch(name) else name


def corners(region: Polygon | None) -> str:
    """A region as text, which is also how SVG writes a polygon; empty without one."""
    return " ".join(f"{x:g},{y:g}" for x, y in region or ())


def _listed(values: Iterable[str]) -> str:
    return " | ".join(values)


def flat(row: Row) -> dict[str, Value]:
    """A row by column, the producer's own last; text without a value is empty, anything else without a value None."""
    outcome = row.outcome
    first = outcome.candidates[0] if outcome.candidates else None
    second = outcome.candidates[1] if len(outcome.candidates) > 1 else None
    failure, provenance, product = outcome.failure, outcome.provenance, outcome.product
    return {
        "name": row.name,
        "image": outcome.image,
        "status": outcome.status.value,
        "product_id": product.id if product else "",
        "product_name": product.name if product else "",
        "vendor": product.vendor if product else "",
        "confidence": outcome.confidence,
        "region": corners(outcome.region),
        "found_ids": _listed(one.product.id for one in outcome.products),
        "found_confidences": _listed(str(one.confidence) for one in outcome.products),
        "found_regions": _listed(corners(one.region) for one in outcome.products),
        "first_id": first.product.id if first else "",
        "first_name": first.product.name if first else "",
        "second_id": second.product.id if second else "",
        "second_confidence": second.confidence if second else None,
        "words": _listed(word.text for word in outcome.words),
        "reason": outcome.reason,
        "lacking": " ".join(outcome.lacking),
        "failure_code": failure.code.value if failure else "",
        "failure_message": failure.message if failure else "",
        "remedy": failure.remedy if failure else "",
        "retryable": failure.retryable if failure else None,
        "catalog": provenance.catalog if provenance else "",
        "catalog_version": (provenance.catalog_version if provenance else None) or "",
        **{f"seconds_{stage}": outcome.timings.get(stage) for stage in STAGES},
        "sha256": outcome.sha256 or "",
        "job": row.job,
        "index": row.index,
        **{own_column(name): value for name, value in row.extra.items()},
    }
