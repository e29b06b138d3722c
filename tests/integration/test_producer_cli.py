"""The producer's commands as a user types them, against a real broker and object store."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import packsight
from packsight.deploy.stack.ports import free_ports
from packsight.producer.cli import app
from packsight.producer.client import Client
from packsight.producer.export import Exports
from packsight.shared import advice
from packsight.shared.contract.errors import SOME_FAILED, ErrorCode, UserError
from packsight.shared.contract.messages import RECOGNIZE, RecognizeRequest
from packsight.shared.contract.outcomes import Outcome
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.settings import Settings, load_settings
from packsight.shared.storage import layout
from packsight.shared.storage.objects import ObjectStore
from tests.recognizer import StandIn, running


@pytest.fixture
def worker(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(7):
        (folder / f"{number}.jpg").write_bytes(bytes([number]))
    return folder


@pytest.fixture
def published(store: ObjectStore) -> None:
    """A pointer of the default catalog: the stand-in answers whatever that says."""
    store.write(layout.pointer("default"), b"{}")


pytestmark = pytest.mark.usefixtures("live_environment")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_job_is_submitted_waited_for_and_written_out(worker: StandIn, photos: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "results.csv", tmp_path / "report.html"
    done = run("submit", photos, "--batch-size", 2, "--out", out, "--report", page)
    job = done.stdout.strip()
    assert [row["name"] for row in table(out)] == [str(photos / f"{number}.jpg") for number in range(7)]
    assert {row["job"] for row in table(out)} == {job}
    assert page.read_text(encoding="utf-8").count("<article") == 7
    assert f"submit --resume {job}" in done.stderr

    again = tmp_path / "again.jsonl"
    assert "7" in run("results", job, "--out", again).stdout
    assert len(again.read_text().splitlines()) == 7


@pytest.mark.parametrize("step", ["add", "finish"])
def test_where_there_is_no_room_for_results_it_is_said_how_to_have_them(
    worker: StandIn, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "full.csv"
    with monkeypatch.context() as disk:
        disk.setattr(Exports, step, full)
        failed = CliRunner().invoke(app, ["submit", str(photos), "--out", str(out)])
        read = CliRunner().invoke(app, ["results", failed.stdout.strip(), "--follow", "--out", str(out)])
    assert isinstance(failed.exception, OSError) and not out.exists()
    job = failed.stdout.strip()
    assert f"packsight results {job} --follow --out FILE" in failed.stderr
    run("results", job, "--follow", "--out", tmp_path / "elsewhere.csv")
    assert len(table(tmp_path / "elsewhere.csv")) == 7
    assert f"packsight results {job} --follow --out FILE" in read.stderr


def test_patterns_leave_photos_out_and_each_says_of_how_many(photos: Path, tmp_path: Path, store: ObjectStore) -> None:
    (photos / "thumbs").mkdir()
    (photos / "thumbs" / "0.jpg").write_bytes(b"small")
    listed = tmp_path / "more.txt"
    listed.write_text("https://example.com/6.jpg\nhttps://example.com/7.jpg\n")
    patterns = ("--exclude", "thumbs", "--exclude", "[3-6].jpg", "--exclude", "nothing")
    done = run("submit", photos, listed, *patterns)
    assert "Left out as --exclude says: 1 × thumbs, 5 × [3-6].jpg, 0 × nothing" in done.stderr
    with Client() as client:
        job = client.load(done.stdout.strip())
    names = [image.name for batch in job.batches for image in batch.images]
    assert names == [*(str(photos / f"{number}.jpg") for number in range(3)), "https://example.com/7.jpg"]
    assert f"{photos} (3 photos)" in job.manifest.source
    refused = CliRunner().invoke(app, ["submit", "--resume", job.id, "--exclude", "x"])
    assert isinstance(refused.exception, UserError) and "Leave --exclude out" in str(refused.exception)
    refused = CliRunner().invoke(app, ["submit", str(photos), "--exclude", "*"])
    assert "There are no photos to submit" in str(refused.exception) and "--exclude says: 8 × *" in str(refused.exception)


@pytest.mark.parametrize("said", [("--name", "Spring"), ("--priority", "high"), ("--column", "x")])
def test_a_job_that_is_resumed_is_made_no_other(said: tuple[str, str]) -> None:
    refused = CliRunner().invoke(app, ["submit", "--resume", "20260101-000000-abcdef", *said])
    assert isinstance(refused.exception, UserError) and "Leave --name" in str(refused.exception)


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e12", "0"])
def test_a_timeout_is_a_number_of_seconds(photos: Path, seconds: str) -> None:
    refused = CliRunner().invoke(app, ["recognize", str(photos / "0.jpg"), "--timeout", seconds])
    assert refused.exit_code == 2 and "86400" in refused.output


def test_a_report_is_no_stream(photos: Path) -> None:
    refused = CliRunner().invoke(app, ["submit", str(photos), "--report", "-"])
    assert isinstance(refused.exception, UserError) and "--report report.html" in str(refused.exception)


def test_without_waiting_the_job_is_queued_and_listed(photos: Path) -> None:
    job = run("submit", photos, "--batch-size", 2).stdout.strip()
    (line,) = run("jobs", "--json").stdout.splitlines()
    assert {"job": job, "images": 7, "batches": 4, "ended": 0}.items() <= json.loads(line).items()
    assert "7 of 7 photos have no outcome yet" in run("results", job).stderr


def test_ctrl_c_ends_the_command_and_the_job_is_resumed(worker: StandIn, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    worker.gate.clear()
    options = ["--batch-size", "1", "--max-in-flight", "2", "--out", str(out)]
    command = [sys.executable, "-P", "-m", "packsight", "submit", str(photos), *options]
    # What a shell runs in the background ignores the signal, and so would all that is started from there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    job = process.stdout.readline().strip()
    with Client(load_settings()) as client:
        while client.ledger.jobs.enqueued(job) < 2 and process.poll() is None:
            time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, remarks = process.communicate(timeout=60)
    assert process.returncode == 130, remarks
    assert f"submit --resume {job} --wait --out {out}\n" in remarks
    assert not out.exists()
    worker.gate.set()
    run("submit", "--resume", job, "--out", out)
    assert len(table(out)) == 7
    assert set(worker.seen.values()) == {1}


def test_one_photo_gives_json_and_nothing_else(worker: StandIn, photos: Path) -> None:
    outcome = Outcome.model_validate_json(run("recognize", photos / "0.jpg").stdout)
    assert outcome.status == "no_match"
    assert "a stand-in" in run("explain", photos / "0.jpg").stdout


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_json_is_utf_8_and_no_letter_ends_a_command_whatever_the_encoding_of_the_system(
    worker: StandIn, photos: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    (photos / "Köln, Москва.jpg").write_bytes(b"shelf")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)

    def said(*arguments: str) -> bytes:
        command = [sys.executable, "-P", "-m", "packsight", *arguments]
        done = subprocess.run(command, capture_output=True, check=False, cwd=photos)
        assert done.returncode == 0, done.stderr.decode(encoding)
        return done.stdout

    lines = said("submit", ".", "--out", "-", "--name", "Köln, Москва").decode().splitlines()
    assert "Köln, Москва.jpg" in {json.loads(line)["name"] for line in lines}
    assert json.loads(said("recognize", "Köln, Москва.jpg").decode())["status"] == "no_match"
    assert "Köln, Москва".encode(encoding, "backslashreplace") in said("jobs")


def test_a_photo_of_a_job_that_could_not_be_opened_is_explained_by_that(worker: StandIn, photos: Path, tmp_path: Path) -> None:
    (photos / "lost.jpg").symlink_to("nowhere.jpg")
    job = run("submit", photos, "--out", tmp_path / "results.csv", code=SOME_FAILED).stdout.strip()
    assert "there is no such file where it was submitted" in run("explain", job, "lost", code=1).stdout
    assert "a stand-in" in run("explain", job, "0.jpg").stdout


def test_how_many_products_to_look_for_goes_along_with_the_photos(worker: StandIn, photos: Path, tmp_path: Path) -> None:
    run("submit", photos, "--max-products", 3, "--out", tmp_path / "results.csv")
    run("recognize", photos / "0.jpg", "--max-products", 2)
    run("explain", photos / "0.jpg", "--out", tmp_path / "why.png", "--max-products", 4)
    run("recognize", photos / "0.jpg")
    assert [request.max_products for request in worker.requests] == [3, 2, 4, 1]
    assert run("recognize", photos / "0.jpg", "--max-products", 21, code=2).stdout == ""


def test_a_failed_photo_gives_exit_code_1_and_its_outcome(worker: StandIn) -> None:
    failed = run("recognize", "https://example.com/crash.jpg", code=1)
    assert Outcome.model_validate_json(failed.stdout).failure is not None


@pytest.mark.usefixtures("published")
def test_an_evaluation_sends_the_labelled_photos_and_writes_its_measures(
    worker: StandIn, photos: Path, tmp_path: Path
) -> None:
    labels, measures = photos / "labels.csv", tmp_path / "measures.json"
    labels.write_text("image,product_id,kind\n0.jpg,1,phone\n1.jpg,,phone;dark\n")
    shown = run("evaluate", labels, "--json", measures).stdout
    found: dict[str, Any] = json.loads(measures.read_text())
    wanted = {"top1": 0.0, "absent_rejected": 1.0, "present_rejected": 1.0, "precision": None, "count": 2}
    assert wanted.items() <= found.items()
    assert set(found["by_kind"]) == {"phone", "dark"}
    assert "Absent, rightly not matched" in shown


@pytest.mark.usefixtures("published")
def test_labels_of_photos_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("image,product_id\nmissing.jpg,1\n")
    refused = CliRunner().invoke(app, ["evaluate", str(labels)])
    assert isinstance(refused.exception, UserError)
    assert "missing.jpg does not exist" in str(refused.exception)


def test_a_wrong_file_name_is_told_before_anything_is_queued(photos: Path) -> None:
    refused = CliRunner().invoke(app, ["submit", str(photos), "--out", "results.xlsx"])
    assert isinstance(refused.exception, UserError)
    assert "There are no jobs" in run("jobs").stdout


def test_dead_letters_are_listed_replayed_and_dropped(
    live_settings: Settings, worker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = DeadLetters(live_settings)
    request = RecognizeRequest(images=["https://example.com/1.jpg"]).model_dump(mode="json")
    ids = [
        letters.put(
            DeadLetter(
                code=ErrorCode.WORKER_KILLED,
                message=f"ended its worker, [{number}]",
                task=RECOGNIZE,
                task_id=f"job-00000{number}",
                payload=request,
                image=request["images"][0],
            )
        )
        for number in range(2)
    ]
    assert [json.loads(line)["id"] for line in run("dead-letters", "list", "--json").stdout.splitlines()] == ids
    monkeypatch.setenv("COLUMNS", "40")
    listed = run("dead-letters", "list").stdout
    assert all(f"{name}  20" in listed for name in ids)
    for whole in (f"photo  {request['images'][0]}\n", f"task  {RECOGNIZE} job-000000\n", "  ended its worker, [1]\n"):
        assert whole in listed
    hostile = {"\x1b[2Jname": "https://shop.example/?sig=5ec2e7\x9b", "a": "\u202e"}
    odd = DeadLetter(code=ErrorCode.BAD_MESSAGE, message="\x1b[31m", task="t", task_id="\x1bid", payload=hostile)
    odd_id = letters.put(odd)
    for line in (run("dead-letters", "list").stdout, run("dead-letters", "list", "--json").stdout):
        assert not set("\x1b\x9b\u202e") & set(line)
    assert "5ec2e7" not in run("dead-letters", "list").stdout
    letters.drop(odd_id)
    assert run("dead-letters", "replay", ids[0]).stdout.startswith("job-000000-")
    run("dead-letters", "drop", "--all")
    assert "no dead letters" in run("dead-letters", "list").stdout
    letters.close()


def exported(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_list_has_a_row_for_every_entry_with_its_own_columns_and_the_exit_code_tells_of_failures(
    worker: StandIn, photos: Path, tmp_path: Path
) -> None:
    entries = ["image,sku,name", "0.jpg,007,first", '"C:\\photos\\1.jpg",008,', "missing.jpg,009,gone", ",010,", ","]
    (photos / "list.csv").write_text("\n".join(entries), encoding="utf-8")
    files = [tmp_path / f"results.{kind}" for kind in ("csv", "jsonl", "parquet")]
    outs = [f"--out={file}" for file in files]
    done = run("submit", photos / "list.csv", "--report", tmp_path / "r.html", *outs, code=SOME_FAILED)
    assert "2 × object_missing" in done.stderr
    assert "  C:\\photos\\1.jpg, missing.jpg\n" in done.stderr
    rows = table(files[0])
    assert [(row["name"], row["sku"], row["own_name"], row["failure_code"]) for row in rows] == [
        ("0.jpg", "007", "first", ""), ("C:\\photos\\1.jpg", "008", "", "object_missing"),
        ("missing.jpg", "009", "gone", "object_missing"), ("(no photo)", "010", "", "reference_invalid"),
    ]  # fmt: skip
    lines = {row["name"]: row for row in exported(files[1])}
    assert lines["missing.jpg"]["extra"] == {"sku": "009", "name": "gone"}
    assert "sku: 009 · name: gone" in (tmp_path / "r.html").read_text(encoding="utf-8")
    for file in files:
        read = packsight.read_results(file)
        assert read["sku"].tolist() == ["007", "008", "009", "010"]
    again = run("results", done.stdout.strip(), "--out", "-", code=SOME_FAILED)
    assert {row["name"]: row["extra"]["sku"] for row in map(json.loads, again.stdout.splitlines())} == {
        row["name"]: row["sku"] for row in rows
    }


def test_a_job_is_named_listed_by_its_ends_cancelled_retried_and_deleted(
    live_settings: Settings, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = run("submit", photos, "--batch-size", 2, "--name", "spring shelf", "--priority", "low", "--json")
    told = json.loads(submitted.stdout)
    job = told["job"]
    assert {"name": "spring shelf", "priority": "low", "state": "running", "photos": 7, "ended": 0}.items() <= told.items()
    assert told["source"] == f"{photos} (7 photos)"
    assert "Remove job" in run("jobs", "delete", job, code=1).output, "nobody has agreed"
    refused = CliRunner().invoke(app, ["jobs", "delete", job, "--yes"])
    assert f"jobs cancel {job}" in str(refused.exception)
    assert f"packsight submit --resume {job}" in run("jobs", "cancel", job).stdout
    listed = run("jobs").stdout.splitlines()
    assert listed[1].split() == [job, "cancelled", "7", "0", "0", "0", "7"]
    assert " · spring shelf · " in listed[2]
    assert run("results", job, code=SOME_FAILED).stderr == ""
    # Before there is a worker: one that is at a message just then may still say that it was cancelled.
    assert "7 × cancelled" in run("jobs", "retry", job).stdout
    with running(live_settings):
        run("results", job, "--follow")
    (line,) = run("jobs", "--json").stdout.splitlines()
    assert json.loads(line)["ends"] == {"matched": 0, "ambiguous": 0, "no_match": 7, "failed": 0}
    assert CliRunner().invoke(app, ["jobs", "delete", job], input="y\n").exit_code == 0
    assert "There are no jobs" in run("jobs").stdout


@pytest.mark.usefixtures("published")
def test_an_evaluation_is_marked_in_the_list_of_jobs(worker: StandIn, photos: Path) -> None:
    (photos / "labels.csv").write_text("image,product_id\n0.jpg,1\n")
    run("evaluate", photos / "labels.csv")
    assert "evaluation" in run("jobs").stdout


ASKING = (
    ["submit", "a.jpg"], ["jobs"], ["results", "20260101-000000-abcdef"], ["recognize", "a.jpg"], ["explain", "a.jpg"],
    ["evaluate", "labels.csv"], ["review", "list"], ["review", "figures"], ["review", "search", "cream"],
)  # fmt: skip


def test_where_nothing_answers_the_stack_whose_settings_were_read_is_named(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    for name in [name for name in os.environ if name.startswith("PACKSIGHT_")]:
        monkeypatch.delenv(name)
    below = tmp_path / "my shop/photos"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    Path("a.jpg").write_bytes(b"x")
    Path("labels.csv").write_text("image,product_id\na.jpg,1\n")
    file = tmp_path / "my shop/.packsight/stack.env"
    for arguments in ASKING:
        refused = CliRunner().invoke(app, arguments)
        assert "does not answer (" in str(refused.exception), arguments
        assert "There is no stack in .packsight here or above" in str(refused.exception)
    file.parent.mkdir()
    file.with_name(advice.STATE).write_text("{}")
    file.write_text(
        f'PACKSIGHT_BROKER_URL=redis://127.0.0.1:{port}/0\nPACKSIGHT_S3__ENDPOINT=127.0.0.1:{port}\nPACKSIGHT_HOME="{file.parent}"\n'
    )
    for arguments in ASKING:
        refused = CliRunner().invoke(app, arguments)
        assert f"`packsight up --home '{file.parent}'`" in str(refused.exception)
