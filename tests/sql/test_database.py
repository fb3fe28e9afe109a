"""The pool, its errors, and the exchange of credentials under load."""

import asyncio

import pytest

from authd.embedded import EmbeddedPostgres
from authd.errors import CheckViolation, DatabaseUnavailable, UniqueViolation
from authd.sql.database import Credentials, Database, SessionOptions
from tests.support import open_database


async def test_rows_counts_and_absence(database_url: str) -> None:
    async with open_database(database_url) as db:
        assert await db.fetch_all("SELECT 1, %(text)s", {"text": "x%"}) == [(1, "x%")]
        assert await db.fetch_one("SELECT 1 WHERE false") is None
        assert await db.execute("INSERT INTO domain (name) VALUES ('a.example'), ('b.example')") == 2


async def test_bytes_come_back_as_bytes(database_url: str) -> None:
    async with open_database(database_url) as db:
        assert await db.fetch_one("SELECT %(value)s::bytea", {"value": b"\0\xff"}) == (b"\0\xff",)


async def test_a_transaction_counts_whole_or_not_at_all(database_url: str) -> None:
    async with open_database(database_url) as db:
        with pytest.raises(UniqueViolation) as violation:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO domain (name) VALUES ('a.example')")
                await tx.execute("INSERT INTO domain (name) VALUES ('a.example')")
        assert violation.value.constraint == "domain_name_key"
        assert await db.fetch_all("SELECT name FROM domain") == []
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO domain (name) VALUES ('a.example')")
        assert await db.fetch_all("SELECT name FROM domain") == [("a.example",)]


async def test_a_refused_value_is_a_data_error(database_url: str) -> None:
    async with open_database(database_url) as db:
        with pytest.raises(CheckViolation):
            await db.execute("INSERT INTO domain (name) VALUES ('Upper.example')")


async def test_a_slow_statement_is_unavailable_and_not_a_cancelled_task(database_url: str) -> None:
    async with open_database(database_url, options=SessionOptions(statement_timeout=0.05)) as db:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        with pytest.raises(DatabaseUnavailable):
            await db.fetch_one("SELECT pg_sleep(10)")
        assert await db.fetch_one("SELECT 1") == (1,)


async def test_a_server_that_does_not_end_a_statement_is_not_waited_for(
        database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authd.sql.connection._CLIENT_MARGIN", -9.95)
    async with open_database(database_url, options=SessionOptions(statement_timeout=10)) as db:
        with pytest.raises(DatabaseUnavailable, match="did not answer in time"):
            await db.fetch_one("SELECT pg_sleep(10)")
        assert await db.fetch_one("SELECT 1") == (1,)


async def test_a_cancellation_that_comes_with_the_answer_is_not_hidden(database_url: str) -> None:
    """asyncio.wait_for of Python 3.11, which the driver would wait with, returns the answer then."""
    async def ask(db: Database) -> None:
        while True:
            await db.fetch_one("SELECT 1")

    async with open_database(database_url) as db:
        for turns in range(100):
            task = asyncio.create_task(ask(db))
            for _ in range(20 + turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=2)
            assert task.cancelled()


async def test_a_cancellation_that_comes_with_a_free_connection_is_not_hidden(database_url: str) -> None:
    async def ask(db: Database) -> None:
        while True:
            await db.fetch_one("SELECT 1")

    async with open_database(database_url, pool_size=1) as db:
        for turns in range(10):
            async with db.transaction() as tx:
                await tx.fetch_one("SELECT 1")
                task = asyncio.create_task(ask(db))
                for _ in range(5):
                    await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=2)
            assert task.cancelled()
        assert await db.fetch_one("SELECT 1") == (1,)
        assert db.busy == 0


async def test_a_cancelled_task_stays_cancelled_and_gives_its_connection_up(database_url: str) -> None:
    async with open_database(database_url, pool_size=2) as db:
        for _ in range(5):
            task = asyncio.create_task(db.fetch_one("SELECT pg_sleep(10)"))
            while not db.busy:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await db.fetch_one("SELECT 1") == (1,)
        assert db.busy == 0


async def test_connections_that_died_while_idle_fail_nobody(database_url: str) -> None:
    async with open_database(database_url) as db, open_database(database_url) as other:
        await asyncio.gather(*(db.fetch_one("SELECT pg_sleep(0.01)") for _ in range(5)))
        await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND pid <> pg_backend_pid()")
        while await other.fetch_one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") != (1,):
            await asyncio.sleep(0)
        for _ in range(5):
            assert await db.fetch_one("SELECT 1") == (1,)


async def test_a_database_that_is_down_is_unavailable() -> None:
    async with open_database("postgresql://authd@/authd?host=/nonexistent") as db:
        with pytest.raises(DatabaseUnavailable):
            await db.fetch_one("SELECT 1")


async def test_more_work_than_connections_is_served_in_turn(database_url: str) -> None:
    async with open_database(database_url, pool_size=3) as db:
        rows = await asyncio.gather(*(db.fetch_one("SELECT %(n)s::int", {"n": n}) for n in range(200)))
        assert rows == [(n,) for n in range(200)]


async def test_the_pool_is_replaced_100_times_under_queries_and_none_fails(database_url: str) -> None:
    swaps_done = False

    async def queries(db: Database) -> int:
        count = 0
        while not swaps_done:
            async with db.transaction() as tx:
                first = await tx.fetch_one("SELECT pg_backend_pid()")
                assert await tx.fetch_one("SELECT pg_backend_pid()") == first
            assert await db.fetch_one("SELECT 1") == (1,)
            count += 1
        return count

    async with open_database(database_url, pool_size=8) as db:
        workers = [asyncio.create_task(queries(db)) for _ in range(16)]
        for _ in range(100):
            await db.fetch_one("SELECT pg_sleep(0.002)")
            db.replace_credentials(Credentials(database_url))
        swaps_done = True
        counts = await asyncio.gather(*workers)
        assert sum(counts) >= 100
        left = await db.fetch_one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert left is not None and left[0] <= 16


async def test_every_connection_acts_as_the_parent_role(postgres: EmbeddedPostgres, database_url: str) -> None:
    async with open_database(database_url) as db:
        await db.execute('CREATE ROLE "par ent"')
        try:
            await db.execute('GRANT "par ent" TO authd WITH SET TRUE')
            async with open_database(database_url, options=SessionOptions(role="par ent")) as acting:
                assert await acting.fetch_one("SELECT current_user::text, session_user::text") == ("par ent", "authd")
                await acting.execute("RESET ROLE")
                assert await acting.fetch_one("SELECT current_user::text") == ("par ent",)
                acting.replace_credentials(Credentials(database_url))
                assert await acting.fetch_one("SELECT current_user::text") == ("par ent",)
        finally:
            await db.execute('DROP ROLE "par ent"')
