"""Who comes in by the HTTP door, and how others are refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.testbed import Servers
from packsight.producer.http import connections, health, photos
from packsight.producer.http.figures import NOTED
from packsight.producer.http.recognise import Options
from packsight.producer.http.rights import Right
from packsight.producer.http.sessions import COOKIE, CSRF_HEADER
from packsight.shared.metrics.exporter import Figures
from packsight.shared.settings import Http, Settings
from tests.door import PASSWORD, Answer, Serving, Visitor, serving


@pytest.fixture(scope="module")
def open_door(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(servers.settings(tmp_path_factory.mktemp("door"), "packsight", http=Http(sign_ins_per_minute=1000))) as running:
        running.door.client.store.ensure_bucket()
        yield running


def test_it_says_that_it_lives_and_that_it_is_ready(open_door: Serving) -> None:
    assert open_door.stranger.get("/healthz").json == {"status": "ok"}
    ready = open_door.stranger.get("/readyz")
    assert (ready.status, ready.json) == (200, {"ready": True, "queue": True, "store": True})


def test_without_broker_and_store_it_lives_and_is_not_ready(live_settings: Settings) -> None:
    queue, store = free_ports(2)
    away = live_settings.model_copy(
        update={
            "result_url": type(live_settings.result_url)(f"redis://127.0.0.1:{queue}/1"),
            "s3": live_settings.s3.model_copy(update={"endpoint": f"127.0.0.1:{store}"}),
        }
    )
    with serving(away) as running:
        assert running.stranger.get("/healthz").status == 200
        assert running.stranger.ask("HEAD", "/healthz").status == 200
        ready = running.stranger.get("/readyz")
        assert (ready.status, ready.json) == (503, {"ready": False, "queue": False, "store": False})
        assert int(ready.headers["Retry-After"]) > 0


def test_who_is_turned_away_leaves_a_line_without_any_secret(open_door: Serving, caplog: pytest.LogCaptureFixture) -> None:
    shop, ann = open_door.client("shop"), open_door.person("ann")
    caplog.clear()
    open_door.stranger.with_headers(Authorization="Bearer packsight_guessed").get("/v1/jobs?token=5ec2e7")
    assert shop.get("/v1/webhooks/failed").status == 200
    assert open_door.client("blind", Right.RECOGNISE).get("/v1/jobs?name=5ec2e7").status == 403
    for name in ("ann", "5ec2e7"):
        assert open_door.stranger.post("/v1/session", json={"name": name, "password": "a wrong 5ec2e7"}).status == 401
    assert ann.get("/v1/session").status == 200
    lines = [vars(one) for one in caplog.records if getattr(one, "action", "") == "turned_away"]
    assert [(one["status"], one["method"], one["path"], one.get("who")) for one in lines] == [
        (401, "GET", "/v1/jobs", None),
        (403, "GET", "/v1/jobs", "client blind"),
        (401, "POST", "/v1/session", "person ann"),
        (401, "POST", "/v1/session", None),
    ]
    assert {one["client"] for one in lines} == {"127.0.0.1"}
    assert "5ec2e7" not in str(lines)


def test_however_many_ask_whether_it_is_ready_it_asks_the_queue_once_at_a_time(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_SECONDS", 3600.0)
    with serving(live_settings) as running, ThreadPoolExecutor(60) as pool:
        active, gate = running.door.client.ledger.jobs.active, threading.Event()
        asked: list[None] = []

        def slowly() -> list[str]:
            asked.append(None)
            assert gate.wait(30)
            return active()

        monkeypatch.setattr(running.door.client.ledger.jobs, "active", slowly)
        monkeypatch.setattr(running.door.client.store, "answers", lambda: True)
        found = [pool.submit(running.stranger.get, "/readyz") for _ in range(60)]
        while not asked:
            time.sleep(0.01)
        assert running.stranger.get("/healthz").status == 200
        gate.set()
        assert {one.result().status for one in found} == {200}
        assert len(asked) == 1
        monkeypatch.setattr(health, "_SECONDS", 0.0)
        assert running.stranger.get("/readyz").status == 200
        assert len(asked) == 2


def test_nobody_comes_in_without_a_key_or_with_a_wrong_one(open_door: Serving) -> None:
    open_door.client()
    for visitor in (
        open_door.stranger,
        open_door.stranger.with_headers(Authorization="Bearer packsight_wrong"),
        open_door.stranger.with_headers(Authorization="Basic c2hvcDpzaG9w"),
        open_door.stranger.with_headers(Cookie="packsight_session=WyJhbm4iXQ.aaaa.bbbb"),
    ):
        refused = visitor.get("/v1/session")
        assert (refused.status, refused.code) == (401, "access_denied")
        assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_keys_of_the_servers_behind_it_open_nothing(open_door: Serving, servers: Servers) -> None:
    secrets = {*servers.passwords.values(), *servers.keys.every()}
    assert len(secrets) > 2 * len(Role)
    for secret in secrets:
        for way in (f"Bearer {secret}", f"Bearer packsight_{secret}"):
            assert open_door.stranger.with_headers(Authorization=way).get("/v1/jobs").status == 401
        assert open_door.stranger.post("/v1/session", json={"name": "packsight", "password": secret}).status == 401


def test_a_key_opens_what_its_right_is_for_and_nothing_else(open_door: Serving) -> None:
    known = {right: open_door.client(f"only-{right}", right) for right in (Right.RECOGNISE, Right.JOBS, Right.REVIEW)}
    rights = dict.fromkeys(("/v1/recognize", "/image"), Right.RECOGNISE)
    paths = open_door.stranger.get("/openapi.json").json["paths"]
    doors = [(method, path) for path, methods in paths.items() for method, told in methods.items() if told.get("security")]
    doors = [(method, path) for method, path in doors if not path.startswith("/v1/session")]
    assert len(doors) > 12
    for method, path in doors:
        needed = rights.get(path, Right.REVIEW if path.startswith("/v1/reviews") else Right.JOBS)
        for right, visitor in known.items():
            refused = visitor.ask(method.upper(), path.replace("{job}", "of-nobody")).status in {401, 403}
            assert refused is (right is not needed), (method, path, right)


def test_a_key_is_known_as_long_as_it_is_not_taken_away(open_door: Serving) -> None:
    visitor = open_door.client("shop", Right.RECOGNISE, catalogs={"shoes"})
    expected = {"name": "shop", "kind": "client", "rights": ["recognise"], "catalogs": ["shoes"], "csrf": None}
    assert visitor.get("/v1/session").json == expected
    again = open_door.client("shop")
    assert visitor.get("/v1/session").status == 401
    assert again.get("/v1/session").status == 200


def test_a_person_signs_in_and_out(open_door: Serving) -> None:
    person = open_door.person("ann")
    who = person.get("/v1/session").json
    assert (who["name"], who["kind"], who["rights"]) == ("ann", "person", ["admin", "jobs", "recognise", "review"])
    gone = person.ask("DELETE", "/v1/session")
    assert gone.status == 204
    assert 'packsight_session=""' in gone.headers["Set-Cookie"]


def test_the_cookie_is_for_no_script_and_no_other_site(open_door: Serving) -> None:
    open_door.person("ann")
    answer = open_door.stranger.post("/v1/session", json={"name": "ann", "password": PASSWORD})
    attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes


def test_wrong_passwords_are_refused_and_guessing_soon_ends(live_settings: Settings) -> None:
    limited = live_settings.model_copy(update={"http": Http(sign_ins_per_minute=5)})
    with serving(limited) as running:
        running.person("ann")
        wrong = [running.stranger.post("/v1/session", json={"name": name, "password": "x"}) for name in ("ann", "bob")]
        assert [(answer.status, answer.code) for answer in wrong] == [(401, "access_denied")] * 2
        refused = first_refused(lambda: running.stranger.post("/v1/session", json={"name": "ann", "password": "x"}), 401)
        assert refused.code == "too_many_requests"
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json["failure"]["retry_after"] >= 1


def first_refused(ask: Callable[[], Answer], usual: int) -> Answer:
    """The first answer with 429: an allowance comes back with time, so on a slow machine it may take more."""
    while (answer := ask()).status == usual:
        pass
    assert answer.status == 429
    return answer


def test_a_session_ends_with_its_password_and_its_person(open_door: Serving) -> None:
    first = open_door.person("ann")
    second = open_door.person("ann")  # of another hash, so of another password as far as the session can tell
    assert (first.get("/v1/session").status, second.get("/v1/session").status) == (401, 200)


def test_what_changes_something_needs_the_word_that_another_site_cannot_know(open_door: Serving) -> None:
    person = open_door.person("ann")
    for word in ("", "0" * 64, open_door.person("bob").headers["X-CSRF-Token"]):
        forged = person.with_headers(X_CSRF_Token=word).ask("DELETE", "/v1/session")
        assert (forged.status, forged.code) == (403, "access_denied")
    assert person.with_headers(X_CSRF_Token="").get("/v1/session").status == 200


def test_a_form_of_another_site_signs_nobody_in(open_door: Serving) -> None:
    open_door.person("ann")
    answer = open_door.stranger.post("/v1/session", fields={"name": "ann", "password": PASSWORD}, encode_multipart=False)
    assert (answer.status, answer.code) == (400, "bad_message")


def test_whoever_asks_too_often_is_told_when_to_ask_again(live_settings: Settings) -> None:
    with serving(live_settings.model_copy(update={"http": Http(requests_per_minute=3)})) as running:
        busy, other = running.client("busy"), running.client("other")
        assert first_refused(lambda: busy.get("/v1/session"), 200).code == "too_many_requests"
        assert other.get("/v1/session").status == 200


def test_a_request_that_is_too_large_is_refused_before_it_has_come(live_settings: Settings) -> None:
    with serving(live_settings.model_copy(update={"http": Http(max_body=1000)})) as running:
        announced = running.stranger.post("/v1/session", json={"name": "x" * 2000, "password": ""})
        unannounced = running.stranger.post(
            "/v1/session", body=(b"x" * 100 for _ in range(20)), headers={"Content-Type": "application/json"}
        )
        assert {(answer.status, answer.code) for answer in (announced, unannounced)} == {(413, "file_too_large")}
        # What is only announced is not waited for.
        host, _, port = running.stranger.base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")
            assert b"413" in connection.recv(100)


_JSON, _FORM = (b"application/json", b"{"), (b"multipart/form-data; boundary=B", b"--B\r\n")


def _begun(path: str, kind: tuple[bytes, bytes], visitor: Visitor) -> bytes:
    """A request whose body has begun, and no more."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in visitor.headers.items())
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Type: %b\r\nContent-Length: 50\r\n\r\n%b" % (
        path.encode(), headers.encode(), *kind
    )  # fmt: skip


