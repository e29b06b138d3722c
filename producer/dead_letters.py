"""`packsight dead-letters`: what nobody could work on, with its cause; send it again or drop it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.padding import Padding
from rich.text import Text

from packsight.producer.broker import answering, producer_app
from packsight.producer.display import page
from packsight.shared.contract.arguments import shown_arguments
from packsight.shared.contract.errors import UserError, parse_code
from packsight.shared.contract.references import plain, printable, shown
from packsight.shared.progress import console
from packsight.shared.queue.dead_letters import DeadLetter, DeadLetters
from packsight.shared.settings import load_settings

_SENT = 200
"""Letters of a refused message that are shown: enough to know whose it is."""


@contextmanager
def _letters() -> Iterator[DeadLetters]:
    settings = load_settings()
    letters = DeadLetters(settings)
    try:
        with answering(settings):
            yield letters
    finally:
        letters.close()


def show(*, as_json: bool) -> None:
    """Show all letters, oldest first."""
    with _letters() as letters:
        found, dropped = letters.list(), letters.dropped()
    if as_json:
        for letter in found:
            # Whole, for programs, which get nothing beyond ASCII: what a terminal obeys is escaped.
            typer.echo(json.dumps(letter.model_dump(mode="json")))
        return
    if not found:
        page.print("There are no dead letters.")
    for letter in found:
        _tell(letter)
    if dropped:
        console.print(f"[yellow]{dropped:,} older letters were dropped because the list was full.[/]")


def _tell(letter: DeadLetter) -> None:
    """What is copied stands on one line of its own, however narrow the terminal is; only sentences are wrapped."""
    when = f"{datetime.fromtimestamp(letter.at, UTC):%Y-%m-%d %H:%M} UTC"
    often = "delivered once" if letter.deliveries == 1 else f"delivered {letter.deliveries:,} times"
    page.print(Text.assemble((letter.id, "bold"), f"  {when}  ", (letter.code.value, "red"), f"  {often}"), soft_wrap=True)
    page.print(Padding(Text(plain(letter.message)), (0, 0, 0, 2), expand=False))
    lines = {"photo": shown(letter.image)} if letter.image is not None else {"sent": shown_arguments(letter.payload)[:_SENT]}
    lines["task"] = printable(" ".join(filter(None, (letter.task, letter.task_id))))
    for name, text in lines.items():
        page.print(Text.assemble((f"  {name}  ", "dim"), text), soft_wrap=True)


def replay(ids: Sequence[str], *, everything: bool, payload: Path | None, code: str | None = None) -> None:
    """Send letters again and take them off the list; prints the id of each new task."""
    corrected = _payload(payload) if payload else None
    if corrected is not None and len(ids) != 1:
        raise UserError("--payload corrects one letter. Name exactly one id.")
    publisher = producer_app(load_settings())
    with _letters() as letters:
        _each(letters, ids, everything, code, lambda name: typer.echo(printable(letters.replay(publisher, name, corrected))))


def _payload(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no readable JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object, the argument of the task.")
    return content


def drop(ids: Sequence[str], *, everything: bool, code: str | None = None) -> None:
    """Remove letters for good."""
    with _letters() as letters:

        def remove(name: str) -> None:
            letters.get(name)
            letters.drop(name)

        _each(letters, ids, everything, code, remove)


def _each(
    letters: DeadLetters, ids: Sequence[str], everything: bool, code: str | None, act: Callable[[str], None]
) -> None:
    if [bool(ids), everything, code is not None].count(True) != 1:
        raise UserError("Name the ids of letters, --code CODE, or --all: one of the three.")
    cause = parse_code(code) if code is not None else None
    for name in ids or [letter.id for letter in letters.list() if everything or letter.code is cause]:
        act(name)
