"""Reviews over HTTP: what waits, what is said of it and taken back, with a key; a real server and stored outcomes."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from packsight.deploy.testbed import Servers
from packsight.producer.http.rights import Right
from packsight.producer.reviews.desk import ReviewDesk
from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Http
from packsight.shared.storage.jobs import Job
from packsight.shared.storage.verdicts import Kind, Offered
from tests.answered import outcome, products, publish, store_job
from tests.door import Answer, Serving, Visitor, serving


@pytest.fixture(scope="module")
def shop(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose catalog `default` has twelve products."""
    folder = tmp_path_factory.mktemp("reviews")
    settings = servers.settings(folder / "home", "packsight-reviews", http=Http(requests_per_minute=100_000))
    with serving(settings) as running:
        running.door.client.store.ensure_bucket()
        publish(running.door.client, folder / "version")
        yield running


@pytest.fixture
def job(shop: Serving) -> Iterator[Job]:
    """Six unsure answers and a sure one, of which nobody has said anything."""
    unsure = [outcome(n, Status.AMBIGUOUS, 0.5 - 0.01 * n, first=n) for n in range(6)]
    made = store_job(shop.door.client, [f"{n}.jpg" for n in range(7)], [*unsure, outcome(6, Status.MATCHED, 0.999, first=6)])
    yield made
    shop.door.client.remove(made)


@pytest.fixture
def program(shop: Serving) -> Visitor:
    return shop.client("desk", Right.REVIEW)


def waiting(visitor: Visitor, job: Job, **asked: int) -> Any:
    more = "".join(f"&{name}={value}" for name, value in asked.items())
    answer = visitor.get(f"/v1/reviews/waiting?job={job.id}{more}")
    assert answer.status == 200, answer.data
    return answer.json


def say(visitor: Visitor, job: Job, index: int, verdict: str, **more: Any) -> Answer:
    return visitor.post("/v1/reviews/verdicts", json={"job": job.id, "index": index, "verdict": verdict, **more})


def standing(shop: Serving) -> dict[str, tuple[str, str, str]]:
    """What counts, by the photo's name."""
    found = ReviewDesk(shop.door.client, "default").reviewed().photos.values()
    return {one.verdict.name: (one.verdict.kind.value, one.verdict.product, one.verdict.by) for one in found}


def test_a_key_with_the_right_to_review_lists_what_waits_says_what_it_is_and_takes_it_back(
    shop: Serving, job: Job, program: Visitor
) -> None:
    found = waiting(program, job)
    assert found["total"] == 6 and {one["offered"] for one in found["waiting"]} == {"unsure"}
    first = found["waiting"][0]["photo"]
    assert (first["job"], first["index"], first["name"], first["status"]) == (job.id, 0, "0.jpg", "ambiguous")
    assert [one["product"]["id"] for one in first["candidates"]] == ["p0", "p1", "p2"]
    of_catalog = program.get("/v1/reviews/waiting?limit=3")
    assert {one["photo"]["job"] for one in of_catalog.json["waiting"]} == {job.id} and len(of_catalog.json["waiting"]) == 3
    assert [one["photo"]["index"] for one in waiting(program, job, skip=2, limit=2)["waiting"]] == [2, 3]

    for index, verdict, product in [(0, "right", ""), (1, "other", "p9"), (2, "not_listed", ""), (3, "bad_photo", "")]:
        kept = say(program, job, index, verdict, product_id=product, offered="unsure")
        assert kept.status == 201 and kept.json["unseen"] == []
    assert kept.json["verdict"]["verdict"] == "bad_photo" and kept.json["verdict"]["offered"] == "unsure"
    me = "client desk"
    said = {"0.jpg": ("right", "p0", me), "1.jpg": ("other", "p9", me), "2.jpg": ("not_listed", "", me)}
    assert standing(shop) == {**said, "3.jpg": ("bad_photo", "", me)}
    assert [one["photo"]["index"] for one in waiting(program, job)["waiting"]] == [4, 5]

    last = kept.json["verdict"]["id"]
    undone = program.post(f"/v1/reviews/verdicts/{last}/undo?by=Ann")
    assert undone.status == 200
    assert (undone.json["verdict"], undone.json["after"], undone.json["by"]) == ("undone", last, "Ann (client desk)")
    assert standing(shop) == said and waiting(program, job)["total"] == 3
    again = program.post(f"/v1/reviews/verdicts/{last}/undo")
    assert (again.status, again.code) == (404, "object_missing")

    table = list(csv.DictReader(io.StringIO(program.get("/v1/reviews/verdicts.csv").data.decode("utf-8-sig"))))
    lines = [json.loads(line) for line in program.get("/v1/reviews/verdicts.jsonl").data.splitlines()]
    assert [one["verdict"] for one in table] == ["right", "other", "not_listed", "bad_photo", "undone"]
    assert [one["counts"] for one in lines] == ["yes", "yes", "yes", "no", "no"]


