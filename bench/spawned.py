"""One question to a process of its own, so that the networks' libraries load where they are used."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any


def ask(answer: Callable[..., None], *arguments: Any) -> Any:
    """Return what `answer(pipe, *arguments)`, run in a fresh process, sends through its pipe."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=answer, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise RuntimeError("the process that measures died; see its trace above") from None
    finally:
        process.join(10)
