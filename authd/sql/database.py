"""What every other module of this room runs statements on: the shared pool, transactions, and new credentials.

SQL itself stands in `queries/`, reading it in `queries.py`, the errors of a statement in `connection.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from psycopg2.extras import Json

from authd.errors import DatabaseUnavailable
from authd.sql.connection import Connection, Credentials, CredentialsRefused, SessionOptions
from authd.sql.pool import Pool, PoolRetired

__all__ = ["Credentials", "Database", "Executor", "Json", "SessionOptions", "Transaction"]

_NOTHING: Mapping[str, Any] = {}


class Executor(Protocol):
    """Runs single statements, in a transaction or each on its own."""

    async def fetch_all(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> list[tuple[Any, ...]]:
        """All rows."""

    async def fetch_one(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> tuple[Any, ...] | None:
        """The first row, or None."""

    async def execute(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> int:
        """How many rows the statement changed."""


class Transaction:
    """Statements that count together. BEGIN travels with the first of them, which saves a round trip."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun = False

    async def _run(self, statement: str, parameters: Mapping[str, Any]) -> tuple[list[tuple[Any, ...]], int]:
        if not self._begun:
            self._begun = True
            statement = "BEGIN;" + statement
        return await self._connection.run(statement, parameters)

    async def fetch_all(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> list[tuple[Any, ...]]:
        return (await self._run(statement, parameters))[0]

    async def fetch_one(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> tuple[Any, ...] | None:
        rows = (await self._run(statement, parameters))[0]
        return rows[0] if rows else None

    async def execute(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> int:
        return (await self._run(statement, parameters))[1]

    async def end(self, verb: str) -> None:
        """COMMIT or ROLLBACK, where anything was begun."""
        if self._begun:
            await self._connection.run(verb, _NOTHING)


class Database:
    """The one pool of the process. Every method raises DatabaseUnavailable or DataError and nothing of the driver's.

    `on_refused` is called whenever PostgreSQL does not let us in; where it is set, new credentials are waited for.
    """

    def __init__(self, credentials: Credentials, *, pool_size: int = 20, options: SessionOptions = SessionOptions(),
                 on_refused: Callable[[], None] | None = None) -> None:
        self._credentials = credentials
        self._pool_size = pool_size
        self.options = options
        self.on_refused = on_refused
        self._replaced = asyncio.Event()
        self._pool = self._new_pool()

    def _new_pool(self) -> Pool:
        credentials = self._credentials
        return Pool(lambda: self._open(credentials), self._pool_size, self.options.statement_timeout)

    async def _open(self, credentials: Credentials) -> Connection:
        try:
            return await Connection.open(credentials, self.options)
        except CredentialsRefused:
            if self.on_refused is not None and credentials is self._credentials:
                self.on_refused()
            raise

    @property
    def credentials(self) -> Credentials:
        """What new connections are opened with."""
        return self._credentials

    async def connect(self) -> Connection:
        """A connection outside the pool, which the caller closes (LISTEN, advisory locks)."""
        return await self._open(self._credentials)

    async def adopt(self, credentials: Credentials) -> None:
        """replace_credentials, once a connection with them was opened. Raises DatabaseUnavailable; the old ones stay then."""
        connection = await Connection.open(credentials, self.options)
        self.replace_credentials(credentials)
        self._pool.add(connection)

    def replace_credentials(self, credentials: Credentials) -> None:
        """New work uses the new credentials; what runs finishes on the connections it has."""
        self._credentials = credentials
        old, self._pool = self._pool, self._new_pool()
        old.retire()
        self._replaced.set()

    async def _acquire(self) -> tuple[Pool, Connection]:
        while True:
            pool = self._pool
            self._replaced.clear()
            try:
                return pool, await pool.acquire()
            except PoolRetired:
                if pool is self._pool:
                    raise DatabaseUnavailable("the database was closed") from None
            except CredentialsRefused:
                if self.on_refused is None:
                    raise
                if pool is self._pool:
                    try:
                        async with asyncio.timeout(self.options.statement_timeout):
                            await self._replaced.wait()
                    except TimeoutError:
                        raise DatabaseUnavailable("PostgreSQL refuses our credentials, and there are no new ones") from None

    def close(self) -> None:
        """Closes every connection, also those in use."""
        self._pool.abort()

    @property
    def busy(self) -> int:
        """Connections in use."""
        return self._pool.busy

    async def _run(self, statement: str, parameters: Mapping[str, Any]) -> tuple[list[tuple[Any, ...]], int]:
        pool, connection = await self._acquire()
        try:
            return await connection.run(statement, parameters)
        finally:
            pool.release(connection)

    async def fetch_all(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> list[tuple[Any, ...]]:
        return (await self._run(statement, parameters))[0]

    async def fetch_one(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> tuple[Any, ...] | None:
        rows = (await self._run(statement, parameters))[0]
        return rows[0] if rows else None

    async def execute(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> int:
        return (await self._run(statement, parameters))[1]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end of the block; an exception rolls back. Conflicts found at COMMIT are raised too."""
        pool, connection = await self._acquire()
        transaction = Transaction(connection)
        try:
            yield transaction
            await transaction.end("COMMIT")
        except BaseException:
            await _roll_back(connection, transaction)
            raise
        finally:
            pool.release(connection)


async def _roll_back(connection: Connection, transaction: Transaction) -> None:
    """Leaves no open transaction behind: where ROLLBACK cannot be said, the connection goes."""
    if not connection.usable:
        connection.close()
        return
    try:
        await transaction.end("ROLLBACK")
    except DatabaseUnavailable:
        connection.close()
