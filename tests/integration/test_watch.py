"""A watched folder or prefix, through a real broker, object store and worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from packsight.producer.client import Client
from packsight.producer.excluded import Excluded
from packsight.producer.watch.arrivals import Folder, Place, Prefix, below
from packsight.producer.watch.journal import Journal
from packsight.producer.watch.watcher import JOURNAL, SUFFIX, Watcher
from packsight.shared.contract.errors import StorageError, UserError
from packsight.shared.contract.messages import RecognizeOptions
from packsight.shared.contract.outcomes import Status
from packsight.shared.queue.removals import Removals
from packsight.shared.settings import Settings
from packsight.shared.storage.jobs import JobAbout, JobStore
from packsight.shared.storage.objects import ObjectStore
from tests.recognizer import StandIn, running


@pytest.fixture
def stand_in(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


@pytest.fixture
def client(live_settings: Settings) -> Iterator[Client]:
    with Client(live_settings) as made:
        yield made


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def put(path: Path, content: bytes | None = None, age: float = 60) -> Path:
    """A file that was written so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(path.name.encode() if content is None else content)
    os.utime(path, (time.time() - age,) * 2)
    return path


@contextmanager
def watcher(client: Client, place: Place, out: Path) -> Iterator[tuple[Watcher, list[str]]]:
    told: list[str] = []
    with closing(Watcher(client, place, out, RecognizeOptions(), JobAbout(name="watch"), told.append)) as made:
        yield made, told


def watch_once(client: Client, place: Place, out: Path) -> list[str]:
    with watcher(client, place, out) as (made, told):
        made.run(threading.Event(), once=True, period=0.02)
    return told


def answered(out: Path) -> dict[str, str]:
    """Status by the name of each photo that has its file."""
    found = {}
    for path in out.rglob(f"*{SUFFIX}"):
        row = json.loads(path.read_text(encoding="utf-8"))
        assert row["name"] == str(path.relative_to(out)).removesuffix(SUFFIX)
        found[row["name"]] = row["status"]
    return found


def test_what_lies_in_a_folder_is_answered_beside_it_and_once(client: Client, stand_in: StandIn, inbox: Path) -> None:
    for name in ("a.jpg", "deep/er/b.HEIC", "notes.txt", ".hidden.jpg", "c.jpg.part"):
        put(inbox / name)
    told = watch_once(client, Folder(inbox), inbox)
    assert answered(inbox) == {"a.jpg": "no_match", "deep/er/b.HEIC": "no_match"}
    assert [line.split(": ")[1] for line in told] == ["2 new", "2 no_match"]
    assert watch_once(client, Folder(inbox), inbox) == [], "nothing is submitted twice"
    put(inbox / "d.jpg")
    put(inbox / "a.jpg", b"another photo of that name")
    assert [line.split(": ")[1] for line in watch_once(client, Folder(inbox), inbox)] == ["2 new", "2 no_match"]
    assert sum(stand_in.seen.values()) == len(stand_in.seen) == 4
    assert {client.jobs.manifest(job).name for job in client.jobs.names()} == {"watch"}


def test_what_patterns_leave_out_is_told_and_not_waited_for(client: Client, stand_in: StandIn, inbox: Path) -> None:
    for name in ("a.jpg", "thumbs/a.jpg", "thumbs/b.jpg"):
        put(inbox / name)
    put(inbox / "half.tmp.jpg", age=-3600)  # would never be whole
    told = watch_once(client, Folder(inbox, Excluded(["thumbs", "*.tmp.jpg"])), inbox)
    assert told[0] == "Left out as --exclude says: 2 × thumbs, 1 × *.tmp.jpg"
    assert [line.split(": ")[1] for line in told[1:]] == ["1 new", "1 no_match"]
    assert answered(inbox) == {"a.jpg": "no_match"}
    assert watch_once(client, Folder(inbox, Excluded(["*.tmp.jpg"])), inbox)[1].endswith(": 2 new")


