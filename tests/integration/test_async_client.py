"""The client of programs with an event loop, against a real broker and object store and a stand-in worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from packsight import AsyncClient
from packsight.producer.client import Client
from packsight.producer.sources import Item
from packsight.shared.contract.errors import UserError
from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Settings
from tests.recognizer import StandIn, running


@pytest.fixture
def stand_in(live_settings: Settings) -> Iterator[StandIn]:
    with running(live_settings) as made:
        yield made


def urls(count: int) -> list[Item]:
    return [Item(f"photo {number}", f"https://example.com/{number}.jpg") for number in range(count)]


def test_photos_are_asked_about_beside_each_other_and_the_loop_goes_on(live_settings: Settings, stand_in: StandIn) -> None:
    photos = [f"https://example.com/{number}.jpg" for number in range(12)]

    async def ask() -> int:
        stand_in.gate.clear()
        async with AsyncClient(live_settings) as client:
            asked = [asyncio.create_task(client.recognize(photo, timeout=30)) for photo in photos]
            turns = 0
            while not stand_in.tries:  # workers hold the first while the loop turns
                await asyncio.sleep(0.01)
                turns += 1
            stand_in.gate.set()
            outcomes = await asyncio.gather(*asked)
            assert [outcome.image for outcome in outcomes] == photos
            return turns

    assert asyncio.run(ask()) > 0


def test_a_job_is_submitted_run_and_read(live_settings: Settings, stand_in: StandIn) -> None:
    async def run() -> None:
        async with AsyncClient(live_settings) as client:
            job = await client.submit(urls(20), batch_size=4, top_k=3)
            rows = [row async for row in client.run(job)]
            assert sorted(row.name for row in rows) == sorted(item.name for item in urls(20))
            again = [row async for row in client.outcomes(await client.load(job.id))]
            assert {row.outcome.image for row in again} == {row.outcome.image for row in rows}
            summary = await client.summary(job.manifest)
            assert summary.ends[Status.NO_MATCH] == 20
            assert [manifest.job for manifest in await client.newest(5)] == [job.id]

    asyncio.run(run())
    assert {request.top_k for request in stand_in.requests} == {3}


def test_whoever_leaves_a_stream_loses_nothing(live_settings: Settings, stand_in: StandIn) -> None:
    async def leave() -> str:
        async with AsyncClient(live_settings) as client:
            job = await client.submit(urls(20), batch_size=2)
            rows = client.run(job, max_in_flight=1)
            assert (await anext(rows)).name == "photo 0"
            await rows.aclose()
            return job.id

    with Client(live_settings) as client:
        job = client.load(asyncio.run(leave()))
        rows = list(client.run(job, resumed=True))
    assert len(rows) + sum(1 for image in stand_in.seen) >= 20
    assert set(stand_in.seen) == {f"https://example.com/{number}.jpg" for number in range(20)}
    assert max(stand_in.seen.values()) == 1


def test_a_call_that_is_given_up_lets_go_at_once_also_in_the_middle_of_a_stream(
    live_settings: Settings, stand_in: StandIn
) -> None:
    async def give_up() -> None:
        stand_in.gate.clear()
        async with AsyncClient(live_settings) as client:
            job = await client.submit(urls(4), batch_size=2)
            rows = client.run(job)
            waiting = asyncio.create_task(anext(rows))
            while not stand_in.tries:
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not stand_in.seen, "it was let go, and the client closed, while the worker still held the photo"
        stand_in.gate.set()

    asyncio.run(give_up())


def test_calls_that_are_given_up_hold_neither_a_thread_nor_the_clients_end(
    live_settings: Settings, stand_in: StandIn
) -> None:
    async def give_up() -> None:
        stand_in.gate.clear()
        async with AsyncClient(live_settings, threads=1) as client:
            waiting = asyncio.create_task(client.recognize("https://example.com/1.jpg", timeout=3600))
            while not stand_in.tries:
                await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await client.newest(1) == [], "in the one thread that there is"
        assert not stand_in.seen
        stand_in.gate.set()

    asyncio.run(give_up())


def test_errors_are_those_of_the_client(live_settings: Settings) -> None:
    async def ask() -> None:
        async with AsyncClient(live_settings, threads=1) as client:
            with pytest.raises(UserError, match="No worker answered"):
                await client.recognize("https://example.com/1.jpg", timeout=0.2)
            with pytest.raises(UserError, match="is not a file"):
                await client.recognize("nowhere.jpg")
            with pytest.raises(UserError):
                async for _ in client.outcomes(await client.load("20200101-000000-abcdef")):
                    pass

    asyncio.run(ask())
