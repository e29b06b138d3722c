"""The sets of a folder, and the page that their figures make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.accuracy_page import markdown
from bench.set_run import early, pooled
from bench.sets import sets_in
from packsight.producer.evaluation.document import FITTED, Results, document
from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status


def answer(product: str, first: str, confidence: float, status: Status = Status.MATCHED) -> Answer:
    timings = {"decode": 0.01, "embed": 0.1, "match": 0.01}
    return Answer("x.jpg", product, product, (), status, (first,), confidence, timings=timings)


def measured(*found: Answer) -> dict[str, Any]:
    made = document(Results(found, dropped={FITTED: [answer("", "2", 0.9), answer("", "2", 0.2, Status.NO_MATCH)]}))
    made["stages"][0]["processor_seconds"] = 0.25
    return made | {
        "products": 7,
        "catalog_photos": 8,
        "absent_matched": {"k": 1, "n": made["absent"]},
        "early": early(found, [replace(one, status=Status.NO_MATCH) for one in found]),
        "processor_seconds": 0.31,
        "processor_seconds_of_everything": 0.42,
    }


def test_sets_are_the_folders_with_a_feed_and_labels(tmp_path: Path) -> None:
    for name, files in {"b": ("feed.xml", "labels.csv"), "a": ("feed.xml", "labels.csv"), "c": ("feed.xml",)}.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("image,product_id\nq.jpg,1\n")
    (tmp_path / "a/photos").mkdir()
    first, second = sets_in(tmp_path)
    assert (first.name, first.extra, first.labels[0].image) == ("a", str(tmp_path / "a/photos"), "q.jpg")
    assert (second.name, second.extra) == ("b", "")
    with pytest.raises(UserError, match="holds no set"):
        sets_in(tmp_path / "a")


def test_the_page_has_a_column_for_each_set_and_a_row_for_each_way() -> None:
    good = measured(answer("1", "1", 0.9), answer("1", "1", 0.9), answer("", "1", 0.3))
    poor = measured(answer("1", "2", 0.9))
    text = markdown(
        {
            "date": "2026-01-02",
            "commit": "abc",
            "machine": {"cpu": "a processor", "cores": 2},
            "precision": "f32",
            "sets": {"good": good, "poor": poor},
            "pooled": pooled([good, poor]),
        }
    )
    lines = text.splitlines()
    assert "commit abc; a processor, 2 cores, networks in f32." in text
    assert "| | good | poor |" in lines
    assert "| **automation**: matched and right, of listed | 1.000 2/2 (0.34 to 1.00) | 0.000 0/1 (0.00 to 0.79) |" in lines
    assert "| automation at the best threshold for 0.98 | 1.000 from 0.90 | no threshold |" in lines
    assert "| absent products matched | 1 of 1 | – |" in lines
    assert "| listed product dropped from the catalog, matched | 1 of 2 | 1 of 2 |" in lines
    assert "| good | embed | 3 | 1.00 | 1.00 | 0.67 | 0.250 |" in lines
    assert "| `matched` in one of the two, `no_match` in the other | 3 of 3 | 1 of 1 |" in lines
    assert "| the same with everything asked | 0.420 | 0.420 |" in lines
    # Together: (0.9, right) twice, (0.9, wrong), (0.3, wrong): 3/4 of |0.9 - 2/3| and 1/4 of 0.3.
    assert "Calibration error of all 4 photos pooled: 0.250" in text
    assert "Answered as with everything asked: 0 of 4." in text


def test_stopping_early_agrees_when_status_and_product_do() -> None:
    asked = [answer("1", "1", 0.9), answer("1", "1", 0.9), answer("1", "1", 0.5, Status.AMBIGUOUS), answer("1", "1", 0.9)]
    other = [answer("1", "1", 0.8), answer("1", "2", 0.9), answer("1", "2", 0.5, Status.AMBIGUOUS)]
    other.append(answer("1", "1", 0.3, Status.NO_MATCH))
    assert early(asked, other) == {"n": 4, "same": 2, "lost": 1}
