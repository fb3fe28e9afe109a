"""Migrations: applied once, in order, by one process of many; refused where they differ."""

import asyncio

import pytest

from authd.errors import Conflict
from authd.sql import migrate as migrations
from authd.sql.migrate import Applied, Migration
from tests.support import open_database

STEP = Migration(1, "create_things", "-- oldest-authd: 0.1.0\n", "0.1.0")


async def test_a_new_database_is_brought_up_once(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as db:
        assert await migrations.applied(db) == ()
        steps = await migrations.migrate(db)
        assert steps == migrations.known()
        assert await migrations.migrate(db) == ()
        assert [done.number for done in await migrations.applied(db)] == [step.number for step in steps]


async def test_ten_processes_at_once_migrate_once(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as db:
        results = await asyncio.gather(*(migrations.migrate(db) for _ in range(10)))
        assert sorted(len(steps) for steps in results) == [0] * 9 + [len(migrations.known())]


async def test_a_step_that_fails_leaves_nothing_behind(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Migration(9999, "break", "CREATE TABLE half (id integer); SELECT 1 / 0", "0.1.0")
    monkeypatch.setattr(migrations, "known", lambda: (broken,))
    async with open_database(empty_database_url) as db:
        with pytest.raises(Exception, match="division by zero"):
            await migrations.migrate(db)
        assert await db.fetch_one("SELECT to_regclass('authd.half')::text") == (None,)


def test_what_is_pending() -> None:
    later = Migration(2, "add_more", "", "0.2.0")
    assert migrations.pending((STEP, later), ()) == (STEP, later)
    assert migrations.pending((STEP, later), (Applied(1, "create_things", STEP.checksum, "0.1.0"),)) == (later,)


def test_another_file_under_the_same_number_is_refused() -> None:
    with pytest.raises(Conflict, match="0001_create_things differs"):
        migrations.pending((STEP,), (Applied(1, "create_things", "other", "0.1.0"),))


@pytest.mark.parametrize(("version", "needed", "answer"), [
    ("0.1.0", "0.1.0", None), ("0.2.0", "0.1.0", None), ("0.9.0", "0.10.0", "0.10.0"), ("1.0.0", "0.10.0", None)])
def test_a_schema_may_be_too_new(version: str, needed: str, answer: str | None) -> None:
    assert migrations.too_old(version, (Applied(1, "x", "", needed),)) == answer


async def test_a_schema_of_a_newer_authd_is_left_alone(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as db:
        await migrations.migrate(db)
        await db.execute("INSERT INTO authd.schema_migration VALUES (9999, 'turn_round', '', '999.0.0')")
        with pytest.raises(Conflict, match=r"needs authd 999\.0\.0 or newer"):
            await migrations.migrate(db)


def test_the_files_are_numbered_without_a_gap() -> None:
    assert [step.number for step in migrations.known()] == list(range(1, len(migrations.known()) + 1))
