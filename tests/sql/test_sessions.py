"""Sessions end when they should, and their tokens are nowhere but in the cookie."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from unittest import mock

import pytest

from authd.config.settings import SessionSettings
from authd.errors import ForeignKeyViolation
from authd.identity.facts import Login, LoginName, NewSession
from authd.identity.sessions import Sessions
from authd.sql import accounts
from authd.sql import sessions as sql
from authd.sql.database import Database
from tests.sql.people import Clock, add_account, add_service_user
from tests.support import open_database

SETTINGS = SessionSettings(idle=3600.0, lifetime=86400.0)


@dataclass
class Desk:
    db: Database
    clock: Clock
    sessions: Sessions

    async def login(self, username: str = "alice", domain: str | None = "example.com") -> Login:
        login = await accounts.login(self.db, LoginName(username, domain))
        assert login is not None
        return login

    async def start(self, agent: str = "Firefox", address: str | None = "203.0.113.5") -> NewSession:
        return await self.sessions.start(await self.login(), ["pwd"], address, agent)


@asynccontextmanager
async def desk(url: str) -> AsyncIterator[Desk]:
    async with open_database(url) as db:
        clock = Clock()
        await add_account(db, "alice", "alice@example.com")
        yield Desk(db, clock, Sessions(db, SETTINGS, clock))


async def test_a_session_is_found_by_its_token_in_one_query(database_url: str) -> None:
    async with desk(database_url) as here:
        new = await here.start()
        with mock.patch.object(here.db, "fetch_one", wraps=here.db.fetch_one) as fetch:
            found = await here.sessions.find(new.token)
        assert fetch.call_count == 1
        assert found == new.session
        assert found is not None
        assert found.account.primary_address == "alice@example.com"
        assert (found.amr, found.acr, found.service_user_id) == (("pwd",), "1", None)
        assert found.authenticated_at == here.clock()
        assert found.expires_at == here.clock() + timedelta(days=1)


@pytest.mark.parametrize("token", ["", "x", "\x00", "\udc80", "x" * 10_000])
async def test_other_tokens_find_nothing(database_url: str, token: str) -> None:
    async with desk(database_url) as here:
        await here.start()
        assert await here.sessions.find(token) is None


async def test_the_token_is_long_new_each_time_and_not_in_the_table(database_url: str) -> None:
    async with desk(database_url) as here:
        first, second = await here.start(), await here.start()
        assert first.token != second.token and first.session.sid != second.session.sid
        assert len(first.token) * 6 >= 256
        assert first.token not in repr(await here.db.fetch_all("SELECT * FROM session"))
        assert first.token not in repr(first)


async def test_a_session_ends_with_its_lifetime(database_url: str) -> None:
    async with desk(database_url) as here:
        new = await here.start()
        for _ in range(47):
            here.clock.advance(minutes=30)
            assert await here.sessions.find(new.token) is not None
        here.clock.advance(minutes=30)
        assert await here.sessions.find(new.token) is None


async def test_a_session_ends_when_it_is_not_used(database_url: str) -> None:
    async with desk(database_url) as here:
        new = await here.start()
        here.clock.advance(minutes=59)
        assert await here.sessions.find(new.token) is not None
        here.clock.advance(minutes=59)
        assert await here.sessions.find(new.token) is not None
        here.clock.advance(minutes=60)
        assert await here.sessions.find(new.token) is None


async def test_last_seen_is_written_every_five_minutes(database_url: str) -> None:
    async with desk(database_url) as here:
        new = await here.start()
        begin = here.clock()
        for minutes, noted in [(4, begin), (2, begin + timedelta(minutes=6)), (5, begin + timedelta(minutes=6))]:
            here.clock.advance(minutes=minutes)
            await here.sessions.find(new.token)
            assert await here.db.fetch_one("SELECT last_seen_at FROM session") == (noted,)


async def test_an_inactive_account_has_no_session(database_url: str) -> None:
    async with desk(database_url) as here:
        new = await here.start()
        await here.db.execute("UPDATE account SET is_active = false")
        assert await here.sessions.find(new.token) is None


async def test_a_session_of_a_service_user_is_marked_and_goes_with_it(database_url: str) -> None:
    async with desk(database_url) as here:
        login = await here.login()
        service_user = await add_service_user(here.db, login.account.uuid, "svc")
        new = await here.sessions.start(await here.login("svc", None), ["pwd"], None, "curl")
        found = await here.sessions.find(new.token)
        assert found is not None and found.service_user_id == service_user
        assert [summary.service_user for summary in await here.sessions.listing(login.account.uuid)] == ["svc"]
        await here.db.execute("DELETE FROM service_user")
        assert await here.sessions.find(new.token) is None


async def test_signing_out_ends_one_session(database_url: str) -> None:
    async with desk(database_url) as here:
        first, second = await here.start(), await here.start()
        await here.sessions.end(first.session)
        await here.sessions.end(first.session)
        assert await here.sessions.find(first.token) is None
        assert await here.sessions.find(second.token) is not None


async def test_all_others_or_all_can_be_ended(database_url: str) -> None:
    async with desk(database_url) as here:
        await add_account(here.db, "bob", "bob@example.com")
        bobs = await here.sessions.start(await here.login("bob"), ["pwd"], None, "")
        first, second, third = await here.start(), await here.start(), await here.start()
        alice = first.session.account.uuid
        assert set(await here.sessions.end_all(alice, second.session)) == {first.session.sid, third.session.sid}
        assert await here.sessions.find(second.token) is not None
        assert await here.sessions.end_all(alice) == (second.session.sid,)
        assert await here.sessions.find(second.token) is None
        assert await here.sessions.find(bobs.token) is not None


async def test_the_list_shows_live_sessions_the_last_seen_first(database_url: str) -> None:
    async with desk(database_url) as here:
        old = await here.start("Old")
        here.clock.advance(minutes=50)
        first = await here.start("Firefox")
        here.clock.advance(minutes=8)
        second = await here.start("Chromium\x00\n" + "x" * 500, "::ffff:203.0.113.9")
        here.clock.advance(minutes=10)
        await here.sessions.find(first.token)
        listed = await here.sessions.listing(old.session.account.uuid)
        assert [summary.sid for summary in listed] == [first.session.sid, second.session.sid]
        assert [summary.remote_address for summary in listed] == ["203.0.113.5", "203.0.113.9"]
        assert listed[1].user_agent == ("Chromium" + "x" * 500)[:400]


async def test_a_client_without_an_address_has_a_session(database_url: str) -> None:
    async with desk(database_url) as here:
        new = await here.start(address="unix:")
        assert await here.sessions.find(new.token) is not None


async def test_an_account_that_has_just_gone_gets_no_session(database_url: str) -> None:
    async with desk(database_url) as here:
        login = await here.login()
        await here.db.execute("DELETE FROM account")
        with pytest.raises(ForeignKeyViolation):
            await here.sessions.start(login, ["pwd"], None, "")


async def test_expired_sessions_are_removed_in_batches(database_url: str) -> None:
    async with desk(database_url) as here:
        for _ in range(3):
            await here.start()
        assert await sql.remove_expired(here.db, here.clock(), 100) == 0
        here.clock.advance(days=2)
        assert await sql.remove_expired(here.db, here.clock(), 2) == 2
        assert await sql.remove_expired(here.db, here.clock(), 2) == 1
