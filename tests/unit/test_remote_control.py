"""A worker answers questions over the broker and takes no orders."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from celery.app.control import Control as CelerysControl
from celery.utils.collections import AttributeDict
from celery.worker.control import Panel
from pydantic import SecretStr

from packsight.shared.queue.app import make_app
from packsight.shared.queue.remote_control import QUESTIONS, Node
from packsight.shared.settings import Settings

REPLY = {"exchange": "reply.celery.pidbox", "routing_key": "asker"}
SECRET = "p%40ss word"


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """The ear of a worker; its answers are collected in `answers`, what reached Celery in `reached`."""
    url = SecretStr(f"redis://u:{SECRET}@127.0.0.1:1/0")
    app = make_app("test", Settings(_env_file=None, broker_url=url, result_url=url))
    made: Any = app.control.mailbox.Node("w@here", handlers=dict(Panel.data), state=AttributeDict(app=app))
    made.answers, made.reached = [], []

    def reply(data: Any, exchange: str, routing_key: str, ticket: str | None) -> None:
        made.answers.append((data, exchange, routing_key, ticket))

    monkeypatch.setattr(made, "reply", reply)
    handle = made.handle
    monkeypatch.setattr(made, "handle", lambda method, arguments: made.reached.append(method) or handle(method, arguments))
    assert isinstance(made, Node)
    return made


@pytest.mark.parametrize("method", sorted(set(Panel.data) - QUESTIONS))
def test_orders_are_refused_in_one_line_and_the_asker_hears_why(node: Any, caplog: Any, method: str) -> None:
    node.handle_message({"method": method, "arguments": {}, "reply_to": REPLY, "ticket": "t"})
    assert node.reached == []
    ((data, exchange, key, ticket),) = node.answers
    assert data["w@here"]["error"].startswith("refused")
    assert (exchange, key, ticket) == ("reply.celery.pidbox", "asker", "t")
    assert [record.getMessage() for record in caplog.records] == [f"remote control refused: {method}"]


def test_every_order_that_celery_knows_is_among_the_refused() -> None:
    orders = {name for name, meta in Panel.meta.items() if meta.type == "control"}
    assert {"shutdown", "revoke", "pool_restart", "rate_limit", "add_consumer", "autoscale"} <= orders
    assert not orders & QUESTIONS


def test_questions_are_answered(node: Any) -> None:
    node.handle_message({"method": "ping", "arguments": {}, "reply_to": REPLY, "ticket": "t", "destination": ["w@here"]})
    assert node.answers == [({"w@here": {"ok": "pong"}}, "reply.celery.pidbox", "asker", "t")]
    node.handle_message({"method": "ping", "reply_to": REPLY, "destination": ["another@here"]})
    assert len(node.answers) == 1


def test_the_settings_are_told_without_secrets(node: Any) -> None:
    node.handle_message({"method": "conf", "arguments": {"with_defaults": True}, "reply_to": REPLY})
    ((data, *_),) = node.answers
    told = json.dumps(data)
    assert "127.0.0.1:1" in told
    assert "p%40ss" not in told
    assert "p@ss" not in told


ODD: list[Any] = [
    "ping",
    ["ping"],
    {"method": ["ping"]},
    {"method": "ping", "destination": 5},
    {"method": "ping", "arguments": [1]},
    {"method": "ping", "pattern": "(a+)+$", "matcher": "pcre"},
    {"method": "ping", "reply_to": {"exchange": "", "routing_key": "packsight.recognize"}},
    {"method": "ping", "reply_to": "asker"},
]


@pytest.mark.parametrize("body", ODD, ids=str)
def test_what_is_no_question_to_this_worker_is_one_line(node: Any, caplog: Any, body: Any) -> None:
    with caplog.at_level(logging.WARNING):
        node.handle_message(body)
    assert node.reached == node.answers == []
    (record,) = caplog.records
    assert record.getMessage().startswith("remote control refused: ")
    assert record.exc_info is None


def test_what_stands_in_the_log_was_made_harmless(node: Any, caplog: Any) -> None:
    node.handle_message({"method": "\x1b[2Jshutdown\nforged"})
    (record,) = caplog.records
    assert not {"\x1b", "\n"} & set(record.getMessage())


def test_asking_is_celerys_own() -> None:
    app = make_app("test", Settings(_env_file=None))
    assert isinstance(app.control, CelerysControl)
    assert type(app.control.mailbox).node_cls is Node
