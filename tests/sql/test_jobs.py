"""Periodic work: one process of several does it, and a failure does not end it."""

import asyncio

import pytest

from authd import jobs
from authd.errors import DatabaseUnavailable
from tests.support import open_database


async def test_one_process_of_two_does_the_work(database_url: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()

    async with open_database(database_url) as one, open_database(database_url) as other:
        first = asyncio.create_task(jobs.once_among_processes(one, "hygiene", work))
        await begun.wait()
        assert not await jobs.once_among_processes(other, "hygiene", work)
        go_on.set()
        assert await first
        assert await jobs.once_among_processes(other, "hygiene", work)


async def test_what_fails_is_tried_again(database_url: str) -> None:
    turns = 0

    async def work() -> None:
        raise DatabaseUnavailable("gone")

    async def sleep(seconds: float) -> None:
        nonlocal turns
        turns += 1
        if turns == 3:
            raise asyncio.CancelledError

    async with open_database(database_url) as db:
        with pytest.raises(asyncio.CancelledError):
            await jobs.repeat(db, "hygiene", 3600, work, sleep)
    assert turns == 3
