"""What every other module of this room runs statements on: the shared pool, transactions, and new credentials.

SQL itself stands in `queries/`, reading it in `queries.py`, the errors of a statement in `connection.py`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from psycopg2.extras import Json

from authd.errors import DatabaseUnavailable
from authd.sql.connection import Connection, Credentials, SessionOptions
from authd.sql.pool import Pool

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
    """The one pool of the process. Every method raises DatabaseUnavailable or DataError and nothing of the driver's."""

    def __init__(self, credentials: Credentials, *, pool_size: int = 20, options: SessionOptions = SessionOptions()) -> None:
        self._credentials = credentials
        self._pool_size = pool_size
        self.options = options
        self._pool = self._new_pool()

    def _new_pool(self) -> Pool:
        credentials = self._credentials

        async def connect() -> Connection:
            return await Connection.open(credentials, self.options)

        return Pool(connect, self._pool_size, self.options.statement_timeout)

    async def connect(self) -> Connection:
        """A connection outside the pool, which the caller closes (LISTEN, advisory locks)."""
        return await Connection.open(self._credentials, self.options)

    def replace_credentials(self, credentials: Credentials) -> None:
        """New work uses the new credentials; what runs finishes on the connections it has."""
        self._credentials = credentials
        old, self._pool = self._pool, self._new_pool()
        old.retire()

    def close(self) -> None:
        """Closes every connection, also those in use."""
        self._pool.abort()

    @property
    def busy(self) -> int:
        """Connections in use."""
        return self._pool.busy

    async def fetch_all(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return (await connection.run(statement, parameters))[0]

    async def fetch_one(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> tuple[Any, ...] | None:
        async with self._pool.connection() as connection:
            rows = (await connection.run(statement, parameters))[0]
            return rows[0] if rows else None

    async def execute(self, statement: str, parameters: Mapping[str, Any] = _NOTHING) -> int:
        async with self._pool.connection() as connection:
            return (await connection.run(statement, parameters))[1]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end of the block; an exception rolls back. Conflicts found at COMMIT are raised too."""
        async with self._pool.connection() as connection:
            transaction = Transaction(connection)
            try:
                yield transaction
                await transaction.end("COMMIT")
            except BaseException:
                await _roll_back(connection, transaction)
                raise


async def _roll_back(connection: Connection, transaction: Transaction) -> None:
    """Leaves no open transaction behind: where ROLLBACK cannot be said, the connection goes."""
    if not connection.usable:
        connection.close()
        return
    try:
        await transaction.end("ROLLBACK")
    except DatabaseUnavailable:
        connection.close()
