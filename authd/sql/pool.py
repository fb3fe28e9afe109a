"""Connections kept open for reuse. Admission is a fair queue in front of the pool, so that nobody waits long at the
expense of another; a connection being opened holds up nobody who could have an idle one.

Waits end by asyncio.timeout: asyncio.wait_for of Python 3.11 hides a cancellation that comes together with the result.
"""

import asyncio
from collections.abc import Awaitable, Callable

from authd.errors import DatabaseUnavailable
from authd.sql.connection import Connection, CredentialsRefused

_REFUSED_SECONDS = 1.0  # before a pool whose credentials were refused tries them again


class PoolRetired(Exception):
    """This pool opens no more connections; whoever waited goes to the one that came after it."""


class Pool:
    """At most `size` connections, opened when they are needed, the last used one first."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int, patience: float) -> None:
        self._connect = connect
        self._patience = patience
        self._admission = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._given_back = asyncio.Event()
        self._closing = False
        self._refused_until = 0.0

    async def acquire(self) -> Connection:
        """A connection that `release` takes back. Raises PoolRetired, CredentialsRefused, or DatabaseUnavailable, also
        where none is free within `patience` seconds.
        """
        try:
            if self._admission.locked():
                async with asyncio.timeout(self._patience):
                    await self._admission.acquire()
            else:
                await self._admission.acquire()
            try:
                connection = await self._obtain()
            except BaseException:
                self._admission.release()
                raise
        except TimeoutError:
            raise DatabaseUnavailable("all database connections are busy") from None
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Takes a connection back."""
        self._busy.discard(connection)
        if self._closing or not connection.usable:
            connection.close()
        else:
            self._idle.append(connection)
        self._given_back.set()
        self._admission.release()

    def add(self, connection: Connection) -> None:
        """Takes a connection that was opened elsewhere with the same credentials."""
        self._idle.append(connection)

    async def _obtain(self) -> Connection:
        """Where no more can be opened, because the credentials have run out, those that are open serve all."""
        while not self._closing:
            if (idle := self._usable()) is not None:
                return idle
            self._given_back.clear()
            now = asyncio.get_running_loop().time()
            if now >= self._refused_until or not self._busy:
                try:
                    return await self._connect()
                except CredentialsRefused:
                    self._refused_until = now + _REFUSED_SECONDS
                    if not self._busy and not self._idle and not self._closing:
                        raise
            async with asyncio.timeout(self._patience):
                await self._given_back.wait()
        raise PoolRetired

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
        """Closes what is idle now and everything else when it comes back."""
        self._closing = True
        self._given_back.set()
        while self._idle:
            self._idle.pop().close()

    def abort(self) -> None:
        """Closes everything at once."""
        self.retire()
        for connection in list(self._busy):
            connection.close()
