"""Doors of object storage, each tried: every port without a key, every room with every role's key."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml
from pydantic import SecretStr

from packsight.deploy.stack import seaweed_files, services
from packsight.deploy.stack.certificate import self_signed
from packsight.deploy.stack.credentials import Credentials, Role, S3Keys
from packsight.deploy.stack.ports import free_ports
from packsight.deploy.testbed import OPENED, Server, Servers
from packsight.producer.client import Client
from packsight.producer.summary import State
from packsight.shared.contract.errors import ErrorCode, StorageError
from packsight.shared.contract.messages import Priority
from packsight.shared.settings import S3
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import JobAbout
from packsight.shared.storage.objects import ObjectStore
from tests.acceptance.stack import wait_until

ROOT = Path(__file__).parents[2]
# An empty SETTINGS frame follows the preface (RFC 9113, 3.4); a server of gRPC answers with its own.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SETTINGS_FRAME = 4
REQUESTS = [
    ("GET", "/"),
    ("GET", "/buckets/packsight/?limit=10"),
    ("GET", "/buckets/packsight/catalogs/seen"),
    ("PUT", "/buckets/packsight/catalogs/forged"),
    ("POST", "/buckets/packsight/catalogs/?mv.from=/buckets/packsight/catalogs/seen"),
    ("DELETE", "/buckets/packsight?recursive=true"),
    ("GET", "/packsight?list-type=2"),
    ("GET", "/packsight/catalogs/seen"),
    ("PUT", "/packsight/catalogs/forged"),
    ("DELETE", "/packsight/catalogs/seen"),
    ("PUT", "/bucket-of-nobody"),
    ("POST", "/?Action=ListUsers&Version=2010-05-08"),
    ("POST", "/?Action=CreateUser&UserName=forged&Version=2010-05-08"),
    ("GET", "/dir/status"),
    ("GET", "/dir/assign"),
    ("GET", "/cluster/status"),
    ("GET", "/vol/status"),
    ("GET", "/status"),
    ("GET", "/metrics"),
    ("GET", "/debug/pprof/"),
    ("GET", "/1,0102030405"),
]
"""What filer, S3, master, volume server and administration answer to where nothing closes them."""
HARMLESS = {("GET", "/status")}
"""What S3 answers to everybody: that it is there, with an empty body."""
ROOMS = ("catalogs", "photos", "made", "uploads", "incoming", "jobs", "features", "models", "reviews", "elsewhere")
ADMIN, NOBODY, WRONG = "administrator", "no key", "wrong key"

# Of each role: where it may read, write, delete and list; the rest of the table is empty.
MAY: dict[str, dict[str, str]] = {
    ADMIN: dict.fromkeys(("get", "put", "delete", "list"), " ".join(ROOMS)),
    NOBODY: {},
    WRONG: {},
    Role.OPERATOR: dict.fromkeys(("get", "put", "delete", "list"), " ".join(ROOMS)),
    Role.PRODUCER: {
        "get": "photos uploads incoming jobs catalogs reviews", "put": "uploads jobs reviews",
        "list": "catalogs incoming jobs reviews",
    },
    Role.WORKER: {
        "get": "catalogs models photos made uploads incoming", "put": "features", "list": "catalogs models"
    },
    Role.INDEXER: {
        "get": "catalogs photos made incoming jobs features uploads reviews",
        "put": "catalogs photos made features reviews",
        "delete": "catalogs photos made features uploads jobs reviews",
        "list": "catalogs photos made uploads incoming jobs features models reviews",
    },
    Role.HTTP: {
        "get": "catalogs photos uploads incoming jobs reviews", "put": "uploads jobs reviews", "delete": "uploads jobs",
        "list": "catalogs incoming jobs reviews",
    },
    Role.MONITOR: {"get": "catalogs", "list": "catalogs"},
}


def keyed(servers: Servers, who: str) -> S3:
    assert servers.s3
    if who == ADMIN:
        return servers.s3
    if who == NOBODY:
        return servers.s3.model_copy(update={"access_key": "", "secret_key": SecretStr("")})
    if who == WRONG:
        return S3Keys(access_key=servers.keys.roles[Role.OPERATOR].store.access_key).into(servers.s3)
    return servers.s3_of(Role(who))


@pytest.fixture(scope="module")
def rooms(servers: Servers) -> Iterator[ObjectStore]:
    """The bucket of the roles, with an object in each room; keys of its administrator."""
    assert servers.s3
    with contextlib.closing(ObjectStore(servers.s3)) as store:
        store.ensure_bucket()
        for room in ROOMS:
            store.write(f"{room}/seen", b"content")
        yield store


@contextlib.contextmanager
def opened(s3: S3) -> Iterator[ObjectStore]:
    with contextlib.closing(ObjectStore(s3)) as store:
        yield store


def allowed(call: Callable[[], object]) -> bool:
    """Whether a call is let in; anything but a refusal fails."""
    try:
        call()
    except StorageError as error:
        assert error.code is ErrorCode.ACCESS_DENIED, error
        return False
    return True


def readable(store: ObjectStore, key: str) -> bool:
    """Whether an object can be read yet; a refusal fails."""
    try:
        return bool(store.read(key).data)
    except StorageError as error:
        assert error.retryable, error
        return False


@pytest.mark.parametrize("who", MAY)
def test_a_key_opens_the_rooms_of_its_role_and_no_others(servers: Servers, rooms: ObjectStore, who: str) -> None:
    doors: dict[str, Callable[[ObjectStore, str], object]] = {
        "get": lambda store, room: store.read(f"{room}/seen"),
        "put": lambda store, room: store.write(f"{room}/mine", b"mine"),
        "delete": lambda store, room: store.remove(f"{room}/old"),
        "list": lambda store, room: list(store.list(f"{room}/")),
    }
    for room in ROOMS:
        rooms.write(f"{room}/old", b"old")
    with opened(keyed(servers, who)) as store:
        found = {(door, room): allowed(lambda d=door, r=room: doors[d](store, r)) for door in doors for room in ROOMS}  # type: ignore[misc]
        whole = allowed(lambda: list(store.list("")))
    assert found == {(door, room): room in MAY[who].get(door, "").split() for door in doors for room in ROOMS}
    assert whole is (who in {ADMIN, Role.OPERATOR})
    for room in ROOMS:
        assert rooms.exists(f"{room}/mine") is found["put", room]
        assert rooms.exists(f"{room}/old") is not found["delete", room]
        rooms.remove(f"{room}/mine")


@pytest.mark.parametrize("role", [role for role in MAY if isinstance(role, Role)])
def test_no_role_makes_a_bucket_or_reaches_another_but_where_it_was_opened(
    servers: Servers, rooms: ObjectStore, role: Role
) -> None:
    (prefix,) = OPENED
    bucket, _, inside = prefix.removeprefix("s3://").partition("/")
    assert servers.s3
    with opened(servers.s3.model_copy(update={"bucket": bucket})) as other:
        other.ensure_bucket()
        other.write(f"{inside}seen", b"content")
        other.write("closed/seen", b"content")
    with opened(servers.s3_of(role)) as store:
        assert allowed(lambda: store.read(f"{inside}seen", bucket=bucket)) is (role is not Role.MONITOR)
        assert allowed(lambda: list(store.list(inside, bucket=bucket))) is (role is not Role.MONITOR)
        assert not allowed(lambda: store.read("closed/seen", bucket=bucket))
        assert not allowed(lambda: list(store.list("", bucket=bucket)))
    with opened(servers.s3_of(role).model_copy(update={"bucket": f"made-by-{role}"})) as store:
        store.ensure_bucket()
        assert not allowed(lambda: store.write("key", b"content"))
    with opened(servers.s3.model_copy(update={"bucket": f"made-by-{role}"})) as store, pytest.raises(StorageError) as none:
        list(store.list(""))
    assert none.value.code is ErrorCode.BUCKET_MISSING


@pytest.mark.parametrize("role", [Role.WORKER, Role.INDEXER, Role.OPERATOR, Role.MONITOR, Role.PRODUCER])
def test_each_role_sees_whether_storage_answers_and_what_is_missing(
    servers: Servers, rooms: ObjectStore, role: Role
) -> None:
    with opened(servers.s3_of(role)) as store:
        assert store.answers()
        store.ensure_bucket()
        assert not store.exists("catalogs/none/CURRENT")
    with opened(keyed(servers, WRONG)) as store:
        assert not store.answers()


def test_a_producer_submits_files_and_a_prefix_with_its_own_keys(
    servers: Servers, rooms: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "mine.jpg").write_bytes(b"a photo")
    rooms.write("incoming/theirs.jpg", b"another photo")
    rooms.write(layout.pointer("shoes"), b"{}")
    settings = servers.settings(tmp_path / "home", user=Role.PRODUCER)
    with Client(settings.model_copy(update={"s3": servers.s3_of(Role.PRODUCER)})) as client:
        job = client.submit([str(tmp_path / "mine.jpg"), f"s3://{client.store.bucket}/incoming/"])
        references = [image.reference for image in client.jobs.images(job.id)]
        assert client.store.exists(layout.pointer("shoes"))
    assert references == [
        layout.address(rooms.bucket, layout.upload(hashlib.sha256(b"a photo").hexdigest())),
        f"s3://{rooms.bucket}/incoming/theirs.jpg",
    ]


def test_a_producer_cancels_its_jobs_and_only_an_operator_removes_them(
    servers: Servers, rooms: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "ours.jpg").write_bytes(b"a photo that goes")
    key = layout.upload(hashlib.sha256(b"a photo that goes").hexdigest())

    def acting(role: Role) -> Client:
        return Client(servers.settings(tmp_path / "home", user=role).model_copy(update={"s3": servers.s3_of(role)}))

    with acting(Role.PRODUCER) as producer, acting(Role.OPERATOR) as operator:
        job = producer.submit([str(tmp_path / "ours.jpg")], about=JobAbout(priority=Priority.HIGH))
        assert len(list(producer.enqueue(job))) == 1
        assert producer.summary(job.manifest).state is State.RUNNING
        assert producer.cancel(job).over
        assert [row.outcome.failure.code for row in producer.outcomes(job) if row.outcome.failure] == [ErrorCode.CANCELLED]
        assert [len(rows) for rows in producer.again(job)] == [1]
        producer.cancel(job)
        with pytest.raises(StorageError) as refused:
            producer.remove(job)
        assert refused.value.code is ErrorCode.ACCESS_DENIED
        assert producer.summary(job.manifest).over and rooms.exists(key)
        assert operator.remove(job).uploads == 1
    assert not rooms.exists(key)
    assert not list(rooms.list(layout.job(job.id, "")))


def test_large_objects_are_written_in_parts_with_the_key_of_a_role(
    servers: Servers, rooms: ObjectStore, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(6_000_000))
    with opened(servers.s3_of(Role.INDEXER)) as store:
        store.upload("catalogs/large", str(file))
        assert store.size("catalogs/large") == file.stat().st_size
        store.remove("catalogs/large")


def listening(server: Server) -> tuple[set[int], set[Path]]:
    """Ports and sockets in the file system on which a process listens, whatever it was told."""
    process = psutil.Process(server.process.pid)
    ports = {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    paths = {Path(str(one.laddr)) for one in process.net_connections("unix") if one.laddr}
    return ports, {path for path in paths if path.exists()}


def ask(port: int, data: bytes, tls: ssl.SSLContext | None) -> bytes:
    """What a port answers; nothing when it hangs up or refuses the handshake."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.settimeout(5)
        with tls.wrap_socket(plain) if tls else contextlib.nullcontext(plain) as connection:
            connection.sendall(data)
            return connection.recv(2000)
    return b""


