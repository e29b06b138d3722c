"""packsight from programs with an event loop: what `Client` does, awaited.

async with AsyncClient() as client:
    outcome = await client.recognize("photo.jpg")
    job = await client.submit(["photos/"])
    async for row in client.run(job):
        print(row.name, row.outcome.status)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from packsight.producer.backoff import PATIENCE, Patience
from packsight.producer.client import Client
from packsight.shared.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 64
"""Calls under way at a time, each waiting in a thread of its own, which costs little more than its stack."""
_END: Any = object()
"""What a stream's last step gives."""


def _awaited(method: Callable[Concatenate[Client, P], T]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """A method of `Client` that is called in a thread."""

    async def call(self: AsyncClient, /, *arguments: P.args, **keywords: P.kwargs) -> T:
        patience, context = _impatient()
        asked = partial(method, self.client, *arguments, **keywords)
        try:
            return await asyncio.wrap_future(self.pool.submit(lambda: context.run(asked)))
        except asyncio.CancelledError:
            patience.lose()
            raise

    call.__doc__ = method.__doc__
    return call


def _streamed(
    method: Callable[Concatenate[Client, P], Iterator[T]],
) -> Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]]:
    """A method of `Client` that yields, of which each step is made in a thread."""

    async def stream(self: AsyncClient, /, *arguments: P.args, **keywords: P.kwargs) -> AsyncGenerator[T, None]:
        patience, context = _impatient()
        steps = cast("Generator[T, None, None]", method(self.client, *arguments, **keywords))
        step = self.pool.submit(context.run, _step, steps)
        try:
            while (found := await asyncio.wrap_future(step)) is not _END:
                yield found
                step = self.pool.submit(context.run, _step, steps)
        finally:
            if step.done():
                await asyncio.wrap_future(self.pool.submit(steps.close))
            else:  # it cannot be closed while it makes a step, and nobody waits for that any more
                patience.lose()
                step.add_done_callback(lambda _: steps.close())

    stream.__doc__ = method.__doc__
    return stream


def _step(steps: Iterator[T]) -> T:
    """What a stream yields next, or _END."""
    step: T = next(steps, _END)
    return step


def _impatient() -> tuple[Patience, Context]:
    """A patience that can be lost, and a context that it holds in."""
    patience, context = Patience(), copy_context()
    context.run(PATIENCE.set, patience)
    return patience, context


class AsyncClient:
    """`Client` for an event loop: same methods, arguments and errors; those that yield are iterated with `async for`.

    Calls run in up to `threads` threads, further ones wait for their turn. Whoever gives a call up (`asyncio.timeout`, a request
    that was cancelled) goes on at once, and its thread is free for others; what was sent stays sent, as with `Client`.
    """

    def __init__(self, settings: Settings | None = None, *, threads: int = THREADS) -> None:
        self.client = Client(settings)
        """The client that is asked; what has no awaited form is there."""
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="packsight")

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for calls that somebody waits for, and close the connections."""
        await asyncio.to_thread(self.pool.shutdown)
        await asyncio.to_thread(self.client.close)

    recognize = _awaited(Client.recognize)
    submit = _awaited(Client.submit)
    load = _awaited(Client.load)
    newest = _awaited(Client.newest)
    summary = _awaited(Client.summary)
    cancel = _awaited(Client.cancel)
    remove = _awaited(Client.remove)
    frame = _awaited(Client.frame)
    run = _streamed(Client.run)
    enqueue = _streamed(Client.enqueue)
    again = _streamed(Client.again)
    outcomes = _streamed(Client.outcomes)
