"""Fetching against servers that misbehave, names that lead inside, and a real object store."""

from __future__ import annotations

import gzip
import io
import os
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import SecretStr

from packsight.indexer.feed.offers import FeedError
from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.settings import S3, Catalog, Fetch, Settings
from packsight.shared.storage import deadline
from packsight.shared.storage.addresses import AddressRule
from packsight.shared.storage.coding import unpacked
from packsight.shared.storage.fetch import Fetcher
from packsight.shared.storage.objects import ObjectStore
from tests.certificates import certificate
from tests.feeds import read_offers
from tests.servers import PHOTO, FaultServer, certificate_for, packed, serving

PUBLIC = "93.184.215.14"

Make = Callable[..., Fetcher]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("packsight.shared.storage.fetch._FIRST_PAUSE", 0.01)


@pytest.fixture
def make() -> Iterator[Make]:
    """Make fetchers with the given limits, closed at the end; storage is not there unless it is given, then all open."""
    made: list[Fetcher] = []

    def fetcher(store: ObjectStore | None = None, **limits: Any) -> Fetcher:
        opened = (f"s3://{store.bucket}/",) if store else ()
        settings = Settings(_env_file=None, fetch=Fetch(**{"allowed_prefixes": opened} | limits))
        made.append(Fetcher(settings, store or ObjectStore(S3(endpoint="127.0.0.1:1"))))
        return made[-1]

    yield fetcher
    for each in made:
        each.close()


@pytest.fixture
def fetcher(make: Make, server: FaultServer) -> Fetcher:
    """May reach the fault server, and nothing else that is not public."""
    return make(allowed_hosts=(f"127.0.0.1:{server.port}",), max_bytes=1_000_000)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | Exception) -> list[str]:
    """Let every name resolve to the next answer, the last one again and again; returns the names asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses that any socket was told to connect to; none of them is reached."""
    calls: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        calls.append(address[0])
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return calls


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def refusal(fetcher: Fetcher, reference: str, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(reference, **options)
    assert caught.value.remedy
    return caught.value


# --- the web ---


def test_a_photo_is_fetched_over_http_as_it_is(fetcher: Fetcher, server: FaultServer) -> None:
    assert fetcher.fetch(server.url("/photo.jpg?size=2")) == PHOTO
    target, headers = server.requests[0]
    assert target == "/photo.jpg?size=2"
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_one_connection_serves_many_photos(fetcher: Fetcher, server: FaultServer) -> None:
    for _ in range(20):
        fetcher.fetch(server.url("/photo.jpg"))
    assert server.connections == 1


def test_a_body_that_ends_with_its_connection_is_whole(fetcher: Fetcher, server: FaultServer) -> None:
    assert fetcher.fetch(server.url("/until-close")) == PHOTO


LAST = len(PHOTO) - 1


@pytest.mark.parametrize("path", ["201", "203", "226", f"206/0/{LAST}/{LAST + 1}"])
def test_a_whole_photo_is_taken_under_whatever_status_says_so(fetcher: Fetcher, server: FaultServer, path: str) -> None:
    assert fetcher.fetch(server.url(f"/whole/{path}")) == PHOTO


PARTS = [f"0/{LAST}/{LAST + 2}", f"1/{LAST + 1}/{LAST + 2}", f"0/{LAST}/*", f"0/{'9' * 5000}/{'9' * 5000}"]


@pytest.mark.parametrize("path", ["204", "206", *(f"206/{part}" for part in PARTS)], ids=range(2 + len(PARTS)))
def test_a_part_of_a_photo_or_none_is_refused_by_its_status(fetcher: Fetcher, server: FaultServer, path: str) -> None:
    assert refusal(fetcher, server.url(f"/whole/{path}")).code is ErrorCode.HTTP_STATUS


@pytest.mark.parametrize("said", [LAST - 9, LAST, LAST + 2, 10**14])
def test_a_part_that_is_said_to_be_all_but_has_other_bytes_broke_off(fetcher: Fetcher, server: FaultServer, said: int) -> None:
    error = refusal(fetcher, server.url(f"/whole/206/0/{said - 1}/{said}"))
    assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, True)
    assert "broke off" in error.message


@pytest.mark.parametrize("path", ["/hints/103", "/hints/100/102/103/103"])
def test_interim_answers_are_passed_over(fetcher: Fetcher, server: FaultServer, path: str) -> None:
    for _ in range(2):
        assert fetcher.fetch(server.url(path)) == PHOTO
    assert server.connections == 1


