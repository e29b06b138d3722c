"""What every batch needs goes away and comes back: no photo is blamed, none is lost, nobody has to do anything."""

from __future__ import annotations

import re
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
import redis

from packsight.deploy.testbed import Server
from packsight.shared.contract.errors import StorageError
from packsight.shared.contract.messages import BULK_QUEUE
from packsight.shared.queue import keys, registry
from packsight.shared.queue.registry import ChildEntry
from packsight.shared.storage.objects import ObjectStore
from tests.acceptance.stack import connect, running, wait_until
from tests.acceptance.test_kills import Stack

pytestmark = pytest.mark.timeout(300)

CHILD = ChildEntry(host="elsewhere", pid=1, embedder="e", spotter="s", catalogs={"late": "v1"})
MOST_LOGGED = 100_000
"""Bytes that a worker may write into its log in an outage."""


def test_no_photo_is_failed_by_a_store_that_is_away_and_work_goes_on_when_it_is_back(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4, objects=True) as parts:
        stack = Stack(*parts)
        objects = stack.servers.objects
        assert objects is not None
        ObjectStore(stack.settings.s3).ensure_bucket()
        stack.wait(stack.send(["sleep:0.01"]))
        objects.kill()
        tasks = stack.send(*[[f"stored:{number}", "sleep:0.02"] for number in range(40)])
        log = stack.worker.log
        wait_until(lambda: "takes no work until" in log.read_text(), "the worker notices")
        handed_back = sum(stack.runs(task) for task in tasks)
        time.sleep(2)
        assert sum(stack.runs(task) for task in tasks) <= handed_back + 2, "no batch is tried again and again"
        assert not stack.ledger.results.ended(tasks)
        objects.start()
        assert stack.wait(tasks) == [[None, None]] * len(tasks)
        wait_until(stack.broker_is_empty, "an empty broker")
        assert log.read_text().count("takes no work until") == log.read_text().count("work is taken again") == 1
        assert not stack.letters.list()
        assert log.stat().st_size < MOST_LOGGED


def full(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)


def roomy(client: redis.Redis) -> None:
    client.config_set("maxmemory", 0)


def copying(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


def leading(client: redis.Redis) -> None:
    client.replicaof("NO", "ONE")


def unsaved(client: redis.Redis) -> None:
    """Let its snapshots fail, as on a full disk: from then on it refuses even PING (stop-writes-on-bgsave-error)."""
    client.config_set("save", "3600 1")
    snapshot(client).mkdir()
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a save that fails")


def saved(client: redis.Redis) -> None:
    snapshot(client).rmdir()
    client.bgsave()


def snapshot(client: redis.Redis) -> Path:
    return Path(str(client.config_get("dir")["dir"]), "dump.rdb")


@pytest.mark.parametrize(("spoil", "mend"), [(full, roomy), (copying, leading), (unsaved, saved)])
def test_a_broker_that_answers_but_can_keep_nothing_loses_no_task_and_needs_nobody(
    tmp_path: Path, spoil: Callable[[redis.Redis], None], mend: Callable[[redis.Redis], None]
) -> None:
    with running(tmp_path, visibility_timeout=4) as parts:
        stack = Stack(*parts)
        tasks = stack.send(*[["sleep:0.3"]] * 40)
        wait_until(lambda: len(stack.ledger.results.ended(tasks)) > 4, "work")
        with connect(stack.servers, 0) as client:
            spoil(client)
            time.sleep(3)
            stack.worker.kill()
            stack.worker.start()
            wait_until(lambda: "it can do nothing now" in stack.worker.log.read_text(), "a worker that starts meanwhile")
            time.sleep(2)
            mend(client)
        assert stack.wait(tasks) == [[None]] * len(tasks)
        wait_until(stack.broker_is_empty, "an empty broker")
        assert stack.worker.process.poll() is None
        assert stack.worker.log.stat().st_size < MOST_LOGGED
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]


