"""Who may log in as whom, and that nobody else learns anything from being refused."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest

from authd.config.settings import PasswordSettings, SessionSettings, ThrottleSettings
from authd.errors import InvalidCredentials, InvalidInput, NotFound, Overloaded, PermissionMissing
from authd.identity import crypt
from authd.identity.accounts import Accounts
from authd.identity.facts import LoginAttempt, LoginName, Purpose
from authd.identity.passwords import Hasher
from authd.identity.sessions import Sessions
from authd.sql import accounts as sql
from authd.sql import audit
from authd.sql.database import Database
from authd.throttle import Throttle
from tests.sql.people import (
    PASSWORD,
    Clock,
    add_account,
    add_alias,
    add_group,
    add_service_user,
    grant,
    hashed,
)
from tests.support import open_database

CLIENT = "203.0.113.5"


@dataclass
class House:
    """The services of this room on a database, with clocks that only tests move."""

    db: Database
    clock: Clock
    hasher: Hasher
    accounts: Accounts
    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def log_in(
        self, username: str, password: str = PASSWORD, *, purpose: Purpose = "checkpassword", permission: str | None = None,
        address: str = CLIENT, device: str | None = None,
    ) -> UUID:
        login = await self.accounts.authenticate(LoginAttempt(username, password, address, purpose, permission, device))
        return login.account.uuid

    async def refused(self, username: str, password: str = PASSWORD, **how: Any) -> None:
        with pytest.raises(InvalidCredentials):
            await self.log_in(username, password, **how)

    async def value(self, statement: str, **parameters: object) -> Any:
        row = await self.db.fetch_one(statement, parameters)
        return None if row is None else row[0]


@asynccontextmanager
async def house(
    url: str, *, password: PasswordSettings | None = None, throttle: ThrottleSettings | None = None
) -> AsyncIterator[House]:
    settings = password or PasswordSettings()
    async with open_database(url) as db:
        clock, hasher = Clock(), Hasher(settings)
        counter = Throttle(db, throttle or ThrottleSettings(account_failures=1000, address_failures=1000), clock,
                           device_seconds=SessionSettings().remember_device)
        made: House

        async def sleep(seconds: float) -> None:
            made.slept.append(seconds)
            made.seconds += seconds

        accounts = Accounts(db, hasher, counter, settings, clock, clock=lambda: made.seconds, sleep=sleep)
        made = House(db, clock, hasher, accounts)
        try:
            yield made
        finally:
            hasher.close()


async def test_any_alias_logs_in_in_any_case_and_blocked_ones_too(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "Alice@Example.com".lower(), "a.liddell@example.com")
        await add_alias(here.db, alice, "Blocked@xn--bcher-kva.example", blocked=True)
        for name in ("alice@example.com", "ALICE@EXAMPLE.COM", "a.liddell@example.com", "blocked@bücher.example"):
            assert await here.log_in(name) == alice


async def test_names_that_lead_to_nobody(database_url: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com")
        await here.db.execute("INSERT INTO mailing_list (name) VALUES ('list')")
        await here.db.execute("INSERT INTO alias (local_part, domain_id, mailing_list_id) "
                              "SELECT 'list', d.id, l.id FROM domain d, mailing_list l")
        for name in ("alice", "alice@example.org", "a@alice@example.com", "alice@", "@example.com", "", "list@example.com",
                     "alice@example.com\x00", "alice%@example.com", "\udc80", "a" * 100_000, "alice+x@example.com",
                     "' OR true --", "alice@example.com "):
            await here.refused(name)


async def test_only_admins_log_in_with_their_identifier(database_url: str) -> None:
    async with house(database_url) as here:
        root = await add_account(here.db, "Root", "root@example.com", admin=True)
        await add_account(here.db, "bob", "bob@example.com")
        assert await here.log_in("root") == root
        assert await here.log_in("ROOT") == root
        await here.refused("bob")


async def test_a_service_user_comes_before_an_admin_of_the_same_name(database_url: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "backup", admin=True)
        bob = await add_account(here.db, "bob", "bob@example.com")
        await add_service_user(here.db, bob, "Backup", password_hash=hashed("the service user's own"))
        assert await here.log_in("backup", "the service user's own") == bob
        await here.refused("backup", PASSWORD)


async def test_a_service_user_has_its_own_password_and_no_other(database_url: str) -> None:
    async with house(database_url) as here:
        bob = await add_account(here.db, "bob", "bob@example.com", password_hash=hashed("the account's own"))
        await add_service_user(here.db, bob, "svc")
        assert await here.log_in("SVC") == bob
        await here.refused("svc", "the account's own")
        await here.refused("bob@example.com", PASSWORD)


async def test_a_service_user_needs_its_account_active_and_with_a_mailbox(database_url: str) -> None:
    async with house(database_url) as here:
        bob = await add_account(here.db, "bob", "bob@example.com", primary=False)
        await add_service_user(here.db, bob, "svc")
        await here.refused("svc")
        await here.db.execute("UPDATE account SET primary_alias_id = (SELECT id FROM alias)")
        assert await here.log_in("svc") == bob
        await here.db.execute("UPDATE account SET is_active = false")
        await here.refused("svc")


async def test_what_a_limited_service_user_may_do(database_url: str) -> None:
    async with house(database_url) as here:
        bob = await add_account(here.db, "bob", "bob@example.com")
        await grant(here.db, bob, "imap", "smtp")
        await add_service_user(here.db, bob, "limited", "imap", "docker")
        await add_service_user(here.db, bob, "nothing", limited=True)
        await add_service_user(here.db, bob, "free")
        assert await here.log_in("limited", permission="imap") == bob
        await here.refused("limited")
        await here.refused("limited", purpose="web")
        await here.refused("nothing")
        for username, permission in [("limited", "smtp"), ("limited", "docker"), ("limited", "IMAP"), ("nothing", "imap")]:
            with pytest.raises(PermissionMissing):
                await here.log_in(username, permission=permission)
        assert await here.log_in("free") == bob
        assert await here.log_in("free", permission="whatever the caller compares") == bob
        await here.refused("limited", "wrong", permission="smtp")
        login = await here.accounts.lookup("limited")
        assert login is not None and login.permissions == {"imap"} and login.held == {"imap", "smtp"}


async def test_a_lost_permission_counts_at_once_even_for_a_remembered_password(database_url: str) -> None:
    async with house(database_url) as here:
        bob = await add_account(here.db, "bob", "bob@example.com")
        await grant(here.db, bob, "imap")
        await add_service_user(here.db, bob, "limited", "imap")
        assert await here.log_in("limited", permission="imap") == bob
        await here.db.execute("DELETE FROM account_permission")
        with pytest.raises(PermissionMissing):
            await here.log_in("limited", permission="imap")


async def test_service_users_only_leaves_the_web_to_the_account(database_url: str) -> None:
    async with house(database_url) as here:
        bob = await add_account(here.db, "bob", "bob@example.com", service_users_only=True)
        await add_service_user(here.db, bob, "svc")
        assert await here.log_in("bob@example.com", purpose="web") == bob
        purposes: list[Purpose] = ["checkpassword", "docker", "password_grant"]
        for purpose in purposes:
            await here.refused("bob@example.com", purpose=purpose)
            assert await here.log_in("svc", purpose=purpose) == bob


async def test_deactivation_and_a_new_password_work_at_once(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com", admin=True)
        assert await here.log_in("alice@example.com") == alice
        await here.db.execute("UPDATE account SET password_hash = %(hash)s", {"hash": hashed("another")})
        await here.refused("alice@example.com")
        assert await here.log_in("alice@example.com", "another") == alice
        await here.db.execute("UPDATE account SET is_active = false")
        await here.refused("alice@example.com", "another")
        await here.refused("alice", "another")
        assert await here.accounts.lookup("alice@example.com") is None


@pytest.mark.parametrize("stored", [None, "", "*", "!", "x", "$1$salt$x", "$6$rounds=1000$"])
async def test_accounts_without_a_usable_hash_let_nobody_in(database_url: str, stored: str | None) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com", password_hash=stored)
        for password in ("", "*", "!", "x", PASSWORD, stored or ""):
            await here.refused("alice@example.com", password)


@pytest.mark.parametrize("password", ["x" * 1025, "a\x00b", "\udc80"])
async def test_passwords_that_nobody_has_are_refused_like_wrong_ones(database_url: str, password: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com")
        with mock.patch.object(crypt, "_crypt", side_effect=AssertionError):
            await here.refused("alice@example.com", password)
        assert here.seconds == here.accounts.refusal_seconds


async def test_every_refusal_takes_the_same_time_and_one_hash(database_url: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com")
        await add_account(here.db, "slow", "slow@example.com", password_hash="$5$rounds=1070000$salt$x")
        await add_account(here.db, "none", "none@example.com", password_hash=None)
        await add_account(here.db, "gone", "gone@example.com", active=False)
        only = await add_account(here.db, "only", "only@example.com", service_users_only=True)
        nobox = await add_account(here.db, "nobox", "nobox@example.com", primary=False)
        await add_service_user(here.db, only, "limited", "imap")
        await add_service_user(here.db, nobox, "nobox-svc")
        costs = {"$5$": 0.4, "$6$": 0.001, "$y$": 0.018}
        hashes = 0

        async def verify(password: str, stored: str | None) -> bool:
            nonlocal hashes
            hashes += 1
            here.seconds += costs.get((stored or "")[:3], 0.02)
            return stored is not None and password == PASSWORD and stored == hashed(PASSWORD)

        messages = set()
        attempts = [
            ("nobody@example.com", "wrong"), ("nobody", "wrong"), ("a@b@c", "wrong"), ("alice@example.com", "wrong"),
            ("slow@example.com", "wrong"), ("none@example.com", "wrong"), ("gone@example.com", "wrong"),
            ("gone@example.com", PASSWORD), ("only@example.com", PASSWORD), ("limited", PASSWORD), ("nobox-svc", PASSWORD),
        ]
        with mock.patch.object(here.hasher, "verify", verify):
            for number, (username, password) in enumerate(attempts, 1):
                before = here.seconds
                with pytest.raises(InvalidCredentials) as caught:
                    await here.log_in(username, password)
                assert here.seconds - before == pytest.approx(here.accounts.refusal_seconds), username
                assert hashes == number, username
                messages.add((type(caught.value), str(caught.value), caught.value.code))
            before = here.seconds
            await here.log_in("alice@example.com")
            assert here.seconds - before == pytest.approx(0.018)
        assert len(messages) == 1


async def test_the_time_of_a_refusal_is_measured_from_the_slowest_hash(database_url: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "slow", "slow@example.com", password_hash="$5$rounds=300000$salt$x")
        bob = await add_account(here.db, "bob", "bob@example.com", password_hash="*")
        await add_service_user(here.db, bob, "svc", password_hash=crypt.generated_secret()[1])
        assert await sql.hash_settings(here.db) == {"$5$rounds=300000$", "$6$rounds=1000$"}
        assert here.accounts.refusal_seconds == 0.5
        with mock.patch.object(here.hasher, "slowest", return_value=0.1) as slowest:
            await here.accounts.calibrate()
        slowest.assert_called_once_with({"$5$rounds=300000$", "$6$rounds=1000$"})
        assert 0.1 < here.accounts.refusal_seconds < 0.2
        with mock.patch.object(here.hasher, "slowest", return_value=3.0):
            await here.accounts.calibrate()
        assert here.accounts.refusal_seconds == 0.5


async def test_the_time_of_a_refusal_can_be_set(database_url: str) -> None:
    async with house(database_url, password=PasswordSettings(refusal_ms=120)) as here:
        await here.accounts.calibrate()
        await here.refused("nobody@example.com")
        assert here.seconds == 0.12


async def test_a_real_calibration_on_an_empty_table(database_url: str) -> None:
    async with house(database_url) as here:
        await here.accounts.calibrate()
        assert 0.02 < here.accounts.refusal_seconds <= 0.5


async def test_no_connection_is_held_while_hashing(database_url: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com")
        real = here.hasher.verify

        async def verify(password: str, stored: str | None) -> bool:
            assert here.db.busy == 0
            return await real(password, stored)

        with mock.patch.object(here.hasher, "verify", verify):
            await here.log_in("alice@example.com")
            await here.refused("alice@example.com", "wrong")


async def test_a_weak_hash_is_replaced_by_a_login_and_a_generated_one_is_not(database_url: str) -> None:
    weak, chosen, generated = (crypt._crypt(PASSWORD.encode(), f"$5$rounds=1000$salt{n}") for n in range(3))
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com", password_hash=weak)
        await add_service_user(here.db, alice, "chosen", password_hash=chosen, generated=False)
        await add_service_user(here.db, alice, "generated", password_hash=generated)
        await here.refused("alice@example.com", "wrong")
        assert await here.value("SELECT password_hash FROM account") == weak
        for username in ("alice@example.com", "chosen", "generated"):
            await here.log_in(username)
        stored = dict(await here.db.fetch_all("SELECT identifier, password_hash FROM account UNION "
                                              "SELECT username, password_hash FROM service_user"))
        assert stored["alice"].startswith("$y$") and stored["chosen"].startswith("$y$")
        assert stored["generated"] == generated
        assert await here.value("SELECT password_changed_at FROM account") is None
        for username in ("alice@example.com", "chosen", "generated"):
            assert await here.log_in(username) == alice


async def test_hashing_again_never_overwrites_a_password_set_meanwhile(database_url: str) -> None:
    weak = crypt._crypt(PASSWORD.encode(), "$5$rounds=1000$salt")
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com", password_hash=weak)
        login = await sql.login(here.db, LoginName("alice", "example.com"))
        assert login is not None
        await here.db.execute("UPDATE account SET password_hash = '*'")
        await sql.rehash(here.db, login, hashed("x"))
        assert await here.value("SELECT password_hash FROM account") == "*"


async def test_a_full_queue_does_not_spoil_a_login_that_only_wanted_a_better_hash(database_url: str) -> None:
    weak = crypt._crypt(PASSWORD.encode(), "$5$rounds=1000$salt")
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com", password_hash=weak)
        with mock.patch.object(here.hasher, "hash", side_effect=Overloaded("full")):
            assert await here.log_in("alice@example.com") == alice


async def test_a_full_queue_is_no_failure(database_url: str) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com")
        with mock.patch.object(here.hasher, "verify", side_effect=Overloaded("full")), pytest.raises(Overloaded):
            await here.log_in("alice@example.com")
        assert await here.value("SELECT count(*) FROM login_failure") == 0
        assert await here.log_in("alice@example.com")


async def test_logins_are_audited_and_remembered_repeats_are_not(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com")
        for _ in range(5):
            await here.log_in("Alice@example.com")
        records = await audit.page(here.db, account_uuid=alice)
        assert [(r.action, r.actor, r.remote_address, r.object_name, r.new, r.repeats) for r in records] == [
            ("login.success", "Alice@example.com", CLIENT, "alice", {"purpose": "checkpassword"}, 1)]


async def test_each_web_sign_in_is_audited(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com")
        for _ in range(2):
            await here.log_in("alice@example.com", purpose="web")
        assert len(await audit.page(here.db, account_uuid=alice)) == 2


async def test_failures_share_a_row_for_account_network_and_minute(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com", "other@example.com")
        await here.refused("alice@example.com", "one")
        await here.refused("other@example.com", "two")
        await here.refused("alice@example.com", "three", address="198.51.100.1")
        here.clock.advance(minutes=1)
        await here.refused("alice@example.com", "four")
        for number in range(4):
            await here.refused(f"nobody{number}@example.com")
        assert sorted(r.repeats for r in await audit.page(here.db, account_uuid=alice)) == [1, 1, 2]
        everything = await audit.page(here.db)
        assert sorted(r.repeats for r in everything) == [1, 1, 2, 4]
        assert PASSWORD not in repr(everything) and "three" not in repr(everything)


async def test_each_failure_writes_one_line(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with house(database_url) as here:
        await add_account(here.db, "alice", "alice@example.com")
        with caplog.at_level(logging.INFO, "authd.login"):
            await here.refused("alice@example.com", "wrong")
            await here.refused('x"\n' + "y" * 5000, "wrong", purpose="web")
            await here.log_in("alice@example.com")
        assert caplog.messages[0] == (
            'login failed client=203.0.113.5 name="alice@example.com" reason=password purpose=checkpassword')
        assert caplog.messages[1].startswith('login failed client=203.0.113.5 name="x\\"\\nyyy')
        assert len(caplog.messages) == 2 and len(caplog.messages[1]) < 300
        assert "wrong" not in caplog.text


async def test_last_used_times_are_written_every_five_minutes(database_url: str) -> None:
    async with house(database_url, password=PasswordSettings(cache_seconds=0)) as here:
        bob = await add_account(here.db, "bob", "bob@example.com")
        await add_service_user(here.db, bob, "svc")
        begin = here.clock()

        async def noted() -> tuple[Any, ...]:
            return tuple([await here.value(f"SELECT {column} FROM {table}") for column, table in [
                ("last_login_at", "account"), ("last_used_at", "service_user"), ("last_used_at", "known_address")]])

        await here.log_in("svc")
        assert await noted() == (begin,) * 3
        here.clock.advance(minutes=4)
        await here.log_in("svc")
        assert await noted() == (begin,) * 3
        here.clock.advance(minutes=2)
        await here.log_in("svc")
        assert await noted() == (here.clock(),) * 3


async def test_a_client_without_an_address_can_log_in(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com")
        await here.refused("alice@example.com", "wrong", address="")
        assert await here.log_in("alice@example.com", address="") == alice


async def test_lookup_tells_who_and_what_in_one_query(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com", "second@example.com")
        await grant(here.db, alice, "imap", "smtp")
        await add_group(here.db, "staff", "smtp", "docker", members=(alice,))
        await add_group(here.db, "others", "secret")
        with mock.patch.object(here.db, "fetch_one", wraps=here.db.fetch_one) as fetch:
            login = await here.accounts.lookup("SECOND@example.com")
        assert fetch.call_count == 1
        assert login is not None
        assert login.account.primary_address == "alice@example.com"
        assert login.permissions == {"imap", "smtp", "docker"}
        assert await here.accounts.permissions(alice) == login.permissions
        assert await here.accounts.groups(alice) == ("staff",)
        assert await here.accounts.by_uuid(alice) == login.account
        assert await here.accounts.by_uuid(uuid4()) is None
        assert await here.accounts.lookup("nobody@example.com") is None
        assert await here.accounts.lookup("a@b@c") is None
        assert PASSWORD not in repr(login) and hashed(PASSWORD) not in repr(login)


async def test_confirming_asks_for_the_accounts_own_password(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice")
        account = await here.accounts.by_uuid(alice)
        assert account is not None
        attempt = LoginAttempt("alice", PASSWORD, CLIENT, "web")
        await here.accounts.confirm(account, attempt)
        with pytest.raises(InvalidCredentials):
            await here.accounts.confirm(account, LoginAttempt("alice", "wrong", CLIENT, "web"))
        await here.db.execute("UPDATE account SET is_active = false")
        with pytest.raises(InvalidCredentials):
            await here.accounts.confirm(account, attempt)


async def test_a_changed_password_is_the_only_one_that_works(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com")
        account = await here.accounts.by_uuid(alice)
        assert account is not None
        with pytest.raises(InvalidInput) as caught:
            await here.accounts.change_password(account, "alice@example.com", actor="alice", remote_address=CLIENT)
        assert caught.value.code == "personal"
        await here.accounts.change_password(account, "flamingo croquet hedgehog", actor="alice", remote_address=CLIENT)
        await here.refused("alice@example.com", PASSWORD)
        assert await here.log_in("alice@example.com", "flamingo croquet hedgehog") == alice
        assert await here.value("SELECT password_changed_at FROM account") == here.clock()
        actions = [record.action for record in await audit.page(here.db, account_uuid=alice)]
        assert actions == ["login.success", "login.failure", "account.password"]
        await here.db.execute("UPDATE account SET is_active = false")
        with pytest.raises(NotFound):
            await here.accounts.change_password(account, "teapot dormouse treacle", actor="alice", remote_address=CLIENT)


async def test_a_remembered_device_is_known_at_its_next_login(database_url: str) -> None:
    async with house(database_url, throttle=ThrottleSettings(account_failures=2, address_failures=100)) as here:
        alice = await add_account(here.db, "alice", "alice@example.com")
        sessions = Sessions(here.db, SessionSettings(), here.clock)
        device = await sessions.remember_device(alice)
        for number in range(2):
            await here.refused("alice@example.com", f"wrong {number}", address="198.51.100.1")
        assert await here.log_in("alice@example.com", device=device) == alice


async def test_many_logins_at_once(database_url: str) -> None:
    async with house(database_url) as here:
        alice = await add_account(here.db, "alice", "alice@example.com")
        found = await asyncio.gather(*(here.log_in("alice@example.com") for _ in range(40)))
        assert found == [alice] * 40
