"""The cache: expiry, sharing of loads, forgetting."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from authd.keys.cache import Cache

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Source:
    """Counts loads; each waits for `gate` where there is one."""

    def __init__(self) -> None:
        self.time = NOW
        self.loads = 0
        self.changes: datetime | None = None
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    def now(self) -> datetime:
        return self.time

    async def load(self, key: str) -> tuple[str, datetime | None]:
        self.loads += 1
        value = f"{key}{self.loads}"
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return value, self.changes


async def test_values_live_for_60_seconds() -> None:
    source = Source()
    cache = Cache(source.load, source.now)
    assert await cache.get("a") == "a1"
    source.time += timedelta(seconds=59)
    assert await cache.get("a") == "a1"
    source.time += timedelta(seconds=1)
    assert await cache.get("a") == "a2"


async def test_a_change_that_is_known_ends_them_earlier() -> None:
    source = Source()
    source.changes = NOW + timedelta(seconds=10)
    cache = Cache(source.load, source.now)
    await cache.get("a")
    source.time += timedelta(seconds=10)
    assert await cache.get("a") == "a2"


async def test_callers_share_a_load() -> None:
    source = Source()
    source.gate = asyncio.Event()
    cache = Cache(source.load, source.now)
    callers = [asyncio.create_task(cache.get("a")) for _ in range(50)]
    await asyncio.sleep(0)
    callers[0].cancel()
    source.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert set(results[1:]) == {"a1"}
    assert source.loads == 1


async def test_callers_share_an_error_and_the_next_one_tries_again() -> None:
    source = Source()
    source.error = LookupError("down")
    cache = Cache(source.load, source.now)
    results = await asyncio.gather(cache.get("a"), cache.get("a"), return_exceptions=True)
    assert [type(result) for result in results] == [LookupError, LookupError]
    assert source.loads == 1
    source.error = None
    assert await cache.get("a") == "a2"


async def test_an_error_does_not_end_a_fresh_value_but_an_expired_one() -> None:
    source = Source()
    cache = Cache(source.load, source.now)
    await cache.get("a")
    source.error = LookupError("down")
    assert await cache.get("a") == "a1"
    source.time += timedelta(seconds=61)
    with pytest.raises(LookupError):
        await cache.get("a")


async def test_a_load_from_before_forget_answers_nobody_who_asks_later() -> None:
    source = Source()
    source.gate = asyncio.Event()
    cache = Cache(source.load, source.now)
    early = asyncio.create_task(cache.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.forget()
    late = asyncio.create_task(cache.get("a"))
    await asyncio.sleep(0)
    source.gate.set()
    assert await early == "a1"
    assert await late == "a2"
    assert await cache.get("a") == "a2"


async def test_the_oldest_value_makes_room() -> None:
    source = Source()
    cache = Cache(source.load, source.now, size=2)
    for key in "abc":
        await cache.get(key)
    assert await cache.get("c") == "c3"
    assert await cache.get("b") == "b2"
    assert await cache.get("a") == "a4"


async def test_a_load_without_callers_left_keeps_its_error_to_itself() -> None:
    source = Source()
    source.gate = asyncio.Event()
    source.error = LookupError("down")
    cache = Cache(source.load, source.now)
    caller = asyncio.create_task(cache.get("a"))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    source.gate.set()
    await asyncio.sleep(0.01)
    assert complaints == []
