"""One question to a process of its own, whose libraries load there, with the variables of now, and whose memory is its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def ask(answer: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `answer(*arguments)` gives in a fresh process, which may have children."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_answer, args=(theirs, answer, *arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise RuntimeError("the process that measures died; see its trace above") from None
    finally:
        process.join(10)
        process.kill()


def _answer(pipe: Connection, answer: Callable[..., Any], *arguments: Any) -> None:
    pipe.send(answer(*arguments))
