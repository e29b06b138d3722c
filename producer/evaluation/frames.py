"""Evaluations for analysis: the measures, the answers and the reliability of a run as pandas DataFrames.

    from packsight import read_evaluation

    run = read_evaluation("measures.json")
    run.measures.query("by == 'variant' and measure == 'top1'")[["name", "value", "low", "high"]]
    run.rows[~run.rows.correct][["image", "product_id", "predicted", "confidence"]]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packsight.producer.evaluation.document import SHARES, Results, document
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.extras import Later

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = Later("pandas", extra="analysis")

_PARTS = ("asked", "drop_nearest", "leave_one_out")
_MEASURES = {
    "part": "category",
    "by": "category",
    "name": "string",
    "measure": "category",
    "value": "Float64",
    "k": "Int64",
    "n": "Int64",
    "low": "Float64",
    "high": "Float64",
}
_ROWS = {
    "part": "category",
    "image": "string",
    "product_id": "string",
    "nearest_id": "string",
    "kind": "string",
    "status": "category",
    "predicted": "string",
    "top5": "object",
    "in_top5": "boolean",
    "confidence": "Float64",
    "correct": "boolean",
    "failure": "string",
    "version": "string",
    "stages": "object",
}
_RELIABILITY = {
    "part": "category",
    "low": "Float64",
    "high": "Float64",
    "count": "Int64",
    "confidence": "Float64",
    "accuracy": "Float64",
    "accuracy_low": "Float64",
    "accuracy_high": "Float64",
}
_CATEGORIES = {
    "part": _PARTS,
    "by": ("all", "kind", "variant"),
    "measure": (*SHARES, "best_automation", "calibration_error", "rejected"),
    "status": tuple(status.value for status in Status),
}


@dataclass(frozen=True)
class Evaluation:
    """A run of `packsight evaluate`; docs/evaluate.md says what each measure means.

    In all frames `part` is `asked` (the labelled photos, or the catalog's own where there were no labels), `drop_nearest` or
    `leave_one_out`. What has no value is NA.
    """

    measures: pd.DataFrame
    """One row per measure: `value` (a share of 0 to 1), `k` of `n` and the 95 % interval from `low` to `high`.

    `by` is `all`, or `kind` or `variant`, and `name` then which.
    """
    rows: pd.DataFrame
    """One row per photo asked about, as in the JSON; `top5` and `stages` hold lists."""
    reliability: pd.DataFrame
    """One row per bin of confidence: from `low` to `high`, and how often the first candidate is right, with its interval."""


def frames(results: Results) -> Evaluation:
    """What was found, as DataFrames."""
    return _frames(document(results))


def read_evaluation(path: str | Path) -> Evaluation:
    """Read the JSON that `packsight evaluate --json` wrote.

    Raises UserError for a file that cannot be read or is no evaluation, and where pandas is not installed.
    """
    try:
        return _frames(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. Correct the path.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is no evaluation. Name a file that `packsight evaluate --json` has written.") from None


def _frames(made: Mapping[str, Any]) -> Evaluation:
    parts = {"asked": made, **{part: made[part] for part in _PARTS[1:] if part in made}}
    return Evaluation(
        _typed((row for part, of in parts.items() for row in _measures(part, of)), _MEASURES),
        _typed(({"part": part, **row} for part, of in parts.items() for row in of["rows"]), _ROWS),
        _typed((_bin(part, one) for part, of in parts.items() for one in of.get("reliability", ())), _RELIABILITY),
    )


def _measures(part: str, of: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    sets = [("all", None, of)]
    sets += [("kind", name, one) for name, one in of.get("by_kind", {}).items()]
    sets += [("variant", name, one) for name, one in of.get("variants", {}).items()]
    for by, name, one in sets:
        about = {"part": part, "by": by, "name": name}
        if "rejected" in one:
            low, high = one.get("interval") or (None, None)
            counted = {"value": one["rejected"], "k": one.get("k"), "n": one["count"]}
            yield about | {"measure": "rejected", **counted, "low": low, "high": high}
            continue
        for share in SHARES:
            low, high = one["intervals"][share] or (None, None)
            yield about | {"measure": share, "value": one[share], **one["counts"][share], "low": low, "high": high}
        low, high = one["best"]["interval"] or (None, None)
        best = {"value": one["best"]["automation"], "k": one["best"]["k"], "n": one["best"]["n"]}
        yield about | {"measure": "best_automation", **best, "low": low, "high": high}
        yield about | {"measure": "calibration_error", "value": one["calibration_error"]}


def _bin(part: str, one: Mapping[str, Any]) -> dict[str, Any]:
    low, high = one["interval"] or (None, None)
    return {"part": part, **one, "accuracy_low": low, "accuracy_high": high}


def _typed(records: Iterator[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {name: [] for name in types}
    for record in records:
        for name, values in columns.items():
            value = record.get(name)
            values.append(None if value == "" else value)
    return pd.DataFrame(
        {
            name: pd.Categorical(columns[name], categories=_CATEGORIES[name])
            if kind == "category"
            else pd.Series(columns[name], dtype=kind)
            for name, kind in types.items()
        }
    )