def test_a_message_that_cannot_be_put_aside_ends_no_worker_and_comes_again(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4) as parts:
        stack = Stack(*parts)
        stack.ledger.client.set(keys.DEAD_LETTERS, "no list")
        stack.app.send_task("no.such.task", queue=BULK_QUEUE)
        wait_until(lambda: "cannot be put aside and comes again" in stack.worker.log.read_text(), "a worker that cannot")
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]
        stack.ledger.client.delete(keys.DEAD_LETTERS)
        wait_until(stack.letters.list, "a letter")
        wait_until(stack.broker_is_empty, "an empty broker")
        assert stack.worker.process.poll() is None


def test_a_child_that_waits_for_a_database_to_store_its_result_does_not_stand_still(tmp_path: Path) -> None:
    limit = 3
    with running(tmp_path, visibility_timeout=4, variables={"PACKSIGHT_WORKER__BESIDE_TIMEOUT": str(limit)}) as parts:
        stack = Stack(*parts)
        (task,) = stack.send(["sleep:3"])
        wait_until(lambda: stack.ledger.deliveries.begun([task]), "a photo in work")
        with connect(stack.servers, 0) as client:
            full(client)
            wait_until(lambda: "A result cannot be stored" in stack.worker.log.read_text(), "a child that waits")
            time.sleep(3 * limit)
            roomy(client)
        assert stack.wait([task]) == [[None]]
        assert "stands still" not in stack.worker.log.read_text()
        assert psutil.pid_exists(int(stack.pids(task)[0])), "the child that began it lives"


def test_a_broker_whose_disk_is_full_loses_no_task_and_needs_nobody_when_there_is_room_again(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4) as parts:
        stack = Stack(*parts)
        broker = stack.servers.broker
        # A process that writes beyond its limit is sent a signal, which ends it; ignored, the write fails as on a full disk.
        broker.kill()
        broker.spec = replace(broker.spec, command=["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", *broker.spec.command])
        broker.start()
        tasks = stack.send(*[["sleep:0.3"]] * 40)
        wait_until(lambda: len(stack.ledger.results.ended(tasks)) > 4, "work")
        written = sum(file.stat().st_size for file in (tmp_path / "valkey" / "appendonlydir").glob("*.incr.aof"))
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (written + 2_000, resource.RLIM_INFINITY))
        # By a batch that cannot be begun, by its look for messages or, where both children try to store a result, by its leases.
        wait_until(lambda: re.search(r"no (work|message) is taken", stack.worker.log.read_text()), "a worker that notices")
        ended = stack.ledger.results.ended(tasks)
        stack.worker.kill()
        stack.worker.start()
        wait_until(lambda: "it can do nothing now" in stack.worker.log.read_text(), "a worker that starts meanwhile")
        time.sleep(3)
        assert stack.worker.process.poll() is None
        assert stack.ledger.results.ended(tasks) == ended
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert stack.wait(tasks) == [[None]] * len(tasks)
        wait_until(stack.broker_is_empty, "an empty broker")
        assert stack.worker.log.stat().st_size < MOST_LOGGED
        assert broker.log.stat().st_size < MOST_LOGGED
        assert stack.wait(stack.send(["sleep:0.01"])) == [[None]]


