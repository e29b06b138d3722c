"""Who may come in: programs by a key, people by a password, both kept as hashes in one file that is its owner's alone.

    HOME/http/accounts.json

The file is read again when it has changed, so that whoever is added or removed need not wait for a restart.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from packsight.producer.http.rights import Caller, Kind, Right
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.messages import CATALOG_NAME
from packsight.shared.contract.validation import wrong_fields
from packsight.shared.storage.files import write_private

NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$"
_PREFIX = "packsight_"
"""How keys begin, so that they are found where they should not be."""
_SHORTEST = 10
"""Characters of a password."""

_hasher = PasswordHasher()
_AT_WORK = threading.BoundedSemaphore(2)
"""Each password that is looked at takes 64 MB meanwhile."""


@cache
def _nobodys() -> str:
    """The hash of a password that nobody has, made at the first sign-in: it costs as much as one."""
    return _hasher.hash(secrets.token_hex(8))


def _named(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise PydanticCustomError("name", "a name has 1 to 63 of the characters A-Z a-z 0-9 . _ @ -, a letter or digit first")
    return name


class _Account(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(_named)]
    rights: frozenset[Right]
    catalogs: frozenset[Annotated[str, Field(pattern=CATALOG_NAME)]] | None = None
    """None = all."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class ApiClient(_Account):
    """A program with a key."""

    key: str
    """sha256 of the key, which is random enough for that."""
    webhook_secret: str = Field(default_factory=lambda: secrets.token_hex(32))
    """Signs what is sent to its webhooks, so it cannot be kept as a hash."""

    @property
    def caller(self) -> Caller:
        """The same as whoever asks."""
        return Caller(self.name, Kind.CLIENT, self.rights, self.catalogs)


class Person(_Account):
    """Somebody with a password."""

    password: str
    """Its Argon2 hash."""

    @property
    def caller(self) -> Caller:
        """The same as whoever asks."""
        return Caller(self.name, Kind.PERSON, self.rights, self.catalogs)

    @property
    def mark(self) -> str:
        """Changes with the password: sessions that were begun under another end."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


T = TypeVar("T", bound=_Account)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    clients: tuple[ApiClient, ...] = ()
    people: tuple[Person, ...] = ()


class Accounts:
    """The file of a folder of local state; raises UserError when it is damaged."""

    def __init__(self, home: Path) -> None:
        self.path = home / "http" / "accounts.json"
        self._seen: tuple[int, int] | None = None
        self._content = _Content()

    def client(self, key: str) -> ApiClient | None:
        """The program that has this key."""
        digest = hash_key(key)
        return next((one for one in self._read().clients if hmac.compare_digest(one.key, digest)), None)

    def client_named(self, name: str) -> ApiClient | None:
        """The program of this name."""
        return next((one for one in self._read().clients if one.name == name), None)

    def person(self, name: str) -> Person | None:
        """The person of this name."""
        return next((one for one in self._read().people if one.name == name), None)

    def sign_in(self, name: str, password: str) -> Person | None:
        """The person of this name if the password is theirs; takes tens of milliseconds either way."""
        person, nobodys = self.person(name), _nobodys()
        try:
            with _AT_WORK:  # also where there is no such person, so that how long it takes does not tell
                _hasher.verify(person.password if person else nobodys, password)
        except (Argon2Error, InvalidHashError):
            return None
        return person

    def all(self) -> list[ApiClient | Person]:
        """Everybody, programs first, each by name."""
        content = self._read()
        return [*sorted(content.clients, key=lambda one: one.name), *sorted(content.people, key=lambda one: one.name)]

    def add_client(self, name: str, rights: frozenset[Right], catalogs: frozenset[str] | None) -> tuple[ApiClient, str]:
        """Give a program a key, which is returned and kept nowhere; of one that has one the old key goes, the secret stays."""
        key = _PREFIX + secrets.token_urlsafe(32)
        with self._changing() as content:
            before = next((one for one in content.clients if one.name == name), None)
            kept = {"webhook_secret": before.webhook_secret, "created_at": before.created_at} if before else {}
            made = _checked(ApiClient, {"name": name, "rights": rights, "catalogs": catalogs, "key": hash_key(key), **kept})
            others = tuple(one for one in content.clients if one.name != name)
            self._write(content.model_copy(update={"clients": (*others, made)}))
        return made, key

    def add_person(self, name: str, password: str, rights: frozenset[Right], catalogs: frozenset[str] | None) -> Person:
        """Let a person sign in; one who may already gets these rights and this password."""
        if len(password) < _SHORTEST:
            raise UserError(f"A password has at least {_SHORTEST} characters. Choose a longer one.")
        with self._changing() as content:
            fields = {"name": name, "rights": rights, "catalogs": catalogs, "password": _hasher.hash(password)}
            made = _checked(Person, fields)
            others = tuple(one for one in content.people if one.name != name)
            self._write(content.model_copy(update={"people": (*others, made)}))
        return made

    def grant(self, kind: Kind, name: str, rights: frozenset[Right], catalogs: frozenset[str]) -> ApiClient | Person:
        """Give a program or person further rights and catalogs; key and password stay. Raises UserError when there is none."""
        with self._changing() as content:
            before, others = _apart(content, kind, name)
            fields = before.model_dump() | {"rights": before.rights | rights}
            if before.catalogs is not None:
                fields["catalogs"] = before.catalogs | catalogs
            made = _checked(type(before), fields)
            self._write(content.model_copy(update={_FIELDS[kind]: (*others, made)}))
        return made

    def remove(self, kind: Kind, name: str) -> None:
        """Let a program or person in no more; raises UserError when there is none of this name."""
        with self._changing() as content:
            _, others = _apart(content, kind, name)
            self._write(content.model_copy(update={_FIELDS[kind]: others}))

    def _read(self) -> _Content:
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen != self._seen:
                self._content, self._seen = _Content.model_validate_json(self.path.read_bytes()), seen
        except FileNotFoundError:
            self._content, self._seen = _Content(), None
        except (ValidationError, OSError) as error:
            raise UserError(
                f"{self.path} cannot be read ({type(error).__name__}). Correct it, or remove it and add clients and people anew."
            ) from None
        return self._content

    @contextmanager
    def _changing(self) -> Iterator[_Content]:
        """Hold the file against others who change it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()

    def _write(self, content: _Content) -> None:
        write_private(self.path, content.model_dump_json(indent=1))


_FIELDS = {Kind.CLIENT: "clients", Kind.PERSON: "people"}


def _apart(content: _Content, kind: Kind, name: str) -> tuple[ApiClient | Person, tuple[ApiClient | Person, ...]]:
    """The one of a name, and all others of that kind."""
    every: tuple[ApiClient | Person, ...] = getattr(content, _FIELDS[kind])
    found = next((one for one in every if one.name == name), None)
    if found is None:
        raise UserError(f"There is no {kind} {name}; there are {', '.join(one.name for one in every) or 'none'}.")
    return found, tuple(one for one in every if one is not found)


def hash_key(key: str) -> str:
    """As a key is kept."""
    return hashlib.sha256(key.encode()).hexdigest()


def _checked(kind: type[T], fields: Mapping[str, object]) -> T:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"This cannot be added: {wrong_fields(error)}. Correct it.") from None
