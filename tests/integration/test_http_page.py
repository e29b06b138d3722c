"""The page for people, as its server answers: who sees what, what is shown of hostile names, what is done and kept."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image
from redis.exceptions import ConnectionError as RedisConnectionError

from packsight.deploy.testbed import Servers
from packsight.producer.http import errands, page
from packsight.producer.http.page import inbox, job_indexes, products, review
from packsight.producer.http.page.job_indexes import JobIndexes
from packsight.producer.http.rights import Right
from packsight.producer.reviews.desk import ReviewDesk
from packsight.producer.reviews.products import Products
from packsight.shared.catalog.told import LISTS
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Failure, Outcome, Status
from packsight.shared.queue import keys
from packsight.shared.settings import Http
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import Job, Unopened
from packsight.shared.storage.verdicts import Kind, Offered
from tests import recognizer
from tests.answered import drawn, first_photos, outcome, picture, publish, store_job, store_outcomes
from tests.door import Answer, Serving, Visitor, serving

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def shop(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose catalog `default` has twelve products."""
    folder = tmp_path_factory.mktemp("page")
    limits = Http(sign_ins_per_minute=1000, requests_per_minute=100_000, deadline=5)
    settings = servers.settings(folder / "home", "packsight-page", http=limits)
    with serving(settings) as running:
        client = running.door.client
        client.store.ensure_bucket()
        publish(client, folder / "version")
        yield running


@pytest.fixture(scope="module")
def job(shop: Serving) -> Job:
    """Sixty photos of all kinds."""
    outcomes = [*drawn(58), outcome(58, Status.FAILED, 0), outcome(59, Status.AMBIGUOUS, 0.5, words=["Zanzibar"])]
    return store_job(shop.door.client, [f"shelf/{number:02}.jpg" for number in range(60)], outcomes, name="Spring")


@pytest.fixture(scope="module")
def ann(shop: Serving) -> Visitor:
    """Somebody with every right."""
    return shop.person("ann")


def text(answer: Answer) -> str:
    """What a person reads."""
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", answer.data.decode())
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a server does beside its requests."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def sent(visitor: Visitor, path: str, **fields: str) -> Answer:
    """A form of the page, as a browser sends it, with its word."""
    said = {"csrf": visitor.headers["X-CSRF-Token"], **fields}
    plain = Visitor(visitor.base, {"Cookie": visitor.headers["Cookie"]}, visitor.pool)
    return plain.ask("POST", path, fields=said, encode_multipart=False, redirect=False)


def hidden(answer: Answer) -> dict[str, str]:
    """The hidden fields of the form of a verdict, without its word."""
    form = answer.data.decode().split('id="verdict"')[1].split("</form>")[0]
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in found if name != "csrf"}


def names(answer: Answer) -> list[str]:
    """Photos of a job's page, in order."""
    return re.findall(r'<span class="soft" title="[^"]*">(shelf/\d+\.jpg)</span>', answer.data.decode())


def test_who_is_not_signed_in_is_led_to_the_door_and_back(shop: Serving) -> None:
    led = shop.stranger.get("/jobs?page=2", redirect=False)
    assert (led.status, led.headers["Location"]) == (303, "/sign-in?next=%2Fjobs%3Fpage%3D2")
    form = shop.stranger.get(led.headers["Location"])
    assert 'data-sign-in="/jobs?page=2"' in form.data.decode()
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"):
        assert 'data-sign-in="/"' in shop.stranger.get(f"/sign-in?{urlencode({'next': elsewhere})}").data.decode()


@pytest.mark.parametrize(
    ("right", "open_paths"),
    [(Right.RECOGNISE, {"/"}), (Right.JOBS, {"/jobs"}), (Right.REVIEW, {"/review", "/products"})],
    ids=["recognise", "jobs", "review"],
)
def test_a_person_sees_the_pages_of_their_rights_alone(shop: Serving, right: Right, open_paths: set[str]) -> None:
    person = shop.person(f"only-{right}", right)
    home = person.get("/", redirect=False)
    assert (home.status, home.headers.get("Location")) == ((200, None) if "/" in open_paths else (303, min(open_paths, key=len)))
    for path in ("/jobs", "/review", "/products"):
        answer = person.get(path)
        assert answer.status == (200 if path in open_paths else 403)
        if path in open_paths:
            nav = answer.data.decode().split("<nav")[1].split("</nav>")[0]
            assert set(re.findall(r'href="([^"]+)"', nav)) == open_paths
        else:
            assert f"it needs `{right}`" not in text(answer)
            assert "has no right to this" in text(answer) and f"people grant only-{right} --right" in text(answer)
            assert "Sign out" in text(answer) and f'href="{min(open_paths, key=len)}"' in answer.data.decode(), "no dead end"


def test_what_changes_something_needs_its_word_and_its_right(shop: Serving, job: Job, ann: Visitor) -> None:
    person, other = ann, shop.person("only-asks", Right.RECOGNISE)
    changing = [route.path for part in page.PARTS for route in part.router.routes if "POST" in getattr(route, "methods", ())]
    assert {"/ask", "/review", "/review/undo", "/review/again", "/jobs/{job}/cancel", "/jobs/{job}/retry"} == set(changing)
    for path in changing:
        address = path.format(job=job.id)
        fields = {"catalog": "default", "said": "skip", "at": job.id, "place": "0", "sha256": "0" * 64, "id": "0" * 32,
                  "verdict": "0" * 32}  # fmt: skip
        for word in ("", "0" * 64, other.headers["X-CSRF-Token"]):
            forged = sent(person, address, **fields, csrf=word)
            assert (forged.status, "another site sent it" in text(forged)) == (403, True), path
        if path != "/ask":
            assert sent(other, address, **fields).status == 403


