"""Where feeds and photos may lie: disk, object storage, a web server that has its moods."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from packsight.indexer.feed.extra_photos import extra_photos
from packsight.indexer.feed.offers import FeedError
from packsight.indexer.feed.source import read_offers
from packsight.indexer.photos import Fetched, fetch_photos
from packsight.indexer.plan import PhotoKey, Rows, SourceState, plan
from packsight.indexer.source_states import SourceStates
from packsight.shared.contract.errors import ErrorCode, UserError
from packsight.shared.settings import Settings
from packsight.shared.storage.objects import ObjectStore

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


def fetch(
    feed: str, settings: Settings, store: ObjectStore, known: dict[PhotoKey, SourceState] | None = None, extras: str = ""
) -> Fetched:
    made = plan(read_offers(feed, settings, store), extra_photos(extras, store) if extras else {}, Rows(), feed=feed)
    return fetch_photos(
        made.photos.values(),
        known or {},
        described=frozenset(),
        feed=feed,
        extras=extras,
        settings=settings,
        store=store,
        sources=SourceStates(store, "default"),
    )


def test_relative_pictures_of_a_feed_on_the_web_are_fetched_from_its_own_server(
    web: Web, live_settings: Settings, store: ObjectStore
) -> None:
    web.busy = 2
    fetched = fetch(web.feed, live_settings, store)
    assert fetched.states["img/1.jpg", False].sha256 == hashlib.sha256(b"one").hexdigest()
    assert store.read(f"photos/{hashlib.sha256(b'two').hexdigest()}").data == b"two"
    failure = fetched.states["img/missing.jpg", False].failure
    assert failure is not None
    assert failure.code in {ErrorCode.HTTP_STATUS, ErrorCode.OBJECT_MISSING}
    assert web.answers[429] == 2


def test_unchanged_pictures_are_asked_for_and_not_downloaded(
    web: Web, live_settings: Settings, store: ObjectStore
) -> None:
    first = fetch(web.feed, live_settings, store)
    again = fetch(web.feed, live_settings, store, SourceStates(store, "default").load())
    assert (first.downloads, again.downloads, web.answers[304]) == (2, 0, 2)
    assert again.states["img/1.jpg", False] == first.states["img/1.jpg", False]
    web.files["/shop/img/1.jpg"] = b"another"
    changed = fetch(web.feed, live_settings, store, SourceStates(store, "default").load())
    assert changed.downloads == 1
    assert changed.states["img/1.jpg", False].sha256 == hashlib.sha256(b"another").hexdigest()


def test_a_photo_whose_bytes_were_lost_is_fetched_again_although_it_did_not_change(
    web: Web, live_settings: Settings, store: ObjectStore
) -> None:
    fetch(web.feed, live_settings, store)
    store.remove(f"photos/{hashlib.sha256(b'one').hexdigest()}")
    again = fetch(web.feed, live_settings, store, SourceStates(store, "default").load())
    assert again.downloads == 1
    assert store.exists(f"photos/{hashlib.sha256(b'one').hexdigest()}")


def test_pictures_on_other_private_hosts_stay_refused(
    web: Web, live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "feed.xml").write_text(FEED.replace("img/1.jpg", web.feed.replace("feed.xml", "img/1.jpg")))
    fetched = fetch(str(tmp_path / "feed.xml"), live_settings, store)
    failures = [state.failure for state in fetched.states.values() if state.failure is not None]
    assert ErrorCode.REFERENCE_REFUSED in {failure.code for failure in failures}
    assert web.answers.total() == 0


def test_a_local_feed_reads_nothing_outside_of_its_folder(
    live_settings: Settings, store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "feed.xml").write_text(FEED.replace("img/1.jpg", "../secret.jpg"))
    fetched = fetch(str(tmp_path / "shop" / "feed.xml"), live_settings, store)
    failure = fetched.states["../secret.jpg", False].failure
    assert failure is not None
    assert failure.code is ErrorCode.REFERENCE_REFUSED


def test_feed_pictures_and_extra_photos_may_lie_in_object_storage(live_settings: Settings, store: ObjectStore) -> None:
    store.write("shop/feed.xml", FEED.encode())
    store.write("shop/img/1.jpg", b"one")
    store.write("shop/extra/1/a.HEIC", b"extra")
    store.write("shop/extra/1/readme.txt", b"no photo")
    root = f"s3://{store.bucket}/shop"
    fetched = fetch(f"{root}/feed.xml", live_settings, store, extras=f"{root}/extra/")
    assert fetched.states["img/1.jpg", False].sha256 == hashlib.sha256(b"one").hexdigest()
    extra = fetched.states[f"{root}/extra/1/a.HEIC", True]
    assert extra.sha256 == hashlib.sha256(b"extra").hexdigest()
    assert len(fetched.states) == 4


def test_a_feed_address_that_does_not_answer_is_a_feed_error(
    web: Web, live_settings: Settings, store: ObjectStore
) -> None:
    with pytest.raises(FeedError, match="cannot be fetched"):
        read_offers(web.feed + ".old", live_settings, store)


def test_extra_photos_are_found_by_the_name_of_their_folder_at_any_depth(tmp_path: Path, store: ObjectStore) -> None:
    for name in ("A1/2.jpg", "A1/1.heic", "group/B2/1.PNG", "A1/3.hif", "A1/notes.txt", "A1/.hidden.jpg", "loose.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = extra_photos(str(tmp_path), store)
    assert {code: [photo.source for photo in photos] for code, photos in found.items()} == {
        "A1": ["A1/1.heic", "A1/2.jpg", "A1/3.hif"],
        "B2": ["group/B2/1.PNG"],
    }
    with pytest.raises(UserError, match="not a folder"):
        extra_photos(str(tmp_path / "nowhere"), store)


def test_the_source_book_tells_the_latest_of_each_source_and_is_rewritten_as_one(store: ObjectStore) -> None:
    states = SourceStates(store, "default")
    states.add({("a", False): SourceState("1", "v1"), ("a", True): SourceState("2", "v2")})
    states.add({("a", False): SourceState("3", "v3")})
    assert states.load() == {("a", False): SourceState("3", "v3"), ("a", True): SourceState("2", "v2")}
    states.rewrite({("b", False): SourceState("4", "v4")})
    assert states.load() == {("b", False): SourceState("4", "v4")}
    states.rewrite({})
    assert list(store.list("catalogs/default/sources/")) == []
