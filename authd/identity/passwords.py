"""Checks and makes password hashes without stopping the event loop: a few threads, a bounded queue, a short memory.

The hashes themselves are in `crypt`, what a password must be like in `password_policy`.
"""

import asyncio
import hashlib
import hmac
import math
import os
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from authd.config.settings import PasswordSettings
from authd.errors import Overloaded
from authd.identity import crypt
from authd.identity.crypt import Scheme

_T = TypeVar("_T")
_NICENESS = 10  # the event loop comes before hashing wherever both want a core
_REMEMBERED = 10_000
_TYPICAL_SECONDS = 0.03  # of one hash, to tell callers when to come back


class Hasher:
    """Hashes in a bounded pool of threads; remembers successful checks for `cache_seconds`.

    Raises ConfigError where the system's libcrypt is missing. `clock` is monotonic, in seconds.
    """

    def __init__(self, settings: PasswordSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.scheme: Scheme = crypt.scheme_here("yescrypt" if settings.scheme == "yescrypt" else "sha512crypt")
        self._threads = settings.threads
        self._most = settings.threads + settings.queue
        self._pending = 0
        self._pool = ThreadPoolExecutor(settings.threads, "hash", initializer=_step_back)
        self._memory = _Memory(settings.cache_seconds, clock)

    def close(self) -> None:
        """Drops what waits and ends the threads once their current work is done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def pending(self) -> int:
        """Hashes that run or wait."""
        return self._pending

    def remembers(self, password: str, stored: str | None) -> bool:
        """Whether this password matched this hash within the cache time. Costs no hash."""
        return stored is not None and self._memory.holds(password, stored)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` matches. A hash that is malformed or None never does, and costs as much as another.

        Raises InvalidInput for a password over 1,024 bytes, with a NUL or with lone surrogates, and Overloaded.
        """
        crypt.encode(password)
        if self.remembers(password, stored):
            return True
        if not await self._run(lambda: crypt.verify_password(password, stored, self.scheme)):
            return False
        if stored is not None:
            self._memory.add(password, stored)
        return True

    async def hash(self, password: str) -> str:
        """A crypt(3) string of the configured scheme. Raises InvalidInput and Overloaded as `verify` does."""
        crypt.encode(password)
        return await self._run(lambda: crypt.hash_password(password, self.scheme))

    async def slowest(self, settings: Iterable[str]) -> float:
        """Seconds that the slowest of these (`$5$rounds=1070000$`) and of the configured scheme takes."""
        def measure() -> float:
            begin = time.perf_counter()
            crypt.hash_password("measure", self.scheme)
            longest = time.perf_counter() - begin
            for setting in settings:
                begin = time.perf_counter()
                crypt.burn(setting)
                longest = max(longest, time.perf_counter() - begin)
            return longest

        return await self._run(measure)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._pending >= self._most:
            wait = math.ceil(self._pending * _TYPICAL_SECONDS / self._threads)
            raise Overloaded("too many passwords to check", retry_after=wait)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._pending -= 1


class _Memory:
    """Which password matched which hash lately: only keyed digests are kept, the oldest go first."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._expiry: OrderedDict[bytes, float] = OrderedDict()

    def add(self, password: str, stored: str) -> None:
        if self._seconds <= 0:
            return
        digest = self._digest(password, stored)
        self._expiry.pop(digest, None)
        self._expiry[digest] = self._clock() + self._seconds
        while len(self._expiry) > _REMEMBERED:
            self._expiry.popitem(last=False)

    def holds(self, password: str, stored: str) -> bool:
        return self._expiry.get(self._digest(password, stored), -math.inf) > self._clock()

    def _digest(self, password: str, stored: str) -> bytes:
        text = f"{len(stored)}:{stored}{password}".encode(errors="surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)


def _step_back() -> None:
    """Gives the calling thread a lower priority (Linux sets it by thread; elsewhere it would be the whole process)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
