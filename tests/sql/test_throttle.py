"""Failures are counted once each, against the right subjects, and no burst passes the count."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from unittest import mock
from uuid import UUID

import pytest

from authd.config.settings import PasswordSettings, SessionSettings, ThrottleSettings
from authd.config.values import networks
from authd.errors import InvalidCredentials, Throttled
from authd.identity.accounts import Accounts
from authd.identity.facts import LoginAttempt
from authd.identity.passwords import Hasher
from authd.identity.sessions import Sessions
from authd.sql import throttle as sql
from authd.sql.database import Database
from authd.throttle import Throttle
from tests.sql.people import PASSWORD, Clock, add_account, add_service_user
from tests.support import open_database

OWNER = "203.0.113.5"
STRANGER = "198.51.100.1"
APACHE = "10.0.0.1"


@dataclass
class Door:
    """Where somebody knocks. The password is right if it is PASSWORD, and costs no time to check."""

    db: Database
    clock: Clock
    accounts: Accounts
    hasher: Hasher
    checked: list[str] = field(default_factory=list)

    async def knock(
        self, password: str, username: str = "alice@example.com", address: str = STRANGER, device: str | None = None,
    ) -> str:
        try:
            await self.accounts.authenticate(LoginAttempt(username, password, address, "checkpassword", None, device))
        except InvalidCredentials:
            return "refused"
        except Throttled as error:
            return f"wait {error.retry_after}"
        return "in"

    async def fail(self, times: int, start: int = 0, **how: str) -> list[str]:
        return [await self.knock(f"wrong {number}", **how) for number in range(start, start + times)]


@asynccontextmanager
async def door(url: str, settings: ThrottleSettings = ThrottleSettings(), **passwords: float) -> AsyncIterator[Door]:
    async with open_database(url, pool_size=20) as db:
        password_settings = PasswordSettings(refusal_ms=0, cache_seconds=passwords.get("cache_seconds", 0.0))
        clock, hasher = Clock(), Hasher(password_settings)
        counter = Throttle(db, settings, clock, device_seconds=SessionSettings().remember_device)
        made = Door(db, clock, Accounts(db, hasher, counter, password_settings, clock), hasher)

        async def verify(password: str, stored: str | None) -> bool:
            made.checked.append(password)
            await asyncio.sleep(0.001)
            return stored is not None and password == PASSWORD

        with mock.patch.object(hasher, "verify", verify):
            try:
                yield made
            finally:
                hasher.close()


async def alice_of(here: Door) -> UUID:
    return await add_account(here.db, "alice", "alice@example.com", "alias@example.com", admin=True)


async def test_ten_failures_are_free_then_the_wait_doubles(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        assert await here.fail(10) == ["refused"] * 10
        assert await here.knock(PASSWORD) == "wait 2"
        assert len(here.checked) == 10
        here.clock.advance(seconds=2)
        assert await here.knock("wrong again") == "refused"
        assert await here.knock(PASSWORD) == "wait 4"
        here.clock.advance(seconds=4)
        assert await here.knock(PASSWORD) == "in"


async def test_waiting_does_not_count_as_failing(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.fail(10)
        assert await here.fail(50, 100) == ["wait 2"] * 50
        here.clock.advance(seconds=2)
        assert await here.knock(PASSWORD) == "in"


async def test_failures_expire(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.fail(10)
        here.clock.advance(minutes=15, seconds=1)
        assert await here.fail(10) == ["refused"] * 10


async def test_every_name_of_an_account_counts_together(database_url: str) -> None:
    async with door(database_url) as here:
        alice = await alice_of(here)
        await add_service_user(here.db, alice, "svc")
        names = ["alice@example.com", "ALICE@example.com", "alias@EXAMPLE.com", "alice", "Alice", "svc", "SVC"]
        for number in range(10):
            username = names[number % len(names)]
            assert await here.knock(f"wrong {number}", username, address=f"198.51.100.{number}") == "refused"
        for username in names:
            assert await here.knock(PASSWORD, username, address="192.0.2.77") == "wait 2"


async def test_an_unknown_name_is_throttled_like_a_known_one(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        for number in range(10):
            name = ("nobody@example.com", "Nobody@EXAMPLE.com")[number % 2]
            assert await here.knock(f"wrong {number}", name, address=f"198.51.100.{number}") == "refused"
        assert await here.knock("x", "nobody@example.com", address="192.0.2.77") == "wait 2"
        assert await here.knock("x", "nobody", address="192.0.2.77") == "refused"
        subjects = [row[0] for row in await here.db.fetch_all("SELECT subject FROM login_failure")]
        assert not any("nobody" in subject for subject in subjects)


async def test_the_same_wrong_password_counts_once(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        for _ in range(60):
            here.clock.advance(minutes=1)
            assert await here.knock("last year's") == "refused"
            assert await here.knock("last year's", "alias@example.com") == "refused"
        assert await here.fail(9) == ["refused"] * 9
        assert await here.knock("last year's") == "wait 2"


async def test_a_repeated_mistake_does_not_lengthen_the_wait(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.knock("last year's", address="192.0.2.1")
        await here.fail(9)
        here.clock.advance(seconds=2)
        assert await here.knock("last year's", address="192.0.2.1") == "refused"
        assert await here.knock(PASSWORD, address="192.0.2.2") == "in"


async def test_an_address_has_twenty_failures_over_all_accounts(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        outcomes = [await here.knock("spring2026", f"user{number}@example.com") for number in range(20)]
        assert outcomes == ["refused"] * 20
        assert await here.knock(PASSWORD) == "wait 2"
        assert await here.knock(PASSWORD, address=OWNER) == "in"


async def test_an_ipv6_client_is_its_64(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        for number in range(20):
            await here.knock("x", f"user{number}@example.com", address=f"2001:db8::{number:x}")
        assert await here.knock(PASSWORD, address="2001:db8::ffff") == "wait 2"
        assert await here.knock(PASSWORD, address="2001:db8:0:1::1") == "in"


async def test_a_stranger_cannot_lock_the_owner_out(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        assert await here.knock(PASSWORD, address=OWNER) == "in"
        here.clock.advance(days=29)
        await here.fail(10)
        assert await here.knock(PASSWORD) == "wait 2"
        assert await here.knock(PASSWORD, address=OWNER) == "in"
        assert await here.knock(PASSWORD) == "wait 2"
        here.clock.advance(days=31)
        await here.fail(10)
        assert await here.knock(PASSWORD, address=OWNER) == "wait 2"


async def test_a_known_device_is_let_in_from_anywhere(database_url: str) -> None:
    async with door(database_url) as here:
        alice = await alice_of(here)
        bob = await add_account(here.db, "bob", "bob@example.com")
        sessions = Sessions(here.db, SessionSettings(), here.clock)
        device, bobs = await sessions.remember_device(alice), await sessions.remember_device(bob)
        await here.fail(10)
        assert await here.knock(PASSWORD, address="192.0.2.1") == "wait 2"
        assert await here.knock(PASSWORD, address="192.0.2.1", device=bobs) == "wait 2"
        assert await here.knock(PASSWORD, address="192.0.2.1", device="x\udc80") == "wait 2"
        assert await here.knock(PASSWORD, address="192.0.2.1", device=device) == "in"


async def test_a_known_device_does_not_make_guessing_free(database_url: str) -> None:
    async with door(database_url) as here:
        alice = await alice_of(here)
        device = await Sessions(here.db, SessionSettings(), here.clock).remember_device(alice)
        assert await here.fail(20, device=device) == ["refused"] * 20
        assert await here.knock(PASSWORD, device=device) == "wait 2"


async def test_a_forgotten_device_is_a_stranger(database_url: str) -> None:
    async with door(database_url) as here:
        alice = await alice_of(here)
        device = await Sessions(here.db, SessionSettings(), here.clock).remember_device(alice)
        here.clock.advance(seconds=SessionSettings().remember_device + 1)
        await here.fail(10)
        assert await here.knock(PASSWORD, device=device) == "wait 2"


async def test_a_trusted_network_does_not_count_but_its_guesses_do(database_url: str) -> None:
    async with door(database_url, ThrottleSettings(trusted=networks(["10.0.0.0/8"]))) as here:
        await alice_of(here)
        for number in range(40):
            assert await here.knock("x", f"user{number}@example.com", address=APACHE) == "refused"
        assert await here.fail(10, address=APACHE) == ["refused"] * 10
        assert await here.knock(PASSWORD, address=APACHE) == "wait 2"


async def test_behind_a_trusted_host_that_the_account_knows_guessing_is_still_counted(database_url: str) -> None:
    async with door(database_url, ThrottleSettings(trusted=networks(["10.0.0.0/8"]))) as here:
        await alice_of(here)
        assert await here.knock(PASSWORD, address=APACHE) == "in"
        await here.fail(10)
        assert await here.knock(PASSWORD) == "wait 2"
        assert await here.knock(PASSWORD, address=APACHE) == "in"
        assert await here.fail(10, address=APACHE) == ["refused"] * 10
        assert await here.knock(PASSWORD, address=APACHE) == "wait 2"


async def test_a_success_clears_the_account_but_not_the_address(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        assert await here.fail(9) == ["refused"] * 9
        assert await here.knock(PASSWORD) == "in"
        assert await here.fail(11, 100) == ["refused"] * 11
        assert await here.knock(PASSWORD) == "wait 2"


async def test_the_owners_mail_program_gives_no_stranger_a_fresh_start(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.knock(PASSWORD, address=OWNER)
        await here.fail(10)
        assert await here.knock(PASSWORD, address=OWNER) == "in"
        assert await here.knock("wrong 11") == "wait 2"


async def test_deactivated_accounts_are_counted_too(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.db.execute("UPDATE account SET is_active = false")
        assert await here.fail(10) == ["refused"] * 10
        assert await here.knock(PASSWORD) == "wait 2"


async def test_the_settings_count(database_url: str) -> None:
    async with door(database_url, ThrottleSettings(account_failures=3, window=60.0, longest_wait=5.0)) as here:
        await alice_of(here)
        assert await here.fail(3) == ["refused"] * 3
        for wait in (2, 4, 5, 5):
            assert await here.knock(PASSWORD) == f"wait {wait}"
            here.clock.advance(seconds=wait)
            assert await here.knock(f"after {wait} {here.clock()}") == "refused"
        here.clock.advance(seconds=61)
        assert await here.fail(3, 100) == ["refused"] * 3


@pytest.mark.parametrize("before", [0, 4, 9])
async def test_a_burst_of_guesses_cannot_pass_the_count(database_url: str, before: int) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.fail(before)
        outcomes = await asyncio.gather(*(here.knock(f"guess {number}") for number in range(50)))
        assert len(here.checked) == 10
        assert sorted(outcomes) == ["refused"] * (10 - before) + ["wait 2"] * (40 + before)


async def test_a_burst_from_many_addresses_cannot_either(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await asyncio.gather(*(here.knock(f"guess {number}", address=f"198.51.100.{number}") for number in range(50)))
        assert len(here.checked) == 10


async def test_a_burst_over_many_names_cannot_pass_the_count_of_the_address(database_url: str) -> None:
    async with door(database_url) as here:
        outcomes = await asyncio.gather(*(here.knock("x", f"user{number}@example.com") for number in range(60)))
        assert len(here.checked) == 20
        assert outcomes.count("refused") == 20


async def test_after_a_wait_one_guess_at_a_time_is_checked(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        await here.fail(10)
        here.clock.advance(seconds=2)
        outcomes = await asyncio.gather(*(here.knock(f"guess {number}") for number in range(20)))
        assert len(here.checked) == 11
        assert outcomes.count("wait 4") == 19


async def test_two_processes_pass_the_count_by_one_allowance_at_most(database_url: str) -> None:
    async with door(database_url) as one, door(database_url) as other:
        await alice_of(one)
        await asyncio.gather(*(process.knock(f"guess {number} {id(process)}", address=f"198.51.100.{number}")
                               for number in range(40) for process in (one, other)))
        assert len(one.checked) + len(other.checked) <= 20
        assert (await one.knock(PASSWORD, address="192.0.2.1")).startswith("wait")


async def test_a_burst_of_right_passwords_all_gets_in(database_url: str) -> None:
    async with door(database_url) as here:
        await alice_of(here)
        assert await asyncio.gather(*(here.knock(PASSWORD) for _ in range(60))) == ["in"] * 60
        assert here.accounts._throttle._gates == {}


async def test_a_remembered_password_does_not_wait_for_a_hash(database_url: str) -> None:
    async with door(database_url, cache_seconds=60.0) as here:
        await alice_of(here)
        here.hasher._memory.add(PASSWORD, (await here.db.fetch_all("SELECT password_hash FROM account"))[0][0])
        checking, go_on = asyncio.Event(), asyncio.Event()

        async def stuck(password: str, stored: str | None) -> bool:
            checking.set()
            await go_on.wait()
            return False

        with mock.patch.object(here.hasher, "verify", stuck):
            guess = asyncio.create_task(here.knock("wrong"))
            await checking.wait()
            assert await here.knock(PASSWORD) == "in"
            go_on.set()
            assert await guess == "refused"
        assert here.checked == []


async def test_a_remembered_password_is_no_way_around_the_count(database_url: str) -> None:
    async with door(database_url, cache_seconds=60.0) as here:
        await alice_of(here)
        here.hasher._memory.add(PASSWORD, (await here.db.fetch_all("SELECT password_hash FROM account"))[0][0])
        await here.fail(10)
        assert await here.knock(PASSWORD) == "wait 2"


async def test_a_cancelled_attempt_gives_its_room_back(database_url: str) -> None:
    async with door(database_url, ThrottleSettings(account_failures=1)) as here:
        await alice_of(here)
        checking = asyncio.Event()

        async def stuck(password: str, stored: str | None) -> bool:
            checking.set()
            await asyncio.Event().wait()
            return False

        with mock.patch.object(here.hasher, "verify", stuck):
            guess = asyncio.create_task(here.knock("wrong"))
            await checking.wait()
            waiting = asyncio.create_task(here.knock(PASSWORD))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            waiting.cancel()
            guess.cancel()
            await asyncio.gather(guess, waiting, return_exceptions=True)
        assert await here.knock(PASSWORD) == "in"
        assert here.accounts._throttle._gates == {}


async def test_the_tables_hold_no_password_and_are_cleaned(database_url: str) -> None:
    async with door(database_url) as here:
        alice = await alice_of(here)
        await Sessions(here.db, SessionSettings(), here.clock).remember_device(alice)
        await here.knock(PASSWORD)
        await here.fail(3)
        rows = await here.db.fetch_all("SELECT subject, encode(attempt_digest, 'escape') FROM login_failure")
        assert len(rows) == 3 and "wrong" not in repr(rows)
        before = here.clock.time
        assert await sql.remove_failures(here.db, before, 100) == 0
        here.clock.advance(seconds=1)
        assert await sql.remove_failures(here.db, here.clock.time, 2) == 2
        assert await sql.remove_failures(here.db, here.clock.time, 2) == 1
        assert await sql.remove_addresses(here.db, here.clock.time, 100) == 1
        assert await sql.remove_devices(here.db, here.clock.time, 100) == 1
