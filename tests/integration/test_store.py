"""Object storage over a real S3 server."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import minio.time
import pytest

from packsight.shared.contract.errors import ErrorCode, StorageError, StoreUnable
from packsight.shared.settings import Settings
from packsight.shared.storage.files import FileChanged, hash_file
from packsight.shared.storage.objects import Conflict, ObjectStore


def test_what_was_written_is_read_back_with_its_tag(store: ObjectStore) -> None:
    store.write("a/b", b"content")
    blob = store.read("a/b")
    assert blob.data == b"content"
    assert blob.etag


@pytest.mark.parametrize("name", ["Photos", "my_photos", "xn--photos"])
def test_a_bucket_that_cannot_be_made_is_told_to_be_one(live_settings: Settings, name: str) -> None:
    store = ObjectStore(live_settings.s3.model_copy(update={"bucket": name}))
    with pytest.raises(StorageError, match=f"There is no bucket {name}, and none of this name can be made") as raised:
        store.ensure_bucket()
    assert "PACKSIGHT_S3__BUCKET" in raised.value.remedy


def test_what_is_sent_in_several_parts_arrives_as_it_was(store: ObjectStore, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(12_000_000)
    (tmp_path / "sent").write_bytes(data)
    store.upload("up", str(tmp_path / "sent"))
    store.write("written", data)
    store.download("up", tmp_path / "brought", limit=len(data))
    assert (tmp_path / "brought").read_bytes() == store.read("written").data == data
    assert "-" in store.etag("up"), "a tag of parts, no hash of the content"


@pytest.mark.parametrize("size", [0, 1000, 12_000_000])
def test_a_file_that_is_not_what_its_hash_says_is_not_stored(store: ObjectStore, tmp_path: Path, size: int) -> None:
    file = tmp_path / "sent"
    file.write_bytes(random.Random(1).randbytes(size))
    store.upload_unchanged(f"right-{size}", file, hash_file(file))
    assert store.read(f"right-{size}").data == file.read_bytes()
    with pytest.raises(FileChanged):
        store.upload_unchanged(f"wrong-{size}", file, hashlib.sha256(b"other").hexdigest())
    assert not store.exists(f"wrong-{size}")


@pytest.mark.parametrize(("key", "bucket", "code"), [("none", None, "object_missing"), ("a", "no-such-bucket", "bucket_missing")])
def test_missing_things_have_their_own_codes(store: ObjectStore, key: str, bucket: str | None, code: str) -> None:
    with pytest.raises(StorageError) as caught:
        store.read(key, bucket=bucket)
    assert caught.value.code == code
    assert caught.value.remedy


def test_an_object_over_the_limit_is_refused(store: ObjectStore) -> None:
    store.write("big", b"x" * 1000)
    with pytest.raises(StorageError) as caught:
        store.read("big", limit=999)
    assert caught.value.code is ErrorCode.FILE_TOO_LARGE
    assert store.read("big", limit=1000).data == b"x" * 1000


def test_of_many_conditional_overwrites_one_wins(store: ObjectStore) -> None:
    store.replace("pointer", b"0", etag=None)
    etag = store.read("pointer").etag

    def attempt(number: int) -> bool:
        try:
            store.replace("pointer", str(number).encode(), etag=etag)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(attempt, range(1, 9)))
    assert sum(wins) == 1
    assert store.read("pointer").data == str(wins.index(True) + 1).encode()


def test_a_server_that_is_away_is_reported_as_unreachable(live_settings: Settings) -> None:
    away = ObjectStore(live_settings.s3.model_copy(update={"endpoint": "127.0.0.1:1"}))
    with pytest.raises(StorageError) as caught:
        away.read("a")
    assert caught.value.code is ErrorCode.HOST_UNREACHABLE
    assert caught.value.retryable


def test_a_wrong_secret_is_access_denied(live_settings: Settings) -> None:
    wrong = ObjectStore(live_settings.s3.model_copy(update={"access_key": "nobody"}))
    with pytest.raises(StorageError) as caught:
        wrong.read("a")
    assert caught.value.code is ErrorCode.ACCESS_DENIED


def test_listing_goes_below_a_prefix_or_stops_at_the_next_level(store: ObjectStore) -> None:
    for key in ("x/1", "x/y/2", "z"):
        store.write(key, b"")
    assert list(store.list("x/")) == ["x/1", "x/y/2"]
    assert list(store.list("x/", recursive=False)) == ["x/1", "x/y/"]


@pytest.mark.parametrize("hours", [1, -24])
def test_of_a_clock_that_is_wrong_it_is_said_what_to_set(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    store.write("kept", b"content")
    now = minio.time.utcnow
    monkeypatch.setattr(minio.time, "utcnow", lambda: now() + timedelta(hours=hours))
    with pytest.raises(StoreUnable, match="RequestTimeTooSkewed") as caught:
        store.read("kept")
    assert "Set the clock" in caught.value.remedy and caught.value.retryable
    for asked in (lambda: store.exists("kept"), lambda: store.etag("kept"), store.ensure_bucket):
        with pytest.raises(StoreUnable, match="RequestTimeTooSkewed") as caught:
            asked()
        assert "Set the clock" in caught.value.remedy, "though HEAD is answered without a word"
    assert not store.answers(), "so that a worker takes no work, and no photo fails for it"