def test_a_file_is_taken_once_two_looks_find_the_same_of_it_and_it_has_rested(inbox: Path) -> None:
    now = [1000.0]
    place = Folder(inbox, now=lambda: now[0])

    def written(content: bytes) -> None:
        (inbox / "a.jpg").write_bytes(content)
        os.utime(inbox / "a.jpg", (now[0], now[0]))

    written(b"half")
    assert (place.look(), place.settling) == ({}, True)
    now[0] += 1
    assert place.look() == {}, "it may go on"
    written(b"half and more")
    now[0] += 10
    assert place.look() == {}, "it has changed since the last look"
    assert place.look().keys() == {"a.jpg"}
    assert not place.settling
    copied = put(inbox / "old.jpg", b"a copy that keeps its date", age=-1000.0)
    os.utime(copied, (5.0, 5.0))
    assert place.look().keys() == {"a.jpg"}
    copied.write_bytes(b"a copy that keeps its date, and is written to")
    os.utime(copied, (5.0, 5.0))
    assert place.look().keys() == {"a.jpg"}, "an old date says nothing while its size grows"
    assert place.look().keys() == {"a.jpg", "old.jpg"}


def test_whoever_is_ended_between_any_two_steps_goes_on_and_submits_nothing_twice(
    client: Client, live_settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndedError(BaseException):
        pass

    def ends(*_: object, **__: object) -> None:
        raise EndedError

    steps: list[tuple[object, str]] = [
        (client.store, "ensure_bucket"),  # before the upload
        (JobStore, "create"),  # before the manifest
        (Removals, "since"),  # before the first message
        (Watcher, "_collect"),  # before the answers
        (Watcher, "_write"),
    ]
    put(inbox / "a.jpg")
    put(inbox / "b.jpg")
    with running(live_settings) as stand_in:
        for where, what in steps:
            with monkeypatch.context() as patch, pytest.raises(EndedError):
                patch.setattr(where, what, ends)
                watch_once(client, Folder(inbox), inbox)
        watch_once(client, Folder(inbox), inbox)
        assert answered(inbox) == {"a.jpg": "no_match", "b.jpg": "no_match"}
        assert set(stand_in.seen.values()) == {1}
    assert len(client.jobs.names()) == 1


def test_a_journal_whose_last_line_was_cut_off_serves_on(client: Client, stand_in: StandIn, inbox: Path) -> None:
    put(inbox / "a.jpg")
    watch_once(client, Folder(inbox), inbox)
    with (inbox / JOURNAL).open("a", encoding="utf-8") as file:
        file.write('{"job": "20260101-0')
    put(inbox / "b.jpg")
    watch_once(client, Folder(inbox), inbox)
    watch_once(client, Folder(inbox), inbox)
    assert answered(inbox) == {"a.jpg": "no_match", "b.jpg": "no_match"}
    assert set(stand_in.seen.values()) == {1}


def test_a_journal_takes_names_that_hold_what_else_ends_a_line_and_words_cut_off_in_a_letter(tmp_path: Path) -> None:
    journal, name = Journal(tmp_path / "journal"), "a\u2028b\u0085.jpg"
    journal.begin("job-1", {name: "1"})
    journal.end("job-1")
    journal.close()
    with (tmp_path / "journal").open("ab") as file:
        file.write('{"job": "ж'.encode()[:-1])
    again = Journal(tmp_path / "journal")
    assert (again.taken, again.open) == ({name: "1"}, {})
    again.begin("job-2", {"c.jpg": "1"})
    again.close()
    last = Journal(tmp_path / "journal")
    assert last.taken == {name: "1", "c.jpg": "1"}
    last.close()


def test_one_place_is_watched_by_one_command(client: Client, inbox: Path) -> None:
    with watcher(client, Folder(inbox), inbox), pytest.raises(UserError, match="Another `packsight watch`"):
        watch_once(client, Folder(inbox), inbox)


def test_photos_under_a_prefix_are_answered_in_a_folder_whatever_their_keys(
    client: Client, stand_in: StandIn, store: ObjectStore, tmp_path: Path
) -> None:
    for key in ("incoming/a.jpg", "incoming/deep/b.png", "incoming/readme.txt", "incoming/thumbs/a.jpg", "elsewhere/c.jpg"):
        store.write(key, key.encode())
    place, out = Prefix(f"s3://{store.bucket}/incoming/", store, Excluded(["thumbs"])), tmp_path / "out"
    assert watch_once(client, place, out)[0] == "Left out as --exclude says: 1 × thumbs"
    assert answered(out) == {"a.jpg": "no_match", "deep/b.png": "no_match"}
    assert watch_once(client, place, out) == []
    assert set(stand_in.seen) == {f"s3://{store.bucket}/incoming/{name}" for name in ("a.jpg", "deep/b.png")}
    assert below(out, "../../etc/./x.json") == out / "_.." / "_.." / "etc" / "_." / "x.json"


def test_photos_that_nobody_may_read_are_left_alone_and_hold_up_nothing(
    client: Client, stand_in: StandIn, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox / "a.jpg").chmod(0)
    if os.access(inbox / "a.jpg", os.R_OK):  # a superuser may
        (inbox / "a.jpg").unlink()
        (inbox / "a.jpg").symlink_to("/proc/self/mem")
    told = watch_once(client, Folder(inbox), inbox)
    assert "left alone until they change" in told[0]
    put(inbox / "b.jpg")
    watch_once(client, Folder(inbox), inbox)
    assert answered(inbox) == {"b.jpg": "no_match"}


def test_photos_of_a_job_that_was_removed_are_submitted_again(client: Client, live_settings: Settings, inbox: Path) -> None:
    put(inbox / "a.jpg")
    with watcher(client, Folder(inbox), inbox) as (made, told):
        while not told:
            made._look()
        (job,) = client.jobs.names()
        whole = client.load(job)
        client.cancel(whole)
        client.remove(whole)
        with running(live_settings):
            made.run(threading.Event(), once=True, period=0.02)
    assert told[1] == f"{job} was removed; its photos are submitted again"
    assert answered(inbox) == {"a.jpg": "no_match"}


def test_an_outage_is_waited_for_and_told_once(
    client: Client, stand_in: StandIn, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox / "a.jpg")
    submit, calls = client.submit, []

    def away(*arguments: object, **keywords: object) -> object:
        calls.append(1)
        if len(calls) < 4:
            client.jobs.load("no-such-job")
        return submit(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "submit", away)
    with pytest.raises(StorageError):
        client.jobs.load("no-such-job")
    told = watch_once(client, Folder(inbox), inbox)
    assert [line for line in told if "waited for" in line] == told[:1]
    assert told[1:2] != told[:1]
    assert "It answers again." in told
    assert answered(inbox) == {"a.jpg": "no_match"}
    assert set(stand_in.seen.values()) == {1}


def test_storage_that_is_away_is_told_with_what_to_start(client: Client, live_settings: Settings, tmp_path: Path) -> None:
    with closing(ObjectStore(live_settings.s3.model_copy(update={"endpoint": "127.0.0.1:1"}))) as away:
        place = Prefix("s3://packsight/incoming/", away, Excluded([]))
        with watcher(client, place, tmp_path) as (made, told):
            assert made._look()
    assert [("`packsight up`" in line, line.endswith("It is waited for.")) for line in told] == [(True, True)]


def test_a_bucket_that_is_not_there_is_not_waited_for(client: Client, store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no-such-bucket"):
        watch_once(client, Prefix("s3://no-such-bucket/incoming/", store, Excluded([])), tmp_path / "out")


@pytest.mark.usefixtures("live_environment")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_the_command_ends_cleanly_and_goes_on_where_it_was(
    client: Client, stand_in: StandIn, inbox: Path, number: signal.Signals
) -> None:
    stand_in.gate.clear()
    put(inbox / "a.jpg")
    command = [sys.executable, "-P", "-m", "packsight", "watch", str(inbox)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not (names := client.jobs.names()) or client.ledger.jobs.enqueued(names[0]) < 1:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, remarks = process.communicate(timeout=60)
    assert process.returncode == 0, remarks
    assert "Traceback" not in remarks
    assert "1 photos are with the workers" in remarks
    stand_in.gate.set()
    assert subprocess.run([*command, "--once"], check=False, capture_output=True).returncode == 0
    assert answered(inbox) == {"a.jpg": Status.NO_MATCH}
    assert client.jobs.names() == names
