"""Connections kept open for reuse. Admission is a fair queue in front of the pool, so that nobody waits long at the
expense of another; a connection being opened holds up nobody who could have an idle one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from authd.errors import DatabaseUnavailable
from authd.sql.connection import Connection


class Pool:
    """At most `size` connections, opened when they are needed, the last used one first."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, patience: float) -> None:
        self._connect = connect
        self._patience = patience
        self._admission = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closing = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the block. Raises DatabaseUnavailable where none is free within `patience` seconds."""
        if self._admission.locked():
            try:
                await asyncio.wait_for(self._admission.acquire(), self._patience)
            except TimeoutError:
                raise DatabaseUnavailable("all database connections are busy") from None
        else:
            await self._admission.acquire()
        try:
            connection = self._usable() or await self._connect()
            self._busy.add(connection)
            try:
                yield connection
            finally:
                self._busy.discard(connection)
                if self._closing or not connection.usable:
                    connection.close()
                else:
                    self._idle.append(connection)
        finally:
            self._admission.release()

    def _usable(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    @property
    def busy(self) -> int:
        """Connections in use."""
        return len(self._busy)

    def retire(self) -> None:
        """Closes what is idle now and everything else when it comes back; whoever waits may still finish."""
        self._closing = True
        while self._idle:
            self._idle.pop().close()

    def abort(self) -> None:
        """Closes everything at once."""
        self.retire()
        for connection in list(self._busy):
            connection.close()
