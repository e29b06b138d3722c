from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest

import packsight
from packsight.producer.evaluation.document import Results, document
from packsight.producer.evaluation.labels import answers, items
from packsight.producer.evaluation.metrics import Answer, by_kind, confusions, summarise
from packsight.producer.evaluation.unlisted import Unlisted
from packsight.producer.evaluation.wording import answered_by, failures, mixture, shown
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Candidate, Evidence, Outcome, Product, Status
from packsight.shared.shares import Share, wilson
from packsight.shared.tables.labels import Label, read_labels


def answer(product: str, *candidates: str, status: Status = Status.MATCHED, nearest: str = "", **more: object) -> Answer:
    fields = {"kinds": (), "confidence": 0.8, **more}
    return Answer("x.jpg", product, nearest or product, status=status, candidates=candidates, **fields)  # type: ignore[arg-type]


def test_the_wilson_interval_has_its_published_values() -> None:
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3.
    for k, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_wrong_answers_are_grouped_by_what_was_taken_for_what() -> None:
    wrong = [answer("1", "2"), answer("3", "4"), answer("3", "4"), answer("", "5")]
    right = [answer("1", "1"), answer("", "5", status=Status.AMBIGUOUS), answer("1", status=Status.FAILED)]
    assert confusions([*wrong, *right]) == [(("3", "4"), wrong[1:3]), (("", "5"), [wrong[3]]), (("1", "2"), [wrong[0]])]


def test_present_and_absent_products_are_measured_apart() -> None:
    summary = summarise(
        [
            answer("1", "1", "2"),
            answer("1", "2", "1"),
            answer("1", "1", status=Status.AMBIGUOUS),
            answer("1", status=Status.FAILED),
            answer("", "7", nearest="7"),
            answer("", "8", nearest="7", status=Status.NO_MATCH),
            answer("", status=Status.FAILED),
        ]
    )
    assert (summary.count, summary.present, summary.absent, summary.failed) == (7, 4, 3, 2)
    assert summary.top1 == Share(2, 4)
    assert summary.top5 == Share(3, 4)
    assert summary.top1_nearest == Share(3, 6)
    assert summary.absent_rejected == Share(1, 2)
    assert summary.present_rejected == Share(2, 4)
    assert summary.precision == Share(1, 3)
    assert summary.automation == Share(1, 4)


def test_a_row_is_correct_as_the_measures_count_it() -> None:
    failed = [answer("1", status=Status.FAILED), answer("", status=Status.FAILED)]
    found = [*failed, answer("", status=Status.NO_MATCH), answer("", "2")]
    assert [one.correct for one in found] == [False, None, True, False]
    summary = summarise(found)
    assert (summary.top1, summary.absent_rejected) == (Share(0, 1), Share(1, 2))
    assert [row["correct"] for row in document(Results(found))["rows"]] == [False, None, True, False]


def test_the_document_says_what_was_measured() -> None:
    found = [answer("1", "1", version=version) for version in ("v1", "v2", "v2")]
    found += [answer("1", status=Status.FAILED, version="v1"), answer("1", status=Status.FAILED)]
    results = Results(
        found, catalog="shoes", job="j-1", at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        unlisted=Unlisted(("9",), (answer("9", "1", version="v2"),)),
    )  # fmt: skip
    assert document(results)["measured"] == {
        "catalog": "shoes", "versions": {"v2": 3, "v1": 1}, "job": "j-1", "at": "2026-03-01T12:00:00+00:00",
        "packsight": packsight.__version__,
    }  # fmt: skip
    assert [row["version"] for row in document(results)["rows"]] == ["v1", "v2", "v2", "v1", ""]


def test_several_versions_are_said_to_be_a_mixture() -> None:
    assert answered_by("shoes", {"v2": 3, "v1": 1}) == "Catalog shoes, version v2: 3 photos, version v1: 1 photo"
    assert answered_by("shoes", {}) == "Catalog shoes, of which no version answered"
    assert "2 versions answered" in mixture({"v2": 3, "v1": 1})
    assert mixture({"v2": 3}) == mixture({}) == ""


def test_photos_that_failed_are_named_by_why() -> None:
    broken = [answer("1", status=Status.FAILED, failure="image_broken")] * 7
    assert failures([answer("1", "1"), answer("", status=Status.FAILED, failure="fetch_failed"), *broken]) == [
        "7 × image_broken: x.jpg, x.jpg, x.jpg, x.jpg, x.jpg and 2 more", "1 × fetch_failed: x.jpg",
    ]  # fmt: skip


def test_shares_of_nothing_have_no_value() -> None:
    summary = summarise([answer("1", "1")])
    assert summary.absent_rejected.value is None
    assert shown(summary.absent_rejected) == "–"
    assert shown(Share(16, 17)) == "0.94  16/17  (0.73 to 0.99)"


def test_only_the_first_five_candidates_count() -> None:
    summary = summarise([answer("6", "1", "2", "3", "4", "5", "6")])
    assert summary.top5 == Share(0, 1)


