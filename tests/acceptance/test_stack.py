"""The local stack as a user meets it: real processes, real signals, real networks, one slow start for all tests."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from bench.barcode_print import Code, Kind
from packsight.deploy.stack.credentials import Credentials, Role
from packsight.deploy.stack.stopping import still_alive
from packsight.deploy.testbed import serving
from packsight.shared.contract.errors import SOME_FAILED
from packsight.shared.storage.objects import ObjectStore
from tests.acceptance.local_stack import PRODUCTS, Stack, query
from tests.acceptance.stack import wait_until
from tests.labels import labelled

pytestmark = [pytest.mark.whole_stack, pytest.mark.timeout(900)]


def test_up_returns_when_every_part_is_up_and_every_child_has_its_networks(stack: Stack) -> None:
    seen = stack.status()
    expected = {"valkey", "seaweedfs", "worker", "indexer", "flower", "http", "supervisor"}
    assert {part["name"] for part in seen["parts"] if part["up"]} == expected
    assert {process["node"].partition("@")[0]: process["ready"] for process in seen["processes"]} == {
        "recognizer": True,
        "indexer": True,
    }
    assert seen["children"]
    assert all(child["embedder"] and child["spotter"] for child in seen["children"])
    assert seen["errors"] == []


def test_secrets_can_be_read_by_their_owner_alone(stack: Stack) -> None:
    home = stack.folder / ".packsight"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("stack.env", "worker.env", "producer.env", "stack.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    passwords = Credentials.model_validate(stack.state["credentials"]).every()
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        assert not any(password in line for password in passwords)
    for log in (home / "logs").iterdir():
        assert not any(password in log.read_text(errors="replace") for password in passwords)


def test_every_port_is_on_loopback(stack: Stack) -> None:
    listening = []
    for pid in stack.pids().values():
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            listening += [c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_the_broker_wants_a_password(stack: Stack) -> None:
    port = stack.state["ports"]["valkey"]
    with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_second_up_is_refused_and_says_how_to_stop(stack: Stack) -> None:
    before = stack.pids()
    refused = stack.run("up", code=2)
    assert "packsight down" in refused.stderr
    assert stack.pids() == before


def flower(stack: Stack, path: str, password: str = "") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{stack.state['ports']['flower']}{path}")
    if password:
        token = base64.b64encode(f"packsight:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_flower_asks_for_the_password(stack: Stack) -> None:
    password = stack.state["credentials"]["flower"]
    for path in ("/", "/api/workers", "/metrics", "/healthcheck", "/broker"):
        assert flower(stack, path) == 401
        assert flower(stack, path, "wrong") == 401
        assert flower(stack, path, password) == 200


def test_each_process_is_given_the_keys_of_its_role_alone(stack: Stack) -> None:
    credentials = Credentials.model_validate(stack.state["credentials"])
    for name, pid in stack.pids().items():
        own = {
            "worker": {credentials.roles[Role.WORKER].broker},
            "indexer": {credentials.roles[Role.INDEXER].broker},
            "flower": {credentials.roles[Role.FLOWER].broker, credentials.flower},
            "http": {credentials.roles[Role.HTTP].broker},
        }.get(name, set())
        given = set(" ".join(psutil.Process(pid).environ().values()).replace(":", " ").replace("@", " ").split())
        passwords = {keys.broker for keys in credentials.roles.values()} | {credentials.flower, credentials.page}
        assert given & passwords == own, name


def test_doctor_finds_nothing_wrong_and_names_what_is_in_use(stack: Stack) -> None:
    findings = json.loads(stack.run("doctor", "--json").stdout)
    assert {"packages", "broker", "storage", "workers"} <= {finding["subject"] for finding in findings}
    assert all(finding["level"] != "wrong" for finding in findings)


def test_a_published_catalog_answers_a_job(answers: list[dict[str, Any]]) -> None:
    by_name = {Path(row["name"]).stem: row for row in answers}
    assert set(by_name) == {item.id for item in PRODUCTS} | {"broken"}
    assert by_name["broken"]["failure"]["code"] == "format_unsupported"
    right = [item.id for item in PRODUCTS if by_name[item.id]["candidates"][0]["product"]["id"] == item.id]
    assert right == [item.id for item in PRODUCTS]


def test_failed_photos_of_a_job_are_asked_about_again(stack: Stack, answers: list[dict[str, Any]]) -> None:
    job = str(answers[0]["job"])
    (broken,) = [row for row in answers if row["status"] == "failed"]
    stack.run("jobs", "retry", job, "--code", broken["failure"]["code"])
    wait_until(lambda: stack.ended(job) == len(answers), "all outcomes again")
    again = [json.loads(line) for line in stack.run("results", job, "--out", "-", code=SOME_FAILED).stdout.splitlines()]
    assert [(row["name"], row["status"]) for row in again] == [(row["name"], row["status"]) for row in answers]


def test_a_prefix_is_submitted_where_references_reach_and_refused_where_they_do_not(stack: Stack, answers: object) -> None:
    with closing(ObjectStore(stack.settings().s3)) as store:
        for room in ("incoming", "jobs"):
            store.write(f"{room}/shelf/1.jpg", query(PRODUCTS[0], 2))
        for room, status, code in (("incoming", "matched", None), ("jobs", "failed", "reference_refused")):
            prefix, ends = f"s3://{store.bucket}/{room}/shelf/", SOME_FAILED if code else 0
            stack.run("submit", prefix, "--wait", "--out", f"{room}.jsonl", code=ends)
            (line,) = (stack.folder / f"{room}.jsonl").read_text().splitlines()
            outcome = json.loads(line)
            assert (outcome["status"], outcome.get("failure", {}).get("code")) == (status, code)
        store.remove("jobs/shelf/1.jpg")


def test_a_barcode_of_the_feed_answers_a_photo(stack: Stack, answers: list[dict[str, Any]]) -> None:
    shown, named = PRODUCTS[1], PRODUCTS[0]
    code = Code(Kind.EAN_13, "4006381333931")
    feed = (stack.folder / "shop/feed.xml").read_text()
    place = feed.index(">", feed.index(f'<offer id="{named.id}"')) + 1
    (stack.folder / "shop/scanned.xml").write_text(f"{feed[:place]}<barcode>{code.digits}</barcode>{feed[place:]}")
    (stack.folder / "scanned.jpg").write_bytes(labelled(query(shown, 4), code))
    stack.run("catalog", "sync", "--feed", "shop/scanned.xml", "--catalog", "scanned")
    outcome = json.loads(stack.run("recognize", "scanned.jpg", "--catalog", "scanned").stdout)
    assert (outcome["status"], outcome["product"]["id"]) == ("matched", named.id)
    assert [one["evidence"]["barcode"] for one in outcome["candidates"]] == [code.digits]
    assert not {"embed", "spot"} & set(outcome["timings"])
    assert code.digits in " ".join(stack.run("explain", "scanned.jpg", "--catalog", "scanned").stdout.split())


def dom(address: str, profile: Path) -> str:
    """The page as a browser has it after running its scripts."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("needs Debian's chromium")
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--timeout=30000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.browser
def test_a_browser_shows_flower_and_the_report(stack: Stack, answers: list[dict[str, Any]], tmp_path: Path) -> None:
    password, port = stack.state["credentials"]["flower"], stack.state["ports"]["flower"]
    page = dom(f"http://packsight:{password}@127.0.0.1:{port}/tasks", tmp_path / "flower")
    assert "packsight.recognize" in page
    report = dom((stack.folder / "report.html").as_uri(), tmp_path / "report")
    assert "broken.jpg" in report
    assert all(row["candidates"][0]["product"]["name"] in report for row in answers if row["candidates"])