def test_a_server_that_gives_hints_without_end_is_left_at_the_deadline(make: Make, server: FaultServer) -> None:
    fetcher = make(allowed_hosts=("127.0.0.1",), deadline=0.5)
    begun = time.monotonic()
    assert refusal(fetcher, server.url("/hints-without-end")).code is ErrorCode.FETCH_TIMEOUT
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/фото/крем для рук.jpg", "/фото/крем для рук.jpg"),
        ("/фото/%D0%BA%D1%80%D0%B5%D0%BC.jpg", "/фото/крем.jpg"),
        ("/скидка 50%.jpg", "/скидка 50%.jpg"),
        ("/a?цвет=алый шёлк&b=1", "/a?цвет=алый шёлк&b=1"),
        ("/a[1].jpg#fragment", "/a[1].jpg"),
    ],
)
def test_cyrillic_and_spaces_in_addresses_work(fetcher: Fetcher, server: FaultServer, written: str, sent: str) -> None:
    assert fetcher.fetch(server.url(written)) == PHOTO
    target = server.requests[0][0]
    assert target.isascii()
    assert " " not in target
    assert unquote(target) == sent


def test_a_cyrillic_host_name_is_asked_for_in_its_ascii_form(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, ["10.0.0.1"])
    refusal(make(), "https://магазин.рф/фото.jpg")
    assert asked == ["xn--80aairftm.xn--p1ai"]


@pytest.mark.parametrize("hops", [1, 3])
def test_up_to_three_redirects_are_followed(fetcher: Fetcher, server: FaultServer, hops: int) -> None:
    assert fetcher.fetch(server.url(f"/hops/{hops}")) == PHOTO


def test_a_fourth_redirect_is_refused(fetcher: Fetcher, server: FaultServer) -> None:
    error = refusal(fetcher, server.url("/hops/4"))
    assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, False)
    assert server.hits["/photo.jpg"] == 0


@pytest.mark.parametrize(
    ("status", "retryable", "requests"),
    [
        *[(400, False, 1), (403, False, 1), (404, False, 1), (410, False, 1), (204, False, 1)],
        *[(408, True, 2), (425, True, 2), (429, True, 2), (500, True, 2), (503, True, 2)],
    ],
)
def test_an_error_status_is_named_and_asked_for_again_only_if_that_can_help(
    fetcher: Fetcher, server: FaultServer, status: int, retryable: bool, requests: int
) -> None:
    error = refusal(fetcher, server.url(f"/status/{status}"), retries=1)
    assert (error.code, error.retryable) == (ErrorCode.HTTP_STATUS, retryable)
    assert str(status) in error.message
    assert len(server.requests) == requests


def test_a_server_that_redirects_in_a_circle_wants_cookies(fetcher: Fetcher, server: FaultServer) -> None:
    error = refusal(fetcher, server.url("/cookie"))
    assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, False)
    assert error.message.endswith("/cookie redirects in a circle")
    assert "cookies or a login" in error.remedy


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        *[(401, "turns programs"), (403, "User-Agent packsight"), (999, "turns programs"), (429, "a pause")],
        *[(404, "in a browser"), (302, "the address of the picture itself"), (304, "another address")],
    ],
)
def test_of_an_error_status_it_is_said_what_to_do(fetcher: Fetcher, server: FaultServer, status: int, remedy: str) -> None:
    assert remedy in refusal(fetcher, server.url(f"/status/{status}"), retries=0).remedy


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_recovers_is_asked_again_until_it_answers(
    fetcher: Fetcher, server: FaultServer, status: int
) -> None:
    assert fetcher.fetch(server.url(f"/flaky/{status}/2")) == PHOTO
    assert len(server.requests) == 3


def test_a_server_that_wants_a_longer_pause_than_the_deadline_is_not_waited_for(
    fetcher: Fetcher, server: FaultServer
) -> None:
    assert refusal(fetcher, server.url("/flaky/429/1/3600")).code is ErrorCode.HTTP_STATUS
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["cut", "cut-chunks", "hang-up", "garbage"])
def test_a_transfer_that_breaks_off_is_tried_again_and_then_named(
    fetcher: Fetcher, server: FaultServer, fault: str
) -> None:
    error = refusal(fetcher, server.url(f"/{fault}"), retries=1)
    assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["drip-body", "drip-chunks", "drip-chunk-size", "drip-headers"])
def test_a_server_that_drips_bytes_is_left_at_the_deadline(make: Make, server: FaultServer, fault: str) -> None:
    fetcher = make(allowed_hosts=("127.0.0.1",), deadline=0.25)
    error = refusal(fetcher, server.url(f"/{fault}"))
    assert (error.code, error.retryable) == (ErrorCode.FETCH_TIMEOUT, True)


def test_a_server_that_stays_silent_is_left_after_the_read_timeout(make: Make, server: FaultServer) -> None:
    fetcher = make(allowed_hosts=("127.0.0.1",), read_timeout=0.2)
    assert refusal(fetcher, server.url("/silent"), retries=0).code is ErrorCode.FETCH_TIMEOUT


