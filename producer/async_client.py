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
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

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
        return await asyncio.wrap_future(self.pool.submit(method, self.client, *arguments, **keywords))

    call.__doc__ = method.__doc__
    return call


def _streamed(
    method: Callable[Concatenate[Client, P], Iterator[T]],
) -> Callable[Concatenate[AsyncClient, P], AsyncGenerator[T, None]]:
    """A method of `Client` that yields, of which each step is made in a thread."""

    async def stream(self: AsyncClient, /, *arguments: P.args, **keywords: P.kwargs) -> AsyncGenerator[T, None]:
        steps = cast("Generator[T, None, None]", method(self.client, *arguments, **keywords))
        step = self.pool.submit(next, steps, _END)
        try:
            while (found := await asyncio.wrap_future(step)) is not _END:
                yield cast("T", found)
                step = self.pool.submit(next, steps, _END)
        finally:
            if step.done():
                await asyncio.wrap_future(self.pool.submit(steps.close))
            else:  # it cannot be closed while it makes a step, and nobody waits for that any more
                step.add_done_callback(lambda _: steps.close())

    stream.__doc__ = method.__doc__
    return stream


class AsyncClient:
    """`Client` for an event loop: same methods, arguments and errors; those that yield are iterated with `async for`.

    Calls run in up to `threads` threads, further ones wait for their turn. Whoever gives a call up (`asyncio.timeout`, a request
    that was cancelled) goes on at once; what was sent stays sent, as with `Client`.
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
        """Wait for calls that are under way, and close the connections."""
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
