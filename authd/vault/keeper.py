"""Keeps the database's credentials alive while authd runs. What is next is decided in `lease.py`."""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from authd.errors import DatabaseUnavailable, Unavailable
from authd.sql.connection import CredentialsRefused
from authd.sql.database import Database
from authd.vault.client import Leased, LeaseGone, VaultDenied
from authd.vault.lease import LONGEST_PAUSE, Action, Grant, next_step, pause_after

_clock = time.monotonic
_log = logging.getLogger(__name__)
_LEAST_PAUSE = 1.0  # seconds between two attempts, however often PostgreSQL refuses us
_STOP_SECONDS = 2.0

T = TypeVar("T")


class Vault(Protocol):
    """The blocking part, see `client.VaultClient`."""

    def log_in(self) -> Grant: ...
    def renew_token(self, token: Grant) -> Grant: ...
    def read_credentials(self) -> Leased: ...
    def renew_lease(self, leased: Leased) -> Leased: ...
    def give_back(self, leased: Leased) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Status:
    """How it stands: `trouble` is empty where all is well. `done` counts what was done and how often it failed."""

    trouble: str
    seconds_left: float
    done: dict[str, int]


class Keeper:
    """`enter` makes a client from the configuration as it is now, so that a new token in a file is found. `replaced` is
    called after new credentials are in use. `chance` yields numbers from 0 to 1.
    """

    def __init__(self, database: Database, enter: Callable[[], Vault], *, replaced: Callable[[], None] = lambda: None,
                 chance: Callable[[], float] = secrets.SystemRandom().random) -> None:
        self._database = database
        self._base = database.credentials
        self._enter = enter
        self.replaced = replaced
        self._chance = chance
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="vault")
        self._vault: Vault | None = None
        self._token: Grant | None = None
        self._leased: Leased | None = None
        self._luck = chance()
        self._failures = 0
        self._trouble = "not in Vault yet"
        self._done: Counter[str] = Counter()
        self._refused = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def status(self) -> Status:
        """Now."""
        left = self._leased.grant.ends - _clock() if self._leased is not None else 0.0
        return Status(self._trouble, max(0.0, left), dict(self._done))

    async def start(self) -> None:
        """Returns once the database has credentials, however long Vault keeps us waiting, and goes on in the background."""
        self._database.on_refused = self._refused.set
        while self._leased is None:
            await self._turn()
        self._task = asyncio.create_task(self._run(), name="vault")

    async def stop(self) -> None:
        """Ends, and gives the credentials back: the database must not need them any more."""
        self._database.on_refused = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._leased is not None and self._vault is not None:
            await asyncio.wait({asyncio.ensure_future(self._in_thread(self._vault.give_back, self._leased))},
                               timeout=_STOP_SECONDS)
        if self._vault is not None:
            self._vault.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except Exception:
                self._trouble = "unexpected error, see the log"
                _log.exception("vault: %s", self._trouble)
                await asyncio.sleep(LONGEST_PAUSE)

    async def _turn(self) -> None:
        """Waits for the next step, or for PostgreSQL's refusal, and takes the step."""
        step = next_step(self._token, self._lease, _clock(), self._luck)
        await self._sleep_until(step.at)
        if self._refused.is_set():
            self._refused.clear()
            step = next_step(self._token, None, _clock(), self._luck)
        began = _clock()
        try:
            await self._do(step.action)
        except Unavailable as error:
            await self._failed(step.action, error, began)
        else:
            self._done[step.action.value] += 1
            _log.log(logging.DEBUG if step.action is Action.RENEW_LEASE else logging.INFO, "vault: %s: done", step.action.value)
            self._luck = self._chance()
            await self._least_pause(began)

    @property
    def _lease(self) -> Grant | None:
        return None if self._leased is None else self._leased.grant

    async def _do(self, action: Action) -> None:
        if action is Action.LOG_IN or self._vault is None:
            await self._log_in()
        elif action is Action.RENEW_TOKEN:
            assert self._token is not None
            self._token = await self._in_thread(self._vault.renew_token, self._token)
        elif action is Action.RENEW_LEASE:
            assert self._leased is not None
            self._leased = await self._in_thread(self._vault.renew_lease, self._leased)
            self._recovered()
        else:
            leased = await self._in_thread(self._vault.read_credentials)
            await self._use(leased)
            self._leased = leased
            self._recovered()

    async def _log_in(self) -> None:
        vault = await self._in_thread(self._enter)
        try:
            token = await self._in_thread(vault.log_in)
        except BaseException:
            vault.close()
            raise
        if self._vault is not None:
            self._vault.close()
        same = self._token is not None and token.id == self._token.id
        self._vault, self._token = vault, token
        if not same:
            self._leased = None
        elif not token.renewable:
            raise VaultDenied(f"the token ends in {token.seconds:.0f} s and cannot be renewed; configure a new one")

    async def _use(self, leased: Leased) -> None:
        credentials = replace(self._base, user=leased.user, password=leased.password)
        try:
            await self._database.adopt(credentials)
        except CredentialsRefused:
            raise
        except DatabaseUnavailable as error:
            _log.warning("vault: new credentials are untried: %s", error)
            self._database.replace_credentials(credentials)
        self._refused.clear()
        self.replaced()

    def _recovered(self) -> None:
        if self._failures:
            _log.info("vault: well again")
        self._failures, self._trouble = 0, ""

    async def _failed(self, action: Action, error: Unavailable, began: float) -> None:
        self._done[f"failed to {action.value}"] += 1
        self._failures += 1
        self._trouble = f"cannot {action.value}: {error}"
        _log.warning("vault: %s", self._trouble)
        if isinstance(error, LeaseGone):
            self._leased = None
        elif action is Action.RENEW_LEASE and self._leased is not None:
            self._leased = replace(self._leased, grant=replace(self._leased.grant, renewable=False))
        elif action is Action.RENEW_TOKEN and self._token is not None:
            self._token = replace(self._token, renewable=False)
        if isinstance(error, VaultDenied) and action is not Action.LOG_IN:
            self._token = None
        if self._failures == 1 and isinstance(error, (LeaseGone, VaultDenied)) and action is not Action.LOG_IN:
            return
        await self._sleep_until(_clock() + pause_after(self._failures, self._chance()))
        await self._least_pause(began)

    async def _sleep_until(self, at: float) -> None:
        """Less, where PostgreSQL refuses us meanwhile."""
        while (left := at - _clock()) > 0 and not self._refused.is_set():
            try:
                async with asyncio.timeout(min(left, 3600.0)):
                    await self._refused.wait()
            except TimeoutError:
                continue

    async def _least_pause(self, began: float) -> None:
        if self._refused.is_set() and (left := began + _LEAST_PAUSE - _clock()) > 0:
            await asyncio.sleep(left)

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