def test_a_deadline_that_ended_does_not_spoil_the_next_photo(make: Make, server: FaultServer) -> None:
    fetcher = make(allowed_hosts=("127.0.0.1",), deadline=1.5)
    assert refusal(fetcher, server.url("/drip-body")).code is ErrorCode.FETCH_TIMEOUT
    assert fetcher.fetch(server.url("/photo.jpg")) == PHOTO


def test_a_port_where_nobody_listens_is_unreachable(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = refusal(make(allowed_hosts=("127.0.0.1",)), f"http://127.0.0.1:{port}/a.jpg", retries=0)
    assert (error.code, error.retryable) == (ErrorCode.HOST_UNREACHABLE, True)


def test_a_name_without_address_is_unreachable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    error = refusal(make(), "https://no-such-shop.example/a.jpg")
    assert (error.code, error.retryable, error.message) == (
        ErrorCode.HOST_UNREACHABLE, False, "no-such-shop.example: there is no such host"
    )  # fmt: skip
    assert len(asked) == 1, "a name that is mistyped is not asked for again, and holds up no other photo of its batch"


def test_a_resolver_that_is_away_is_asked_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolving(monkeypatch, socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    error = refusal(make(), "https://shop.example/a.jpg", retries=1)
    assert (error.code, error.retryable, len(asked)) == (ErrorCode.HOST_UNREACHABLE, True, 2)


def test_a_resolver_that_hangs_is_left_at_the_deadline(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60) and [])
    try:
        assert refusal(make(deadline=0.2), "https://shop.example/a.jpg").code is ErrorCode.FETCH_TIMEOUT
    finally:
        released.set()


@pytest.mark.parametrize("fault", ["announced/1000001", "endless"])
def test_a_file_over_the_limit_is_refused_whether_its_length_is_announced_or_not(
    fetcher: Fetcher, server: FaultServer, fault: str
) -> None:
    error = refusal(fetcher, server.url(f"/{fault}"))
    assert (error.code, error.retryable) == (ErrorCode.FILE_TOO_LARGE, False)
    assert len(server.requests) == 1


def test_a_file_of_exactly_the_limit_is_fetched(make: Make, server: FaultServer) -> None:
    fetcher = make(allowed_hosts=("127.0.0.1",), max_bytes=len(PHOTO))
    assert fetcher.fetch(server.url("/photo.jpg")) == PHOTO


def test_an_answer_that_cannot_be_unpacked_is_refused_by_the_name_of_its_coding(fetcher: Fetcher, server: FaultServer) -> None:
    error = refusal(fetcher, server.url("/brotli"))
    assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, False)
    assert "Content-Encoding br" in error.message


@pytest.mark.parametrize(
    ("coding", "packing"),
    [("gzip", "gzip"), ("x-gzip", "gzip"), ("deflate", "zlib"), ("none", "gzip"), ("gzip", "plain")]
    + [(coding, "plain") for coding in ("", "aws-chunked", "none", "UTF-8", "binary", "identity", "deflate", "br", "zstd")]
    + [("br", "gzip"), ("gzip,br", "plain"), ("deflate", "small-window"), ("deflate", "raw"), ("deflate,gzip", "raw-in-gzip")]
    + [(coding, packing) for coding in ("gzip", "gzip,gzip") for packing in ("twice", "gzip-in-zlib")]
    + [("gzip", "two-files"), ("gzip", "something-behind"), ("", "signed-chunks"), ("aws-chunked", "signed-chunks")]
    + [("aws-chunked", "chunks"), ("aws-chunked,gzip", "gzip-in-chunks")],
)
def test_the_bytes_say_whether_a_photo_is_packed(fetcher: Fetcher, server: FaultServer, coding: str, packing: str) -> None:
    assert fetcher.fetch(server.url(f"/coded/{coding}/{packing}")) == server.content
    found = fetcher.fetch_if_changed(server.url(f"/coded/{coding}/{packing}"), "")
    assert found is not None
    assert found.data == server.content


@pytest.mark.parametrize("begin", [b"\xff\xd8\xff\xe0", b"\x89PNG", b"RIFF", b"\0\0\0 ftypheic", b"<?xml"])
def test_chunks_of_an_upload_are_known_by_what_is_in_them_where_no_header_tells(begin: bytes) -> None:
    """As programs send them that sign no chunks, to stores that do not know how to take them apart."""
    body = begin + bytes(5000)
    assert unpacked(packed(body, "chunks"), 10_000, "it") == body
    assert unpacked(packed(gzip.compress(body), "chunks"), 10_000, "it") == body
    table = b"2024\r\nid,picture\r\n1,a.jpg\r\n"
    assert unpacked(table, 10_000, "it") == table