def of_worker(stack: Stack) -> redis.Redis:
    """The broker, with the worker's key, which may put messages into any queue."""
    password = stack.state["credentials"]["roles"][Role.WORKER]["broker"]
    return redis.Redis(port=stack.state["ports"]["valkey"], username=Role.WORKER, password=password)


def test_who_is_asked_for_health_says_that_it_is_well(stack: Stack) -> None:
    home = stack.folder / ".packsight"
    for role in ("worker", "indexer"):
        assert "is well" in stack.run("health", role, "--home", str(home)).stdout
    assert "does not run" in stack.run("health", "worker", "--name", "nobody@%h", code=1).stdout


def test_what_dies_is_told_and_started_again_with_nothing_lost(stack: Stack, answers: list[dict[str, Any]]) -> None:
    before, catalogs = stack.pids(), stack.status()["catalogs"]
    job = str(answers[0]["job"])
    with of_worker(stack) as broker:
        broker.lpush("somebody-elses-queue", "a message")
    written = stack.folder / ".packsight/data/valkey/appendonlydir"
    wait_until(lambda: any(b"a message" in file.read_bytes() for file in written.glob("*.aof")), "the message on disk")
    clock = psutil.Process(before["indexer"]).children()
    os.kill(before["supervisor"], signal.SIGSTOP)  # so that there is time to look
    for name in ("valkey", "seaweedfs", "indexer"):
        os.kill(before[name], signal.SIGKILL)
    assert not still_alive(dict.fromkeys(clock, 20.0)), "what the indexer started must end with it"
    seen = json.loads(stack.run("status", "--json", code=1).stdout)
    assert {part["name"] for part in seen["parts"] if not part["up"]} == {"valkey", "seaweedfs", "indexer"}
    assert any("indexer is down" in error for error in seen["errors"])
    assert "indexer is down" in stack.run("doctor", code=1).stdout

    os.kill(before["supervisor"], signal.SIGCONT)
    wait_until(lambda: not stack.status()["errors"], "a whole stack")
    after = stack.pids()
    assert {name for name in before if before[name] == after[name]} == {"worker", "flower", "http", "supervisor"}
    assert stack.status()["catalogs"] == catalogs
    assert "valkey was ended by SIGKILL" in (stack.folder / ".packsight/logs/supervisor.log").read_text()
    with of_worker(stack) as broker:
        assert broker.llen("somebody-elses-queue") == 1
    stack.run("results", job, "--out", "again.jsonl", code=SOME_FAILED)
    again = [json.loads(line) for line in (stack.folder / "again.jsonl").read_text().splitlines()]
    assert [row["status"] for row in again] == [row["status"] for row in answers]


