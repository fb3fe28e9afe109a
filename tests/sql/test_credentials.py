"""What the pool does when PostgreSQL does not know its credentials any more."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from authd.errors import DatabaseUnavailable
from authd.sql.connection import CredentialsRefused
from authd.sql.database import Credentials, Database, SessionOptions
from tests.support import open_database


@asynccontextmanager
async def a_role(url: str) -> AsyncIterator[tuple[Database, Credentials]]:
    """A role with the password `right`; the administrator's database, and what lets the role in."""
    async with open_database(url) as admin:
        await admin.execute("CREATE ROLE short_lived LOGIN PASSWORD 'right'")
        try:
            yield admin, Credentials(url, user="short_lived", password="right")
        finally:
            await admin.execute("DROP ROLE short_lived")


@asynccontextmanager
async def pool(credentials: Credentials) -> AsyncIterator[Database]:
    database = Database(credentials, pool_size=8, options=SessionOptions(statement_timeout=2.0))
    try:
        yield database
    finally:
        database.close()


async def change_password(admin: Database) -> Credentials:
    await admin.execute("ALTER ROLE short_lived PASSWORD 'new'")
    return Credentials("", user="short_lived", password="new")


async def many(database: Database, number: int = 24) -> None:
    await asyncio.gather(*(database.fetch_one("SELECT pg_sleep(0.005)") for _ in range(number)))


async def test_open_connections_serve_everybody_when_no_more_can_be_opened(database_url: str) -> None:
    async with a_role(database_url) as (admin, credentials), pool(credentials) as database:
        await database.fetch_one("SELECT 1")
        await change_password(admin)
        await many(database)
        rows = await admin.fetch_all("SELECT pid FROM pg_stat_activity WHERE usename = 'short_lived'")
        assert len(rows) == 1


async def test_without_anybody_to_renew_them_a_refusal_fails_at_once(database_url: str) -> None:
    async with a_role(database_url) as (admin, credentials), pool(credentials) as database:
        await change_password(admin)
        begun = time.monotonic()
        with pytest.raises(CredentialsRefused):
            await database.fetch_one("SELECT 1")
        assert time.monotonic() - begun < 1


async def test_requests_wait_for_new_credentials(database_url: str) -> None:
    async with a_role(database_url) as (admin, credentials), pool(credentials) as database:
        refused = asyncio.Event()
        database.on_refused = refused.set
        new = await change_password(admin)
        waiting = asyncio.ensure_future(many(database))
        await refused.wait()
        await database.adopt(Credentials(database_url, new.user, new.password))
        await waiting


async def test_who_waits_in_vain_is_told_in_time(database_url: str) -> None:
    async with a_role(database_url) as (admin, credentials), pool(credentials) as database:
        database.options = SessionOptions(statement_timeout=0.2)
        database.on_refused = lambda: None
        await change_password(admin)
        with pytest.raises(DatabaseUnavailable, match="no new ones"):
            await database.fetch_one("SELECT 1")


async def test_credentials_that_do_not_work_are_not_adopted(database_url: str) -> None:
    async with a_role(database_url) as (_, credentials), pool(credentials) as database:
        with pytest.raises(CredentialsRefused):
            await database.adopt(Credentials(database_url, "short_lived", "wrong"))
        assert await database.fetch_one("SELECT 1") == (1,)


async def test_whoever_queues_before_a_retired_pool_goes_to_the_new_one(database_url: str) -> None:
    async with a_role(database_url) as (admin, credentials), pool(credentials) as database:
        database.on_refused = lambda: None
        queue = asyncio.ensure_future(many(database, 100))
        await asyncio.sleep(0)
        new = await change_password(admin)
        await database.adopt(Credentials(database_url, new.user, new.password))
        await queue
