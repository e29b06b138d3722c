"""The JSON of an evaluation; docs/evaluate.md lists its keys. Shares are 0 to 1, and None where nothing divides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packsight.producer.evaluation.metrics import Answer, Bin, Share, Summary, by_kind, reliability_of, summarise

FITTED = "fitted"
SHARES = ("top1", "top5", "top1_nearest", "absent_rejected", "present_rejected", "precision", "recall")

Variants = Mapping[str, Sequence[Answer]]
"""Answers to the same questions by each way of deciding; one of them is `fitted`."""


@dataclass(frozen=True, slots=True)
class Results:
    """All that one run of the command found; what was not asked for is empty."""

    found: Sequence[Answer]
    """Answers to the labelled photos, or to the catalog's own when there are no labels."""
    variants: Variants = field(default_factory=dict)
    dropped: Variants = field(default_factory=dict)
    """The same photos asked as if their product had never been listed."""
    own: Variants = field(default_factory=dict)
    """The catalog's own photos, each left out."""


def document(results: Results) -> dict[str, Any]:
    """The measures over all photos, the same for each kind, one row per photo, and the parts that were asked for."""
    made: dict[str, Any] = {
        **measures(summarise(results.found)),
        "by_kind": {kind: measures(summary) for kind, summary in by_kind(results.found).items()},
        "reliability": [_bin(one) for one in reliability_of(results.found)],
        "rows": [_row(answer) for answer in results.found],
    }
    if results.variants:
        made["variants"] = _variants(results.variants)
    if results.dropped:
        made["drop_nearest"] = {
            **_rejected(results.dropped[FITTED]),
            "by_kind": {
                kind: {"rejected": summary.absent_rejected.value, "count": summary.count}
                for kind, summary in by_kind(results.dropped[FITTED]).items()
            },
            "variants": {name: _rejected(found) for name, found in results.dropped.items()},
            "rows": [_row(answer) for answer in results.dropped[FITTED]],
        }
    if results.own:
        made["leave_one_out"] = {
            **measures(summarise(results.own[FITTED])),
            "reliability": [_bin(one) for one in reliability_of(results.own[FITTED])],
            "variants": _variants(results.own),
            "rows": [_row(answer) for answer in results.own[FITTED]],
        }
    return made


def measures(summary: Summary) -> dict[str, Any]:
    """One set of photos in numbers."""
    shares: dict[str, Share] = {name: getattr(summary, name) for name in SHARES}
    return {
        **{name: share.value for name, share in shares.items()},
        "count": summary.count,
        "present": summary.present,
        "absent": summary.absent,
        "failed": summary.failed,
        "calibration_error": summary.calibration_error,
        "counts": {name: {"k": share.k, "n": share.n} for name, share in shares.items()},
        "intervals": {name: _interval(share) for name, share in shares.items()},
    }


def _variants(variants: Variants) -> dict[str, Any]:
    return {name: measures(summarise(found)) for name, found in variants.items()}


def _rejected(found: Sequence[Answer]) -> dict[str, Any]:
    share = summarise(found).absent_rejected
    return {"rejected": share.value, "count": share.n, "k": share.k, "interval": _interval(share)}


def _interval(share: Share) -> list[float] | None:
    return list(share.interval) if share.interval else None


def _bin(one: Bin) -> dict[str, Any]:
    return {
        "low": one.low,
        "high": one.high,
        "count": one.count,
        "confidence": one.confidence,
        "accuracy": one.accuracy.value,
        "interval": _interval(one.accuracy),
    }


def _row(answer: Answer) -> dict[str, Any]:
    return {
        "image": answer.image,
        "product_id": answer.product_id,
        "nearest_id": answer.nearest_id,
        "kind": ";".join(answer.kinds),
        "status": answer.status.value,
        "predicted": answer.predicted,
        "top5": list(answer.candidates[:5]),
        "in_top5": answer.present and answer.product_id in answer.candidates[:5],
        "confidence": answer.confidence,
        "correct": answer.correct,
        "failure": answer.failure,
    }