def test_a_photo_is_not_unpacked_beyond_the_limit(fetcher: Fetcher, server: FaultServer) -> None:
    server.content = b"a" * 5_000_000
    assert refusal(fetcher, server.url("/coded/gzip/gzip")).code is ErrorCode.FILE_TOO_LARGE
    assert len(fetcher.fetch(server.url("/coded/gzip/gzip"), unpack=False)) < 100_000
    for coding, packing in (("gzip", "twice"), ("deflate", "raw"), ("gzip", "two-files"), ("aws-chunked", "gzip-in-chunks")):
        assert refusal(fetcher, server.url(f"/coded/{coding}/{packing}")).code is ErrorCode.FILE_TOO_LARGE


def test_no_layer_is_unpacked_beyond_the_limit_though_nothing_is_in_it() -> None:
    nothing = gzip.compress(gzip.compress(b"") * 2000)
    assert unpacked(nothing, 40_000, "a.jpg") == b""
    with pytest.raises(ImageError) as caught:
        unpacked(nothing, 39_999, "a.jpg")
    assert caught.value.code is ErrorCode.FILE_TOO_LARGE


def test_a_photo_of_endlessly_many_packed_files_or_layers_is_left_as_it_is() -> None:
    many = gzip.compress(b"a", mtime=0) * 100_001
    assert unpacked(many, 10**9, "a.jpg") == many
    assert unpacked(packed(PHOTO, "thrice"), 10**9, "a.jpg") == packed(PHOTO, "thrice")


def test_of_a_packed_photo_that_ends_too_early_there_is_what_came() -> None:
    photo = os.urandom(200_000)
    for packing in ("gzip", "twice", "two-files", "signed-chunks"):
        there = unpacked(packed(photo, packing)[:-5000], 10**9, "a.jpg")
        assert photo.startswith(there)
        assert 190_000 < len(there) < 200_000


@pytest.mark.parametrize(
    "feed",
    [
        "id;picture;name\n1;a.jpg;Крем\n",
        '<yml_catalog><shop><offers><offer id="1"><name>Крем</name></offer></offers></shop></yml_catalog>',
    ],
    ids=["table", "YML"],
)
@pytest.mark.parametrize(
    ("coding", "packing"),
    [
        *(("br", "plain"), ("zstd", "gzip"), ("deflate", "plain"), ("deflate", "zlib"), ("deflate", "raw"), ("gzip", "twice")),
        *(("gzip,deflate", "gzip-in-zlib"), ("gzip", "two-files"), ("gzip", "something-behind")),
        *(("aws-chunked", "chunks"), ("gzip", "gzip-in-chunks")),
    ],
)
def test_the_bytes_say_whether_a_feed_is_packed(server: FaultServer, feed: str, coding: str, packing: str) -> None:
    server.content = feed.encode()
    offers = read_offers(server.url(f"/coded/{coding}/{packing}"), Settings(_env_file=None))
    assert [offer.product.name for offer in offers.by_id.values()] == ["Крем"]


@pytest.mark.parametrize(("coding", "packing"), [("none", "plain"), ("gzip", "gzip")])
def test_a_feed_in_a_zip_file_is_read_from_the_web(server: FaultServer, coding: str, packing: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("feed.csv", "id;picture;name\n1;a.jpg;Крем\n")
    server.content = made.getvalue()
    offers = read_offers(server.url(f"/coded/{coding}/{packing}"), Settings(_env_file=None))
    assert [offer.product.name for offer in offers.by_id.values()] == ["Крем"]


def test_a_feed_that_cannot_be_unpacked_is_refused_by_the_name_of_its_coding(server: FaultServer) -> None:
    with pytest.raises(FeedError, match=r"cannot be fetched: .*Content-Encoding br.*packed with gzip"):
        read_offers(server.url("/brotli"), Settings(_env_file=None))


@pytest.mark.parametrize("packing", ["gzip", "twice", "raw", "two-files"])
def test_a_feed_is_not_unpacked_beyond_the_limit(server: FaultServer, packing: str) -> None:
    server.content = b"id;picture;name\n" + b"1;a.jpg;b\n" * 20_000
    settings = Settings(_env_file=None, catalog=Catalog(max_feed_bytes=100_000))
    with pytest.raises(FeedError, match="has more than 100000 bytes"):
        read_offers(server.url(f"/coded/deflate/{packing}"), settings)


def test_after_a_thousand_faults_the_pool_still_serves_and_holds_no_connection(
    fetcher: Fetcher, server: FaultServer
) -> None:
    faults = {
        "status/404": ErrorCode.HTTP_STATUS,
        "status/500": ErrorCode.HTTP_STATUS,
        "announced/2000000": ErrorCode.FILE_TOO_LARGE,
        **dict.fromkeys(["cut", "cut-chunks", "hang-up", "brotli", "hops/5"], ErrorCode.FETCH_FAILED),
    }
    order = list(faults) * 125
    before = open_files()

    def fail(fault: str) -> ErrorCode:
        return refusal(fetcher, server.url(f"/{fault}"), retries=0).code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fail, order)) == [faults[fault] for fault in order]
        assert set(pool.map(fetcher.fetch, [server.url("/photo.jpg")] * 32)) == {PHOTO}
    # Eight kept connections, each with both of its ends in this process; the server's ends close a little later.
    allowed = before + 16
    for _ in range(200):
        if open_files() <= allowed:
            break
        time.sleep(0.05)
    assert open_files() <= allowed