def stranger(folder: Path | None = None) -> ssl.SSLContext:
    """TLS that trusts everybody, with a certificate of the stranger's own making if there is a folder for it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if folder:
        certificate, key = self_signed("seaweedfs", ["127.0.0.1"])
        (folder / "stranger.pem").write_text(certificate + key)
        context.load_cert_chain(folder / "stranger.pem")
    return context


def refuses(answer: bytes) -> bool:
    """Whether a port hung up, or said no more than that it wants a certificate, or, as S3 does, a key or another method."""
    if b"sent an HTTP request to an HTTPS server" in answer:
        return True
    return not answer or answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 405 "))


def check_ports(server: Server, s3: int, tmp_path: Path) -> None:
    """Try every port on which a server listens, over HTTP and gRPC, with and without TLS, and with a stranger's certificate."""
    # Administration begins to listen after S3 answers.
    wait_until(lambda: len(listening(server)[0]) >= services.SEAWEED_PORTS, "all ports", 30)
    ports, _ = listening(server)
    assert s3 in ports
    for port in sorted(ports):
        for tls in (None, stranger(), stranger(tmp_path)):
            for method, path in REQUESTS:
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"
                answer = ask(port, f"{head}forged".encode(), tls)
                if port == s3 and (method, path) in HARMLESS:
                    assert tls or b"Content-Length: 0" in answer
                else:
                    assert refuses(answer), (port, method, path, answer)
            # A frame: its length in three bytes, then its kind.
            assert ask(port, PREFACE, tls)[3:4] != bytes([SETTINGS_FRAME]), f"{port} speaks gRPC with everybody"


