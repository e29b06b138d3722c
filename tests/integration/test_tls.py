"""Broker, results and object storage over TLS: by an authority of one's own, and to nobody whom it does not know."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import kombu.exceptions
import pytest
import redis
from pydantic import SecretStr

from packsight.deploy.stack import services
from packsight.deploy.stack.credentials import Role
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.testbed import Server
from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.contract.messages import RECOGNIZE
from packsight.shared.queue.app import make_app
from packsight.shared.queue.broker import open_broker
from packsight.shared.queue.ledger import Ledger
from packsight.shared.settings import S3, Redis, Settings
from packsight.shared.storage.objects import ObjectStore
from tests.certificates import Certificate, certificate
from tests.tls_front import tls_front

pytestmark = pytest.mark.timeout(120)  # a client that is not let in goes on trying

PASSWORD = "p@ss/word: #100% \"quoted\" 'too'"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def port(files: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A broker behind TLS that asks for certificates; the bundled Valkey is built without TLS of its own."""
    folder = tmp_path_factory.mktemp("valkey")
    (plain,) = free_ports(1)
    server = Server(services.valkey(folder, plain, dict.fromkeys(Role, PASSWORD)), folder)
    try:
        with tls_front(files, ("127.0.0.1", plain)) as port:
            yield port
    finally:
        server.stop()


def settings(port: int, entered: Redis) -> Settings:
    urls = [SecretStr(f"rediss://127.0.0.1:{port}/{database}") for database in (0, 1)]
    return Settings(_env_file=None, broker_url=urls[0], result_url=urls[1], redis=entered)


def test_messages_and_results_go_over_tls_with_a_password_of_any_characters(port: int, files: Certificate) -> None:
    known = settings(port, Redis(user="indexer", password=SecretStr(PASSWORD), ca=files.ca, cert=files.cert, key=files.key))
    app = make_app("test", known)
    sent = app.send_task(RECOGNIZE, args=[{"images": ["x"]}])
    with closing(open_broker(known)) as broker:
        assert broker.task_ids(["packsight.recognize"]) == {sent.id}
    with closing(Ledger(known)) as ledger:
        ledger.jobs.register("job", 1)
        assert ledger.jobs.active() == ["job"]
    assert sent.state == "PENDING"  # read by Celery's own backend
    app.close()


@pytest.mark.parametrize("lacking", ["ca", "cert"])
def test_without_the_authority_or_a_certificate_nothing_is_said(port: int, files: Certificate, lacking: str) -> None:
    given = {"ca": files.ca, "cert": files.cert, "key": files.key}
    kept = {name: file for name, file in given.items() if name != lacking and (lacking, name) != ("cert", "key")}
    unknown = settings(port, Redis(user="indexer", password=SecretStr(PASSWORD), **kept))
    with closing(open_broker(unknown)) as broker, pytest.raises(redis.ConnectionError):
        broker.backlog(["celery"])
    app = make_app("test", unknown, sends_only=True)
    with pytest.raises((kombu.exceptions.OperationalError, redis.ConnectionError)):
        app.send_task(RECOGNIZE, args=[{}], retry=False)


class _Objects(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"a tag"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(files: Certificate) -> Iterator[str]:
    """Something that answers over TLS as an object store does that has the object."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    server = HTTPServer(("127.0.0.1", 0), _Objects)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_object_storage_is_known_by_its_authority(endpoint: str, files: Certificate) -> None:
    with closing(ObjectStore(S3(endpoint=endpoint, secure=True, ca=files.ca))) as store:
        assert store.exists("photo")
    with closing(ObjectStore(S3(endpoint=endpoint, secure=True))) as store, pytest.raises(StorageError) as caught:
        store.exists("photo")
    assert caught.value.code is ErrorCode.HOST_UNREACHABLE
