"""What answers under the endpoint may be no object store: the page of a proxy, something cut or changed on the way."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.settings import S3
from packsight.shared.storage.objects import ObjectStore

PAGE = b"<!DOCTYPE html><html><body>We are back soon<br></body></html>"
PHOTO = b"content of an object"
MD5 = hashlib.md5(PHOTO).hexdigest()


@dataclass
class Answer:
    """What the server says to whatever it is asked."""

    status: int = 200
    body: bytes = PAGE
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html"})
    listing: bytes = b""
    """What whoever asks for a list gets instead."""


@pytest.fixture
def answer() -> Answer:
    return Answer()


@pytest.fixture
def store(answer: Answer) -> Iterator[ObjectStore]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.reply
            raise AttributeError(name)

        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            lists = bool(answer.listing) and "list-type=" in self.path
            body = answer.listing if lists else answer.body
            self.send_response(200 if lists else answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        s3 = S3(endpoint=f"127.0.0.1:{server.server_port}", access_key="a", secret_key=SecretStr("b"), bucket="bucket")
        made = ObjectStore(s3)
        yield made
        made.close()
        server.shutdown()
        thread.join()


def calls(store: ObjectStore, folder: Path) -> dict[str, Callable[[], object]]:
    (folder / "up").write_bytes(b"up")
    return {
        "read": lambda: store.read("key"),
        "write": lambda: store.write("key", b"data"),
        "create": lambda: store.create("key", b"data"),
        "replace": lambda: store.replace("key", b"data", etag="tag"),
        "exists": lambda: store.exists("key"),
        "size": lambda: store.size("key"),
        "etag": lambda: store.etag("key"),
        "list": lambda: list(store.list("prefix")),
        "download": lambda: store.download("key", folder / "down"),
        "upload": lambda: store.upload("key", str(folder / "up")),
    }


ANSWERS = {
    "page": Answer(),
    "nothing": Answer(body=b"", headers={}),
    "other xml": Answer(body=b"<?xml version='1.0'?><html><Contents/></html>", headers={"Content-Type": "application/xml"}),
    "error page": Answer(status=400),
    "error that is no text": Answer(status=400, body=b"\xff\xfe\x00"),
    "error in other xml": Answer(status=400, body=b"<html></html>", headers={"Content-Type": "application/xml"}),
    "error in broken xml": Answer(status=400, body=b"<Error><Code>", headers={"Content-Type": "application/xml"}),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_that_is_not_s3s_is_a_passing_failure_whatever_was_asked(
    answer: Answer, store: ObjectStore, tmp_path: Path, kind: str
) -> None:
    answer.status, answer.body, answer.headers = ANSWERS[kind].status, ANSWERS[kind].body, ANSWERS[kind].headers
    for name, call in calls(store, tmp_path).items():
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.code is ErrorCode.FETCH_FAILED, name
        assert caught.value.retryable, name
    assert not store.answers()


LISTING = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>
<IsTruncated>false</IsTruncated>{}</ListBucketResult>"""
DIRECTORY = "<CommonPrefixes><Prefix>catalogs/{}/</Prefix></CommonPrefixes>"
ABSENT = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>"


@pytest.mark.parametrize(
    ("names", "status", "body", "answers"),
    [
        ((".deleted", "shop"), 200, PHOTO, True),
        ((".deleted", "shop"), 500, b"", False),
        ((".deleted", "shop"), 404, ABSENT, True),
        ((".deleted",), 500, b"", True),
        ((), 500, b"", True),
    ],
    ids=("reads", "lists and cannot read", "has no pointer yet", "has no catalog any more", "is empty"),
)
def test_a_server_answers_where_it_gives_what_it_lists(
    answer: Answer, store: ObjectStore, names: tuple[str, ...], status: int, body: bytes, answers: bool
) -> None:
    answer.listing = LISTING.format("".join(map(DIRECTORY.format, names))).encode()
    answer.status, answer.body, answer.headers = status, body, {"ETag": f'"{MD5}"', "Content-Type": "application/xml"}
    assert store.answers() is answers


def test_content_that_is_not_what_its_tag_says_is_refused(answer: Answer, store: ObjectStore, tmp_path: Path) -> None:
    answer.body, answer.headers = PHOTO, {"ETag": f'"{MD5}"'}
    assert store.read("key").data == PHOTO
    answer.body = PHOTO.replace(b"o", b"0")
    for call in (lambda: store.read("key"), lambda: store.download("key", tmp_path / "down")):
        with pytest.raises(StorageError, match="did not arrive as its ETag says"):
            call()


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": f'"{MD5}-2"'},
        {"ETag": f'"{MD5}"', "x-amz-server-side-encryption": "aws:kms"},
        {"ETag": f'"{MD5}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_a_tag_that_is_no_hash_of_the_content_is_none(answer: Answer, store: ObjectStore, headers: dict[str, str]) -> None:
    answer.body, answer.headers = b"other", headers
    assert store.read("key").data == b"other"


def test_content_whose_hash_is_known_is_not_held_against_its_tag(answer: Answer, store: ObjectStore, tmp_path: Path) -> None:
    answer.body, answer.headers = b"other", {"ETag": f'"{MD5}"'}
    assert store.download("key", tmp_path / "down", tagged=False) == MD5
    assert (tmp_path / "down").read_bytes() == b"other"


def test_a_download_stops_at_its_limit(answer: Answer, store: ObjectStore, tmp_path: Path) -> None:
    answer.body, answer.headers = PHOTO, {"ETag": f'"{MD5}"'}
    with pytest.raises(StorageError) as caught:
        store.download("key", tmp_path / "down", limit=5)
    assert caught.value.code is ErrorCode.FILE_TOO_LARGE
    assert (tmp_path / "down").stat().st_size == 0


@pytest.mark.parametrize("bucket", ["A", "a..b", "10.0.0.1"])
def test_names_that_no_server_has_are_not_asked_for(store: ObjectStore, bucket: str) -> None:
    for call in (lambda: store.read("key", bucket=bucket), lambda: list(store.list("", bucket=bucket))):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.code is ErrorCode.REFERENCE_INVALID