def test_every_port_of_the_object_store_is_closed_to_whoever_has_no_key(
    servers: Servers, rooms: ObjectStore, tmp_path: Path
) -> None:
    assert servers.objects and servers.s3
    before = sorted(rooms.list(""))
    check_ports(servers.objects, int(servers.s3.endpoint.rpartition(":")[2]), tmp_path)
    assert sorted(rooms.list("")) == before
    assert rooms.read("catalogs/seen").data == b"content"


def test_the_object_store_of_compose_is_closed_likewise_and_has_its_bucket(tmp_path: Path) -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["s3"]
    secrets = tmp_path / "secrets"
    keys = Credentials()
    secrets.mkdir()
    for name, text in seaweed_files.files(seaweed_files.identities(keys, "packsight"), str(secrets)).items():
        (secrets / name).write_text(text)
    assert {file.name for file in secrets.iterdir()} == {secret["target"] for secret in service["secrets"]}
    # As in the container, but on loopback, in folders and on ports of this test.
    here = {"/data": str(tmp_path / "data"), "/run/secrets": str(secrets), "0.0.0.0": "127.0.0.1", "-ip=s3": "-ip=localhost"}
    (tmp_path / "data").mkdir()
    command = [functools.reduce(lambda word, pair: word.replace(*pair), here.items(), word) for word in service["command"]]
    ports = free_ports(services.SEAWEED_PORTS)
    command += [f"-{name}={port}" for name, port in zip(services.SEAWEED_PORT_NAMES, ports, strict=True)]
    spec = services.seaweed(tmp_path / "unused", ports, "")
    server = Server(replace(spec, command=[spec.command[0], *command]), tmp_path)
    try:
        s3 = S3(endpoint=f"127.0.0.1:{ports[0]}")
        with opened(keys.administrator.into(s3)) as store:
            wait_until(store.answers, "the bucket", 30)
            store.write("catalogs/seen", b"content")
            store.write("jobs/seen", b"content")
        with opened(keys.roles[Role.WORKER].store.into(s3)) as store:
            assert store.read("catalogs/seen").data == b"content"
            assert not allowed(lambda: store.read("jobs/seen"))
        check_ports(server, ports[0], tmp_path)
    finally:
        server.kill()


