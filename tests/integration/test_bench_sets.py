"""The sets of a folder, and the page that their figures make."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import typer
from typer.testing import CliRunner

from bench import sets
from bench.accuracy_page import markdown
from bench.photos import PhotoSet
from bench.set_run import early, listed, pooled
from bench.sets import main, ready, sets_in
from packsight.producer.evaluation.document import FITTED, Results, document
from packsight.producer.evaluation.metrics import Answer
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.tables.labels import Label


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
        "left_out": {"photos": 0, "ids": []},
        "early": early(found, [replace(one, status=Status.NO_MATCH) for one in found]),
        "feed_alone": None,
        "processor_seconds": 0.31,
        "processor_seconds_of_everything": 0.42,
    }


def test_reviews_that_are_no_labels_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/feed.xml").touch()
    (tmp_path / "a/labels.csv").write_text("image,verdict,product_id,offered\nq.jpg,right,1,unsure\nr.jpg,bad_photo,,unsure\n")
    (found,) = sets_in(tmp_path)
    assert [label.image for label in found.labels] == ["q.jpg"]
    assert "a: Reviews that say of no product" in capsys.readouterr().out


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
        sets_in(tmp_path / "a/photos")
    with pytest.raises(UserError, match="a is a set itself"):
        sets_in(tmp_path / "a")


def photo_set(folder: Path, *labels: Label, name: str = "a") -> PhotoSet:
    for label in labels:
        (folder / label.image).write_bytes(b"a photo")
    return PhotoSet(name, folder, folder / "feed.xml", "", list(labels))


def test_a_photo_that_labels_name_twice_counts_once(tmp_path: Path) -> None:
    given = photo_set(tmp_path, Label("q.jpg", "1", "1", (), 2), Label("./q.jpg", "1", "1", (), 3))
    assert ready(given, None).labels == given.labels[:1]


def test_what_would_end_a_set_later_is_told_before_any_is_measured(tmp_path: Path) -> None:
    given = photo_set(tmp_path, Label("q.jpg", "1", "1", ()))
    with pytest.raises(UserError, match=r"a\.json does not exist. Make it by `python -m bench.prior`"):
        ready(given, tmp_path)
    (tmp_path / "q.jpg").unlink()
    with pytest.raises(UserError, match=r"Set a: .*q\.jpg does not exist"):
        ready(given, None)


@pytest.mark.parametrize("option", ["--json", "--write"])
def test_a_file_that_cannot_be_written_is_told_before_any_set_is_measured(tmp_path: Path, option: str) -> None:
    command = typer.Typer()
    command.command()(main)
    refused = CliRunner().invoke(command, [str(tmp_path), option, str(tmp_path / "no/file")])
    assert isinstance(refused.exception, UserError)
    assert str(refused.exception).startswith(f"{tmp_path / 'no'} is no folder that may be written to.")


def test_products_that_the_feed_lacks_are_no_part_of_the_figures(tmp_path: Path) -> None:
    known, absent, other = Label("a.jpg", "1", "1", ()), Label("b.jpg", "", "", ()), Label("c.jpg", "9", "9", ())
    near = Label("d.jpg", "", "8", ())
    assert listed(photo_set(tmp_path, known, absent, other, near), {"1", "2"}) == ([known, absent], ["9", "8"])
    with pytest.raises(UserError, match="The feed of a lists no product of its labels, such as 9"):
        listed(photo_set(tmp_path, other), {"1"})


def test_a_set_that_fails_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measure(*about: Any, **_: Any) -> dict[str, Any]:
        if about[3].name == "bad":
            raise UserError("Its feed is empty.")
        return measured(answer("1", "1", 0.9))

    monkeypatch.setattr(sets, "measure", measure)
    monkeypatch.setattr(sets, "children", lambda _: ())
    for name in ("testbed", "worker", "Client", "result_database"):
        monkeypatch.setattr(sets, name, lambda *_, **__: nullcontext(MagicMock()))
    good, bad, last = (photo_set(tmp_path, Label("q.jpg", "1", "1", ()), name=name) for name in ("good", "bad", "last"))
    document = sets.run([good, bad, last], tmp_path)
    assert list(document["sets"]) == ["good", "last"]
    assert document["failed"] == {"bad": "Its feed is empty."}
    with pytest.raises(UserError, match="No set could be measured"):
        sets.run([bad], tmp_path)


def test_the_page_has_a_column_for_each_set_and_a_row_for_each_way() -> None:
    good = measured(answer("1", "1", 0.9), answer("1", "1", 0.9), answer("", "1", 0.3))
    alone = [answer("1", "1", 0.9), answer("1", "1", 0.4, Status.AMBIGUOUS)]
    good["feed_alone"] = {"catalog_photos": 7, **document(Results(alone))}
    poor = measured(answer("1", "2", 0.9))
    text = markdown(
        {
            "date": "2026-01-02",
            "commit": "abc",
            "machine": {"cpu": "a processor", "cores": 2},
            "precision": "f32",
            "sets": {"good": good, "poor": poor | {"left_out": {"photos": 8, "ids": list("abcdef")}}},
            "failed": {"bad": "Its feed is empty."},
            "pooled": pooled([good, poor]),
        }
    )
    lines = text.splitlines()
    assert "commit abc; a processor, 2 cores, networks in f32." in text
    assert "| | good | poor |" in lines
    assert "| **automation**: matched and right, of listed | 1.000 2/2 (0.34 to 1.00) | 0.000 0/1 (0.00 to 0.79) |" in lines
    feed = "0.500 1/2 (0.09 to 0.91), precision 1.000 1/1 (0.21 to 1.00), of 7 photos"
    assert f"| automation with the feed's own pictures alone | {feed} | – |" in lines
    assert "| automation at the best threshold for 0.98 | 1.000 from 0.90 | no threshold |" in lines
    assert "| absent products matched | 1 of 1 | – |" in lines
    assert "| listed product dropped from the catalog, matched | 1 of 2 | 1 of 2 |" in lines
    assert "| good | embed | 3 | 1.00 | 1.00 | 0.67 | 0.250 |" in lines
    assert "| `matched` in one of the two, `no_match` in the other | 3 of 3 | 1 of 1 |" in lines
    assert "| the same with everything asked | 0.420 | 0.420 |" in lines
    # Together: (0.9, right) twice, (0.9, wrong), (0.3, wrong): 3/4 of |0.9 - 2/3| and 1/4 of 0.3.
    assert "Calibration error of all 4 photos pooled: 0.250" in text
    assert "Answered as with everything asked: 0 of 4." in text
    assert "Photos of poor left out, as labels name products that its feed does not list (a, b, c, d, e …): 8." in lines
    assert "Not measured: bad. Its feed is empty." in lines


def test_stopping_early_agrees_when_status_and_product_do() -> None:
    asked = [answer("1", "1", 0.9), answer("1", "1", 0.9), answer("1", "1", 0.5, Status.AMBIGUOUS), answer("1", "1", 0.9)]
    other = [answer("1", "1", 0.8), answer("1", "2", 0.9), answer("1", "2", 0.5, Status.AMBIGUOUS)]
    other.append(answer("1", "1", 0.3, Status.NO_MATCH))
    assert early(asked, other) == {"n": 4, "same": 2, "lost": 1}
