"""Where feeds and photos may lie: disk, object storage, a web server that has its moods."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from packsight.deploy.stack.ports import free_ports
from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.offers import FeedError
from packsight.indexer.feed.source import open_feed
from packsight.indexer.photos import fetch_photos
from packsight.indexer.state import copy, schedule
from packsight.indexer.state.database import State, opened
from packsight.indexer.state.intake import take_in, take_in_extras
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.contract.outcomes import Failure
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore
from tests.feeds import read_offers

FEED = (
    "<yml_catalog><shop><offers>"
    '<offer id="1"><picture>img/1.jpg</picture><picture>img/Крем 2.jpg</picture></offer>'
    '<offer id="2"><picture>img/missing.jpg</picture></offer>'
    "</offers></shop></yml_catalog>"
)


class Web:
    """A server with a feed and two pictures; `busy` answers 429 so many times first."""

    def __init__(self) -> None:
        self.files = {
            "/shop/feed.xml": FEED.encode(),
            "/shop/img/1.jpg": b"one",
            "/shop/img/%D0%9A%D1%80%D0%B5%D0%BC%202.jpg": b"two",
        }
        self.busy = 0
        self.answers: Counter[int] = Counter()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = web.files.get(self.path)
                etag = f'"{hashlib.md5(data or b"").hexdigest()}"'
                status = 404 if data is None else 304 if self.headers.get("If-None-Match") == etag else 200
                if web.busy and self.path.endswith("1.jpg"):
                    web.busy -= 1
                    status = 429
                web.answers[status] += 1
                body = data if status == 200 and data is not None else b""
                self.send_response(status)
                self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.feed = f"http://127.0.0.1:{self.server.server_port}/shop/feed.xml"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.stop()


@dataclass
class Fetched:
    """What a look at the pictures of a feed found."""

    state: State
    asked: int
    put_off: int
    downloads: int

    def seen(self, source: str) -> tuple[str, Failure | None]:
        sha256, failure = self.state.one("SELECT sha256, failure FROM pictures WHERE source = ?", source)
        return sha256, Failure.model_validate_json(failure) if failure else None

    @property
    def failures(self) -> list[Failure]:
        texts = self.state.rows("SELECT failure FROM pictures WHERE failure != ''")
        return [Failure.model_validate_json(text) for (text,) in texts]


@pytest.fixture
def state() -> Iterator[State]:
    with opened() as made:
        yield made


def fetch(
    state: State,
    feed: str,
    settings: Settings,
    store: ObjectStore,
    extras: str = "",
    *,
    now: float = 0.0,
    everything: bool = False,
) -> Fetched:
    """Look at the pictures of a feed that are due at a time."""
    with state.transaction():
        with open_feed(feed, settings, store) as read:
            assert read is not None
            take_in(state, read)
        take_in_extras(state, extra_photos(extras, store) if extras else (), extras)
        due = schedule.draw_up(state, settings.catalog, now, everything=everything)
    agenda, downloads = fetch_photos(state, due, feed=feed, extras=extras, settings=settings, store=store, clock=lambda: now)
    return Fetched(state, agenda.asked, agenda.put_off, downloads)


def test_relative_pictures_of_a_feed_on_the_web_are_fetched_from_its_own_server(
    web: Web, state: State, live_settings: Settings, store: ObjectStore
) -> None:
    web.busy = 2
    fetched = fetch(state, web.feed, live_settings, store)
    assert fetched.seen("img/1.jpg")[0] == hashlib.sha256(b"one").hexdigest()
    assert store.read(f"photos/{hashlib.sha256(b'two').hexdigest()}").data == b"two"
    failure = fetched.seen("img/missing.jpg")[1]
    assert failure is not None
    assert failure.code in {ErrorCode.HTTP_STATUS, ErrorCode.OBJECT_MISSING}
    assert web.answers[429] == 2


def test_unchanged_pictures_are_asked_for_and_not_downloaded(
    web: Web, state: State, live_settings: Settings, store: ObjectStore
) -> None:
    first = fetch(state, web.feed, live_settings, store)
    again = fetch(state, web.feed, live_settings, store, everything=True)
    assert (first.downloads, again.downloads, again.asked, web.answers[304]) == (2, 0, 3, 2)
    web.files["/shop/img/1.jpg"] = b"another"
    changed = fetch(state, web.feed, live_settings, store, everything=True)
    assert changed.downloads == 1
    assert changed.seen("img/1.jpg")[0] == hashlib.sha256(b"another").hexdigest()


def test_a_picture_is_asked_for_when_it_is_due_and_a_failed_one_sooner(
    web: Web, state: State, live_settings: Settings, store: ObjectStore
) -> None:
    now = 1_000_000.0
    assert fetch(state, web.feed, live_settings, store, now=now).asked == 3
    assert fetch(state, web.feed, live_settings, store, now=now + 60).asked == 0
    soon = fetch(state, web.feed, live_settings, store, now=now + 1200)  # 900 s and at most a quarter
    assert soon.asked == 1
    assert soon.seen("img/missing.jpg")[1] is not None
    assert state.value("SELECT tries FROM pictures WHERE source = 'img/missing.jpg'") == 2
    assert fetch(state, web.feed, live_settings, store, now=now + 6000).asked == 3


def test_a_picture_that_comes_back_is_no_failure_any_longer(
    web: Web, state: State, live_settings: Settings, store: ObjectStore
) -> None:
    fetch(state, web.feed, live_settings, store)
    data = web.files.pop("/shop/img/1.jpg")
    gone = fetch(state, web.feed, live_settings, store, everything=True)
    assert gone.seen("img/1.jpg")[1] is not None
    web.files["/shop/img/1.jpg"] = data
    back = fetch(state, web.feed, live_settings, store, everything=True)
    assert back.seen("img/1.jpg") == (hashlib.sha256(b"one").hexdigest(), None)
    assert back.downloads == 0


def test_of_a_host_that_does_not_answer_the_rest_is_put_off(
    state: State, live_settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packsight.indexer.photos.operator_settings", _impatient)
    pictures = "".join(f"<picture>http://127.0.0.1:9/{number}.jpg</picture>" for number in range(60))
    (tmp_path / "feed.xml").write_text(f'<yml_catalog><offer id="1"><name>a</name>{pictures}</offer></yml_catalog>')
    fetched = fetch(state, str(tmp_path / "feed.xml"), live_settings, store)
    assert schedule.HOST_FAILURES <= fetched.asked < 40
    assert fetched.put_off == 60 - fetched.asked
    assert len(fetched.failures) == 60, "each of them says why it cannot be used"
    assert fetch(state, str(tmp_path / "feed.xml"), live_settings, store, now=60.0).asked == 0


def _impatient(settings: Settings, *_: object) -> Settings:
    fetching = settings.fetch.model_copy(update={"allowed_hosts": ("127.0.0.1:9",), "retries": 0})
    return settings.model_copy(update={"fetch": fetching})


def test_a_photo_whose_bytes_were_lost_is_fetched_again_although_it_did_not_change(
    web: Web, state: State, live_settings: Settings, store: ObjectStore
) -> None:
    fetch(state, web.feed, live_settings, store)
    store.remove(f"photos/{hashlib.sha256(b'one').hexdigest()}")
    again = fetch(state, web.feed, live_settings, store, everything=True)
    assert again.downloads == 1
    assert store.exists(f"photos/{hashlib.sha256(b'one').hexdigest()}")


def test_pictures_on_other_private_hosts_stay_refused(
    web: Web, state: State, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "feed.xml").write_text(FEED.replace("img/1.jpg", web.feed.replace("feed.xml", "img/1.jpg")))
    fetched = fetch(state, str(tmp_path / "feed.xml"), live_settings, store)
    assert ErrorCode.REFERENCE_REFUSED in {failure.code for failure in fetched.failures}
    assert web.answers.total() == 0


def test_a_local_feed_reads_nothing_outside_of_its_folder(
    state: State, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "feed.xml").write_text(FEED.replace("img/1.jpg", "../secret.jpg"))
    failure = fetch(state, str(tmp_path / "shop" / "feed.xml"), live_settings, store).seen("../secret.jpg")[1]
    assert failure is not None
    assert failure.code is ErrorCode.REFERENCE_REFUSED


def test_feed_pictures_and_extra_photos_may_lie_in_object_storage(
    state: State, live_settings: Settings, store: ObjectStore
) -> None:
    store.write("shop/feed.xml", FEED.encode())
    store.write("shop/img/1.jpg", b"one")
    store.write("shop/extra/1/a.HEIC", b"extra")
    store.write("shop/extra/1/readme.txt", b"no photo")
    root = f"s3://{store.bucket}/shop"
    fetched = fetch(state, f"{root}/feed.xml", live_settings, store, extras=f"{root}/extra/")
    assert fetched.seen("img/1.jpg")[0] == hashlib.sha256(b"one").hexdigest()
    assert fetched.seen(f"{root}/extra/1/a.HEIC")[0] == hashlib.sha256(b"extra").hexdigest()
    assert fetched.asked == 4


@pytest.mark.parametrize("place", ["web", "object storage"])
def test_a_feed_that_is_still_the_same_is_not_sent_again(
    web: Web, live_settings: Settings, store: ObjectStore, place: str
) -> None:
    store.write("shop/feed.xml", FEED.encode())
    location = web.feed if place == "web" else f"s3://{store.bucket}/shop/feed.xml"
    with open_feed(location, live_settings, store) as feed:
        assert feed is not None
        assert feed.validator
        assert len(list(feed.items())) == 2
    with open_feed(location, live_settings, store, validator=feed.validator) as again:
        assert again is None
    web.files["/shop/feed.xml"] = FEED.replace('id="1"', 'id="5"').encode()
    store.write("shop/feed.xml", web.files["/shop/feed.xml"])
    with open_feed(location, live_settings, store, validator=feed.validator) as changed:
        assert changed is not None


def test_a_feed_address_that_does_not_answer_is_a_feed_error(web: Web, live_settings: Settings) -> None:
    with pytest.raises(FeedError, match=r"cannot be fetched: .*404.*\[\w+\] (Look at|Upload it there, or correct its address)"):
        read_offers(web.feed + ".old", live_settings)
    with pytest.raises(FeedError, match=r"\[host_unreachable\] Look whether the shop's server is up"):
        read_offers(f"http://127.0.0.1:{free_ports(1)[0]}/feed.xml", live_settings)
    with pytest.raises(FeedError, match="Upload it there, or correct its address"):
        read_offers(f"s3://{live_settings.s3.bucket}/nothing.xml", live_settings)


def test_extra_photos_are_found_by_the_name_of_their_folder_at_any_depth(tmp_path: Path, store: ObjectStore) -> None:
    for name in ("A1/2.jpg", "A1/1.heic", "group/B2/1.PNG", "A1/3.hif", "A1/notes.txt", "A1/.hidden.jpg", "loose.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list(extra_photos(str(tmp_path), store)) == [
        ("A1", "A1/1.heic"), ("A1", "A1/2.jpg"), ("A1", "A1/3.hif"), ("B2", "group/B2/1.PNG"),
    ]  # fmt: skip
    with pytest.raises(UserError, match="not a folder"):
        list(extra_photos(str(tmp_path / "nowhere"), store))


def test_a_new_host_goes_on_from_the_copy_of_what_was_seen(
    web: Web, state: State, live_settings: Settings, store: ObjectStore
) -> None:
    fetch(state, web.feed, live_settings, store, now=1_000_000.0)
    state.run("INSERT INTO refused VALUES('bytes', 'why', 1)")
    copy.keep(state, store, "default", 1_000_000.0)
    with opened() as other:
        copy.restore(other, store, "default", web.feed)
        columns = "source, host, sha256, validator, failure, due, changed, tries"
        before, after = (list(each.rows(f"SELECT {columns} FROM pictures ORDER BY source")) for each in (state, other))
        assert before == after
        assert other.value("SELECT failure FROM refused") == "why"
        assert fetch(other, web.feed, live_settings, store, now=1_000_060.0).asked == 0


@pytest.mark.parametrize(
    "damage",
    [b"no gzip", gzip.compress(b'["a", 0, "v", "s", "", 0, 0.0, 0.0, 0]\n[1]\n'), b""],
    ids=["no gzip", "a line of another kind", "nothing"],
)
def test_a_copy_that_is_not_readable_is_none(state: State, store: ObjectStore, damage: bytes) -> None:
    store.write("catalogs/default/pictures.jsonl.gz", damage)
    store.write("catalogs/default/sources/1.jsonl.gz", b"of a former release")
    copy.restore(state, store, "default", "/srv/feed.xml")
    assert state.value("SELECT count(*) FROM pictures") == 0
    assert list(store.list("catalogs/default/sources/")) == []


def test_the_copy_is_not_made_anew_all_the_time(state: State, store: ObjectStore) -> None:
    copy.keep(state, store, "default", 1000.0)
    store.remove("catalogs/default/pictures.jsonl.gz")
    copy.keep(state, store, "default", 1000.0 + copy.COPY_SECONDS / 2)
    assert not store.exists("catalogs/default/pictures.jsonl.gz")
    copy.keep(state, store, "default", 1001.0 + copy.COPY_SECONDS)
    assert store.exists("catalogs/default/pictures.jsonl.gz")
