"""A real HTTP door on a free port of loopback, and whoever knocks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any

import pytest
import urllib3
import uvicorn
from argon2 import PasswordHasher

from packsight.producer.http.app import create_app
from packsight.producer.http.connections import Connection
from packsight.producer.http.door import Door
from packsight.producer.http.rights import Right
from packsight.shared.metrics.exporter import Figures
from packsight.shared.settings import Settings

PASSWORD = "a long password"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> str:
        """Of a refusal; tells whether it has the form of one."""
        told = self.json
        assert told["status"] == "failed"
        assert told["reason"] == told["failure"]["message"] != ""
        assert told["failure"]["remedy"]
        return str(told["failure"]["code"])


@dataclass(frozen=True)
class Visitor:
    """Sends requests, with what makes it known."""

    base: str
    headers: Mapping[str, str] = field(default_factory=dict)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, maxsize=64, timeout=120))

    def ask(self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        sent = {**self.headers, **(headers or {})}
        if json is not None:
            more["json"] = json
            sent["Content-Type"] = "application/json"
        answer = self.pool.request(method, f"{self.base}{path}", headers=sent, **more)
        return Answer(answer.status, answer.headers, answer.data)

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> Answer:
        return self.ask("POST", path, **more)

    def with_headers(self, **headers: str) -> Visitor:
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}})


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    door: Door
    stranger: Visitor

    def client(self, name: str = "shop", *rights: Right, catalogs: set[str] | None = None) -> Visitor:
        """A program with a key."""
        chosen = frozenset(rights or (Right.RECOGNISE, Right.JOBS))
        _, key = self.door.accounts.add_client(name, chosen, None if catalogs is None else frozenset(catalogs))
        return self.stranger.with_headers(Authorization=f"Bearer {key}")

    def person(self, name: str = "ann", *rights: Right, catalogs: set[str] | None = None) -> Visitor:
        """Somebody who has signed in, whose requests say the word that pages say."""
        chosen = frozenset(rights or Right)
        self.door.accounts.add_person(name, PASSWORD, chosen, None if catalogs is None else frozenset(catalogs))
        return signed_in(self.stranger, name, PASSWORD)


def signed_in(stranger: Visitor, name: str, password: str) -> Visitor:
    """Somebody who signs in, and whose requests say the word that pages say."""
    answer = stranger.post("/v1/session", json={"name": name, "password": password})
    assert answer.status == 200, answer.data
    (cookie,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    return stranger.with_headers(Cookie=f"{cookie.key}={cookie.value}", X_CSRF_Token=answer.json["csrf"])


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Argon2 as it is but for its price, a quarter of a second for each look: what comes of a sign-in is the same."""
    with pytest.MonkeyPatch.context() as patched:
        cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        patched.setattr("packsight.producer.http.accounts._hasher", cheap)
        yield


@contextmanager
def serving(settings: Settings, figures: Figures | None = None) -> Iterator[Serving]:
    """Serve until the end of the block; figures: in which requests are counted."""
    app = create_app(settings, figures)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, timeout_graceful_shutdown=5, http=Connection
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="door")
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        visitor = Visitor(f"http://127.0.0.1:{port}")
        with cheap_passwords():
            yield Serving(app.state.door, visitor)
        visitor.pool.clear()
    finally:
        server.should_exit = True
        thread.join()