def test_a_person_of_one_catalog_sees_nothing_of_another(shop: Serving, job: Job) -> None:
    other = shop.person("eve", catalogs={"shoes"})
    assert job.id not in text(other.get("/jobs"))
    for path in (f"/jobs/{job.id}", f"/jobs/{job.id}/photos/0", f"/jobs/{job.id}/results.csv", "/review?catalog=default"):
        assert other.get(path).status == 403
    assert other.get(f"/jobs/{job.id}/photos/0/picture?side=160").status == 403


def test_hostile_names_words_and_columns_are_shown_as_text(shop: Serving, ann: Visitor) -> None:
    told = outcome(0, Status.AMBIGUOUS, 0.5, words=[HOSTILE])
    first = told.candidates[0]
    bad = first.product.model_copy(update={"name": HOSTILE, "vendor": HOSTILE, "url": "javascript:alert(3)"})
    told = told.model_copy(
        update={"reason": HOSTILE, "candidates": [first.model_copy(update={"product": bad}), *told.candidates[1:]]}
    )
    failed = Unopened(name=HOSTILE, failure=Failure.of_code(ErrorCode.FILE_EMPTY, HOSTILE), extra={HOSTILE: HOSTILE})
    made = store_job(shop.door.client, [HOSTILE], [told], name=HOSTILE, unopened=[failed])
    person = ann
    query = urlencode({"q": HOSTILE, "product": HOSTILE, "told": HOSTILE, "name": HOSTILE, "next": HOSTILE})
    paths = [
        "/jobs", f"/jobs/{made.id}", f"/jobs/{made.id}?{query}", f"/jobs/{made.id}/photos/0", f"/jobs/{made.id}/photos/1",
        f"/review?job={made.id}", f"/review?{query}", f"/products?{query}", f"/product?id={query[2:]}", f"/sign-in?{query}",
    ]  # fmt: skip
    for path in paths:
        answer = person.get(path)
        body = answer.data.decode()
        assert answer.status in {200, 303, 400}, path
        assert "<script>alert" not in body, path
        assert "<img src=x" not in body, path
        assert "javascript:" not in body, path
        assert "style=" not in body, path
        tags = re.sub(r'"[^"]*"', '""', " ".join(re.findall(r"<[^>]+>", body)))
        assert not re.search(r"\son\w+=", tags), path
    assert HOSTILE in text(person.get(f"/jobs/{made.id}/photos/0"))


