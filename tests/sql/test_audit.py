"""The audit is written with the change it tells of, and read page by page."""

from uuid import uuid4

import pytest

from authd.audit import Entry
from authd.sql import audit
from tests.support import open_database


async def test_an_entry_comes_back_as_it_was_written(database_url: str) -> None:
    account = uuid4()
    entry = Entry(
        "account.edit", "root", account, "2001:db8::1", "account", "alice", {"full_name": "Al"}, {"full_name": "Älice"})
    async with open_database(database_url) as db:
        await audit.write(db, entry)
        (record,) = await audit.page(db)
        assert (record.action, record.actor, record.account_uuid, record.remote_address) == (
            "account.edit", "root", account, "2001:db8::1")
        assert (record.object_kind, record.object_name, record.repeats) == ("account", "alice", 1)
        assert (record.old, record.new) == ({"full_name": "Al"}, {"full_name": "Älice"})
        assert record.at.tzinfo is not None


async def test_an_entry_goes_with_the_change_that_failed(database_url: str) -> None:
    async with open_database(database_url) as db:
        with pytest.raises(RuntimeError):
            async with db.transaction() as tx:
                await audit.write(tx, Entry("account.create", "cli"))
                raise RuntimeError
        assert await audit.page(db) == []


async def test_entries_with_one_key_are_counted_and_others_are_not(database_url: str) -> None:
    async with open_database(database_url) as db:
        for key in ("a", "a", "b", None, None, "a"):
            await audit.write(db, Entry("login.failure", "x", aggregate_key=key))
        assert sorted(record.repeats for record in await audit.page(db)) == [1, 1, 1, 3]


async def test_pages_are_of_an_account_or_an_object_and_follow_each_other(database_url: str) -> None:
    alice, bob = uuid4(), uuid4()
    async with open_database(database_url) as db:
        async with db.transaction() as tx:
            for number in range(7):
                await audit.write(tx, Entry("client.edit", "root", (alice, bob)[number % 2], None, "client", f"app{number}"))
        first = await audit.page(db, account_uuid=alice, limit=3)
        rest = await audit.page(db, account_uuid=alice, limit=3, before=(first[-1].at, first[-1].id))
        assert [record.object_name for record in first + rest] == ["app6", "app4", "app2", "app0"]
        assert [record.object_name for record in await audit.page(db, object_kind="client", object_name="app3")] == ["app3"]
        assert len(await audit.page(db)) == 7
