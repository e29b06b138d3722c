"""Sessions of people: a signed cookie, nothing kept; and the word beside it that a page of another site cannot know."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer

from packsight.producer.http.accounts import Person
from packsight.shared.storage.files import write_private

COOKIE = "packsight_session"
CSRF_HEADER = "X-CSRF-Token"


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says."""

    name: str
    mark: str
    """Of the password that it was begun with (Person.mark)."""
    number: str
    """Random; what forged requests are told by follows from it."""

    def is_of(self, person: Person | None) -> bool:
        """Whether the person may still sign in, and by the same password."""
        return person is not None and hmac.compare_digest(person.mark, self.mark)


class Sessions:
    """Makes and reads cookies that are valid for `seconds`."""

    def __init__(self, secret: str, seconds: float) -> None:
        self.seconds = seconds
        self._secret = secret.encode()
        self._signer = URLSafeTimedSerializer(secret, salt="packsight.session", signer_kwargs={"digest_method": hashlib.sha256})

    def begin(self, person: Person) -> tuple[Session, str]:
        """A new session and its cookie."""
        session = Session(person.name, person.mark, secrets.token_hex(16))
        return session, self._signer.dumps([session.name, session.mark, session.number])

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None for one that is not ours or too old."""
        try:
            return Session(*self._signer.loads(cookie, max_age=round(self.seconds)))
        except (BadData, TypeError):
            return None

    def csrf(self, session: Session) -> str:
        """What a request that changes something has to say in CSRF_HEADER."""
        return hmac.new(self._secret, f"csrf {session.number}".encode(), hashlib.sha256).hexdigest()


def is_home_of_a_door(home: Path) -> bool:
    """Whether a door with a secret of its own has been opened in this folder of local state."""
    return _own_secret(home).exists()


def _own_secret(home: Path) -> Path:
    return home / "http" / "session-secret"


def own_secret(home: Path) -> str:
    """The secret of this folder of local state, made once, however many servers begin at a time."""
    path = _own_secret(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    if found := _read(path):
        return found
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _read(path):
            write_private(path, secrets.token_hex(32))
        return _read(path)


def _read(path: Path) -> str:
    """What stands in a file; empty where there is none: by nothing at all everybody could sign."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
