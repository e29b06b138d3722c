"""The HTTP door of a real stack: the answers of every other way, under its own role's keys."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery

from packsight.deploy.stack.parts import PAGE_USER
from packsight.producer.client import Client
from packsight.shared.contract.messages import INTERACTIVE_QUEUE
from packsight.shared.contract.outcomes import Outcome
from tests.acceptance.local_stack import PRODUCTS, Stack, query
from tests.door import Answer, Visitor, signed_in

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]

DIFFER = {"timings"}
"""How long it took."""


@pytest.fixture(scope="module")
def door(stack: Stack) -> Visitor:
    key = stack.run("keys", "add", "shop", "--right", "recognise", "--right", "jobs").stdout.strip()
    return Visitor(f"http://127.0.0.1:{stack.state['ports']['http']}").with_headers(Authorization=f"Bearer {key}")


def said(outcome: dict[str, Any]) -> dict[str, Any]:
    """What of an outcome must be the same by every way, whether or not what is not there is written out."""
    return Outcome.model_validate(outcome).model_dump(exclude=DIFFER)


@pytest.fixture(scope="module")
def owner(stack: Stack, door: Visitor) -> Visitor:
    """Whoever started the stack, signed in at its page."""
    return signed_in(Visitor(door.base), PAGE_USER, stack.state["credentials"]["page"])


def test_a_photo_has_the_same_outcome_by_http_celery_python_the_command_and_the_page(
    stack: Stack, answers: list[dict[str, Any]], door: Visitor, owner: Visitor
) -> None:
    assert answers
    path = stack.folder / "queries" / f"{PRODUCTS[0].id}.jpg"
    over_http = door.post("/v1/recognize", body=path.read_bytes(), headers={"Content-Type": "image/jpeg"}).json
    assert over_http["status"] == "matched"
    command = json.loads(stack.run("recognize", str(path)).stdout)
    settings = stack.settings("producer")
    with Client(settings) as client:
        python = json.loads(client.recognize(str(path)).model_dump_json())
    app = Celery(broker=settings.broker, backend=settings.results)
    app.conf.result_expires = 3600
    argument = {"version": 1, "images": [over_http["image"]]}
    celery = app.send_task("packsight.recognize", args=[argument], queue=INTERACTIVE_QUEUE).get(timeout=60)["outcomes"][0]
    form = {"csrf": owner.headers["X-CSRF-Token"], "catalog": "default", "address": "", "photo": (path.name, path.read_bytes())}
    browser = Visitor(owner.base, {"Cookie": owner.headers["Cookie"]})
    led = browser.post("/ask", fields=form, redirect=False).headers["Location"]
    page = app.AsyncResult(urlsplit(led).path.removeprefix("/answers/")).get(timeout=60)["outcomes"][0]
    app.close()
    assert said(over_http) == said(command) == said(python) == said(celery) == said(page)
    shows = unescape(browser.get(led).data.decode())
    assert re.search(rf"<h2>\s*{re.escape(over_http['product']['name'])}\s*</h2>", shows) and over_http["reason"] in shows


def test_the_system_of_2020_is_answered_by_the_product_of_the_feed(
    stack: Stack, answers: list[dict[str, Any]], door: Visitor
) -> None:
    (matched, *_) = [answer for answer in answers if answer["status"] == "matched"]
    photo = (stack.folder / matched["name"]).read_bytes()
    answer = door.post("/image", fields={"image": ("photo.jpg", photo)})
    assert (answer.status, answer.json) == (200, {name: matched["product"][name] for name in ("url", "picture")})
    broken = door.post("/image", fields={"image": ("photo.jpg", b"no picture")})
    assert (broken.status, broken.json["status"]) == (400, "failed")
    assert broken.json["reason"]


def test_twenty_photos_at_once_are_all_answered(stack: Stack, answers: list[dict[str, Any]], door: Visitor) -> None:
    assert answers
    # What follows a JPEG's end is ignored by decoders, but makes the file another one.
    photos = [query(PRODUCTS[number % len(PRODUCTS)], 2) + f"{number}".encode() for number in range(20)]

    def ask(photo: bytes) -> Answer:
        """Again where a machine that is busy with other things has not answered in time, as its answer says."""
        while (answer := door.post("/v1/recognize", body=photo)).status == 504:
            pass
        return answer

    with ThreadPoolExecutor(20) as pool:
        answered = list(pool.map(ask, photos))
    assert [answer.status for answer in answered] == [200] * 20
    assert len({answer.json["sha256"] for answer in answered}) == 20


def test_a_job_of_uploaded_photos_ends_under_the_doors_own_keys_and_is_removed(
    stack: Stack, answers: list[dict[str, Any]], door: Visitor
) -> None:
    assert answers
    upload = door.post("/v1/uploads", json={}).json["uploads"][0]
    sent = door.pool.request("PUT", upload["put"], body=query(PRODUCTS[1], 2))
    assert sent.status == 200, sent.data
    job = door.post("/v1/jobs", json={"photos": [upload["reference"]], "name": "by http"}).json["id"]
    events = door.get(f"/v1/jobs/{job}/events").data.decode()
    assert "event: ended" in events
    (row,) = door.get(f"/v1/jobs/{job}/results").json["rows"]
    assert row["status"] == "matched"
    assert [json.loads(line) for line in door.get(f"/v1/jobs/{job}/results.jsonl").data.splitlines()] == [row]
    assert job in stack.run("jobs").stdout
    assert door.ask("DELETE", f"/v1/jobs/{job}").json == {"uploads": 1, "shared": 0}
    assert "NOPERM" not in (stack.folder / ".packsight/logs/http.log").read_text()


def test_whoever_started_the_stack_signs_in_at_its_page(stack: Stack) -> None:
    address = f"http://127.0.0.1:{stack.state['ports']['http']}"
    who = {"name": "packsight", "password": stack.state["credentials"]["page"]}
    assert Visitor(address).post("/v1/session", json=who).json["rights"] == ["admin"]
    assert address in stack.run("status").stdout
    assert Visitor(address).get("/readyz").json["ready"] is True
