"""Who somebody is: login names, passwords, and what the account behind them holds.

Sessions are in `sessions`, changing accounts (the command line, the admin pages) is provisioning's work.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from authd.config.settings import PasswordSettings
from authd.identity.facts import Account, Login, LoginAttempt
from authd.identity.passwords import Hasher
from authd.sql.database import Database
from authd.throttle import Throttle


class Accounts:
    """Answers who a login name belongs to, and whether a password proves it."""

    def __init__(
        self,
        db: Database,
        hasher: Hasher,
        throttle: Throttle,
        settings: PasswordSettings,
        now: Callable[[], datetime],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        raise NotImplementedError

    async def calibrate(self) -> None:
        """Measures how long a refusal must take, from the slowest hash in the table. Once, at start."""

    async def authenticate(self, attempt: LoginAttempt) -> Login:
        """The login that `attempt` proves.

        A limited service user passes only where a permission is asked that it and its account have: without one
        InvalidCredentials, with another PermissionMissing. For everybody else the caller compares
        `login.permissions` with what it requires. Raises InvalidCredentials (one error, at one time, whatever the
        reason), Throttled, Overloaded, DatabaseUnavailable.
        """
        raise NotImplementedError

    async def confirm(self, account: Account, attempt: LoginAttempt) -> None:
        """Checks the account's own password again (`attempt.username` is only logged). Raises as `authenticate`."""

    async def lookup(self, username: str) -> Login | None:
        """The active login of that name, without a password. One query."""
        raise NotImplementedError

    async def by_uuid(self, uuid: UUID) -> Account | None:
        """The account, active or not."""
        raise NotImplementedError

    async def permissions(self, uuid: UUID) -> frozenset[str]:
        """The identifiers of every permission the account holds, directly or through a group."""
        raise NotImplementedError

    async def groups(self, uuid: UUID) -> tuple[str, ...]:
        """The names of the groups the account is in, sorted."""
        raise NotImplementedError

    async def change_password(self, account: Account, password: str, *, actor: str, remote_address: str | None) -> None:
        """Sets a password that somebody chose. Raises InvalidInput whose code is one of password_policy's, Overloaded.

        Sessions stay; whoever calls decides which of them end.
        """
