"""`packsight catalog` as an operator types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from packsight.indexer import cli, commands, tasks
from packsight.indexer.app import beat_schedule
from packsight.indexer.feed.offers import FeedError
from packsight.indexer.feed.source import check_readable
from packsight.indexer.fleet import Fleet
from packsight.indexer.lock import sync_lock
from packsight.indexer.publish import publish
from packsight.shared.catalog.manifest import Manifest, SelfCheck, seal
from packsight.shared.catalog.versions import CatalogStore
from packsight.shared.contract.errors import UserError
from packsight.shared.progress import Steps
from packsight.shared.queue import keys
from packsight.shared.settings import S3, Catalog, Settings
from packsight.shared.storage.objects import ObjectStore
from tests.servers import serving
from tests.trust import UNCHECKED


@pytest.fixture
def config(live_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(commands, "settings", lambda: live_settings)
    monkeypatch.setattr(commands.out, "_width", 200)
    return live_settings


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["catalog", *words])


def put(store: ObjectStore, folder: Path, version: str, parent: str | None = None) -> None:
    (folder / version).mkdir()
    (folder / version / "content.json").write_text(version)
    manifest = Manifest(
        catalog="default", version=version, parent=parent, created_at=datetime.now(UTC), products=7, photos=11, single=3,
        embedder="thumb-1", spotter="none-1", dimension=192, projected=64, index="Flat", faiss="1.15",
        self_check=SelfCheck(photos=11, top1=0.9), made_check=SelfCheck(photos=3, top1=1.0),
        notes=("photo not used: [odd].jpg: it is broken",),
    )  # fmt: skip
    catalogs = CatalogStore(store, "default", UNCHECKED)
    publish(catalogs, folder / version, seal(folder / version, manifest), catalogs.current(), lambda: None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_sync_that_is_stopped_frees_its_lock_and_says_what_that_leaves(
    live_settings: Settings, live_environment: None, number: signal.Signals
) -> None:
    with serving() as server, redis.Redis.from_url(live_settings.results) as client:
        line = [sys.executable, "-m", "packsight", "catalog", "sync", "--feed", server.url("/drip-body/feed.xml")]
        heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs in a shell's background does not
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, preexec_fn=heeding) as process:  # noqa: PLW1509
            try:
                while not server.hits["/drip-body/feed.xml"]:
                    assert process.poll() is None
                    time.sleep(0.05)
                assert client.exists(keys.sync_lock("default"))
                process.send_signal(number)
                told = process.communicate(timeout=60)[1]
            finally:
                process.kill()
        assert (process.returncode, "Stopped. Workers serve what was published last" in told) == (130, True), told
        assert not client.exists(keys.sync_lock("default"))


def test_a_sync_tells_a_log_at_once_how_much_there_is_to_do_and_what_keeps_it(
    config: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*given: object) -> None:
        *_, progress, remark = given
        assert isinstance(progress, Steps) and remark == progress.remark
        progress("described", 0, 12)
        raise UserError("the workers are away")

    monkeypatch.setattr(commands, "run_sync", stopped)
    (tmp_path / "feed.xml").write_text("<x/>")
    assert run("sync", "--feed", str(tmp_path / "feed.xml")).stderr == "described 0/12 · in 0:00:00\n"


def test_versions_are_listed_with_the_current_one_marked(config: Settings, store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "v1")
    put(store, tmp_path, "v2", "v1")
    lines = [line for line in run("versions").stdout.splitlines() if "90.0%" in line]
    assert ["CURRENT" in line for line in lines] == [False, True]
    assert ["v1" in line for line in lines] == [True, False]


FIT = "by 11 photos, each left out, thresholds also by 3 photos made of only ones; 3 of 7 products have one photo"
MADE = "100.0% of 3 recognised, each made of a product's only one"


def test_show_prints_counts_models_files_and_notes(config: Settings, store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "v1")
    text = run("show").stdout
    facts = ("v1 (CURRENT)", "thumb-1", "none-1", "192 values, projected to 64", "content.json", "2 B", "[odd].jpg", FIT, MADE)
    for part in facts:
        assert part in text
    assert isinstance(run("show", "v9").exception, UserError)


def test_rollback_moves_the_pointer_to_the_parent(config: Settings, store: ObjectStore, tmp_path: Path) -> None:
    put(store, tmp_path, "v1")
    put(store, tmp_path, "v2", "v1")
    result = run("rollback")
    assert result.exit_code == 0
    assert "is at v1 now" in result.stdout
    current = CatalogStore(store, "default", UNCHECKED).current()
    assert current is not None
    assert current.version == "v1"


def test_what_was_never_published_is_said_with_the_command_that_publishes(config: Settings) -> None:
    for command in ("versions", "show", "rollback"):
        error = run(command).exception
        assert isinstance(error, UserError)
        assert "catalog sync" in str(error)


def test_a_sync_while_another_goes_on_names_its_holder(config: Settings, tmp_path: Path) -> None:
    feed = tmp_path / "feed.xml"
    feed.touch()
    fleet = Fleet(config)
    with sync_lock(fleet.redis, "default", "a sync"):
        error = run("sync", "--feed", str(feed)).exception
    fleet.close()
    assert isinstance(error, UserError)
    assert "is in use by a sync, " in str(error)


@pytest.mark.parametrize("rehearsed", [(), ("--dry-run",)])
def test_a_mistyped_path_is_told_before_anything_is_asked(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rehearsed: tuple[str, ...]
) -> None:
    feed, nowhere = tmp_path / "feed.xml", tmp_path / "none"
    feed.touch()
    monkeypatch.setattr(commands, "run_sync", lambda *_: pytest.fail("something is asked"))
    monkeypatch.setattr(commands, "run_rehearsal", lambda *_: pytest.fail("something is asked"))
    wrong = run("sync", "--feed", str(nowhere), *rehearsed).exception
    assert isinstance(wrong, FeedError)
    assert str(wrong) == f"{nowhere} cannot be read: No such file or directory. Check the path of the feed."
    typed = run("sync", "--feed", str(feed), "--map", "nme=x", *rehearsed).exception
    assert "nme is no field that a column can be named for; there are id, picture, name" in str(typed)
    assert f"{nowhere} is not a folder" in str(run("sync", "--feed", str(feed), "--photos", str(nowhere), *rehearsed).exception)


def test_a_feed_that_comes_through_a_pipe_is_not_opened_before_it_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "feed.xml"
    os.mkfifo(pipe)
    check_readable(str(pipe))  # opened, it would wait for whoever writes
    assert pipe.is_fifo()


def test_a_broken_feed_is_an_error_and_the_lock_is_free_again(config: Settings, tmp_path: Path) -> None:
    feed = tmp_path / "feed.xml"
    feed.write_text("<yml_catalog")
    for _ in range(2):
        assert isinstance(run("sync", "--feed", str(feed)).exception, FeedError)


def test_an_object_storage_that_is_away_is_said_with_a_remedy(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = config.model_copy(update={"s3": S3(endpoint="127.0.0.1:9", secret_key=SecretStr("x"), access_key="x")})
    monkeypatch.setattr(commands, "settings", lambda: away)
    assert "packsight up" in str(run("versions").exception)


def test_the_periodic_sync_steps_aside_for_another(
    config: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    periodic = config.model_copy(update={"catalog": Catalog(feed=str(tmp_path / "none.xml"))})
    monkeypatch.setattr(tasks, "settings", lambda: periodic)
    fleet = Fleet(config)
    with sync_lock(fleet.redis, "default", "a sync"):
        assert "skipped" in tasks.sync_catalog()
    fleet.close()
    collected = config.home / "indexer" / "collected"
    collected.unlink()
    with pytest.raises(FeedError):
        tasks.sync_catalog()
    assert collected.exists(), "what clients send is cleared away also while no sync succeeds"


def test_the_reconciler_runs_as_a_task(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "settings", lambda: config)
    tasks.reconcile_jobs()


def test_periodic_messages_expire_with_their_period_and_there_is_no_sync_without_a_feed(config: Settings) -> None:
    assert set(beat_schedule(config)) == {"reconcile"}
    schedule = beat_schedule(config.model_copy(update={"catalog": Catalog(feed="feed.xml", sync_seconds=60)}))
    assert schedule["sync"]["options"] == {"queue": "packsight.indexer", "ignore_result": True, "expires": 60}
