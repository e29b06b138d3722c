"""Which verdicts on a photo stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from packsight.shared.contract.outcomes import Candidate, Evidence, Outcome, Product, Provenance, Status
from packsight.shared.storage.verdicts import Answered, Kind, Offered, Verdict, reviewed

SHA = "a" * 64
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def verdict(kind: Kind = Kind.RIGHT, product: str = "", by: str = "ann", minute: int = 0, **more: Any) -> Verdict:
    """A verdict on an answer whose first candidate was product 1."""
    product = product or ("1" if kind is Kind.RIGHT else "")
    about = {
        "catalog": "default", "job": "j", "index": 0, "image": "s3://b/uploads/x", "name": "x.jpg", "sha256": SHA,
        "answered": Answered(status=Status.AMBIGUOUS, product="1"),
    }  # fmt: skip
    return Verdict(**{**about, "kind": kind, "product": product, "by": by, "at": NOON + timedelta(minutes=minute), **more})


def test_the_latest_verdict_of_a_person_counts() -> None:
    found = reviewed([verdict(Kind.OTHER, "2", minute=1), verdict(), verdict(sha256="b" * 64)])
    assert {sha: (one.verdict.product, one.disputed) for sha, one in found.photos.items()} == {
        SHA: ("2", False), "b" * 64: ("1", False)
    }  # fmt: skip
    assert len(found.verdicts) == 3


def test_a_verdict_that_is_taken_back_leaves_the_one_before() -> None:
    first = verdict(Kind.OTHER, "2")
    second = verdict(Kind.BAD, by="bob", minute=1, after=first.id)
    undone = verdict(Kind.UNDONE, by="cid", minute=2, after=second.id)
    assert reviewed([first, second]).photos[SHA].verdict == second
    assert reviewed([undone, second, first]).photos[SHA].verdict == first
    assert reviewed([first, verdict(Kind.UNDONE, minute=1, after=first.id)]).photos == {}


def test_people_who_did_not_know_of_each_other_and_disagree_dispute_a_photo() -> None:
    mine, theirs = verdict(), verdict(Kind.OTHER, "2", by="bob", minute=1)
    both = reviewed([mine, theirs])
    assert both.photos[SHA].verdict == theirs and both.photos[SHA].against == (mine,)
    assert both.settled == [] and both.disputed == [both.photos[SHA]]
    assert not reviewed([mine, verdict(by="bob", minute=1)]).disputed, "who agree"
    assert reviewed([mine, verdict(Kind.OTHER, "1", by="bob", minute=1)]).settled, "the same product is no disagreement"
    assert not reviewed([mine, verdict(Kind.OTHER, "2", by="bob", minute=1, after=mine.id)]).disputed, "who knew"


def test_a_dispute_ends_with_a_verdict_of_somebody_who_has_seen_both() -> None:
    mine, theirs = verdict(), verdict(Kind.OTHER, "2", by="bob", minute=1)
    settled = verdict(Kind.OTHER, "2", by="ann", minute=2, after=theirs.id)
    assert reviewed([mine, theirs, settled]).settled == [settled]


def test_a_verdict_sent_twice_is_one() -> None:
    one = verdict()
    assert reviewed([one, one]).verdicts == {one.id}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Kind.OTHER, {"product": ""}), (Kind.RIGHT, {"product": "2"}), (Kind.BAD, {"product": "1"}), (Kind.UNDONE, {}),
        (Kind.BAD, {"by": ""}), (Kind.BAD, {"sha256": "x"}),
    ],
)  # fmt: skip
def test_a_verdict_that_says_nothing_or_two_things_is_refused(kind: Kind, more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        verdict(kind, **more)


def test_what_was_answered_is_the_first_candidate_whatever_the_status() -> None:
    product = Product(id="7", name="Soap")
    outcome = Outcome(
        image="x", status=Status.NO_MATCH, confidence=0.2,
        candidates=[Candidate(product=product, confidence=0.2, evidence=Evidence())],
        provenance=Provenance(catalog="default", catalog_version="v1", embedder="e", spotter="s"),
    )  # fmt: skip
    assert Answered.of(outcome) == Answered(status=Status.NO_MATCH, product="7", confidence=0.2, version="v1")
    assert Answered.of(Outcome(image="x", status=Status.NO_MATCH)).product == ""


def test_only_a_photo_that_tells_says_whether_an_answer_was_wrong() -> None:
    assert [verdict(kind, "2" if kind is Kind.OTHER else "", after=None).is_wrong for kind in
            (Kind.RIGHT, Kind.OTHER, Kind.ABSENT, Kind.BAD)] == [False, True, True, None]  # fmt: skip
    assert verdict().offered is Offered.CHOSEN
