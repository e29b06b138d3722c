"""The file of those who come in over HTTP, sessions, and limits."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.requests import Request

from packsight.producer.http import commands
from packsight.producer.http.accounts import Accounts
from packsight.producer.http.caller import address
from packsight.producer.http.errors import answer
from packsight.producer.http.limits import Places, Rates
from packsight.producer.http.refusal import Refused
from packsight.producer.http.rights import Caller, Kind, Right
from packsight.producer.http.sessions import Sessions, own_secret
from packsight.producer.http.turned_away import Few
from packsight.shared.contract.errors import ErrorCode, UserError
from tests.door import cheap_passwords

JOBS = frozenset({Right.JOBS})


@pytest.fixture(autouse=True)
def _cheap_passwords() -> Iterator[None]:
    with cheap_passwords():
        yield


def test_neither_key_nor_password_stands_in_the_file_which_is_its_owners_alone(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    _, key = accounts.add_client("shop", JOBS, None)
    accounts.add_person("ann", "a long password", JOBS, None)
    text = accounts.path.read_text()
    assert key not in text
    assert "a long password" not in text
    assert stat.S_IMODE(accounts.path.stat().st_mode) == 0o600


def test_a_flood_of_those_who_are_turned_away_fills_no_log() -> None:
    now = [0.0]
    few = Few(lambda: now[0])
    told = [few.take("guesser") for _ in range(1000)]
    assert told == [0] * 10 + [None] * 990
    assert few.take("other") == 990, "who comes from elsewhere is seen, and the others are counted"
    assert sum(few.take(f"10.0.0.{number}") is not None for number in range(200)) == 89
    now[0] = 61.0
    assert few.take("guesser") == 111


def test_where_no_door_looks_no_key_is_given_that_nobody_would_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKSIGHT_HOME", str(tmp_path))
    commands.add_key("laptop", ["jobs"], [])
    monkeypatch.setenv("PACKSIGHT_BROKER_URL", "redis://broker:6379/0")
    monkeypatch.setenv("PACKSIGHT_REDIS__USER", "operator")
    with pytest.raises(UserError, match="docker compose exec http packsight"):
        commands.add_key("shop", ["jobs"], [])
    monkeypatch.setenv("PACKSIGHT_REDIS__USER", "http")
    commands.add_key("shop", ["jobs"], [])
    monkeypatch.setenv("PACKSIGHT_REDIS__USER", "operator")
    own_secret(tmp_path)
    commands.add_key("other", ["jobs"], [])
    assert [one.name for one in Accounts(tmp_path).all()] == ["laptop", "other", "shop"]


def test_who_is_added_or_removed_elsewhere_is_known_here(tmp_path: Path) -> None:
    here, elsewhere = Accounts(tmp_path), Accounts(tmp_path)
    assert here.client("packsight_x") is None
    added, key = elsewhere.add_client("shop", JOBS, frozenset({"shoes"}))
    assert here.client(key) == added
    assert here.client_named("shop") == added
    elsewhere.remove(Kind.CLIENT, "shop")
    assert here.client(key) is None
    with pytest.raises(UserError, match="no client shop"):
        here.remove(Kind.CLIENT, "shop")


def test_further_rights_and_catalogs_leave_key_and_password(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    added, key = accounts.add_client("shop", JOBS, frozenset({"shoes"}))
    accounts.add_person("ann", "a long password", JOBS, None)
    given = accounts.grant(Kind.CLIENT, "shop", frozenset({Right.REVIEW}), frozenset({"hats"}))
    assert (given.rights, given.catalogs) == (JOBS | {Right.REVIEW}, frozenset({"shoes", "hats"}))
    assert accounts.client(key) == given == added.model_copy(update={"rights": given.rights, "catalogs": given.catalogs})
    assert accounts.grant(Kind.PERSON, "ann", frozenset({Right.REVIEW}), frozenset({"hats"})).catalogs is None
    assert accounts.sign_in("ann", "a long password") == accounts.person("ann")
    with pytest.raises(UserError, match="no client ann"):
        accounts.grant(Kind.CLIENT, "ann", JOBS, frozenset())


def test_a_new_key_leaves_the_secret_of_webhooks(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    (first, old), (second, new) = accounts.add_client("shop", JOBS, None), accounts.add_client("shop", JOBS, None)
    assert old != new
    assert first.webhook_secret == second.webhook_secret
    assert len(accounts.all()) == 1


def test_a_person_signs_in_by_their_own_password_alone(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add_person("ann", "a long password", JOBS, None)
    accounts.add_person("bob", "another password", JOBS, None)
    assert accounts.sign_in("ann", "a long password") == accounts.person("ann")
    assert accounts.sign_in("ann", "another password") is None
    assert accounts.sign_in("eve", "a long password") is None


@pytest.mark.parametrize(
    ("name", "password", "catalogs"), [("", "a long password", []), ("a b", "a long password", []), ("ann", "short", []),
    ("ann", "a long password", ["NO"])], ids=["no-name", "blank", "short", "catalog"],
)  # fmt: skip
def test_what_cannot_be_added_is_said(tmp_path: Path, name: str, password: str, catalogs: list[str]) -> None:
    with pytest.raises(UserError):
        Accounts(tmp_path).add_person(name, password, JOBS, frozenset(catalogs) or None)


def test_a_damaged_file_lets_nobody_in_and_says_so(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    accounts.add_client("shop", JOBS, None)
    accounts.path.write_text("{")
    with pytest.raises(UserError, match=r"accounts\.json cannot be read"):
        accounts.client("packsight_x")


def test_a_session_is_read_by_whoever_has_the_secret_and_only_in_time(tmp_path: Path) -> None:
    person = Accounts(tmp_path).add_person("ann", "a long password", JOBS, None)
    sessions = Sessions("secret", 60)
    session, cookie = sessions.begin(person)
    assert Sessions("secret", 60).read(cookie) == session
    assert session.is_of(person)
    assert Sessions("other", 60).read(cookie) is None
    assert Sessions("secret", -1).read(cookie) is None
    assert sessions.read(cookie[:-2] + "xx") is None
    assert sessions.csrf(session) not in cookie
    assert sessions.csrf(session) != sessions.csrf(sessions.begin(person)[0])


def test_the_secret_of_sessions_is_made_once(tmp_path: Path) -> None:
    assert own_secret(tmp_path) == own_secret(tmp_path) != ""
    assert stat.S_IMODE((tmp_path / "http/session-secret").stat().st_mode) == 0o600


def test_a_secret_that_was_not_written_to_its_end_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "http").mkdir()
    (tmp_path / "http/session-secret").touch()  # a full disk, or a server that was killed over it
    assert len(own_secret(tmp_path)) == 64 and own_secret(tmp_path) == own_secret(tmp_path)


def test_servers_that_begin_at_a_time_have_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        for number in range(20):
            made = set(pool.map(own_secret, [tmp_path / str(number)] * 16))
            assert len(made) == 1 and "" not in made


@pytest.mark.parametrize(
    ("host", "counted_as"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::/64"),
     ("fe80::1%eth0", "fe80::/64"),
     ("2001:db8:0:0:ffff::2", "2001:db8::/64"), ("2001:db8:0:1::1", "2001:db8:0:1::/64"), ("a proxy's word", "a proxy's word")],
)  # fmt: skip
def test_whoever_guesses_from_one_network_of_ipv6_is_counted_as_one(host: str, counted_as: str) -> None:
    assert address(Request({"type": "http", "client": (host, 4711)})) == counted_as


def test_an_allowance_comes_back_with_time() -> None:
    now = [0.0]
    rates = Rates(6, clock=lambda: now[0])
    for _ in range(6):
        rates.take("shop")
    with pytest.raises(Refused) as refused:
        rates.take("shop")
    assert refused.value.status == 429
    assert refused.value.retry_after == pytest.approx(10)
    rates.take("other")
    now[0] = 10.1
    rates.take("shop")
    with pytest.raises(Refused):
        rates.take("shop")


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1"), (1.2, "2"), (4.5, "5"), (5.0, "5")])
def test_whoever_asks_again_when_told_does_not_come_too_early(seconds: float, said: str) -> None:
    refused = Refused(429, ErrorCode.TOO_MANY_REQUESTS, "too often", retry_after=seconds)
    assert answer(refused).headers["Retry-After"] == refused.headers["Retry-After"] == said, "pages say the same"


def test_names_with_their_whole_allowance_are_forgotten() -> None:
    now = [0.0]
    rates = Rates(60, clock=lambda: now[0])
    for number in range(10_000):
        rates.take(str(number))
    now[0] = 61.0
    rates.take("last")
    assert len(rates._left) == 1


def test_places_are_given_back() -> None:
    places = Places(1)
    with places.one("shop"), pytest.raises(Refused, match="1 requests of this kind are under way"), places.one("other"):
        pass
    with pytest.raises(ZeroDivisionError), places.one("shop"):
        raise ZeroDivisionError
    assert places.taken == 0


def test_nobody_has_all_places() -> None:
    places = Places(4)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(places.one("shop"))
        with pytest.raises(Refused, match="3 requests of shop of this kind are under way already") as refused, places.one("shop"):
            pass
        assert refused.value.status == 429
        with places.one("other"):
            assert places.taken == 4
    with places.one("shop"):
        assert places.taken == 1
    assert not places._of, "names without a place are forgotten"


def test_admin_may_everything_and_others_what_they_were_given() -> None:
    caller = Caller("shop", Kind.CLIENT, JOBS, frozenset({"shoes"}))
    caller.require(Right.JOBS)
    caller.require_catalog("shoes")
    with pytest.raises(Refused, match="needs `review`"):
        caller.require(Right.REVIEW)
    with pytest.raises(Refused, match="no right to the catalog hats"):
        caller.require_catalog("hats")
    Caller("ann", Kind.PERSON, frozenset({Right.ADMIN}), None).require(Right.REVIEW)
