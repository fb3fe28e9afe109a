"""Listening for changes: how it ends. What caches make of notices is tested where they are."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from authd.sql.changes import Changes


class Quiet:
    """A connection on which nothing is ever said."""

    closed = False

    async def run(self, statement: str, parameters: Mapping[str, Any]) -> None:
        return None

    async def notification(self) -> str:
        await asyncio.Event().wait()
        return ""

    def close(self) -> None:
        self.closed = True


class Hiding:
    """A database whose first connection is ready at the moment of a cancellation, which nobody hears of then."""

    def __init__(self) -> None:
        self.connections: list[Quiet] = []
        self.asked = asyncio.Event()

    async def connect(self) -> Quiet:
        self.asked.set()
        if not self.connections:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        self.connections.append(Quiet())
        return self.connections[-1]


async def test_it_stops_although_a_new_connection_hides_the_cancellation() -> None:
    database = Hiding()
    changes = Changes(database)  # type: ignore[arg-type]
    changes.start()
    await database.asked.wait()
    async with asyncio.timeout(5):
        await changes.stop()
    assert [connection.closed for connection in database.connections] == [True]


async def test_what_was_replaced_does_not_go_on_listening() -> None:
    database = Hiding()
    changes = Changes(database)  # type: ignore[arg-type]
    changes.start()
    await database.asked.wait()
    changes.reopen()
    async with asyncio.timeout(5):
        while len(database.connections) < 2 or not database.connections[0].closed:
            await asyncio.sleep(0)
        await changes.stop()
    assert all(connection.closed for connection in database.connections)
