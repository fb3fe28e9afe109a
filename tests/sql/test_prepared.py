"""Statements that a connection knows by name."""

import pytest

from authd.errors import CheckViolation
from authd.sql.prepared import Prepared
from tests.support import open_database

ADD = Prepared("SELECT %(a)s::int + %(b)s::int + %(a)s::int, '100 %%'", "add")
INSERT = Prepared("INSERT INTO permission (identifier) VALUES (%(name)s)", "insert_permission")


def test_what_is_sent() -> None:
    assert ADD.preparation == "PREPARE add AS SELECT $1::int + $2::int + $1::int, '100 %'"
    assert ADD.call == "EXECUTE add (%(a)s, %(b)s)"
    assert Prepared("SELECT 1", "one").call == "EXECUTE one"


async def test_the_same_answer_the_first_time_the_second_time_and_in_a_transaction(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as db:
        for _ in range(3):
            assert await db.fetch_one(ADD, {"a": 1, "b": 2}) == (4, "100 %")
        async with db.transaction() as tx:
            for _ in range(2):
                assert await tx.fetch_one(ADD, {"a": 1, "b": 2}) == (4, "100 %")
        assert await db.fetch_one("SELECT count(*) FROM pg_prepared_statements WHERE name = 'add'") == (1,)


async def test_a_call_that_fails_leaves_the_statement_usable(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as db:
        for _ in range(2):
            with pytest.raises(CheckViolation):
                await db.execute(INSERT, {"name": "not allowed"})
        assert await db.execute(INSERT, {"name": "allowed"}) == 1