# --- names that lead inside ---

INSIDE = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "192.88.99.1", "203.0.113.9", "224.0.0.1"),
    *("239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("[::1]", "[::]", "[::ffff:169.254.169.254]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]"),
    *("[64:ff9b::169.254.169.254]", "[64:ff9b:1::a9fe:a9fe]", "[2002:7f00:1::1]", "[2001:0:a9fe:a9fe::1]"),
    *("[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[100::1]", "[fec0::1]", "[3fff::1]"),
    *("localhost", "localhost.", "127.0.0.1.", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1", "127.1", "0"),
    *("１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①"),
]


@pytest.mark.parametrize("host", INSIDE)
def test_an_inner_address_is_refused_without_a_packet(make: Make, dialled: list[Any], host: str) -> None:
    error = refusal(make(), f"http://{host}/latest/meta-data")
    assert (error.code, error.retryable) == (ErrorCode.REFERENCE_REFUSED, False)
    assert not dialled


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/x",
        "http://[::1]:80/x",
        "//10.0.0.1/x",
        "http://[::ffff:169.254.169.254]/latest",
        "http://[64:ff9b::a9fe:a9fe]/latest",
        "https://100.100.100.200/latest",
        "http://2130706433/",
        "http://localhost:22/",
        "http://user:secret@shop.example/x",
    ],
)
def test_a_redirect_inside_is_refused(fetcher: Fetcher, server: FaultServer, location: str) -> None:
    server.location = location
    error = refusal(fetcher, server.url("/elsewhere"))
    assert (error.code, error.retryable) == (ErrorCode.REFERENCE_REFUSED, False)
    assert "secret" not in str(error)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://shop.example/x", "s3://bucket/key", "gopher://a/"])
def test_a_redirect_to_another_scheme_is_refused(fetcher: Fetcher, server: FaultServer, location: str) -> None:
    server.location = location
    assert refusal(fetcher, server.url("/elsewhere")).code is ErrorCode.REFERENCE_INVALID


def test_a_redirect_to_another_port_of_an_allowed_host_is_refused(fetcher: Fetcher, server: FaultServer) -> None:
    with serving() as inner:
        server.location = inner.url("/admin")
        assert refusal(fetcher, server.url("/elsewhere")).code is ErrorCode.REFERENCE_REFUSED
        assert inner.connections == 0


def test_a_name_that_answers_differently_the_second_time_gains_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    asked = resolving(monkeypatch, [PUBLIC], ["127.0.0.1"])
    fetcher = make()
    assert refusal(fetcher, "http://rebind.example/x", retries=0).code is ErrorCode.HOST_UNREACHABLE
    assert (asked, dialled) == (["rebind.example"], [PUBLIC])
    assert refusal(fetcher, "http://rebind.example/x", retries=0).code is ErrorCode.REFERENCE_REFUSED
    assert dialled == [PUBLIC]


def test_a_name_with_one_inner_address_among_public_ones_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    resolving(monkeypatch, [PUBLIC, "192.168.0.10"])
    assert refusal(make(), "http://mixed.example/x").code is ErrorCode.REFERENCE_REFUSED
    assert not dialled


def test_a_public_address_that_does_not_answer_gives_way_to_the_next(
    make: Make, monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    resolving(monkeypatch, [PUBLIC, "93.184.215.15"])
    refusal(make(), "http://shop.example/x", retries=0)
    assert dialled == [PUBLIC, "93.184.215.15"]


@pytest.mark.parametrize("port", [22, 6379, 8080, 9000])
def test_other_ports_than_80_and_443_are_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, dialled: list[Any], port: int
) -> None:
    asked = resolving(monkeypatch, [PUBLIC])
    assert refusal(make(), f"http://shop.example:{port}/x").code is ErrorCode.REFERENCE_REFUSED
    assert (asked, dialled) == ([], [])


@pytest.mark.parametrize(
    ("allowed", "fetched"),
    [("photos.test", True), ("PHOTOS.test:{port}", True), ("photos.test:1", False), ("test", False), ("127.0.0.1", False)],
)
def test_exactly_the_hosts_that_the_operator_names_are_reached_inside(
    make: Make, server: FaultServer, monkeypatch: pytest.MonkeyPatch, allowed: str, fetched: bool
) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    fetcher = make(allowed_hosts=(allowed.format(port=server.port),))
    reference = server.url("/photo.jpg", host="photos.test")
    if fetched:
        assert fetcher.fetch(reference) == PHOTO
        assert server.requests[0][1]["host"] == f"photos.test:{server.port}"
    else:
        assert refusal(fetcher, reference).code is ErrorCode.REFERENCE_REFUSED
        assert server.connections == 0


