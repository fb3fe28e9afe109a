"""How long somebody who failed must wait before trying again. Whether a password is right is `identity.accounts`' work.

What counts are different wrong passwords, against an account (whatever it was called by) or an unknown name, and
against the client's network. A client that the account knows does not count against the account, so that no stranger
can lock its owner out; where its network is trusted, and so does not count either, it counts against the account *at
that network*. Every attempt counts against something.

Counters are in PostgreSQL. Between reading a counter and writing a failure a process admits no more attempts than there
are free failures left, so a burst cannot pass the count; of several processes each does so on its own.
"""

import asyncio
import hashlib
import hmac
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from authd.config.settings import ThrottleSettings
from authd.config.values import Network
from authd.errors import Throttled
from authd.sql import throttle as sql
from authd.sql.database import Database, Executor
from authd.sql.server_secrets import server_secret

ADDRESS_KNOWN_FOR = timedelta(days=30)
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Policy:
    """`free` failures within `window` cost nothing; from then on the wait doubles up to `longest_wait`."""

    free: int
    window: timedelta
    longest_wait: timedelta


def decide(failures: int, last_failed_at: datetime | None, now: datetime, policy: Policy) -> int:
    """The whole seconds until another attempt is admitted, 0 for at once.

    `failures` are those within the window, `last_failed_at` is when the last of them came. With `free` of them the wait
    is 2 seconds after the last one, with each further one twice as long.
    """
    if failures < policy.free or last_failed_at is None:
        return 0
    doublings = min(failures - policy.free + 1, 32)
    wait = min(timedelta(seconds=2**doublings), policy.longest_wait)
    return max(0, math.ceil((last_failed_at + wait - now).total_seconds()))


def room(failures: int, policy: Policy) -> int:
    """How many attempts may be under way at once: as many as are free, or the one that the wait has earned."""
    return max(1, policy.free - failures)


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who wants to try a password: the account the name leads to (None: to nobody), the name, and the client.

    `address` is the client's, `network` what counts as one client, `device_digest` that of its known-device cookie.
    """

    account_uuid: UUID | None
    name: str
    address: IPv4Address | IPv6Address | None
    network: Network | None
    device_digest: bytes | None


@dataclass(slots=True)
class Admission:
    """Leave to try one password.

    `owner` is the one name of an account, whatever it was called by, or of a name that is nobody's. `subjects` are what
    a failure counts against, `forgiven` is what a success makes us forget.
    """

    owner: str
    subjects: tuple[str, ...]
    forgiven: str | None
    failed: bool = False


@dataclass(slots=True)
class _Gate:
    """The attempts on one subject that are under way in this process, and those that wait for them."""

    running: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)

    def release(self) -> None:
        self.running -= 1
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(frozen=True, slots=True)
class _Full:
    """A gate without room; `changed` is set as soon as there may be some."""

    gate: _Gate
    changed: asyncio.Event


class Throttle:
    """Counts failures in PostgreSQL, and admits no more attempts at a time than there are free ones left."""

    def __init__(
        self, db: Database, settings: ThrottleSettings, now: Callable[[], datetime], *, device_seconds: float
    ) -> None:
        window, longest_wait = timedelta(seconds=settings.window), timedelta(seconds=settings.longest_wait)
        self._db = db
        self._now = now
        self._account_policy = Policy(settings.account_failures, window, longest_wait)
        self._address_policy = Policy(settings.address_failures, window, longest_wait)
        self._window = window
        self._trusted = settings.trusted
        self._device_lifetime = timedelta(seconds=device_seconds)
        self._gates: dict[str, _Gate] = {}
        self._failures_recorded = 0
        self._secret: bytes | None = None

    @asynccontextmanager
    async def admission(self, claimant: Claimant) -> AsyncIterator[Admission]:
        """Leave to try one password within the block. Raises Throttled.

        Whoever does not await in the block takes up nobody's room.
        """
        await self._load_secret()
        admission = await self._admit(claimant)
        try:
            yield admission
        finally:
            self._failures_recorded += admission.failed
            for subject in admission.subjects:
                gate = self._gates[subject]
                gate.release()
                if not gate.running:
                    del self._gates[subject]

    async def record_failure(self, tx: Executor, admission: Admission, password: str) -> None:
        """Counts a wrong password. The same one again, for the same account, counts once."""
        now = self._now()
        admission.failed = True
        await sql.record_failure(
            tx, admission.subjects, self._digest(f"{admission.owner}\0{password}"), now=now,
            failures_since=now - self._window)

    async def record_success(self, tx: Executor, admission: Admission) -> None:
        """Forgets what counted against the account itself, where this client was measured by it.

        A client that the account knows is not: a stranger gets no fresh start each time the owner's mail program looks
        for mail.
        """
        if admission.forgiven is not None:
            await sql.clear(tx, admission.forgiven)

    async def _admit(self, claimant: Claimant) -> Admission:
        result = await self._try(claimant)
        if isinstance(result, Admission):
            return result
        async with result.gate.queue:
            while isinstance(result, _Full):
                await result.changed.wait()
                result = await self._try(claimant)
        return result

    async def _try(self, claimant: Claimant) -> Admission | _Full:
        """Admits where there is room. From the reading of the counters to the taking of the room nothing may await."""
        owner = self._owner(claimant)
        at_network = f"{owner}@{claimant.network}"
        address = f"address:{claimant.network}" if self._counts(claimant.address) else None
        standing = await self._read(claimant, [owner, at_network if address is None else address])
        if not standing.known:
            counted = {owner: self._account_policy} | ({address: self._address_policy} if address else {})
        else:
            counted = {address: self._address_policy} if address else {at_network: self._account_policy}
        now = self._now()
        failures = standing.failures
        wait = max(decide(failures[subject].count, failures[subject].last_failed_at, now, policy)
                   for subject, policy in counted.items())
        if wait:
            raise Throttled(wait)
        gates = {subject: self._gates.get(subject) for subject in counted}
        for subject, gate in gates.items():
            if gate is not None and gate.running >= room(failures[subject].count, counted[subject]):
                return _Full(gate, gate.changed)
        for subject in counted:
            self._gates.setdefault(subject, _Gate()).running += 1
        forgiven = owner if owner in counted and failures[owner].count else None
        return Admission(owner, tuple(counted), forgiven)

    async def _read(self, claimant: Claimant, subjects: list[str]) -> sql.Standing:
        """The counters, read again where this process has written one meanwhile."""
        network = None if claimant.network is None else str(claimant.network)
        while True:
            seen = self._failures_recorded
            now = self._now()
            standing = await sql.standing(
                self._db, subjects, account_uuid=claimant.account_uuid, network=network,
                device_digest=claimant.device_digest, failures_since=now - self._window,
                addresses_since=now - ADDRESS_KNOWN_FOR, devices_since=now - self._device_lifetime)
            if seen == self._failures_recorded:
                return standing

    def _counts(self, address: IPv4Address | IPv6Address | None) -> bool:
        return address is not None and not any(address in network for network in self._trusted)

    async def _load_secret(self) -> None:
        if self._secret is None:
            self._secret = await server_secret(self._db, "throttle")

    def _owner(self, claimant: Claimant) -> str:
        if claimant.account_uuid is not None:
            return f"account:{claimant.account_uuid}"
        return f"name:{self._digest(claimant.name).hex()}"

    def _digest(self, text: str) -> bytes:
        assert self._secret is not None
        return hmac.digest(self._secret, text.encode(errors="surrogatepass"), hashlib.sha256)[:_DIGEST_BYTES]