def test_pages_load_nothing_from_other_hosts(shop: Serving, job: Job, ann: Visitor) -> None:
    person = ann
    for path in ("/", f"/jobs/{job.id}", f"/jobs/{job.id}/photos/1", "/review", "/products?q=cream", "/sign-in"):
        answer = person.get(path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert all(address.startswith("/") for address in re.findall(r'(?:src|action)="([^"]+)"', answer.data.decode()))
    for name in re.findall(r'"(/static/[^"]+)"', person.get("/").data.decode()):
        static = shop.stranger.get(name)
        assert static.status == 200
        assert "immutable" in static.headers["Cache-Control"]
        assert b"http" not in re.sub(rb"http://www\.w3\.org", b"", static.data)


def test_a_jobs_photos_are_searched_filtered_sorted_and_paged(shop: Serving, job: Job, ann: Visitor) -> None:
    person = ann

    def found(**query: str) -> list[str]:
        return names(person.get(f"/jobs/{job.id}?{urlencode(query)}"))

    outcomes = [*drawn(58), outcome(58, Status.FAILED, 0), outcome(59, Status.AMBIGUOUS, 0.5)]
    whole = found()
    assert whole == [f"shelf/{number:02}.jpg" for number in range(50)]
    assert found(page="2") == [f"shelf/{number:02}.jpg" for number in range(50, 60)]
    assert found(q="SHELF/07") == ["shelf/07.jpg"]
    assert found(q="zanzibar") == ["shelf/59.jpg"]
    creams = [number for number, one in enumerate(outcomes) if one.candidates and one.candidates[0].product.id == "p0"]
    assert found(product="p0") == [f"shelf/{number:02}.jpg" for number in creams]
    assert set(found(q="arvelo night")) >= set(found(product="p0"))
    failed = [f"shelf/{number:02}.jpg" for number, one in enumerate(outcomes) if one.status is Status.FAILED]
    assert found(status="failed") == failed == found(code="image_truncated")
    least = found(sort="unsure")
    assert least[0] == "shelf/59.jpg"
    assert [name for name in least if name in failed] == []  # on the second page: they are not unsure but failed
    between = [f"shelf/{number:02}.jpg" for number, one in enumerate(outcomes)
               if one.status is not Status.FAILED and 0.4 <= one.confidence <= 0.6]  # fmt: skip
    assert found(least="40", most="60") == between != []
    assert person.get(f"/jobs/{job.id}?least=x").status == 400
    assert found(q="' OR 1=1 --") == []


def test_from_a_photo_that_was_searched_for_the_next_is_searched_for_too(shop: Serving, job: Job, ann: Visitor) -> None:
    matched = names(ann.get(f"/jobs/{job.id}?status=matched&sort=sure"))
    first = re.search(r'class="thumb" href="([^"]+)"', ann.get(f"/jobs/{job.id}?status=matched&sort=sure").data.decode())
    assert first
    shown = ann.get(unescape(first[1])).data.decode()
    onward = re.search(r'href="([^"]+)" rel="next"', shown)
    assert onward and "Previous" not in shown
    assert f'title="{matched[1]}"' in ann.get(unescape(onward[1])).data.decode()
    assert f'<a href="/jobs/{job.id}?status=matched&amp;sort=sure">Spring</a>' in shown


def test_an_index_takes_in_what_ends_and_what_was_asked_again(shop: Serving, ann: Visitor) -> None:
    client, person = shop.door.client, ann
    called = [f"shelf/{number:02}.jpg" for number in range(40)]
    made = store_job(client, called, [outcome(number, Status.FAILED, 0) for number in range(40)], ended=False)
    assert len(names(person.get(f"/jobs/{made.id}?status=failed"))) == 40
    client.ledger.results.forget(made.batches[0].task_id)  # Celery never writes over a success
    store_outcomes(client, made, [outcome(number, Status.MATCHED, 0.99) for number in range(16)])
    page_now = person.get(f"/jobs/{made.id}?status=matched")
    assert names(page_now) == [f"shelf/{number:02}.jpg" for number in range(16)]
    assert "24 failed" in text(page_now)


def test_a_job_that_was_removed_is_gone_from_the_index_too(shop: Serving, ann: Visitor) -> None:
    client, person = shop.door.client, ann
    made = store_job(client, ["a.jpg"], [outcome(0, Status.MATCHED, 0.99)])
    assert person.get(f"/jobs/{made.id}").status == 200
    kept = shop.door.settings.home / "http" / "jobs"
    assert list(kept.glob(f"{made.id}*"))
    client.jobs.remove(made.id)
    person.get("/jobs")
    assert not list(kept.glob(f"{made.id}*"))


def test_a_job_that_is_removed_over_http_leaves_nothing_on_the_servers_disk(shop: Serving, ann: Visitor) -> None:
    made = store_job(shop.door.client, ["a.jpg"], [outcome(0, Status.MATCHED, 0.99)])
    kept = shop.door.settings.home / "http" / "jobs"
    assert ann.get(f"/jobs/{made.id}").status == 200
    assert list(kept.glob(f"{made.id}*"))
    assert shop.client("remover", Right.JOBS).ask("DELETE", f"/v1/jobs/{made.id}").status == 200
    assert not list(kept.glob(f"{made.id}*"))


def test_a_job_that_is_removed_at_a_terminal_goes_from_the_servers_disk_though_nobody_looks(
    shop: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_indexes, "_LOOK", 0.05)
    settings = shop.door.settings.model_copy(update={"home": tmp_path})
    with serving(settings) as door:
        client, kept = door.door.client, tmp_path / "http" / "jobs"
        gone, stays = (store_job(client, ["a.jpg"], [outcome(0, Status.MATCHED, 0.99)]) for _ in range(2))
        for one in (gone, stays):
            assert door.person().get(f"/jobs/{one.id}").status == 200
        (kept / f"{gone.id}-1.sqlite").write_bytes(b"of another release")
        shop.door.client.remove(gone)
        until(lambda: not list(kept.glob(f"{gone.id}*")))
        assert list(kept.glob(f"{stays.id}*"))


def test_what_is_no_name_of_a_job_removes_nothing_of_the_servers_disk(shop: Serving, ann: Visitor, tmp_path: Path) -> None:
    victim = tmp_path / "precious-1.sqlite"
    folder = shop.door.settings.home / "http" / "jobs"
    for file in (victim, folder.parent / "precious-1.sqlite"):
        file.write_text("mine")
        shop.door.client.jobs.names()
        for name in (f"{file}".removesuffix("-1.sqlite"), "../precious", "..%2Fprecious", "a%00b"):
            assert ann.get(f"/review?job={name}").status in {303, 400, 404}
        assert file.read_text() == "mine"


def test_a_damaged_index_is_made_again(shop: Serving, ann: Visitor) -> None:
    person = ann
    made = store_job(shop.door.client, ["shelf/01.jpg"], [outcome(0, Status.MATCHED, 0.99)])
    assert names(person.get(f"/jobs/{made.id}")) == ["shelf/01.jpg"]
    (file,) = (shop.door.settings.home / "http" / "jobs").glob(f"{made.id}*.sqlite")
    file.write_bytes(b"no database" * 1000)
    assert names(person.get(f"/jobs/{made.id}")) == ["shelf/01.jpg"]


def test_pictures_come_through_the_server_as_pictures_alone(shop: Serving, ann: Visitor) -> None:
    client, person = shop.door.client, ann
    made = store_job(client, ["a.jpg"], [outcome(0, Status.MATCHED, 0.99)], pictures=True)
    address = f"/jobs/{made.id}/photos/0/picture?side="
    assert shop.stranger.get(f"{address}160", redirect=False).status == 303
    person.get(f"/jobs/{made.id}")
    small = person.get(f"{address}160")
    assert small.headers["Content-Type"] == "image/webp"
    assert max(Image.open(io.BytesIO(small.data)).size) == 160
    assert person.get(f"{address}161").status == 400
    catalog = person.get(f"/photos/{first_photos()[0]}?side=480")
    assert catalog.headers["Content-Type"] == "image/webp"
    for name in ("..%2Fjobs", "0" * 63, "0" * 65):
        assert person.get(f"/photos/{name}?side=480").status == 404


@pytest.mark.parametrize("place", [-1, 60, 2**63, -(2**70)])
def test_a_picture_of_no_photo_of_a_job_is_not_there(shop: Serving, job: Job, ann: Visitor, place: int) -> None:
    assert ann.get(f"/jobs/{job.id}/photos/{place}/picture?side=160").status == 404


def test_what_lies_at_a_reference_now_is_not_shown_for_what_was_answered(shop: Serving, ann: Visitor) -> None:
    client = shop.door.client
    made = store_job(client, ["a.jpg", "b.jpg"], [outcome(n, Status.MATCHED, 0.99) for n in range(2)], pictures=True)
    ann.get(f"/jobs/{made.id}")
    other, changed = (image.reference.partition(client.store.bucket + "/")[2] for image in made.batches[0].images)
    client.store.write(changed, client.store.read(other).data)
    kinds = [ann.get(f"/jobs/{made.id}/photos/{place}/picture?side=160").headers["Content-Type"] for place in range(2)]
    assert kinds == ["image/webp", "image/svg+xml"]


def test_pictures_are_fetched_from_where_references_may_reach(shop: Serving, ann: Visitor) -> None:
    """An address of the server's own network, and a key of our bucket that holds no photo, are shown as missing."""
    client, person = shop.door.client, ann
    inner = f"{shop.stranger.base}/static/icon.svg"
    asked = [outcome(0, Status.MATCHED, 0.99).model_copy(update={"image": image}) for image in (
        inner, f"s3://{client.store.bucket}/catalogs/default/CURRENT.json", "/etc/passwd")]  # fmt: skip
    made = store_job(client, ["a", "b", "c"], asked)
    person.get(f"/jobs/{made.id}")
    for place in range(3):
        shown = person.get(f"/jobs/{made.id}/photos/{place}/picture?side=160")
        assert shown.headers["Content-Type"] == "image/svg+xml"


def test_a_photo_is_asked_about_and_its_answer_can_be_looked_at_again(shop: Serving, ann: Visitor) -> None:
    person = ann
    with recognizer.running(shop.door.settings) as worker:
        fields = {"csrf": person.headers["X-CSRF-Token"], "catalog": "default", "photo": ("C:\\pics\\tin.jpg", picture("tin"))}
        plain = Visitor(person.base, {"Cookie": person.headers["Cookie"]}, person.pool)
        asked = plain.ask("POST", "/ask", fields=fields, redirect=False)
        assert asked.status == 303, text(asked)
        by_address = sent(person, "/ask", catalog="default", address="https://shop.example/tin.jpg")
        assert by_address.status == 303
        assert "https://shop.example/tin.jpg" in worker.seen
    shows = person.get(asked.headers["Location"])
    assert "Not in the catalog" in text(shows)
    assert "a stand-in" in text(shows)
    assert "tin.jpg" in text(shows)
    photo = person.get(f"{asked.headers['Location'].partition('?')[0]}/photo?side=480")
    assert Image.open(io.BytesIO(photo.data)).size == (300, 400)


def test_what_cannot_be_asked_is_told_with_its_remedy(shop: Serving, ann: Visitor) -> None:
    person = ann
    nothing = sent(person, "/ask", catalog="default")
    assert (nothing.status, "Drop a photo" in text(nothing)) == (400, True)
    inner = sent(person, "/ask", catalog="default", address=f"s3://{shop.door.client.store.bucket}/jobs/x/manifest.json")
    assert (inner.status, "begins with https://" in text(inner)) == (400, True)
    nobody = sent(person, "/ask", catalog="default", address="https://shop.example/tin.jpg")
    assert (nobody.status, "No worker answered" in text(nobody)) == (504, True)
    assert person.get("/answers/single-" + "0" * 32).status == 400
    assert sent(shop.person("eve", catalogs={"shoes"}), "/ask", catalog="default", address="https://x.example/").status == 403


def test_results_are_downloaded_and_harmless_in_a_spreadsheet(shop: Serving, ann: Visitor) -> None:
    person = ann
    made = store_job(shop.door.client, ["=1+1.jpg", "b.jpg"], [outcome(n, Status.MATCHED, 0.99) for n in range(2)])
    table = person.get(f"/jobs/{made.id}/results.csv")
    assert "attachment" in table.headers["Content-Disposition"]
    assert [row["name"] for row in csv.DictReader(io.StringIO(table.data.decode("utf-8-sig")))] == ["'=1+1.jpg", "b.jpg"]
    lines = person.get(f"/jobs/{made.id}/results.jsonl").data.decode().splitlines()
    assert [Outcome.model_validate_json(line).status for line in lines] == [Status.MATCHED] * 2


@pytest.mark.parametrize("part", ["bytes=0-9", "bytes=-5", "bytes=99999999-", "bytes=9-0", "lines=1-2"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_nothing_is_left_on_the_servers_disk_of_what_is_downloaded_whatever_part_is_asked_for(
    shop: Serving, job: Job, ann: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, part: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole = ann.get(f"/jobs/{job.id}/results.{kind}", headers={"Range": part})
    assert (whole.status, len(whole.data)) == (200, int(whole.headers["Content-Length"])), "it has no parts"
    assert whole.data == ann.get(f"/jobs/{job.id}/results.{kind}").data != b""
    assert not list(tmp_path.iterdir())


def test_a_retry_that_helps_nothing_is_not_offered_unless_its_failure_is_chosen(shop: Serving, ann: Visitor) -> None:
    kinds = [ErrorCode.FILE_EMPTY, ErrorCode.FILE_EMPTY, ErrorCode.FETCH_TIMEOUT]
    made = [
        store_job(shop.door.client, [f"{n}.jpg" for n in range(count)],
                  [outcome(n, Status.FAILED, 0, failure=kind) for n, kind in enumerate(kinds[:count])])
        for count in (2, 3)
    ]  # fmt: skip
    shows, helped, chosen = (ann.get(f"/jobs/{path}") for path in (made[0].id, made[1].id, f"{made[0].id}?code=file_empty"))
    assert "<button disabled>Ask the failed ones again" in shows.data.decode() and "A retry alone helps none" in text(shows)
    assert "<button>Ask the failed ones again" in helped.data.decode() and "helps none" not in text(helped)
    assert "<button>Ask again: empty file" in chosen.data.decode() and "helps none" not in text(chosen)
    assert "Empty file (2)" in text(shows) and "<b>Empty file</b>" in shows.data.decode()


def test_files_are_links_that_lead_to_the_door_where_the_session_has_ended(shop: Serving, job: Job, ann: Visitor) -> None:
    shown = ann.get(f"/jobs/{job.id}")
    assert "CSV of all photos" in text(shown)
    for path in (f"/jobs/{job.id}", "/review", "/products/lists/twins"):
        assert not re.search(r"<a [^>]*\bdownload\b", ann.get(path).data.decode()), path


def test_counts_say_what_they_count(shop: Serving, job: Job, ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "for which Arvelo Night Cream came first" in text(ann.get(f"/jobs/{job.id}?product=p0"))
    assert "The first" not in text(ann.get("/products?q=p"))
    monkeypatch.setattr(products, "_SHOWN", 1)
    shown = ann.get("/products?q=p1")
    assert "The first 1 found of 12 products" in text(shown) and shown.data.count(b'href="/product?') == 1
    unsure = store_job(shop.door.client, ["counted.jpg"], [outcome(0, Status.AMBIGUOUS, 0.5)], pictures=True)
    for most, told in ((1, "The first 1 found"), (8, "[2-8] found")):
        monkeypatch.setattr(review, "_MOST", most)
        shown = ann.get(f"/review?job={unsure.id}&q=p1")
        assert re.search(rf'id="counted"[^>]*>{told}<', shown.data.decode()), most
        assert (shown.data.count(b'value="found:') == 1) is (most == 1)


def test_what_is_away_is_told_to_people_in_their_words(shop: Serving, ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise RedisConnectionError("Error 111 connecting to 127.0.0.1:6379")

    store_job(shop.door.client, ["a.jpg"], [outcome(0, Status.MATCHED, 0.99)])
    with monkeypatch.context() as outage:
        outage.setattr(JobIndexes, "of", away)
        outage.setattr(inbox, "_NEW_SECONDS", -1.0)
        shown = ann.get("/review")
    assert ann.get("/review").status == 200
    assert (shown.status, shown.headers["Retry-After"]) == (503, "5")
    told = text(shown).split("For whoever runs packsight")
    assert "is away" in told[0] and "Try again in a minute" in told[0] and "queue" not in told[0]
    assert "The queue or its results do not answer" in told[1]


def test_refusals_speak_of_no_interface_of_programs_and_lead_back(shop: Serving, job: Job, ann: Visitor) -> None:
    last = "has no answer to a photo 101"
    for path, told in (("/jobs/nothing", ""), (f"/jobs/{job.id}/photos/100", last), (f"/jobs/{job.id}?page=x", "page")):
        shown = ann.get(path)
        assert shown.status in {400, 404} and told in text(shown)
        assert "/v1/" not in text(shown) and "openapi" not in text(shown), path
        assert '<a href="/jobs">Back to Jobs</a>' in shown.data.decode()


def test_a_job_is_cancelled_and_its_failed_photos_are_asked_again(shop: Serving, ann: Visitor) -> None:
    client, person = shop.door.client, ann
    retryable = outcome(0, Status.FAILED, 0, failure=ErrorCode.HOST_UNREACHABLE)
    matched = [outcome(number, Status.MATCHED, 0.9) for number in range(4)]
    made = store_job(client, [f"{number}.jpg" for number in range(20)], [retryable] * 16 + matched)
    with recognizer.running(shop.door.settings) as worker:
        again = sent(person, f"/jobs/{made.id}/retry")
        assert (again.status, again.headers["Location"]) == (303, f"/jobs/{made.id}")
        until(lambda: "16 not in the catalog" in text(person.get(f"/jobs/{made.id}")))
        assert sum(worker.seen.values()) == 16
    assert sent(person, f"/jobs/{made.id}/retry").status == 400
    errand = errands.Errand(kind=errands.Kind.RETRY, job=made.id)
    client.ledger.client.set(keys.errand(errand.name), errand.model_dump_json(), ex=60)  # as when no server has come to it
    for path in ("/jobs", f"/jobs/{made.id}"):
        assert "Running" in text(person.get(path))
    assert sent(person, f"/jobs/{made.id}/cancel").status == 303
    assert "Running" not in text(person.get(f"/jobs/{made.id}"))
    waiting = client.submit([f"https://shop.example/{n}.jpg" for n in range(3)])
    assert sent(person, f"/jobs/{waiting.id}/cancel").status == 303
    shows = person.get(f"/jobs/{waiting.id}")
    assert ("Cancelled" in text(shows), "3 failed" in text(shows)) == (True, True)
    assert "cancelled" in text(person.get(f"/jobs/{waiting.id}/photos/0"))


# Review


@pytest.fixture
def unsure(shop: Serving) -> Iterator[Job]:
    """Six photos that nobody has reviewed, in a job of their own."""
    photos = first_photos()
    outcomes = [outcome(1000 + n, Status.AMBIGUOUS, 0.5, first=n, nearest=photos[n:]) for n in range(6)]
    made = store_job(shop.door.client, [f"unsure {n}.jpg" for n in range(6)], outcomes)
    yield made
    store = shop.door.client.store
    for key in list(store.list(layout.reviews("default", ""))):
        store.remove(key)


def say(person: Visitor, shown: Answer, said: str) -> Answer:
    return sent(person, "/review", **hidden(shown), said=said)


def photo_of(shown: Answer) -> str:
    return hidden(shown)["sha256"]


def verdicts(shop: Serving) -> dict[str, tuple[Kind, str]]:
    found = ReviewDesk(shop.door.client, "default").reviewed()
    return {sha256: (review.verdict.kind, review.verdict.product) for sha256, review in found.photos.items()}


def test_what_a_person_says_is_kept_and_the_next_photo_shown(shop: Serving, unsure: Job, ann: Visitor) -> None:
    person, address = ann, f"/review?job={unsure.id}"
    seen: dict[str, str] = {}
    for said in ("right", "other:p7", "not_listed", "bad_photo"):
        shown = person.get(address)
        seen[photo_of(shown)] = said
        answer = say(person, shown, said)
        assert (answer.status, answer.headers["Location"]) == (303, f"/review?catalog=default&job={unsure.id}")
    assert len(seen) == 4
    kept = verdicts(shop)
    assert {kind for kind, _ in kept.values()} == {Kind.RIGHT, Kind.OTHER, Kind.ABSENT, Kind.BAD}
    assert next(product for kind, product in kept.values() if kind is Kind.OTHER) == "p7"
    assert "2 wait" in text(person.get(address))


def test_a_form_that_is_sent_twice_is_one_verdict(shop: Serving, unsure: Job, ann: Visitor) -> None:
    person = ann
    shown = person.get(f"/review?job={unsure.id}")
    assert [say(person, shown, "right").status for _ in range(2)] == [303, 303]
    exported = person.get("/review/verdicts.jsonl?catalog=default").data.decode().splitlines()
    assert len(exported) == 1
    assert '"verdict": "right"' in exported[0]
    assert len(list(csv.DictReader(io.StringIO(person.get("/review/verdicts.csv").data.decode("utf-8-sig"))))) == 1


def test_a_form_that_the_browser_went_back_to_says_something_else_and_that_counts(
    shop: Serving, unsure: Job, ann: Visitor
) -> None:
    shown = ann.get(f"/review?job={unsure.id}")
    said = ("not_listed", "bad_photo", "bad_photo")
    assert [say(ann, shown, one).status for one in said] == [303] * 3
    assert verdicts(shop) == {photo_of(shown): (Kind.BAD, "")}
    last = re.search(r'name="verdict" value="(\w+)"', ann.get("/review").data.decode())
    assert last
    sent(ann, "/review/undo", catalog="default", verdict=last[1])
    say(ann, shown, "not_listed")  # which was taken back, or replaced, before
    assert verdicts(shop) == {photo_of(shown): (Kind.ABSENT, "")}


def test_a_verdict_that_nobody_took_is_told_at_the_door(shop: Serving, unsure: Job, ann: Visitor) -> None:
    form = {**hidden(ann.get(f"/review?job={unsure.id}")), "said": "right"}
    led = sent(replace(ann, headers={"X-CSRF-Token": "0" * 64, "Cookie": "packsight_session=ended"}), "/review", **form)
    back = f"%2Freview%3Fcatalog%3Ddefault%26job%3D{unsure.id}"
    assert (led.status, led.headers["Location"]) == (303, f"/sign-in?next={back}&lost=yes")
    assert "what you sent last was not kept" in text(shop.stranger.get(led.headers["Location"]))
    assert verdicts(shop) == {}


def test_a_job_that_is_deleted_meanwhile_ends_no_review(
    shop: Serving, unsure: Job, ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ann.get(f"/review?job={unsure.id}")
    monkeypatch.setattr("packsight.producer.http.manifests._KNOWN_SECONDS", -1.0)
    shop.door.client.jobs.remove(unsure.id)
    led = say(ann, shown, "right")
    assert (led.status, led.headers["Location"]) == (303, "/review?catalog=default&gone=yes")
    assert "deleted meanwhile, so nothing was kept" in text(ann.get(led.headers["Location"]))


def test_a_candidate_that_left_the_catalog_cannot_be_chosen(
    shop: Serving, unsure: Job, ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choices() -> list[str]:
        shown = ann.get(f"/review?job={unsure.id}").data.decode()
        return re.findall(r'<button name="said" value="(?:right|other:\w+)"([^>]*)>', shown)

    assert all("disabled" not in one and "data-key" in one for one in choices()[:3])
    monkeypatch.setattr(Products, "__contains__", lambda *_: False)
    first, *others = choices()[:3]
    assert "disabled" not in first
    assert [("disabled" in one, "data-key" in one) for one in others] == [(True, False)] * 2


def test_a_skipped_photo_comes_no_more_until_it_is_asked_for(shop: Serving, unsure: Job, ann: Visitor) -> None:
    person, address = ann, f"/review?job={unsure.id}"
    seen = set()
    for _ in range(6):
        shown = person.get(address)
        seen.add(photo_of(shown))
        say(person, shown, "skip")
    assert len(seen) == 6
    assert "Only skipped ones are left" in text(person.get(address))
    assert sent(person, "/review/again", catalog="default", job=unsure.id).status == 303
    assert photo_of(person.get(address)) in seen
    assert verdicts(shop) == {}


def test_whoever_comes_upon_a_wrong_answer_says_so_where_they_see_it(shop: Serving, ann: Visitor, unsure: Job) -> None:
    made = store_job(shop.door.client, ["sure.jpg"], [outcome(2000, Status.MATCHED, 0.999)])
    photo = ann.get(f"/jobs/{made.id}/photos/0").data.decode()
    there = re.search(r'href="(/review[^"]+)">Say what it shows', photo)
    assert there
    shown = ann.get(unescape(there[1]))
    assert "The answer is unsure" not in text(shown)
    say(ann, shown, "other:p1")
    (said,) = ReviewDesk(shop.door.client, "default").store.all()
    assert (said.name, said.product, said.offered) == ("sure.jpg", "p1", Offered.CHOSEN)
    again = ann.get(unescape(there[1]))
    assert "This was said before: ann says: it is" in text(again)
    say(ann, again, "right")
    assert verdicts(shop) == {said.sha256: (Kind.RIGHT, "p0")}
    found = ann.get(f"{unescape(there[1])}&q=scrub").data.decode()
    assert 'name="photo" value="0"' in found and "found:p7" in found
    assert "Say what it shows" not in text(shop.person("jobs-alone", Right.JOBS).get(f"/jobs/{made.id}/photos/0"))


def test_what_is_drawn_by_lot_is_asked_for_in_its_turn_though_somebody_came_upon_it(
    shop: Serving, ann: Visitor, unsure: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packsight.producer.reviews.inbox.is_drawn", lambda *_: True)
    made = store_job(shop.door.client, ["drawn.jpg"], [outcome(2001, Status.MATCHED, 0.999)])
    desk = ReviewDesk(shop.door.client, "default")
    say(ann, ann.get(f"/review?catalog=default&job={made.id}&photo=0"), "other:p1")
    assert desk.figure().wrong.n == 0
    asked = ann.get(f"/review?job={made.id}")
    assert "1 wait" in text(asked) and "Drawn by lot" in text(asked) and "This was said before: ann says" in text(asked)
    say(ann, asked, "other:p1")
    assert (desk.figure().wrong.k, desk.figure().wrong.n) == (1, 1)
    assert "0 wait" in text(ann.get(f"/review?job={made.id}"))


def test_the_last_verdict_is_taken_back(shop: Serving, unsure: Job, ann: Visitor) -> None:
    person, address = ann, f"/review?job={unsure.id}"
    shown = person.get(address)
    say(person, shown, "bad_photo")
    last = re.search(r'name="verdict" value="(\w+)"', person.get(address).data.decode())
    assert last
    undone = sent(person, "/review/undo", catalog="default", job=unsure.id, verdict=last[1])
    assert (undone.status, undone.headers["Location"]) == (303, f"/review?catalog=default&job={unsure.id}&taken={last[1]}")
    assert re.search(r"Taken back: unsure \d\.jpg, bad photo", text(person.get(undone.headers["Location"])))
    assert verdicts(shop) == {}
    assert "6 wait" in text(person.get(address))
    again = sent(person, "/review/undo", catalog="default", job=unsure.id, verdict=last[1])
    assert (again.status, again.headers["Location"]) == (303, address.replace("?", "?catalog=default&")), "from another tab"


def test_two_people_see_two_photos_and_what_one_decided_is_not_asked_again(shop: Serving, unsure: Job, ann: Visitor) -> None:
    ben, address = shop.person("ben", Right.REVIEW), f"/review?job={unsure.id}"
    first = ann.get(address)
    second = ben.get(address)
    assert photo_of(first) != photo_of(second)
    assert "1 with others now" in text(second)
    say(ann, first, "right")
    say(ben, second, "right")
    later = {photo_of(person.get(address)) for person in (ann, ben)}
    assert later.isdisjoint({photo_of(first), photo_of(second)})


def test_people_who_disagree_are_told_and_asked_until_one_has_seen_both(shop: Serving, unsure: Job, ann: Visitor) -> None:
    ben, address = shop.person("ben"), f"/review?job={unsure.id}"
    shown = ann.get(address)
    form = hidden(shown)
    say(ann, shown, "bad_photo")
    told = sent(ben, "/review", **{**form, "id": "b" * 32}, said="right")  # had it before him all the while
    again = ben.get(told.headers["Location"])
    assert "ann said at the same time: bad photo" in text(again)
    assert re.search(r"Undo: unsure \d\.jpg, it is [A-Z]\w+ [A-Z]", text(again))
    assert "ben says: it is" in text(again)
    assert "People disagree" in text(again)
    assert photo_of(again) == form["sha256"]
    say(ben, again, "bad_photo")
    assert "People disagree" not in text(ben.get(address))
    assert verdicts(shop)[form["sha256"]] == (Kind.BAD, "")


def test_a_form_that_comes_again_after_somebody_elses_verdict_changes_nothing(shop: Serving, unsure: Job, ann: Visitor) -> None:
    ben, shown = shop.person("ben"), ann.get(f"/review?job={unsure.id}")
    say(ann, shown, "not_listed")
    desk = ReviewDesk(shop.door.client, "default")
    about = desk.reviewed().photos[photo_of(shown)].verdict
    desk.give(desk.row(about.job, about.index), Kind.BAD, by="ben", after=about.id)
    say(ann, shown, "not_listed")  # her browser tries again
    assert len(ben.get("/review/verdicts.jsonl?catalog=default").data.splitlines()) == 2
    assert verdicts(shop) == {photo_of(shown): (Kind.BAD, "")}


def test_an_address_without_a_page_is_told_as_a_page_and_to_programs_as_ever(shop: Serving, ann: Visitor) -> None:
    for path, status in (("/jobs/of/nobody", 404), ("/ask", 405)):
        browser = ann.with_headers(Accept="text/html,*/*;q=0.8")
        shows = browser.get(path)
        assert shows.status == status and f"There is no page at {path}" in text(shows)
        assert 'href="/review"' in shows.data.decode(), "no dead end"
        assert ann.get(path).json["failure"]["remedy"].startswith("See /openapi.json")
    assert browser.get("/v1/nothing").json["failure"]["code"] == "object_missing"


def test_a_photo_that_workers_would_not_take_is_refused_before_it_is_kept(shop: Serving, ann: Visitor) -> None:
    limit = shop.door.settings.fetch.max_bytes
    for content, told in ((b"", "no content"), (bytes(limit + 1), f"more than {limit}")):
        form = {"csrf": ann.headers["X-CSRF-Token"], "catalog": "default", "photo": ("scan.tif", content)}
        assert told in text(ann.post("/ask", fields=form))


def test_another_product_is_found_by_words_of_the_catalog(shop: Serving, unsure: Job, ann: Visitor) -> None:
    person = ann
    shown = person.get(f"/review?job={unsure.id}&q=night+cream")
    assert re.findall(r'form="verdict" name="said" value="([^"]+)"', shown.data.decode()) == ["found:p0"]
    assert say(person, shown, "found:nothing").status == 400
    assert say(person, shown, "undone").status == 400


def test_products_are_searched_and_shown_with_their_photos(shop: Serving, ann: Visitor) -> None:
    person = ann
    assert "Hastira Body Scrub" in text(person.get("/products?q=scrub"))
    shows = person.get("/product?id=p7")
    assert ("Hastira Body Scrub" in text(shows), shows.data.count(b'<img class="stock"')) == (True, 2)
    assert "Another view: it has 2 photos" in text(shows)
    assert person.get("/product?id=nothing").status == 400


def test_what_wants_looking_at_is_listed_and_downloaded(shop: Serving, ann: Visitor) -> None:
    client = shop.door.client
    current = next(key.split("/")[3] for key in client.store.list(layout.versions("default")))
    rows = [{"list": "one_photo", "id": "p3", "name": HOSTILE}, {"list": "twins", "id": "p1", "name": "=1+1", "like": "p2"}]
    data = gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    client.store.write(layout.reports("default", current, LISTS), data)
    try:
        shows = text(ann.get("/products"))
        assert "1 Products with a single photo" in shows
        listed = ann.get("/products/lists/one_photo")
        assert HOSTILE in text(listed)
        assert "<script>alert" not in listed.data.decode()
        table = list(csv.DictReader(io.StringIO(ann.get("/products/lists/twins/csv").data.decode("utf-8-sig"))))
        assert [(row["id"], row["name"], row["like"]) for row in table] == [("p1", "'=1+1", "p2")]
        assert "Products with a single photo" in text(ann.get("/product?id=p3"))
        assert ann.get("/products/lists/nothing").status == 400
    finally:
        client.store.remove(layout.reports("default", current, LISTS))


def test_an_index_is_no_place_for_another_jobs_photos(shop: Serving, job: Job, ann: Visitor) -> None:
    person = ann
    for path in (f"/jobs/{job.id}/photos/60", f"/jobs/{job.id}/photos/-1", "/jobs/nothing", "/jobs/..%2Fx"):
        assert person.get(path).status in {400, 404}


