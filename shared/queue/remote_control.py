"""What a worker hears over the broker beside its messages: questions, which it answers, and nothing that would change it.

Celery's remote control lets whoever may ask also shut workers down, end their tasks, move limits and queues, and cannot tell one
asker from another. packsight itself needs nothing but answers: workers are told what to do by settings and signals.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any, ClassVar

from celery.app import control
from kombu import pidbox
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from packsight.shared.contract.references import plain
from packsight.shared.contract.validation import wrong_fields

log = logging.getLogger(__name__)

QUESTIONS = frozenset({
    "active", "active_queues", "clock", "conf", "ping", "query_task", "registered", "reserved", "revoked", "scheduled", "stats",
})  # fmt: skip
"""What is answered. Of Celery's other questions `hello` takes over what the asker says was revoked, `objgraph` writes files,
`memsample` and `memdump` keep what they see, and `report` opens connections."""

_Name = Annotated[str, Field(max_length=256)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    exchange: _Name
    routing_key: _Name


class _Question(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    method: _Name
    arguments: dict[str, Any] | None = None
    destination: list[str] | None = None
    """Names of workers; None: all."""
    pattern: None = None
    """A regular expression for the names of workers, which can be made to take hours."""
    reply_to: _Answer | None = None
    ticket: _Name | None = None


class Node(pidbox.Node):  # type: ignore[misc]
    """A worker's ear."""

    def handle_message(self, body: Any, message: Any = None) -> Any:
        """Answer a question to this worker; anything else is one line in the log, and an answer that says so."""
        try:
            asked = _Question.model_validate(body)
        except ValidationError as error:
            log.warning("remote control refused: not a question: %s", plain(wrong_fields(error)), extra={"action": "refused"})
            return None
        if asked.destination and self.hostname not in asked.destination:
            return None
        answer = asked.reply_to
        if answer and answer.exchange != self.mailbox.reply_exchange.name:  # it would become a message in somebody's queue
            log.warning("remote control refused: it asks to answer elsewhere", extra={"action": "refused"})
            return None
        if asked.method in QUESTIONS:
            reply_to = answer.model_dump() if answer else None
            return self.dispatch(asked.method, asked.arguments, reply_to=reply_to, ticket=asked.ticket)
        log.warning("remote control refused: %s", plain(asked.method), extra={"action": "refused"})
        if answer:
            text = "refused: workers take no orders over the broker; use their settings, or a signal to their process"
            self.reply({self.hostname: {"error": text}}, answer.exchange, answer.routing_key, asked.ticket)
        return None


class Mailbox(pidbox.Mailbox):  # type: ignore[misc]
    """Where workers listen."""

    node_cls: ClassVar = Node


class Control(control.Control):  # type: ignore[misc]
    """Celery's remote control; named by the app."""

    Mailbox = Mailbox