def test_an_allowed_ipv6_address_stands_for_itself_and_its_port_alone() -> None:
    rule = AddressRule(["[::1]:8080", "fd00::5"])
    assert rule.allows("::1", 8080)
    assert rule.allows("fd00::5", 9)
    assert not rule.allows("::1", 80)
    assert not rule.allows("::1:8080", 80)
    rule.close()


def test_an_allowed_host_may_be_written_in_its_own_letters() -> None:
    rule = AddressRule(["Магазин.рф:8080", "..ф"])
    assert rule.allows("xn--80aairftm.xn--p1ai", 8080)
    assert not rule.allows("xn--80aairftm.xn--p1ai", 80)
    rule.close()


def test_over_tls_the_certificate_is_checked_for_the_name_and_not_for_the_address(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_for("photos.test", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    resolving(monkeypatch, ["127.0.0.1"])
    with serving(certificate) as secured:
        fetcher = make(allowed_hosts=("photos.test", "other.test"))
        assert fetcher.fetch(f"https://photos.test:{secured.port}/photo.jpg") == PHOTO
        error = refusal(fetcher, f"https://other.test:{secured.port}/photo.jpg")
        assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, False)
        assert "certificate" in error.message
        assert "Correct the host name" in error.remedy
        dripped = refusal(make(allowed_hosts=("photos.test",), deadline=0.25), f"https://photos.test:{secured.port}/drip-body")
        assert dripped.code is ErrorCode.FETCH_TIMEOUT


def test_of_a_certificate_that_does_not_hold_it_is_said_what_to_do(make: Make, tmp_path: Path) -> None:
    signed = certificate(tmp_path)
    chainless, own = tmp_path / "chainless.pem", certificate_for("photos.test", tmp_path)
    chainless.write_bytes(signed.key.read_bytes() + signed.cert.read_bytes())
    for file, remedy in ((chainless, "install the intermediate certificates"), (own, "let a public authority sign it")):
        with serving(file) as secured:
            error = refusal(make(allowed_hosts=("127.0.0.1",)), f"https://127.0.0.1:{secured.port}/photo.jpg")
            assert remedy in error.remedy
            assert "SSL_CERT_FILE" in error.remedy


# --- what is shown ---


@pytest.mark.parametrize(
    "reference",
    [
        "https://user:secret@shop.example/a.jpg",
        "https://secret@shop.example/a.jpg",
        "http://user:secret\\@shop.example/a.jpg",
        "ftp://user:secret@shop.example/a.jpg",
        "http://user:sec/ret-secret@shop.example/a.jpg",
        "http://user:@secret:x@shop.example/a.jpg",
    ],
)
def test_credentials_in_an_address_are_refused_and_never_repeated(
    make: Make, dialled: list[Any], reference: str
) -> None:
    error = refusal(make(), reference)
    assert error.code in {ErrorCode.REFERENCE_REFUSED, ErrorCode.REFERENCE_INVALID}
    assert "secret" not in str(error)
    assert not dialled


@pytest.mark.parametrize("path", ["/status/403", "/status/500", "/cut", "/brotli", "/hops/9", "/announced/9999999"])
def test_signatures_in_an_address_are_never_repeated(fetcher: Fetcher, server: FaultServer, path: str) -> None:
    error = refusal(fetcher, server.url(f"{path}?X-Amz-Signature=5ec2e7&name=a#5ec2e7"), retries=0)
    assert path in error.message or path == "/hops/9"
    assert "5ec2e7" not in str(error)


@pytest.mark.parametrize(
    "reference",
    [
        "http://",
        "http:///a.jpg",
        "http://shop.example:99999/a.jpg",
        "http://shop.example:port/a.jpg",
        "http://[::1/a.jpg",
        "http://[::1%25eth0]/a.jpg",
        "http://shop..example/a.jpg",
        "http://shop.example/a\r\nHost: inner",
        "http://sh op.example/a.jpg",
        "gopher://shop.example/a",
        "file:///etc/passwd",
        "s3://bucket",
        "s3:///key",
        "s3://bucket/",
    ],
)
def test_an_address_that_cannot_be_read_is_invalid(make: Make, dialled: list[Any], reference: str) -> None:
    error = refusal(make(), reference)
    assert (error.code, error.retryable) == (ErrorCode.REFERENCE_INVALID, False)
    assert "\n" not in error.message
    assert not dialled


# --- only what has changed ---


@pytest.mark.parametrize("kind", ["etag", "dated", "stubborn", "photo.jpg"])
def test_a_page_is_fetched_again_only_when_it_has_changed(fetcher: Fetcher, server: FaultServer, kind: str) -> None:
    first = fetcher.fetch_if_changed(server.url(f"/{kind}"), "")
    assert first is not None
    assert first.data == PHOTO
    assert fetcher.fetch_if_changed(server.url(f"/{kind}"), first.validator) is None
    if kind != "dated":
        server.content = b"another photo"
        second = fetcher.fetch_if_changed(server.url(f"/{kind}"), first.validator)
        assert second is not None
        assert second.data == b"another photo"


def test_an_object_is_fetched_again_only_when_it_has_changed(make: Make, store: ObjectStore) -> None:
    fetcher = make(store)
    store.write("feeds/крем.xml", b"one")
    reference = f"s3://{store.bucket}/feeds/крем.xml"
    first = fetcher.fetch_if_changed(reference, "")
    assert first is not None
    assert fetcher.fetch_if_changed(reference, first.validator) is None
    store.write("feeds/крем.xml", b"two")
    second = fetcher.fetch_if_changed(reference, first.validator)
    assert second is not None
    assert second.data == b"two"


def test_a_file_is_fetched_again_only_when_it_has_changed(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(b"one")
    fetcher = make(root=tmp_path)
    first = fetcher.fetch_if_changed("feed.xml", "")
    assert first is not None
    assert fetcher.fetch_if_changed("feed.xml", first.validator) is None
    file.write_bytes(b"two")
    os.utime(file, ns=(0, 1))
    second = fetcher.fetch_if_changed("feed.xml", first.validator)
    assert second is not None
    assert second.data == b"two"


# --- object storage ---


@pytest.mark.parametrize("key", ["a/photo.jpg", "фото/крем для рук 50%.jpg", "a+b&c=d?e#f.jpg", "%D0%BA.jpg"])
def test_an_object_is_fetched_by_its_literal_key(make: Make, store: ObjectStore, key: str) -> None:
    store.write(key, PHOTO)
    assert make(store).fetch(f"s3://{store.bucket}/{key}") == PHOTO


@pytest.mark.parametrize(("coding", "packing"), [("deflate", "raw"), ("br", "plain"), ("gzip", "twice"), ("", "two-files")])
def test_the_bytes_say_whether_an_object_is_packed(make: Make, store: ObjectStore, coding: str, packing: str) -> None:
    body = packed(PHOTO, packing)
    store._client.put_object(store.bucket, "coded.jpg", io.BytesIO(body), len(body), metadata={"Content-Encoding": coding})
    assert make(store).fetch(f"s3://{store.bucket}/coded.jpg") == PHOTO


def test_an_object_that_cannot_be_unpacked_is_refused_by_the_name_of_its_coding(make: Make, store: ObjectStore) -> None:
    store._client.put_object(store.bucket, "coded.jpg", io.BytesIO(b"\x8b\x02\x80"), 3, metadata={"Content-Encoding": "br"})
    error = refusal(make(store), f"s3://{store.bucket}/coded.jpg")
    assert (error.code, error.retryable) == (ErrorCode.FETCH_FAILED, False)
    assert "Content-Encoding br" in error.message


def test_missing_objects_missing_buckets_and_large_objects_are_told_apart(make: Make, store: ObjectStore) -> None:
    store.write("large.jpg", b"x" * 101)
    fetcher = make(store, max_bytes=100, allowed_prefixes=(f"s3://{store.bucket}/", "s3://no-such-bucket-here/"))
    assert refusal(fetcher, f"s3://{store.bucket}/none.jpg").code is ErrorCode.OBJECT_MISSING
    assert refusal(fetcher, "s3://no-such-bucket-here/a.jpg").code is ErrorCode.BUCKET_MISSING
    assert refusal(fetcher, f"s3://{store.bucket}/large.jpg").code is ErrorCode.FILE_TOO_LARGE


def test_a_picture_in_the_place_of_its_reference_is_told_to_be_one(make: Make, store: ObjectStore) -> None:
    error = refusal(make(store), "data:image/jpeg;base64,/9j/4AAQ")
    assert (error.code, error.retryable) == (ErrorCode.REFERENCE_INVALID, False)
    assert "data URI" in error.message and error.remedy.startswith("Decode it")


def test_what_packsight_keeps_for_itself_is_not_fetched_nor_asked_for(make: Make, store: ObjectStore) -> None:
    store.write("jobs/one/manifest.json", b"what others submitted")
    fetcher = make(store)
    for reference in (f"s3://{store.bucket}/jobs/one/manifest.json", "s3://of-others/photo.jpg"):
        error = refusal(fetcher, reference)
        assert (error.code, error.retryable) == (ErrorCode.REFERENCE_REFUSED, False)
        with pytest.raises(ImageError, match="may not reach"):
            fetcher.fetch_if_changed(reference, "etag:0")


@pytest.mark.parametrize("fault", ["drip-body", "drip-headers", "drip-chunk-size"])
def test_a_store_that_drips_bytes_is_left_at_the_deadline(make: Make, server: FaultServer, fault: str) -> None:
    slow = ObjectStore(S3(endpoint=f"127.0.0.1:{server.port}", access_key="a", secret_key=SecretStr("b")))
    error = refusal(make(slow, deadline=0.25, allowed_prefixes=(f"s3://{fault}/",)), f"s3://{fault}/photo.jpg")
    assert (error.code, error.retryable) == (ErrorCode.FETCH_TIMEOUT, True)
    slow.close()


# --- files ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "крем").mkdir(parents=True)
    (root / "крем" / "a b.jpg").write_bytes(PHOTO)
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (root / "way-out").symlink_to(tmp_path)
    (root / "way-in").symlink_to(root / "крем")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize("reference", ["крем/a b.jpg", "./крем/../крем/a b.jpg", "{root}/крем/a b.jpg", "way-in/a b.jpg"])
def test_a_path_below_the_root_is_read(make: Make, folder: Path, reference: str) -> None:
    assert make(root=folder).fetch(reference.format(root=folder)) == PHOTO


@pytest.mark.parametrize("reference", ["../secret.txt", "/etc/passwd", "way-out/secret.txt", "{root}/../secret.txt", "../.."])
def test_a_path_outside_the_root_is_refused(make: Make, folder: Path, reference: str) -> None:
    error = refusal(make(root=folder), reference.format(root=folder))
    assert (error.code, error.retryable) == (ErrorCode.REFERENCE_REFUSED, False)


def test_without_a_root_paths_are_refused_and_the_remedy_names_the_setting(make: Make) -> None:
    error = refusal(make(), "photos/a.jpg")
    assert error.code is ErrorCode.REFERENCE_REFUSED
    assert "PACKSIGHT_FETCH__ROOT" in error.remedy


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("none.jpg", ErrorCode.OBJECT_MISSING),
        ("крем/a b.jpg/c", ErrorCode.OBJECT_MISSING),
        ("крем", ErrorCode.REFERENCE_INVALID),
        ("pipe", ErrorCode.REFERENCE_INVALID),
        ("a\0b", ErrorCode.REFERENCE_INVALID),
        ("x" * 3000, ErrorCode.FETCH_FAILED),
    ],
)
def test_a_path_that_is_no_readable_file_is_named_so(
    make: Make, folder: Path, reference: str, code: ErrorCode
) -> None:
    assert refusal(make(root=folder), reference).code is code