def test_a_supervisor_that_dies_is_missed_and_up_brings_it_back_without_touching_the_parts(stack: Stack) -> None:
    before = stack.pids()
    os.kill(before["supervisor"], signal.SIGKILL)
    assert "supervisor is down" in stack.run("status", code=1).stdout
    stack.run("up")
    after = stack.pids()
    assert {name for name in before if before[name] != after[name]} == {"supervisor"}
    assert stack.run("status").returncode == 0


def test_down_ends_what_up_started_and_leaves_the_rest_alone_and_up_brings_all_back(
    stack: Stack, answers: list[dict[str, Any]], tmp_path: Path
) -> None:
    own = [psutil.Process(pid) for pid in stack.pids().values()]
    own += [child for process in own for child in process.children(recursive=True)]
    ports, catalogs = stack.state["ports"], stack.status()["catalogs"]
    with serving(tmp_path, objects=False) as of_somebody_else:
        stack.run("down")
        assert not [process for process in own if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        assert of_somebody_else.broker.process.poll() is None
    assert "No stack is running" in stack.run("down").stdout
    assert json.loads(stack.run("doctor", "--json", code=1).stdout)

    stack.run("up")
    assert stack.state["ports"] == ports
    assert stack.status()["catalogs"] == catalogs
    query = f"queries/{PRODUCTS[0].id}.jpg"
    outcome = json.loads(stack.run("recognize", query).stdout)
    assert outcome["candidates"][0]["product"]["id"] == PRODUCTS[0].id


def test_a_part_that_cannot_start_takes_the_others_down_and_shows_its_log(tmp_path: Path) -> None:
    broken = Stack(tmp_path)
    failed = broken.run("up", code=2, FLOWER_MAX_WORKERS="plenty")
    assert "flower ended" in failed.stderr
    assert "plenty" in failed.stderr
    assert broken.state["parts"] == []
    assert broken.run("down").returncode == 0
    mine = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    assert mine == []