def test_what_is_not_said_to_have_been_offered_counts_as_come_upon_and_what_is_drawn_by_lot_as_drawn(
    shop: Serving, job: Job, program: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packsight.producer.reviews.inbox.is_drawn", lambda *_: True)
    offered = [
        say(program, job, 6, "right", **more).json["verdict"]["offered"]
        for more in ({}, {"offered": "chosen"}, {"offered": "unsure"}, {"offered": "sample"})
    ]
    assert offered == ["chosen", "chosen", "chosen", "sample"]
    monkeypatch.setattr("packsight.producer.reviews.inbox.is_drawn", lambda *_: False)
    assert say(program, job, 6, "right", offered="sample").json["verdict"]["offered"] == "chosen"


def test_people_for_whom_a_program_speaks_disagree_until_one_has_seen_both(shop: Serving, job: Job, program: Visitor) -> None:
    ann = say(program, job, 0, "right", by="Ann").json["verdict"]
    ben = say(program, job, 0, "not_listed", by="Ben").json
    assert (ben["verdict"]["by"], [one["id"] for one in ben["unseen"]]) == ("Ben (client desk)", [ann["id"]])
    disputed = waiting(program, job)["waiting"][0]
    assert disputed["photo"]["index"] == 0
    assert {one["id"] for one in disputed["verdicts"]} == {ann["id"], ben["verdict"]["id"]}
    settled = say(program, job, 0, "not_listed", by="Ann", seen=[one["id"] for one in disputed["verdicts"]])
    assert settled.json["unseen"] == []
    assert 0 not in [one["photo"]["index"] for one in waiting(program, job)["waiting"]]


def test_a_verdict_that_is_sent_twice_under_its_id_is_one(shop: Serving, job: Job, program: Visitor) -> None:
    name = secrets.token_hex(16)
    assert [say(program, job, 0, "right", id=name).json["verdict"]["id"] for _ in range(2)] == [name] * 2
    assert [one.id for one in ReviewDesk(shop.door.client, "default").store.all()] == [name]


def test_what_somebody_looks_at_on_the_page_is_not_offered_to_programs(shop: Serving, job: Job, program: Visitor) -> None:
    ann = shop.person("ann", Right.REVIEW)
    assert ann.get(f"/review?job={job.id}").status == 200
    found = waiting(program, job)
    assert found["total"] == 5 and 0 not in [one["photo"]["index"] for one in found["waiting"]]
    mine = say(ann, job, 0, "right", offered="unsure").json["verdict"]
    assert (mine["by"], mine["verdict"], mine["product_name"]) == ("ann", "right", products()[0].name)
    refused = say(ann, job, 1, "right", by="Ben")
    assert (refused.status, refused.code) == (400, "bad_message")


def test_what_nobody_can_say_is_refused_and_nothing_is_kept(shop: Serving, job: Job, program: Visitor) -> None:
    for index, verdict, more in [
        (0, "undone", {}), (0, "surely", {}), (0, "other", {}), (0, "right", {"product_id": "p0"}), (0, "right", {"id": "x"}),
        (0, "other", {"product_id": "p99"}), (-1, "right", {}), (0, "right", {"kind": "x"}),
    ]:  # fmt: skip
        answer = say(program, job, index, verdict, **more)
        assert (answer.status, answer.code) == (400, "bad_message"), (verdict, more)
    missing = say(program, job, 7, "right")
    assert (missing.status, missing.code) == (404, "object_missing")
    assert program.post("/v1/reviews/verdicts", json={"job": "none", "index": 0, "verdict": "right"}).status == 404
    assert program.get("/v1/reviews/waiting?job=none").status == 404
    nowhere = program.get("/v1/reviews/waiting?catalog=other")
    assert (nowhere.status, nowhere.code) == (404, "catalog_missing")
    assert program.get("/v1/reviews/waiting?catalog=../x").status == 400
    assert standing(shop) == {}


def test_only_who_may_review_a_catalog_comes_near_its_reviews(shop: Serving, job: Job) -> None:
    said = say(shop.client("desk", Right.REVIEW), job, 0, "right").json["verdict"]["id"]
    others = [shop.client("other", Right.REVIEW, catalogs={"elsewhere"}), shop.client("plain", Right.RECOGNISE, Right.JOBS)]
    for visitor in [*others, shop.stranger]:
        answers = [
            visitor.get("/v1/reviews/waiting"), visitor.get(f"/v1/reviews/waiting?job={job.id}"), say(visitor, job, 1, "right"),
            visitor.post(f"/v1/reviews/verdicts/{said}/undo"), visitor.get("/v1/reviews/verdicts.csv"),
        ]  # fmt: skip
        assert {one.status for one in answers} == {401 if visitor is shop.stranger else 403}
    (kept,) = ReviewDesk(shop.door.client, "default").store.all()
    assert (kept.id, kept.kind, kept.offered) == (said, Kind.RIGHT, Offered.CHOSEN)


def test_a_person_who_signed_in_needs_the_word_against_other_sites(shop: Serving, job: Job) -> None:
    ann = shop.person("ann", Right.REVIEW)
    without = Visitor(ann.base, {"Cookie": ann.headers["Cookie"]}, ann.pool)
    assert say(without, job, 0, "right").status == 403
    assert say(ann, job, 0, "right").status == 201
