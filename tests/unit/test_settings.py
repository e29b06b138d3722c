"""Settings that cannot work are refused when they are read, with the variable and what would work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from redis.connection import parse_url

from packsight.deploy.commands import looked_at, nearest
from packsight.shared.contract.errors import UserError
from packsight.shared.settings import STACK_FILE, act_as, load_settings, nearest_stack

NOWHERE = Path("/nonexistent/stack.env")


def parsed(address: str) -> dict[str, Any]:
    """An address as redis-py understands it."""
    found: dict[str, Any] = parse_url(address)  # type: ignore[no-untyped-call]
    return {name: value for name, value in found.items() if name != "connection_class"}


@pytest.mark.parametrize("variable", ["PACKSIGHT_BROKER_URL", "PACKSIGHT_RESULT_URL"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sentinel://127.0.0.1:26379/0", "sentinel:// is not supported"),
        ("amqp://guest@127.0.0.1", "amqp:// is not supported"),
        ("redis+socket:///run/redis.sock", r"redis\+socket:// is not supported"),
        ("unix:///run/redis.sock", "unix:// is not supported"),
        ("redis://a:1/0;redis://b:1/0", "a list of servers is not supported"),
        ("127.0.0.1:6379", "an address without redis:// is not supported"),
        ("redis://", "no host is named"),
        ("redis://:a/b@127.0.0.1", "no host is named, or no port"),
    ],
)
def test_a_broker_that_is_not_supported_is_refused(variable: str, url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(UserError, match=rf"{variable}: {why}.*redis") as caught:
        load_settings(NOWHERE)
    assert "Correct the variable" in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:secret@127.0.0.1:6379/3", "rediss://127.0.0.1/0?ssl_cert_reqs=required"])
def test_one_redis_server_is_accepted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", url)
    assert load_settings(NOWHERE).broker_url.get_secret_value() == url


@pytest.mark.parametrize("password", ["plain", "with space", "p@ss/w:rd?#%40", "\"both\" 'quotes'", "пароль"])
def test_a_password_is_given_as_it_is(password: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", "redis://broker:6379/0")
    monkeypatch.setenv("PACKSIGHT_RESULT_URL", "redis://somebody:else@broker:6379/1")
    monkeypatch.setenv("PACKSIGHT_REDIS__USER", "worker")
    monkeypatch.setenv("PACKSIGHT_REDIS__PASSWORD_FILE", str(file))
    settings = load_settings(NOWHERE)
    assert parsed(settings.broker) == {"host": "broker", "port": 6379, "db": 0, "username": "worker", "password": password}
    assert settings.results == "redis://somebody:else@broker:6379/1"


def test_tls_is_checked_unless_an_address_says_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", "rediss://broker/0")
    monkeypatch.setenv("PACKSIGHT_RESULT_URL", "rediss://broker/1?ssl_cert_reqs=none")
    monkeypatch.setenv("PACKSIGHT_REDIS__CA", str(tmp_path / "a b.pem"))
    broker, results = parsed(load_settings(NOWHERE).broker), parsed(load_settings(NOWHERE).results)
    assert (broker["ssl_cert_reqs"], broker["ssl_ca_certs"]) == ("required", str(tmp_path / "a b.pem"))
    assert results["ssl_cert_reqs"] == "none"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PACKSIGHT_REDIS__PASSWORD", "change-me"),
        ("PACKSIGHT_S3__SECRET_KEY", "change-me"),
        ("PACKSIGHT_FLOWER__PASSWORD", "change-me"),
        ("PACKSIGHT_BROKER_URL", "redis://:change-me@broker:6379/0"),
    ],
)
def test_the_secret_of_an_example_is_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=rf"{variable}: .*example"):
        load_settings(NOWHERE)


def test_a_file_that_does_not_hold_a_secret_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key"
    monkeypatch.setenv("PACKSIGHT_S3__SECRET_KEY_FILE", str(file))
    with pytest.raises(UserError, match=r"PACKSIGHT_S3__SECRET_KEY_FILE: .*key cannot be read \(No such file"):
        load_settings(NOWHERE)
    file.write_text("\n")
    with pytest.raises(UserError, match=r"PACKSIGHT_S3__SECRET_KEY_FILE: .*key is empty"):
        load_settings(NOWHERE)
    file.write_text("secret")
    assert load_settings(NOWHERE).s3.secret_key.get_secret_value() == "secret"
    monkeypatch.setenv("PACKSIGHT_S3__SECRET_KEY", "another")
    with pytest.raises(UserError, match="are both set"):
        load_settings(NOWHERE)


def test_whoever_acts_in_a_role_reads_its_file_where_the_stack_has_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stack.env").write_text("PACKSIGHT_REDIS__USER='operator'\n")
    (tmp_path / "worker.env").write_text("PACKSIGHT_REDIS__USER='worker'\n")
    monkeypatch.setenv("PACKSIGHT_STACK_FILE", str(tmp_path / "stack.env"))
    act_as("indexer")
    assert load_settings().redis.user == "operator"
    act_as("worker")
    assert load_settings().redis.user == "worker"


def test_the_file_of_the_nearest_stack_is_read_from_folders_below_it_if_it_is_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PACKSIGHT_STACK_FILE", "")
    outer, inner = tmp_path / ".packsight/stack.env", tmp_path / "shop/.packsight/stack.env"
    below = tmp_path / "shop/photos/spring"
    below.mkdir(parents=True)
    for file, user in ((outer, "outer"), (inner, "inner")):
        file.parent.mkdir(parents=True)
        file.write_text(f"PACKSIGHT_REDIS__USER='{user}'\n")
    monkeypatch.chdir(below)
    assert (nearest_stack(), load_settings().redis.user) == (inner, "inner")
    assert nearest(Path(".packsight")).root == inner.parent, "so status, doctor and down speak of that stack"
    assert nearest(tmp_path / "named").root == tmp_path / "named"
    own = inner.stat().st_uid
    monkeypatch.setattr("os.getuid", lambda: own + 1)
    assert nearest_stack() is None, "others' files above are not read"
    monkeypatch.chdir(tmp_path / "shop")
    assert load_settings().redis.user == "inner", "that of the folder itself is, as before"
    monkeypatch.setattr("os.getuid", lambda: own)
    monkeypatch.chdir(below)
    inner.unlink()
    (below / ".packsight").mkdir()
    assert load_settings().redis.user == "outer"
    (outer.parent / "worker.env").write_text("PACKSIGHT_REDIS__USER='worker'\n")
    act_as("worker")
    assert load_settings().redis.user == "worker"


def test_the_stack_in_the_home_that_is_named_is_the_one_that_commands_ask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, there = tmp_path / "here/.packsight/stack.env", tmp_path / "there/stack.env"
    for file, user in ((here, "here"), (there, "there")):
        file.parent.mkdir(parents=True)
        file.write_text(f"PACKSIGHT_REDIS__USER='{user}'\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PACKSIGHT_STACK_FILE", "")
    monkeypatch.setenv("PACKSIGHT_HOME", str(there.parent))
    assert load_settings().redis.user == "there", "as `status` and `down` do"
    monkeypatch.setenv("PACKSIGHT_STACK_FILE", os.devnull)
    assert load_settings().redis.user == "", "what is named more closely comes first"
    monkeypatch.setenv("PACKSIGHT_STACK_FILE", "")
    monkeypatch.setenv("PACKSIGHT_HOME", str(tmp_path / "none"))
    assert load_settings().redis.user == "here", "a folder without a stack is one for caches alone"
    monkeypatch.setenv("PACKSIGHT_HOME", f"/{'x' * 300}")
    assert load_settings().redis.user == "here", "nor does one that cannot be looked into end a command"


def test_lists_are_written_with_commas_or_as_json_and_what_is_neither_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for written in ("cdn.example, img.example:8080", '["cdn.example", "img.example:8080"]'):
        monkeypatch.setenv("PACKSIGHT_FETCH__ALLOWED_HOSTS", written)
        assert load_settings(NOWHERE).fetch.allowed_hosts == ("cdn.example", "img.example:8080")
    monkeypatch.setenv("PACKSIGHT_FETCH__ALLOWED_HOSTS", "[cdn.example]")
    with pytest.raises(UserError, match=r"a value of PACKSIGHT_FETCH__… is no JSON"):
        load_settings(NOWHERE)
    monkeypatch.delenv("PACKSIGHT_FETCH__ALLOWED_HOSTS")
    monkeypatch.setenv("PACKSIGHT_CATALOG__COLUMNS", "name=Имя")
    with pytest.raises(UserError, match=r"PACKSIGHT_CATALOG__… is no JSON .*tables as"):
        load_settings(NOWHERE)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("FETHC__MAX_BYTES", "FETCH__MAX_BYTES"), ("FETCH__MAXBYTES", "FETCH__MAX_BYTES"), ("NOTHING__LIKE_IT", "")],
)
def test_a_setting_that_there_is_not_is_refused_and_one_of_a_like_name_is_told(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PACKSIGHT_{variable}", "3")
    with pytest.raises(UserError, match=f"PACKSIGHT_{variable}: ") as raised:
        load_settings(Path("/nonexistent"))
    assert (f"Is PACKSIGHT_{meant} meant?" in str(raised.value)) == bool(meant) == ("meant" in str(raised.value))


def test_what_kubernetes_calls_after_our_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_HTTP_SERVICE_PORT", "8080")
    monkeypatch.setenv("PACKSIGHT_HTTP_PORT", "tcp://10.0.0.1:8080")
    load_settings(Path("/nonexistent"))


def test_a_stack_file_that_is_named_has_to_be_there_and_status_speaks_of_its_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    named = tmp_path / "elsewhere" / "stack.env"
    monkeypatch.setenv("PACKSIGHT_STACK_FILE", str(named))
    with pytest.raises(UserError, match=f"PACKSIGHT_STACK_FILE names {named}, which does not exist"):
        load_settings()
    with pytest.raises(UserError, match="which does not exist"):
        looked_at(STACK_FILE.parent)
    assert load_settings(NOWHERE).redis.user == ""
    named.parent.mkdir()
    named.write_text("PACKSIGHT_REDIS__USER='named'\n")
    assert load_settings().redis.user == "named"
    assert looked_at(STACK_FILE.parent).root == named.parent
    assert looked_at(tmp_path / "other").root == tmp_path / "other"
    assert nearest(STACK_FILE.parent).root == STACK_FILE.parent.resolve(), "`down` stops none that only a variable names"
    for nothing in ("", os.devnull):
        monkeypatch.setenv("PACKSIGHT_STACK_FILE", nothing)
        assert load_settings().redis.user == ""
        assert looked_at(STACK_FILE.parent).root == STACK_FILE.parent.resolve()


@pytest.mark.parametrize("name", ["ab", "photos/", "-photos", "фото", "a" * 64])
def test_what_can_be_no_bucket_is_refused_when_settings_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_S3__BUCKET", name)
    with pytest.raises(UserError, match="PACKSIGHT_S3__BUCKET: a bucket's name has 3 to 63"):
        load_settings()


@pytest.mark.parametrize("name", ["192.168.1.1", "a..b", "a.-b", "a-.b", "photos-s3alias", "photos--ol-s3"])
def test_a_bucket_that_no_client_asks_for_is_refused_when_settings_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_S3__BUCKET", name)
    with pytest.raises(UserError, match="PACKSIGHT_S3__BUCKET: no bucket can be called so"):
        load_settings()


NO_ADDRESS = {
    "PACKSIGHT_S3__ENDPOINT": ["http://127.0.0.1:9000", "::1:9000", "a:b:c", "host:99999", "host/path", "two hosts:1"],
    "PACKSIGHT_HTTP__STORE": ["photos.example.com", "http://a:b:c", "http://[::1", "https://host/path", "https://host?x=1"],
    "PACKSIGHT_BROKER_URL": ["redis://host:port/0", "redis://host:99999/0", "redis://[::1/0", "redis://::1:6379/0", "redis:///0"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NO_ADDRESS.items() for value in values])
def test_an_address_without_a_host_or_a_port_is_refused_when_settings_are_read(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    host, store, broker = (
        r"write it as host:port.*IPv6 as \[::1\]", "write it as https://", r"no host is named, or no port.*IPv6 as \[::1\]"
    )  # fmt: skip
    with pytest.raises(UserError, match=rf"{name}: ({host}|{store}|{broker})"):
        load_settings()


def test_addresses_of_ipv6_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_S3__ENDPOINT", "[::1]:9000")
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", "redis://:secret@[::1]:6379/0")
    monkeypatch.setenv("PACKSIGHT_HTTP__STORE", "https://[::1]:9000/")
    assert load_settings().s3.endpoint == "[::1]:9000"


def test_a_settings_file_that_is_no_text_in_utf_8_is_told(tmp_path: Path) -> None:
    file = tmp_path / "stack.env"
    file.write_bytes("PACKSIGHT_S3__BUCKET=photos\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"stack\.env is no text in UTF-8"):
        load_settings(file)


def test_somebody_elses_closed_stack_is_told_and_not_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = tmp_path / STACK_FILE

    def exists(path: Path) -> bool:  # root may look into every folder
        if path.parent == closed.parent:
            raise PermissionError(13, "Permission denied", str(path))
        return os.path.lexists(path)

    monkeypatch.setattr(Path, "exists", exists)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PACKSIGHT_STACK_FILE", raising=False)
    for named in ("", str(closed)):
        if named:
            monkeypatch.setenv("PACKSIGHT_STACK_FILE", named)
        with pytest.raises(UserError, match="another user's"):
            load_settings()
    with pytest.raises(UserError, match=r"worker\.env is another user's"):
        act_as("worker")
