"""The keeper against a Vault and a database of a few lines: what it does after which failure, and what it tells."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import pytest

from authd.errors import AuthdError, DatabaseUnavailable
from authd.sql.connection import Credentials, CredentialsRefused
from authd.sql.database import Database
from authd.vault.client import Leased, LeaseGone, VaultDenied, VaultUnavailable
from authd.vault.keeper import Keeper
from authd.vault.lease import Grant

PASSWORD = "hunter2-hunter2"


class FakeVault:
    """Does what it is asked unless the next failure of that name is due, and writes it down."""

    def __init__(self, *, token_seconds: float = 1000.0, seconds: float = 0.09) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, deque[AuthdError]] = {}
        self.token_seconds, self.seconds = token_seconds, seconds
        self.longest: float | None = None
        self.number = 0

    def _called(self, name: str) -> float:
        self.calls.append(name)
        if self.failures.get(name):
            raise self.failures[name].popleft()
        self.number += 1
        return time.monotonic()

    def log_in(self) -> Grant:
        return Grant(f"token {self.number}", self.token_seconds, self._called("log_in"), True)

    def renew_token(self, token: Grant) -> Grant:
        return token.renewed(self.token_seconds, self._called("renew_token"))

    def read_credentials(self) -> Leased:
        return Leased(f"user {self.number}", PASSWORD, Grant("lease", self.seconds, self._called("read"), True))

    def renew_lease(self, leased: Leased) -> Leased:
        now = self._called("renew")
        seconds = self.seconds if self.longest is None else min(self.seconds, self.longest)
        return Leased(leased.user, leased.password, leased.grant.renewed(seconds, now))

    def give_back(self, leased: Leased) -> None:
        self._called("give_back")

    def close(self) -> None:
        pass


class FakeDatabase(Database):
    """Takes credentials without looking at them."""

    def __init__(self) -> None:
        super().__init__(Credentials("postgresql:///"))
        self.users: list[str] = []
        self.failures: deque[AuthdError] = deque()

    async def adopt(self, credentials: Credentials) -> None:
        if self.failures:
            raise self.failures.popleft()
        self.replace_credentials(credentials)

    def replace_credentials(self, credentials: Credentials) -> None:
        super().replace_credentials(credentials)
        self.users.append(credentials.user)


async def kept(vault: FakeVault, database: FakeDatabase, until: Callable[[Keeper], bool],
               during: Callable[[Keeper], None] = lambda keeper: None) -> Keeper:
    """Runs a keeper until something holds."""
    keeper = Keeper(database, lambda: vault, chance=lambda: 0.0)
    await keeper.start()
    try:
        during(keeper)
        async with asyncio.timeout(10):
            while not until(keeper):
                await asyncio.sleep(0)
    finally:
        await keeper.stop()
    return keeper


async def test_leases_are_renewed_and_given_back() -> None:
    vault, database = FakeVault(), FakeDatabase()
    keeper = await kept(vault, database, lambda keeper: vault.calls.count("renew") == 3)
    assert vault.calls[:3] == ["log_in", "read", "renew"]
    assert vault.calls[-1] == "give_back"
    assert len(database.users) == 1
    assert keeper.status().trouble == ""


async def test_near_the_maximum_new_credentials_are_read_and_subscribers_told() -> None:
    vault, database, told = FakeVault(), FakeDatabase(), []
    vault.longest = 0.01

    def subscribe(keeper: Keeper) -> None:
        keeper.replaced = lambda: told.append(1)

    await kept(vault, database, lambda keeper: len(told) == 2, subscribe)
    assert vault.calls[:6] == ["log_in", "read", "renew", "read", "renew", "read"]
    assert len(set(database.users)) == 3


async def test_the_token_is_renewed_too() -> None:
    vault = FakeVault(token_seconds=0.06, seconds=1000)
    await kept(vault, FakeDatabase(), lambda keeper: "renew_token" in vault.calls)
    assert vault.calls[:3] == ["log_in", "read", "renew_token"]


async def test_a_lost_lease_is_replaced_at_once() -> None:
    vault, database = FakeVault(), FakeDatabase()
    vault.failures["renew"] = deque([LeaseGone("lease not found")])
    await kept(vault, database, lambda keeper: len(database.users) == 2)
    assert vault.calls[:4] == ["log_in", "read", "renew", "read"]


async def test_a_revoked_token_means_another_login_and_new_credentials() -> None:
    vault, database = FakeVault(), FakeDatabase()
    vault.failures["renew"] = deque([VaultDenied("permission denied")])
    await kept(vault, database, lambda keeper: len(database.users) == 2)
    assert vault.calls[:5] == ["log_in", "read", "renew", "log_in", "read"]


async def test_an_unreachable_vault_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    vault, database = FakeVault(), FakeDatabase()
    vault.failures["renew"] = deque([VaultUnavailable("Vault is sealed")])
    seen: list[str] = []

    def until(keeper: Keeper) -> bool:
        seen.append(keeper.status().trouble)
        return bool(len(database.users) == 2 and not seen[-1])

    await kept(vault, database, until)
    assert "cannot renew the lease: Vault is sealed" in seen
    assert "Vault is sealed" in caplog.text
    assert PASSWORD not in caplog.text


async def test_start_waits_for_a_vault_that_comes_later() -> None:
    vault, database = FakeVault(), FakeDatabase()
    vault.failures["log_in"] = deque([VaultUnavailable("down")])
    keeper = await kept(vault, database, lambda keeper: True)
    assert vault.calls[:3] == ["log_in", "log_in", "read"]
    assert keeper.status().done["failed to log in"] == 1


async def test_postgresqls_refusal_brings_new_credentials_before_they_are_due() -> None:
    vault, database = FakeVault(seconds=1000), FakeDatabase()

    def refuse(keeper: Keeper) -> None:
        assert database.on_refused is not None
        database.on_refused()

    await kept(vault, database, lambda keeper: len(database.users) == 2, refuse)
    assert vault.calls == ["log_in", "read", "read", "give_back"]


async def test_credentials_that_postgresql_does_not_know_are_not_used_and_untried_ones_are() -> None:
    vault, database = FakeVault(seconds=1000), FakeDatabase()
    database.failures = deque([CredentialsRefused("no such role"), DatabaseUnavailable("down")])
    await kept(vault, database, lambda keeper: True)
    assert vault.calls[:3] == ["log_in", "read", "read"]
    assert len(database.users) == 1


async def test_nothing_unexpected_ends_it(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authd.vault.keeper.LONGEST_PAUSE", 0.01)
    vault, database = FakeVault(), FakeDatabase()
    vault.failures["renew"] = deque([KeyError("lease_duration")])  # type: ignore[list-item]
    await kept(vault, database, lambda keeper: vault.calls.count("renew") == 2)
    assert "unexpected error" in caplog.text
