"""The JSON of an evaluation; docs/evaluate.md lists its keys. Shares are 0 to 1, and None where nothing divides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from packsight import __version__
from packsight.producer.evaluation.against import Change, Comparison, Verdict
from packsight.producer.evaluation.automation import PRECISION, best_operation
from packsight.producer.evaluation.calibration import Bin
from packsight.producer.evaluation.metrics import Answer, Summary, band_of, by_kind, reliability_of, summarise
from packsight.producer.evaluation.stages import Way, stages_of, ways
from packsight.producer.evaluation.unlisted import Unlisted
from packsight.shared.shares import Share

FITTED = "fitted"
SHARES = ("automation", "precision", "top1", "top5", "top1_nearest", "absent_rejected", "present_rejected")

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
    catalog: str = "default"
    job: str = ""
    """Whose outcomes these are; empty where the questions were answered here."""
    at: datetime | None = None
    """When it was measured."""
    precision: float = PRECISION
    """What the best threshold has to keep."""
    unlisted: Unlisted | None = field(default_factory=Unlisted)
    """Photos that were left out of `found` because of their labels; None when it was not looked up."""
    against: Comparison | None = None

    @property
    def versions(self) -> dict[str, int]:
        """Photos that each version of the catalog answered, the most first, labels that count in no measure included."""
        answered = [*self.found, *(self.unlisted.answers if self.unlisted else ())]
        return dict(Counter(answer.version for answer in answered if answer.version and not answer.failed).most_common())


def document(results: Results) -> dict[str, Any]:
    """The measures over all photos, the same for each kind, one row per photo, and the parts that were asked for."""
    wanted = results.precision
    made: dict[str, Any] = {
        "measured": _measured(results),
        **_calibrated(results.found, wanted),
        "by_kind": {kind: measures(of, wanted) for kind, of in by_kind(results.found).items()},
        "stages": [_way(way) for way in ways(results.found)],
        "unlisted": None if results.unlisted is None else _unlisted(results.unlisted),
        "rows": [_row(answer) for answer in results.found],
    }
    if results.against is not None:
        made["against"] = _against(results.against)
    if results.variants:
        made["variants"] = _variants(results.variants, wanted)
    if results.dropped:
        made["drop_nearest"] = {
            **_rejected(results.dropped[FITTED]),
            "by_kind": {kind: _rejected(of) for kind, of in by_kind(results.dropped[FITTED]).items()},
            "variants": {name: _rejected(found) for name, found in results.dropped.items()},
            "rows": [_row(answer) for answer in results.dropped[FITTED]],
        }
    if results.own:
        made["leave_one_out"] = {
            **_calibrated(results.own[FITTED], wanted),
            "variants": _variants(results.own, wanted),
            "rows": [_row(answer) for answer in results.own[FITTED]],
        }
    return made


def _measured(results: Results) -> dict[str, Any]:
    """What the figures are of."""
    return {
        "catalog": results.catalog,
        "versions": results.versions,
        "job": results.job,
        "at": results.at.isoformat(timespec="seconds") if results.at else None,
        "packsight": __version__,
    }


def measures(found: Sequence[Answer], precision: float = PRECISION) -> dict[str, Any]:
    """One set of photos in numbers; the best threshold is one with this precision."""
    summary = summarise(found)
    shares: dict[str, Share] = {name: getattr(summary, name) for name in SHARES}
    shares["recall"] = summary.automation
    return {
        **{name: share.value for name, share in shares.items()},
        "best": _best(found, summary, precision),
        "count": summary.count,
        "present": summary.present,
        "absent": summary.absent,
        "failed": summary.failed,
        "calibration_error": summary.calibration_error,
        "counts": {name: {"k": share.k, "n": share.n} for name, share in shares.items()},
        "intervals": {name: _interval(share) for name, share in shares.items()},
    }


def _calibrated(found: Sequence[Answer], precision: float) -> dict[str, Any]:
    """The measures with what is behind the calibration error."""
    band = band_of(found)
    return {
        **measures(found, precision),
        "calibration_band": list(band) if band else None,
        "reliability": [_bin(one) for one in reliability_of(found)],
    }


def _best(found: Sequence[Answer], summary: Summary, precision: float) -> dict[str, Any]:
    one = best_operation(found, precision)
    automation = one.automation if one else Share(0, summary.present)
    return {
        "wanted_precision": precision,
        "threshold": one.threshold if one else None,
        "automation": automation.value,
        "k": automation.k,
        "n": automation.n,
        "interval": _interval(automation),
        "precision": one.precision.value if one else None,
    }


def _way(way: Way) -> dict[str, Any]:
    return {
        "answered_by": list(way.stages),
        "count": way.share.k,
        "share": way.share.value,
        "automation": way.automation.value,
        "present": way.automation.n,
        "precision": way.precision.value,
        "matched": way.precision.n,
        "seconds": way.total,
        "seconds_by_stage": dict(way.seconds),
    }


def _unlisted(unlisted: Unlisted) -> dict[str, Any]:
    return {
        "ids": list(unlisted.ids),
        "alike": dict(unlisted.alike),
        "count": len(unlisted.answers),
        "rows": [_row(one) for one in unlisted.answers],
    }


def _against(comparison: Comparison) -> dict[str, Any]:
    return {
        "file": comparison.file,
        "photos": comparison.photos,
        "settled": _verdict(comparison.settled),
        "first": _verdict(comparison.first),
        "only_then": list(comparison.only_then),
        "only_now": list(comparison.only_now),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "then": verdict.then.value,
        "now": verdict.now.value,
        "count": verdict.now.n,
        "won": [_change(one) for one in verdict.won],
        "lost": [_change(one) for one in verdict.lost],
        "chance": verdict.chance,
    }


def _change(change: Change) -> dict[str, Any]:
    def told(answer: Answer) -> dict[str, Any]:
        return {"status": answer.status.value, "predicted": answer.predicted, "confidence": answer.confidence}

    return {
        "image": change.now.image,
        "product_id": change.now.product_id,
        "then": told(change.then),
        "now": told(change.now),
    }


def _variants(variants: Variants, precision: float) -> dict[str, Any]:
    return {name: measures(found, precision) for name, found in variants.items()}


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
        "version": answer.version,
        "stages": list(stages_of(answer)) if answer.timings else [],
    }
