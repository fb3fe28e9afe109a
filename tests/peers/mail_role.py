"""A role of PostgreSQL such as a mail server has: a password, and the functions of SPAPI."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg2

from authd.embedded import EmbeddedPostgres
from authd.sql import spapi
from authd.sql.database import Database
from tests.support import open_database


@dataclass(frozen=True)
class MailRole:
    """How a mail server connects to the database."""

    host: str
    database: str
    name: str
    password: str

    @property
    def conninfo(self) -> str:
        """As libpq reads it."""
        return f"host={self.host} dbname={self.database} user={self.name} password={self.password}"


@contextmanager
def mail_role(server: EmbeddedPostgres, database_url: str,
              populate: Callable[[Database], Awaitable[None]]) -> Iterator[MailRole]:
    """A role that exists as long as the block runs, and may execute the functions and nothing else; in a database that
    `populate` has filled.
    """
    parts = urlsplit(database_url)
    role = MailRole(parse_qs(parts.query)["host"][0], parts.path[1:], f"mail_{secrets.token_hex(4)}", secrets.token_hex(16))
    _administer(server, f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}'")
    try:
        asyncio.run(_prepare(database_url, role.name, populate))
        yield role
        asyncio.run(_revoke(database_url, role.name))
    finally:
        _administer(server, f"DROP ROLE IF EXISTS {role.name}")


async def _prepare(database_url: str, role: str, populate: Callable[[Database], Awaitable[None]]) -> None:
    async with open_database(database_url) as db:
        await populate(db)
        await spapi.grant(db, [role])


async def _revoke(database_url: str, role: str) -> None:
    async with open_database(database_url) as db:
        await spapi.revoke(db, [role])


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    connection: Any = psycopg2.connect(server.url("postgres", "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