def test_the_sockets_of_the_object_store_serve_its_owner_alone(servers: Servers) -> None:
    assert servers.objects
    _, paths = listening(servers.objects)
    assert paths
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_keys_and_certificate_of_the_object_store_lie_where_only_their_owner_reads(servers: Servers) -> None:
    assert servers.objects
    folder = next(Path(word.partition("=")[2]) for word in servers.objects.spec.command if word.startswith("-config_dir="))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {file.name for file in folder.iterdir()} == {"s3.json", "security.toml", "certificate.pem", "key.pem"}
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    words = [*servers.objects.spec.command, *servers.objects.spec.environment.values()]
    assert not [word for word in words for secret in servers.keys.every() if secret in word]


def test_what_a_release_with_one_key_and_open_ports_stored_stays_and_is_closed(tmp_path: Path) -> None:
    ports, keys = free_ports(services.SEAWEED_PORTS), Credentials()
    new = services.seaweed(tmp_path / "data", ports, seaweed_files.identities(keys, "packsight"))
    former = [word for word in new.command if not word.startswith(("-config_dir=", "-s3.config=", "-s3.iam="))]
    one_key = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    s3 = S3(endpoint=f"127.0.0.1:{ports[0]}")
    server = Server(replace(new, command=former, environment=one_key), tmp_path)
    try:
        with opened(keys.administrator.into(s3)) as store:
            store.ensure_bucket()
            store.write("catalogs/seen", b"content")
        server.kill()
        server.spec = new
        server.start()
        for pair in (keys.administrator, keys.roles[Role.WORKER].store):
            with opened(pair.into(s3)) as store:
                # S3 answers before the volumes are found again.
                wait_until(lambda store=store: readable(store, "catalogs/seen"), "what was stored", 60)  # type: ignore[misc]
                assert store.read("catalogs/seen").data == b"content"
        with opened(keys.roles[Role.WORKER].store.into(s3)) as store:
            assert not allowed(lambda: store.write("catalogs/seen", b"forged"))
        check_ports(server, ports[0], tmp_path)
    finally:
        server.kill()
