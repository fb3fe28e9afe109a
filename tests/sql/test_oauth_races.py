"""Codes and refresh tokens under concurrent use, with two daemons' pools on one database: exactly one wins."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from authd.identity.facts import Session
from authd.oauth.parameters import parse
from authd.oauth.replies import Reply
from authd.oauth.service import OAuth
from authd.sql import oauth
from authd.sql.database import Database
from tests.fixtures.oauth import (
    CALLBACK,
    CHALLENGE,
    SECRET,
    VERIFIER,
    add_client,
    add_person,
    add_session,
    counts,
    give_code,
    service,
)
from tests.support import open_database

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
AT_ONCE = 50


@dataclass
class Pair:
    """Two services on one database, and a clock that both read."""

    db: Database
    first: OAuth
    second: OAuth
    session: Session
    clock: list[datetime]

    async def code(self, scope: str = "openid email offline_access", client_id: str = "app") -> str:
        return await give_code(self.first, self.session, scope, client_id)

    async def send(self, service: OAuth, **parameters: str) -> Reply:
        form = {"client_id": "app", "client_secret": SECRET, **parameters}
        return (await service.token(None, parse(urlencode(form)), "192.0.2.1")).reply

    async def redeem(self, code: str, service: OAuth | None = None) -> Reply:
        return await self.send(service or self.first, grant_type="authorization_code", code=code, redirect_uri=CALLBACK,
                               code_verifier=VERIFIER)

    async def refresh(self, token: str, service: OAuth | None = None) -> Reply:
        return await self.send(service or self.first, grant_type="refresh_token", refresh_token=token)

    async def active(self, token: str) -> bool:
        form = urlencode({"client_id": "app", "client_secret": SECRET, "token": token})
        return bool(body(await self._introspect(form))["active"])

    async def _introspect(self, form: str) -> Reply:
        return (await self.second.introspect(None, parse(form), "192.0.2.1")).reply


def body(reply: Reply) -> Mapping[str, Any]:
    assert reply.body is not None
    return reply.body


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[Pair]:
    async with open_database(url, pool_size=15) as one, open_database(url, pool_size=15) as two:
        account = await add_person(one, "alice", "alice@example.com")
        await add_client(one, "app")
        session = await add_session(one, account, NOW)
        clock = [NOW]
        yield Pair(one, service(one, lambda: clock[0]), service(two, lambda: clock[0]), session, clock)


async def test_of_50_redemptions_at_once_one_succeeds_and_reuse_revokes_what_it_gave(database_url: str) -> None:
    async with pair(database_url) as both:
        code = await both.code()
        replies = await asyncio.gather(*(
            both.redeem(code, both.second if number % 2 else both.first) for number in range(AT_ONCE)))
        good = [reply for reply in replies if reply.status == 200]
        assert len(good) == 1
        assert {body(reply)["error"] for reply in replies if reply.status != 200} == {"invalid_grant"}
        tokens = body(good[0])
        assert not await both.active(tokens["access_token"])
        assert body(await both.refresh(tokens["refresh_token"]))["error"] == "invalid_grant"
        found = await counts(both.db)
        assert (found["access"], found["refresh"], found["grants"], found["revoked"]) == (1, 1, 1, 1)
        assert found["audit"] == 2  # the authorization, and the reuse once


async def test_of_50_refreshes_at_once_one_rotates_and_all_get_the_same_successor(database_url: str) -> None:
    async with pair(database_url) as both:
        first = body(await both.redeem(await both.code()))
        replies = await asyncio.gather(*(
            both.refresh(first["refresh_token"], both.second if number % 2 else both.first) for number in range(AT_ONCE)))
        assert {reply.status for reply in replies} == {200}
        assert len({body(reply)["refresh_token"] for reply in replies}) == 1
        assert len({body(reply)["access_token"] for reply in replies}) == AT_ONCE
        found = await counts(both.db)
        assert (found["refresh"], found["revoked"]) == (2, 0)

        both.clock[0] += timedelta(seconds=10)
        assert body(await both.refresh(first["refresh_token"]))["error"] == "invalid_grant"
        assert not await both.active(body(replies[0])["access_token"])
        assert body(await both.refresh(body(replies[0])["refresh_token"]))["error"] == "invalid_grant"
        assert (await counts(both.db))["revoked"] == 1


async def test_a_race_between_redeeming_and_revoking_leaves_nothing_that_counts(database_url: str) -> None:
    async with pair(database_url) as both:
        first = body(await both.redeem(await both.code()))
        form = parse(urlencode({"client_id": "app", "client_secret": SECRET, "token": first["refresh_token"]}))
        replies = await asyncio.gather(
            *(both.refresh(first["refresh_token"], both.second) for _ in range(10)), both.first.revoke(None, form, "192.0.2.1"))
        for reply in replies[:-1]:
            assert isinstance(reply, Reply)
            if reply.status == 200:
                assert not await both.active(body(reply)["access_token"])
        assert (await counts(both.db))["revoked"] == 1


@pytest.mark.parametrize("statement", [
    "UPDATE account SET is_active = false", "UPDATE client SET is_active = false", "DELETE FROM account", "DELETE FROM client"])
async def test_what_is_deactivated_or_removed_ends_its_tokens_at_once(database_url: str, statement: str) -> None:
    async with pair(database_url) as both:
        await add_client(both.db, "watcher")
        first = body(await both.redeem(await both.code()))
        pending = await both.code()
        await both.db.execute("UPDATE account SET primary_alias_id = NULL")
        name = "identifier" if "account" in statement else "client_id"
        await both.db.execute(f"{statement} WHERE {name} IN ('alice', 'app')")
        form = parse(urlencode({"client_id": "watcher", "client_secret": SECRET, "token": first["access_token"]}))
        assert body((await both.first.introspect(None, form, "")).reply) == {"active": False}
        assert (await both.first.userinfo(first["access_token"])).reply.status == 401
        for reply in (await both.refresh(first["refresh_token"]), await both.redeem(pending)):
            assert body(reply)["error"] in ("invalid_grant", "invalid_client")


async def test_the_end_of_a_session_ends_the_code_given_in_it_but_no_refresh_token(database_url: str) -> None:
    async with pair(database_url) as both:
        first = body(await both.redeem(await both.code()))
        pending = await both.code()
        await both.db.execute("DELETE FROM session")
        assert body(await both.redeem(pending))["error"] == "invalid_grant"
        assert (await both.refresh(first["refresh_token"])).status == 200


async def test_an_authorization_whose_session_just_ended_asks_to_sign_in(database_url: str) -> None:
    async with pair(database_url) as both:
        await both.db.execute("DELETE FROM session")
        query = urlencode({"client_id": "app", "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid",
                           "code_challenge": CHALLENGE, "code_challenge_method": "S256"})
        outcome = await both.first.authorize(parse(query), both.session, answer="allow", remote_address="192.0.2.1")
        assert type(outcome).__name__ == "SignIn"
        assert (await counts(both.db))["grants"] == 0


async def test_what_has_expired_is_removed_and_what_counts_stays(database_url: str) -> None:
    async with pair(database_url) as both:
        first = body(await both.redeem(await both.code()))
        await both.code()
        await oauth.remove_expired(both.db, NOW)
        assert await both.active(first["access_token"])
        assert (await counts(both.db))["grants"] == 2
        removed = await oauth.remove_expired(both.db, NOW + timedelta(days=365))
        assert removed == 2 + 1 + 1 + 2  # codes, access token, refresh token, grants
        assert (await counts(both.db))["grants"] == 0


async def test_consent_is_remembered_joined_and_withdrawn_with_its_tokens(database_url: str) -> None:
    async with pair(database_url) as both:
        first = body(await both.redeem(await both.code("openid email offline_access")))
        await both.code("openid groups")
        account = both.session.account
        (application,) = await both.first.applications(account.uuid)
        assert (application.client_id, application.scopes) == ("app", ("email", "groups", "offline_access", "openid"))
        assert await both.first.withdraw(account, "app", "192.0.2.1")
        assert not await both.first.withdraw(account, "app", "192.0.2.1")
        assert await both.first.applications(account.uuid) == []
        assert not await both.active(first["access_token"])
        assert body(await both.refresh(first["refresh_token"]))["error"] == "invalid_grant"


async def test_permissions_of_a_limited_service_user_hold_at_each_refresh(database_url: str) -> None:
    async with pair(database_url) as both:
        await add_client(both.db, "mail", required_permissions=["imap"])
        await both.db.execute("INSERT INTO permission (identifier) VALUES ('wiki')")
        await both.db.execute("INSERT INTO account_permission SELECT %(account)s, id FROM permission", {
            "account": both.session.account.uuid})
        row = await both.db.fetch_one(
            "INSERT INTO service_user (username, account_uuid, password_hash, generated, limited) "
            "VALUES ('laptop', %(account)s, 'x', true, true) RETURNING id", {"account": both.session.account.uuid})
        assert row is not None
        await both.db.execute(
            "INSERT INTO service_user_permission SELECT %(id)s, id FROM permission WHERE identifier = 'imap'", {"id": row[0]})
        session = both.session
        limited = Session(session.id, session.sid, session.account, row[0], session.amr, session.acr, NOW, session.expires_at)
        both.session = limited
        code = await both.code("permissions imap wiki openid offline_access", "mail")
        form = {"client_id": "mail", "client_secret": SECRET}
        first = await both.send(both.first, **form, grant_type="authorization_code", code=code, redirect_uri=CALLBACK,
                                code_verifier=VERIFIER)
        assert body(first)["scope"] == "permissions imap openid offline_access"
        await both.db.execute("DELETE FROM session")
        again = await both.send(both.first, **form, grant_type="refresh_token", refresh_token=body(first)["refresh_token"])
        assert body(again)["scope"] == "permissions imap openid offline_access"
        await both.db.execute("DELETE FROM service_user")
        gone = await both.send(both.first, **form, grant_type="refresh_token", refresh_token=body(again)["refresh_token"])
        assert body(gone)["error"] == "invalid_grant"