def test_a_photo_of_several_kinds_counts_in_each() -> None:
    kinds = by_kind([answer("1", "1", kinds=("phone", "rotated")), answer("1", "2", kinds=("phone",)), answer("1", "1")])
    assert {kind: summarise(of).top1 for kind, of in kinds.items()} == {"phone": Share(1, 2), "rotated": Share(1, 1)}


def test_a_column_of_kinds_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("image,product_id\na.jpg,1\n")
    assert read_labels(file)[0].kinds == ()
    with pytest.raises(UserError, match="no column light to measure by; it has image, product_id"):
        read_labels(file, kind="light")


def test_labels_are_read_with_kinds_and_nearest_ids(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("image,product_id,nearest_id,kind\na.jpg,1,,phone;rotated\nb.jpg,,7,\n")
    assert read_labels(file) == [Label("a.jpg", "1", "1", ("phone", "rotated")), Label("b.jpg", "", "7", ())]


@pytest.mark.parametrize(
    "header",
    ["image ; Product ID;Nearest ID", "picture;sku;nearest_id", "Фото;Артикул;NEAREST_ID", "image_link;product_id;nearest id;id"],
)
def test_columns_of_labels_may_be_called_as_shops_call_them(tmp_path: Path, header: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"{header}\na.jpg;1;2;9\n", encoding="utf-8")
    assert read_labels(file) == [Label("a.jpg", "1", "2", ())]


def test_labels_may_have_titles_above_their_header_and_commas_in_it(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("Разметка, ноябрь, фото\n\nФото;Артикул;Замечания (что, где, кем)\na.jpg;1;\n", encoding="utf-8")
    assert read_labels(file) == [Label("a.jpg", "1", "1", ())]


def test_of_columns_of_one_name_the_first_is_that_of_labels(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("image;image;product_id;PRODUCT_ID\na.jpg;b.jpg;1;2\n", encoding="utf-8")
    assert read_labels(file) == [Label("a.jpg", "1", "1", ())]


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("sub\\a.jpg", "sub/a.jpg"), ("b%20c.jpg", "b c.jpg"), ("/d.jpg", "d.jpg"),
        ("чай й.jpg", unicodedata.normalize("NFD", "чай й.jpg")),
    ],
    ids=["windows", "percent", "root", "letters"],
)  # fmt: skip
def test_labelled_photos_are_found_as_those_of_lists_are(tmp_path: Path, written: str, on_disk: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / on_disk).write_bytes(b"x")
    (item,) = items([Label(written, "1", "1", ())], tmp_path)
    assert item.name == written
    assert isinstance(item.where, Path)
    assert item.where.samefile(tmp_path / on_disk)


@pytest.mark.parametrize("image", ["no.jpg", "sub", "x" * 300])
def test_labelled_photos_that_are_not_there_are_refused(tmp_path: Path, image: str) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(UserError, match="does not exist"):
        items([Label(image, "1", "1", ())], tmp_path)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("image,shown\na,1\n", "no column product_id; it has image, shown. Its first line must name .* product_id"),
        ("a.jpg;1\nb.jpg;2", "no column image and product_id; it has a.jpg, 1"),
        ("image,product_id\n", "no rows"),
        ("image,product_id\n,1\n", "line 2"),
        ('image;product_id\n\n"a.jpg";"1\n2"\n\n;3\n', "line 6: the image is empty"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, content: str, cause: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(content)
    with pytest.raises(UserError, match=cause):
        read_labels(file)


def test_the_document_has_one_row_per_photo_in_the_order_of_the_labels() -> None:
    labels = [Label("a.jpg", "1", "1", ("phone",)), Label("b.jpg", "", "7", ())]
    candidate = Candidate(product=Product(id="1", name="One"), confidence=0.9, evidence=Evidence())
    matched = Outcome(
        image="s3://a", status=Status.MATCHED, product=candidate.product, confidence=0.9, candidates=[candidate],
        timings={"fetch": 0.1, "decode": 0.1, "spot": 0.3, "embed": 0.2, "match": 0.1},
    )  # fmt: skip
    missed = Outcome(image="s3://b", status=Status.NO_MATCH)
    found = document(Results(answers(labels, [matched, missed])))
    assert {key: found[key] for key in ("top1", "top5", "top1_nearest", "absent_rejected", "present_rejected", "count")} == {
        "top1": 1.0,
        "top5": 1.0,
        "top1_nearest": 0.5,
        "absent_rejected": 1.0,
        "present_rejected": 0.0,
        "count": 2,
    }
    assert found["by_kind"]["phone"]["absent_rejected"] is None
    assert [row["image"] for row in found["rows"]] == ["a.jpg", "b.jpg"]
    assert found["rows"][0] == {
        "image": "a.jpg",
        "product_id": "1",
        "nearest_id": "1",
        "kind": "phone",
        "status": "matched",
        "predicted": "1",
        "top5": ["1"],
        "in_top5": True,
        "confidence": 0.9,
        "correct": True,
        "failure": "",
        "version": "",
        "stages": ["embed", "spot"],
    }
    assert found["rows"][1]["correct"] is True
