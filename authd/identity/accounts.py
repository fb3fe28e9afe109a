"""Who somebody is: login names, passwords, and what the account behind them holds.

Sessions are in `sessions`, changing accounts (the command line, the admin pages) is provisioning's work.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from authd.audit import Entry
from authd.config.settings import PasswordSettings
from authd.errors import AuthdError, InvalidCredentials, InvalidInput, NotFound, Overloaded, PermissionMissing, Throttled
from authd.identity import crypt, login_record, password_policy
from authd.identity.addresses import LONGEST_LOGIN_NAME, client_address, client_ip, network_of, parse_login_name
from authd.identity.facts import Account, Login, LoginAttempt
from authd.identity.login_record import Reason
from authd.identity.passwords import Hasher
from authd.identity.tokens import token_digest
from authd.sql import accounts as sql
from authd.sql import audit
from authd.sql.database import Database
from authd.throttle import Admission, Claimant, Throttle

_LOG = logging.getLogger("authd.login")
_LONGEST_REFUSAL = 0.5  # seconds
_NOTED_EVERY = timedelta(minutes=5)


class Accounts:
    """Answers who a login name belongs to, and whether a password proves it.

    `clock` is monotonic, in seconds. Until `calibrate` has run a refusal takes the longest time it may. `outcomes`
    counts attempts: "proven", or the code of the error.
    """

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
        self._db = db
        self._hasher = hasher
        self._throttle = throttle
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self.outcomes: Counter[str] = Counter()
        self._refusal_is_set = settings.refusal_ms is not None
        self.refusal_seconds = _LONGEST_REFUSAL if settings.refusal_ms is None else settings.refusal_ms / 1000

    async def calibrate(self) -> None:
        """Measures how long a refusal must take, from the slowest hash in the table. Once, at start."""
        if not self._refusal_is_set:
            slowest = await self._hasher.slowest(await sql.hash_settings(self._db))
            self.refusal_seconds = min(_LONGEST_REFUSAL, 1.5 * slowest + 0.02)

    async def authenticate(self, attempt: LoginAttempt) -> Login:
        """The login that `attempt` proves.

        A limited service user passes only where a permission is asked that it and its account have: without one
        InvalidCredentials, with another PermissionMissing. For everybody else the caller compares
        `login.permissions` with what it requires. Raises InvalidCredentials (one error, at one time, whatever the
        reason), Throttled, Overloaded, DatabaseUnavailable.
        """
        async with self._attempt():
            _refuse_malformed(attempt)
            name = parse_login_name(attempt.username)
            login = None if name is None else await sql.login(self._db, name)
            canonical = attempt.username[:LONGEST_LOGIN_NAME] if name is None else name.canonical
            return await self._prove(attempt, login, canonical)

    async def confirm(self, account: Account, attempt: LoginAttempt) -> None:
        """Checks the account's own password again (`attempt.username` is only logged). Raises as `authenticate`."""
        async with self._attempt():
            _refuse_malformed(attempt)
            current = await sql.by_uuid(self._db, account.uuid)
            login = None if current is None else Login(current, None, frozenset())
            await self._prove(attempt, login, str(account.uuid))

    async def lookup(self, username: str) -> Login | None:
        """The active login of that name, without a password. One query."""
        name = parse_login_name(username)
        login = None if name is None else await sql.login(self._db, name)
        return login if login is not None and login.account.is_active else None

    async def by_uuid(self, uuid: UUID) -> Account | None:
        """The account, active or not."""
        return await sql.by_uuid(self._db, uuid)

    async def permissions(self, uuid: UUID) -> frozenset[str]:
        """The identifiers of every permission the account holds, directly or through a group."""
        return await sql.permissions(self._db, uuid)

    async def groups(self, uuid: UUID) -> tuple[str, ...]:
        """The names of the groups the account is in, sorted."""
        return await sql.groups(self._db, uuid)

    async def change_password(self, account: Account, password: str, *, actor: str, remote_address: str | None) -> None:
        """Sets a password that somebody chose. Raises InvalidInput whose code is one of password_policy's, NotFound where
        the account is gone or inactive, Overloaded.

        Sessions stay; whoever calls decides which of them end.
        """
        personal = [account.identifier, account.full_name, account.primary_address or ""]
        if code := await asyncio.to_thread(password_policy.problem, password, personal):
            raise InvalidInput("password", "is not good enough", code=code)
        new = await self._hasher.hash(password)
        entry = Entry("account.password", actor, account.uuid, client_address(remote_address), "account", account.identifier)
        async with self._db.transaction() as tx:
            if not await sql.set_password(tx, account.uuid, new, self._now()):
                raise NotFound("there is no such active account")
            await audit.write(tx, entry)

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        """Counts how it ends; refusals take equal time."""
        begin = self._clock()
        try:
            yield
        except AuthdError as error:
            self.outcomes[error.code] += 1
            if isinstance(error, InvalidCredentials):
                await self._sleep(max(0.0, begin + self.refusal_seconds - self._clock()))
            raise
        self.outcomes["proven"] += 1

    async def _prove(self, attempt: LoginAttempt, login: Login | None, name: str) -> Login:
        """Checks the password and tells of the outcome. What may not log in costs a hash like everything else."""
        claimant = Claimant(
            None if login is None else login.account.uuid, name, client_ip(attempt.remote_address),
            network_of(attempt.remote_address), _device_digest(attempt))
        obstacle = "unknown" if login is None else _obstacle(login, attempt)
        stored = None if login is None or obstacle else login.password_hash
        try:
            async with self._throttle.admission(claimant) as admission:
                repeated = attempt.purpose != "web" and self._hasher.remembers(attempt.password, stored)
                if login is not None and repeated:
                    return _permitted(login, attempt)
                proven = await self._hasher.verify(attempt.password, stored)
                if login is None or not proven:
                    await self._record_failure(attempt, admission, obstacle or "password", claimant)
                    raise InvalidCredentials
                permitted = _permitted(login, attempt)
                await self._record_success(attempt, admission, permitted)
        except Throttled:
            _LOG.warning("%s", login_record.failure_line(attempt, "throttled"))
            raise
        await self._rehash(permitted, attempt.password)
        return permitted

    async def _record_failure(
        self, attempt: LoginAttempt, admission: Admission, reason: Reason, claimant: Claimant
    ) -> None:
        _LOG.warning("%s", login_record.failure_line(attempt, reason))
        entry = login_record.failure_entry(attempt, reason, claimant.account_uuid, self._now())
        async with self._db.transaction() as tx:
            await self._throttle.record_failure(tx, admission, attempt.password)
            await audit.write(tx, entry)

    async def _record_success(self, attempt: LoginAttempt, admission: Admission, login: Login) -> None:
        now = self._now()
        network = network_of(attempt.remote_address)
        async with self._db.transaction() as tx:
            await sql.record_login(
                tx, login, network=None if network is None else str(network), device_digest=_device_digest(attempt),
                now=now, stale=now - _NOTED_EVERY)
            await self._throttle.record_success(tx, admission)
            await audit.write(tx, login_record.success_entry(attempt, login))

    async def _rehash(self, login: Login, password: str) -> None:
        """Replaces a hash that is weaker than new ones, unless there is too much else to hash."""
        generated = login.service_user is not None and login.service_user.generated
        if generated or not crypt.needs_rehash(login.password_hash or "", self._hasher.scheme):
            return
        try:
            new = await self._hasher.hash(password)
        except Overloaded:
            return
        await sql.rehash(self._db, login, new)


