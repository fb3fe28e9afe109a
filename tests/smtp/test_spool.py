"""What messages may take of memory and disk: who waits, who is refused, and that nothing is lost or left behind."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authd.config.settings import SmtpSettings
from authd.smtp.budget import LEAST_RESERVED, MOST_RESERVED, Budget
from authd.smtp.signer import SignerListener
from authd.smtp.spool import PIECE, Spools
from tests.smtp.support import HOLD, Keys, Sink, Source, connected, running_signer, running_sink, until

MIB = 1048576
SETTINGS = SmtpSettings(hostname="mx.example.com")
FULL = "452 4.3.1 No room for this message now, try again later"
HEADER = b"From: ann@example.com\r\nSubject: large\r\n\r\n"


def soon() -> float:
    return asyncio.get_running_loop().time() + 10


def large(size: int) -> bytes:
    """A message of about that size, no two lines of which are equal."""
    return HEADER + b"".join(b"%062d\r\n" % number for number in range(size // 64))


async def test_memory_is_given_in_turn_and_a_small_message_does_not_overtake() -> None:
    budget = Budget(2 * MIB, 0)
    first, second = await budget.reserve(None, soon()), await budget.reserve(LEAST_RESERVED, soon())
    assert budget.in_memory == MOST_RESERVED + LEAST_RESERVED
    order: list[str] = []

    async def wait(name: str, size: int | None) -> None:
        await budget.reserve(size, soon())
        order.append(name)

    tasks = [asyncio.create_task(wait("large", None)), asyncio.create_task(wait("small", 1))]
    await until(lambda: budget.waiting == 2)
    second.release()
    await asyncio.gather(*tasks[:1])
    assert order == ["large"] and budget.waiting == 1
    first.shrink(100)
    await asyncio.gather(*tasks)
    assert order == ["large", "small"] and budget.in_memory == 100 + MOST_RESERVED + LEAST_RESERVED


async def test_who_gives_up_waiting_lets_the_next_pass_and_leaves_nothing_reserved() -> None:
    budget = Budget(MIB, 0)
    held = await budget.reserve(None, soon())
    impatient = asyncio.create_task(budget.reserve(None, soon()))
    behind = asyncio.create_task(budget.reserve(1, soon()))
    await until(lambda: budget.waiting == 2)
    held.shrink(MIB - LEAST_RESERVED)
    assert budget.waiting == 2
    impatient.cancel()
    assert (await behind).memory == LEAST_RESERVED
    late = asyncio.create_task(budget.reserve(1, soon()))
    await until(lambda: budget.waiting == 1)
    (await asyncio.shield(behind)).release()
    late.cancel()  # in the very moment in which its turn has come
    with pytest.raises(asyncio.CancelledError):
        await late
    held.release()
    held.release()
    assert (budget.in_memory, budget.waiting) == (0, 0)


async def test_waiting_has_an_end() -> None:
    budget = Budget(MIB, 0)
    await budget.reserve(None, soon())
    with pytest.raises(TimeoutError):
        await budget.reserve(None, asyncio.get_running_loop().time())
    assert budget.waiting == 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 3 * PIECE), max_size=12), declared=st.none() | st.integers(0, 4 * MIB),
       start=st.integers(0, 5 * PIECE), head=st.integers(1, 5 * PIECE))
def test_what_went_in_comes_out(tmp_path: Path, sizes: list[int], declared: int | None, start: int, head: int) -> None:
    async def run() -> None:
        spools = Spools(dataclasses.replace(SETTINGS, spool_folder=tmp_path))
        spool = await spools.open(declared, soon())
        whole = b""
        for number, size in enumerate(sizes):
            data = bytes([number]) * size
            whole += data
            await spool.append(data)
        spool.complete()
        assert spool.size == len(whole) and not spool.is_incomplete
        assert b"".join(spool.pieces(start)) == whole[start:] and spool.head(head) == whole[:head]
        assert spools.budget.in_memory <= MOST_RESERVED
        assert spools.budget.in_memory + spools.budget.in_files == len(whole)
        spool.close()
        assert (spools.budget.in_memory, spools.budget.in_files) == (0, 0)
        spools.close()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def open_files() -> Iterator[set[str]]:
    """Names of deleted files that are open when a test begins; it must leave no others."""
    before = _deleted_files()
    yield before
    assert _deleted_files() == before


def _deleted_files() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            name = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if name.endswith(" (deleted)"):
            found.add(name)
    return found


@asynccontextmanager
async def relay(limits: SmtpSettings, sink: Sink | None = None) -> AsyncIterator[tuple[SignerListener, Sink, Budget]]:
    """A signer with these limits before a sink, and its budget, of which nothing may be left over."""
    spools = Spools(limits)
    async with running_sink(sink or Sink()) as sink, running_signer(sink, Keys(), limits, spools=spools) as signer:
        yield signer, sink, spools.budget
    assert (spools.budget.in_memory, spools.budget.in_files, spools.budget.waiting) == (0, 0, 0)
    spools.close()


async def test_a_large_message_goes_through_a_file_unchanged(tmp_path: Path, open_files: set[str]) -> None:
    content = large(5 * MIB)
    limits = dataclasses.replace(SETTINGS, memory_size=MIB, spool_folder=tmp_path)
    async with relay(limits, Sink(faults={"end": [HOLD]})) as (signer, sink, budget), connected(signer.address) as client:
        sending = asyncio.create_task(client.send(content))
        await sink.holds(1)
        assert len(_deleted_files() - open_files) == 1 and list(tmp_path.iterdir()) == []
        assert 4 * MIB <= budget.in_files < 5 * MIB and budget.in_memory <= MIB
        sink.let_go()
        assert (await sending).startswith("250")
        assert sink.delivered[0].content.endswith(content)


async def test_clients_wait_for_memory_and_all_are_served() -> None:
    limits = dataclasses.replace(SETTINGS, memory_size=MIB)
    async with relay(limits) as (signer, sink, _):
        async def one(number: int) -> str:
            async with connected(signer.address) as client:
                return await client.send(b"Subject: %d\r\n\r\n" % number + b"x\r\n" * 1000)

        answers = await asyncio.gather(*(one(number) for number in range(40)))
        assert {answer[:3] for answer in answers} == {"250"} and len(sink.delivered) == 40


async def _data(client: Source) -> str:
    await client.command("MAIL FROM:<ann@example.com>")
    await client.command("RCPT TO:<bob@example.net>")
    return await client.command("DATA")


async def test_a_client_that_leaves_while_it_waits_is_forgotten() -> None:
    limits = dataclasses.replace(SETTINGS, memory_size=MIB)
    async with relay(limits) as (signer, _, budget), connected(signer.address) as first:
        assert (await _data(first)).startswith("354")
        async with connected(signer.address) as leaving:
            await leaving.write(b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n")
            await until(lambda: budget.waiting == 1)
        await until(lambda: budget.waiting == 0)


async def test_waiting_ends_with_the_time_for_the_transaction() -> None:
    limits = dataclasses.replace(SETTINGS, memory_size=MIB, transaction_timeout=0.2)
    async with relay(limits) as (signer, sink, budget), connected(signer.address) as second:
        held = await budget.reserve(None, soon())
        assert await _data(second) == FULL
        held.release()
        assert (await second.send()).startswith("250")
        assert len(sink.delivered) == 1


@pytest.mark.parametrize("reason", ["no room", "no folder"])
async def test_a_message_for_which_there_is_no_room_is_read_to_its_end_and_deferred(reason: str, tmp_path: Path) -> None:
    limits = dataclasses.replace(SETTINGS, spool_size=MIB if reason == "no room" else 2**40,
                                 spool_folder=tmp_path if reason == "no room" else tmp_path / "missing")
    async with relay(limits) as (signer, sink, _), connected(signer.address) as client:
        assert await client.send(large(4 * MIB)) == FULL
        assert not sink.delivered
        assert (await client.send()).startswith("250")
        assert len(sink.delivered) == 1


async def test_a_client_that_leaves_in_the_middle_leaves_no_file(open_files: set[str]) -> None:
    async with relay(SETTINGS) as (signer, sink, budget):
        async with connected(signer.address) as client:
            assert (await _data(client)).startswith("354")
            await client.write(large(3 * MIB))
            await until(lambda: budget.in_files > 0)
        await until(lambda: budget.in_files == 0 and signer.connections == 0)
        assert not sink.delivered
