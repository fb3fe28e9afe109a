"""Look-ups that share statements: who is asked about together, and what happens to those who wait."""

import asyncio
from collections.abc import Sequence

import pytest

from authd.sql.batches import Batches


class Source:
    """Looks up what is asked when it is told to, and remembers what was asked in one statement."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def look_up(self, keys: Sequence[str]) -> dict[str, str]:
        self.asked.append([*keys])
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return {key: f"{key} of {len(self.asked)}" for key in keys}


async def asking(batches: Batches[str, str], *keys: str) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(batches.get(key)) for key in keys]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_others_are_under_way_is_asked_in_one_statement() -> None:
    source = Source()
    batches = Batches(source.look_up, at_once=2)
    first = await asking(batches, "a")
    second = await asking(batches, "b")
    rest = await asking(batches, "c", "d", "c", "a")
    assert source.asked == [["a"], ["b"]]
    source.gates[1].set_result(None)
    assert await asyncio.gather(*second) == ["b of 2"]
    await asking(batches)
    assert source.asked[2:] == [["c", "d", "a"]]
    for gate in source.gates[0], source.gates[2]:
        gate.set_result(None)
    assert await asyncio.gather(*first, *rest) == ["a of 3", "c of 3", "d of 3", "c of 3", "a of 3"]


async def test_what_comes_at_the_same_moment_is_asked_once() -> None:
    source = Source()
    batches = Batches(source.look_up, at_once=2)
    tasks = await asking(batches, "a", "b")
    assert source.asked == [["a", "b"]]
    source.gates[0].set_result(None)
    assert await asyncio.gather(*tasks) == ["a of 1", "b of 1"]
    await asking(batches, "c", "c")
    assert source.asked == [["a", "b"], ["c"]]


async def test_no_answer_is_older_than_its_question() -> None:
    source = Source()
    batches = Batches(source.look_up)
    first = await asking(batches, "a")
    second = await asking(batches, "a")
    assert source.asked == [["a"], ["a"]]
    for gate in source.gates:
        gate.set_result(None)
    await asyncio.gather(*first, *second)


async def test_a_statement_has_no_more_than_a_hundred_keys() -> None:
    source = Source()
    batches = Batches(source.look_up, at_once=1)
    await asking(batches, *map(str, range(250)))
    sizes: list[int] = []
    while len(sizes) < 3:
        sizes.append(len(source.asked[-1]))
        source.gates[-1].set_result(None)
        await asking(batches)
    assert sizes == [100, 100, 50]


async def test_an_error_is_everybodys_who_was_in_the_statement_and_nobodys_else() -> None:
    source = Source()
    batches = Batches(source.look_up, at_once=1)
    first = await asking(batches, "a", "b")
    later = await asking(batches, "c")
    source.gates[0].set_exception(OSError("gone"))
    errors = await asyncio.gather(*first, return_exceptions=True)
    assert [type(error) for error in errors] == [OSError, OSError]
    await asking(batches)
    source.gates[1].set_result(None)
    assert await asyncio.gather(*later) == ["c of 2"]


async def test_who_does_not_wait_any_more_disturbs_nobody() -> None:
    source = Source()
    batches = Batches(source.look_up, at_once=1)
    gone, stays = await asking(batches, "a", "a")
    gone.cancel()
    await asking(batches)
    assert gone.cancelled() and not stays.done()
    source.gates[0].set_result(None)
    assert await stays == "a of 1"


async def test_who_waits_when_the_loop_ends_ends_with_it() -> None:
    source = Source()
    batches = Batches(source.look_up, at_once=1)
    [waiting] = await asking(batches, "a")
    source.gates[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