def _device_digest(attempt: LoginAttempt) -> bytes | None:
    return None if attempt.device_token is None else token_digest(attempt.device_token)


def _refuse_malformed(attempt: LoginAttempt) -> None:
    """A password that nobody can have is not worth a hash; the time of the refusal does not depend on it."""
    try:
        crypt.encode(attempt.password)
    except InvalidInput:
        _LOG.warning("%s", login_record.failure_line(attempt, "malformed"))
        raise InvalidCredentials from None


def _obstacle(login: Login, attempt: LoginAttempt) -> Reason | None:
    """Why this login cannot pass, whatever the password."""
    if not login.account.is_active:
        return "inactive"
    needs_mailbox = login.service_user is not None or attempt.purpose == "checkpassword"
    if needs_mailbox and login.account.primary_address is None:
        return "mailbox"
    if login.service_user is None:
        return "service_users_only" if login.account.service_users_only and attempt.purpose != "web" else None
    return "permission" if login.service_user.limited and attempt.permission is None else None


def _permitted(login: Login, attempt: LoginAttempt) -> Login:
    """The login, unless it is of a limited service user without the permission that is asked."""
    limited = login.service_user is not None and login.service_user.limited
    if limited and attempt.permission not in login.permissions:
        raise PermissionMissing([attempt.permission or ""], login.permissions)
    return login