def test_a_body_that_does_not_come_is_waited_for_so_long_and_no_longer_wherever_it_is_sent(live_settings: Settings) -> None:
    with serving(live_settings.model_copy(update={"http": Http(body_seconds=0.3)})) as running:
        client, stranger, person = running.client(), running.stranger, running.person()
        sent = [_begun(f"/v1/{path}", _JSON, client) for path in ("uploads", "jobs", "recognize", "uploads/photo")]
        sent += [_begun("/v1/session", _JSON, stranger), _begun("/review", _FORM, stranger), _begun("/ask", _FORM, person)]
        for request in sent:
            with _connected(running) as connection:
                connection.sendall(request)
                told = _all_of(connection)
            assert told.startswith(b"HTTP/1.1 408"), request
            assert b"fetch_timeout" in told and b"PACKSIGHT_HTTP__BODY_SECONDS" in told


def test_whoever_breaks_off_a_request_is_no_failure_of_ours(live_settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    figures = Figures(NOTED)
    with serving(live_settings, figures) as running:
        client = running.client()
        for path in ("recognize", "jobs", "uploads/photo", "uploads"):
            with _connected(running) as connection:
                connection.sendall(_begun(f"/v1/{path}", _JSON, client))
        deadline = time.monotonic() + 30
        while (told := figures.page()[0].decode()).count("packsight_http_requests_total{") < 4:
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
    assert 'status="5' not in told and told.count('status="400"') == 4
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


def test_a_connection_on_which_no_request_comes_is_closed_and_one_that_waits_for_its_answer_is_not(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_SECONDS", 0.2)
    asked = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    refused = b"POST /v1/recognize HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n"
    with serving(live_settings) as running:
        for begins, answer in ((b"", b""), (asked[:20], b""), (asked, b"HTTP/1.1 200"), (refused, b"HTTP/1.1 401")):
            with _connected(running) as connection:
                connection.sendall(begins)
                assert _all_of(connection).startswith(answer)
        client = running.client()
        job = client.post("/v1/jobs", json={"photos": ["s3://a/b.jpg"]}).json["id"]
        with _connected(running) as connection:
            key = client.headers["Authorization"]
            connection.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode())
            time.sleep(1)
            assert client.post(f"/v1/jobs/{job}/cancel").json["state"] == "cancelled"
            told = b""
            while b"event: ended" not in told and (more := connection.recv(65536)):
                told += more
            assert b"event: ended" in told


def test_what_else_a_client_would_speak_is_passed_over(open_door: Serving, caplog: pytest.LogCaptureFixture) -> None:
    for other in ("h2c", "websocket"):
        offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": other, "HTTP2-Settings": "AAEAAEAAAAIAAAAB"}
        assert open_door.stranger.get("/healthz", headers=offer).status == 200
    assert not caplog.records


def _connected(running: Serving) -> socket.socket:
    host, _, port = running.stranger.base.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def _all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_only_who_is_known_sends_much(open_door: Serving) -> None:
    body, as_json = b"x" * 200_000, {"Content-Type": "application/json"}
    assert open_door.stranger.post("/v1/session", body=body, headers=as_json).status == 413
    assert open_door.client("r", Right.RECOGNISE).post("/v1/uploads", body=body, headers=as_json).status == 413
    assert open_door.stranger.post("/v1/recognize", body=body).status == 401
    assert open_door.stranger.post("/v1/jobs", body=body).status == 401


@pytest.mark.parametrize("packing", ["gzip", "BR", "identity, deflate"])
def test_a_body_that_is_packed_is_refused_wherever_it_is_sent(open_door: Serving, packing: str) -> None:
    client = open_door.client()
    before, body = client.get("/v1/jobs").json["jobs"], gzip.compress(b"s3://a/b\ns3://a/c\n")
    kinds = {"jobs": "text/plain", "recognize": "image/jpeg", "uploads/photo": "image/jpeg", "uploads": "application/json"}
    for path, kind in kinds.items():
        refused = client.post(f"/v1/{path}", body=body, headers={"Content-Type": kind, "Content-Encoding": packing})
        assert (refused.status, refused.code) == (415, "format_unsupported")
        assert f"Content-Encoding is {packing}" in refused.json["reason"]
        assert "unpacked" in refused.json["failure"]["remedy"]
    assert client.get("/v1/jobs").json["jobs"] == before
    plain = client.post("/v1/uploads/photo", body=body, headers={"Content-Encoding": "identity"})
    assert (plain.status, plain.json["sha256"]) == (201, hashlib.sha256(body).hexdigest()), "what a photo is, workers find out"


def test_schemas_are_at_an_address(open_door: Serving) -> None:
    names = open_door.stranger.get("/v1/schemas").json
    shipped = Path(__file__).parents[2] / "docs/schemas"
    assert {f"{name}.json": open_door.stranger.get(address).json for name, address in names.items()} == {
        file.name: json.loads(file.read_text(encoding="utf-8")) for file in shipped.iterdir()
    }
    assert open_door.stranger.get("/v1/schemas/nothing").code == "object_missing"


def test_what_is_not_there_and_what_it_does_not_know_is_refused_in_one_form(open_door: Serving) -> None:
    missing = open_door.stranger.get("/v1/nothing")
    assert (missing.status, missing.code) == (404, "object_missing")
    method = open_door.stranger.ask("PUT", "/v1/session")
    assert (method.status, method.code) == (405, "bad_message")
    assert open_door.stranger.ask("HEAD", "/v1/recognize").status == 405
    for path, methods in (("/v1/jobs", "GET, HEAD, POST"), ("/v1/jobs/x", "GET, HEAD, DELETE"), ("/v1/recognize", "POST")):
        assert open_door.stranger.ask("PUT", path).headers["Allow"] == methods
    slash = open_door.client().post("/v1/jobs/", json={"photos": ["s3://a/b"]})
    assert (slash.status, slash.code) == (404, "object_missing")
    wrong = open_door.stranger.post("/v1/session", json={"name": 1, "pass": ""})
    assert (wrong.status, wrong.code) == (400, "bad_message")
    assert "body.name" in wrong.json["reason"]


def test_what_an_address_does_not_know_is_refused_and_not_passed_over(open_door: Serving) -> None:
    client = open_door.client()
    for method, path in (
        ("GET", "/v1/jobs?catalogue=shoes"), ("GET", "/v1/jobs/x/results?limt=7"), ("GET", "/v1/jobs/x?y"),
        ("HEAD", "/v1/jobs?limt=7"), ("GET", "/v1/webhooks/failed?job=x"), ("GET", "/v1/jobs/x/events?follow=1"),
        ("POST", "/v1/jobs/x/retry?codes=internal"), ("DELETE", "/v1/jobs/x?force=1"),
        ("GET", "/v1/jobs/x/results.jsonl?folow=true"), ("POST", "/v1/uploads?count=3"), ("POST", "/v1/jobs?nme=monday"),
    ):  # fmt: skip
        refused = client.ask(method, path)
        assert refused.status == 400, (method, path)
        assert method == "HEAD" or refused.code == "bad_message"
    told = client.get("/v1/jobs?catalogue=x&limit=3").json["reason"]
    assert told == "This address knows no parameter catalogue; it knows limit, cursor"
    assert open_door.stranger.get("/healthz?from=balancer").status == 200


def test_what_is_read_can_be_asked_for_without_its_body(open_door: Serving) -> None:
    client = open_door.client()
    job = client.post("/v1/jobs", json={"photos": ["s3://a/b"]}).json["id"]
    # Of the last two the bodies would not end: no worker is there.
    streams = (f"/v1/jobs/{job}/events", f"/v1/jobs/{job}/results.jsonl?follow=true")
    for path in ("/healthz", "/v1/session", "/v1/jobs", f"/v1/jobs/{job}", f"/v1/jobs/{job}/results", "/openapi.json", *streams):
        answer = client.ask("HEAD", path)
        assert (answer.status, answer.data) == (200, b""), path
        assert answer.headers["Content-Type"]
        assert path in streams or int(answer.headers["Content-Length"]) == len(client.get(path).data)
    assert client.ask("HEAD", "/v1/jobs/nothing").status == 404
    assert open_door.stranger.ask("HEAD", "/v1/jobs").status == 401
    while open_door.door.large.taken:
        time.sleep(0.01)


def test_browsers_are_told_to_load_nothing_from_other_hosts(open_door: Serving) -> None:
    for path in ("/healthz", "/v1/nothing"):
        headers = open_door.stranger.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_description_names_every_address_and_no_page_needs_another_host(open_door: Serving) -> None:
    described = open_door.stranger.get("/openapi.json").json
    assert "/v1/session" in described["paths"]
    assert open_door.stranger.get("/docs").status == 404


def references(value: Any) -> Iterator[str]:
    """Where a description leads."""
    if isinstance(value, dict):
        yield from (said for name, said in value.items() if name == "$ref")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(one)


def test_the_description_leads_nowhere_but_into_itself_and_says_what_needs_a_key(open_door: Serving) -> None:
    described = open_door.stranger.get("/openapi.json").json
    schemas = described["components"]["schemas"]
    assert {f"#/components/schemas/{name}" for name in schemas} >= set(references(described))
    assert "#/components/schemas/JobRequest" in set(references(described))
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    cookie = described["components"]["securitySchemes"]["session"]
    assert (cookie["in"], cookie["name"]) == ("cookie", COOKIE) and CSRF_HEADER in cookie["description"]
    for path, methods in described["paths"].items():
        for method, said in methods.items():
            refused = open_door.stranger.ask(method.upper(), path).status == 401
            assert refused == (said.get("security") == [{"key": []}, {"session": []}]), (method, path)
    for path, kinds in (("/v1/recognize", ("multipart/form-data", "application/json")), ("/image", ("multipart/form-data",))):
        content = described["paths"][path]["post"]["requestBody"]["content"]
        assert all(content[kind]["schema"]["properties"].keys() > Options.model_fields.keys() for kind in kinds)
    asked = described["paths"]["/v1/recognize"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked["oneOf"] == [{"required": ["url"]}, {"required": ["base64"]}]
    sent = described["paths"]["/v1/uploads/photo"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert sent["required"] == ["image"]
    assert described["paths"]["/v1/uploads/photo"]["post"]["requestBody"]["content"].keys() == set(photos.FORMS)