def on_a_small_disk(objects: Server, data: Path, megabytes: int) -> Path:
    """Start an object store anew on an empty disk of its own; return how its folder is reached from here."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs to make a mount namespace (unshare -rm)")
    objects.stop()
    mounted = f'mount -t tmpfs -o size={megabytes}m none "$0" && cd "$0" && exec "$@"'
    objects.spec = replace(objects.spec, command=["unshare", "-rm", "sh", "-c", mounted, str(data), *objects.spec.command])
    objects.start()
    return Path(f"/proc/{objects.process.pid}/root{data}")


def fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as disk:
        while disk.write(bytes(65_536)):
            pass


def test_a_store_whose_disk_is_full_holds_up_what_it_must_keep_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4, objects=True) as parts:
        stack = Stack(*parts)
        assert stack.servers.objects is not None
        disk = on_a_small_disk(stack.servers.objects, tmp_path / "seaweedfs", 48)
        store, log = ObjectStore(stack.settings.s3), stack.worker.log
        store.ensure_bucket()
        store.write("photos/first", bytes(1000))
        fill(disk / "filler")
        with pytest.raises(StorageError) as caught:
            store.write("photos/second", bytes(300_000))
        assert "cannot carry it out" in caught.value.message and "disk may be full" in caught.value.remedy
        kept = stack.send(["kept:1"], ["kept:2"])
        wait_until(lambda: log.read_text().count("it comes again in") >= len(kept), "what cannot be kept")
        tasks = stack.send(*[[f"stored:{number}", "sleep:0.01"] for number in range(10)])
        assert stack.wait(tasks) == [[None, None]] * len(tasks)
        assert not stack.ledger.results.ended(kept)
        (disk / "filler").unlink()
        assert stack.wait(kept) == [[None]] * len(kept)
        assert len(list(store.list("features/"))) == len(kept)
        assert "takes no work until" not in log.read_text()
        assert "disk may be full" in log.read_text(), "the log says what to do"
        assert not stack.letters.list()
        wait_until(stack.broker_is_empty, "an empty broker")
        assert log.stat().st_size < MOST_LOGGED


def test_children_that_are_stopped_between_tasks_and_in_work_are_replaced_and_their_batches_done(tmp_path: Path) -> None:
    # A child is given less time to begin than it takes to start: the two must not be mixed up.
    with running(tmp_path, visibility_timeout=4, variables={"PACKSIGHT_WORKER__BEGIN_TIMEOUT": "0.4"}) as parts:
        stack = Stack(*parts)
        stack.wait(stack.send(*[["sleep:0.01"]] * 4))
        wait_until(stack.broker_is_empty, "idle children")
        frozen = [child for child in psutil.Process(stack.worker.process.pid).children() if "spawn_main" in str(child.cmdline())]
        assert len(frozen) == 2
        for child in frozen:
            child.suspend()
        tasks = stack.send(["sleep:0.01"], ["sleep:0.02"], ["sleep:0.03"])
        assert stack.wait(tasks) == [[None]] * 3
        assert "has not begun with packsight.recognize" in stack.worker.log.read_text()
        (task,) = stack.send(["sleep:2.5"])
        for runs in (1, 2, 3):  # once more than a photo is forgiven deaths alone
            wait_until(partial(stack.has_begun, task, runs), "the start of the task")
            psutil.Process(int(stack.pids(task)[-1])).suspend()
        assert stack.wait([task]) == [[None]]
        assert len(set(stack.pids(task))) == 4, "each run by another child"
        assert stack.worker.log.read_text().count("is stopped in packsight.recognize") == 3
        assert not stack.letters.list(), "no photo is blamed"


def test_a_catalog_that_nobody_serves_holds_up_its_own_photos_alone(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4) as parts:
        stack = Stack(*parts)
        unserved = stack.send(*[["served:late"]] * 6)
        others = stack.send(*[["sleep:0.01"]] * 30)
        assert stack.wait(others) == [[None]] * len(others)
        log = stack.worker.log.read_text()
        assert "nobody serves catalog late" in log and "recognises no photos" not in log
        assert not stack.ledger.results.ended(unserved)
        registry.announce_child(stack.ledger.client, CHILD)
        assert stack.wait(unserved) == [[None]] * len(unserved)
        assert not stack.letters.list()


def test_a_child_whose_networks_answer_no_more_is_replaced_and_no_photo_fails(tmp_path: Path) -> None:
    with running(tmp_path, visibility_timeout=4) as parts:
        stack = Stack(*parts)
        tasks = stack.send(["sleep:0.01", "lose", "sleep:0.02"], *[["sleep:0.01"]] * 20)
        assert stack.wait(tasks) == [[None] * 3, *[[None]] * 20]
        lost = int(stack.ledger.client.get("standin:lost") or 0)
        assert str(lost) in stack.pids(tasks[0]) and not psutil.pid_exists(lost)
        log = stack.worker.log.read_text()
        assert "networks: the device is lost: this worker takes no work until" in log
        assert not stack.letters.list()
        wait_until(stack.broker_is_empty, "an empty broker")