@pytest.mark.parametrize("reference", ["..%2Fsecret.jpg", "..\\secret.jpg", "%2e%2e/secret.jpg", "..%2Fsecret.jpg?v=1"])
def test_another_spelling_tells_nothing_of_what_lies_outside(make: Make, folder: Path, reference: str) -> None:
    before = refusal(make(root=folder), reference)
    (folder.parent / "secret.jpg").write_bytes(PHOTO)
    after = refusal(make(root=folder), reference)
    assert (after.code, after.message) == (before.code, before.message)
    assert after.code is ErrorCode.OBJECT_MISSING


def test_a_file_over_the_limit_is_refused(make: Make, folder: Path) -> None:
    assert make(root=folder, max_bytes=len(PHOTO)).fetch("крем/a b.jpg") == PHOTO
    error = refusal(make(root=folder, max_bytes=len(PHOTO) - 1), "крем/a b.jpg")
    assert error.code is ErrorCode.FILE_TOO_LARGE


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_reads_nothing_from_a_connection_of_its_parents() -> None:
    with serving() as server:
        pools = deadline.pool_manager(maxsize=1, retries=False, timeout=30.0)
        assert pools.request("GET", server.url("/a")).data == PHOTO
        if not (child := os.fork()):
            failed = True
            try:
                failed = pools.request("GET", server.url("/b")).data != PHOTO
            finally:  # whatever happens, since it would go on with the tests
                os._exit(failed)
        assert os.waitpid(child, 0)[1] == 0
        assert server.connections == 2
        assert pools.request("GET", server.url("/c")).data == PHOTO, "the parent's is open still"
        assert server.connections == 2
        pools.clear()


@pytest.mark.parametrize(
    ("code", "answers", "outage"),
    [
        (ErrorCode.ACCESS_DENIED, False, True),
        (ErrorCode.ACCESS_DENIED, True, False),
        (ErrorCode.BUCKET_MISSING, False, True),
        (ErrorCode.OBJECT_MISSING, False, False),
    ],
)
def test_storage_that_refuses_us_everything_is_an_outage_and_one_that_refuses_an_object_is_none(
    make: Make, monkeypatch: pytest.MonkeyPatch, code: ErrorCode, answers: bool, outage: bool
) -> None:
    store = ObjectStore(S3(endpoint="127.0.0.1:1"))
    monkeypatch.setattr(store, "answers", lambda: answers)
    error = ImageError(code, "refused")
    assert make(store).is_outage("s3://packsight/uploads/x", error) is outage
    assert not make(store).is_outage("https://shop.example/x.jpg", error)
