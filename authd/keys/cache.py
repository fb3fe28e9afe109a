"""Values that are loaded once, kept for a while, and loaded by one caller at a time. Knows nothing of keys."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LIFE = timedelta(seconds=60)


class Cache(Generic[K, V]):
    """Answers from memory for 60 s, or until the moment that the loader returns beside the value, if that is earlier.

    Callers that ask while a value is loaded share that load, and its error: errors are not kept. A load that began
    before `forget` serves those who waited for it and is not kept either. Beyond `size` values the oldest goes.
    """

    def __init__(self, load: Callable[[K], Awaitable[tuple[V, datetime | None]]], now: Callable[[], datetime],
                 size: int = 4096) -> None:
        self._load = load
        self._now = now
        self._size = size
        self._values: dict[K, tuple[V, datetime]] = {}
        self._loads: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """The value; raises what the loader raises."""
        held = self._values.get(key)
        if held is not None and self._now() < held[1]:
            return held[0]
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._loaded(key))
            task.add_done_callback(_seen)
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Nothing that was read before this call is answered to anyone who asks after it."""
        self._values.clear()
        self._loads.clear()

    async def _loaded(self, key: K) -> V:
        task = asyncio.current_task()
        expires = self._now() + LIFE
        try:
            value, changes = await self._load(key)
            if self._loads.get(key) is task:
                self._keep(key, value, expires if changes is None else min(expires, changes))
            return value
        finally:
            if self._loads.get(key) is task:
                del self._loads[key]

    def _keep(self, key: K, value: V, expires: datetime) -> None:
        self._values.pop(key, None)
        if len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = value, expires


def _seen(task: asyncio.Task[V]) -> None:
    """Keeps asyncio from reporting the error of a load whose callers have all gone."""
    if not task.cancelled():
        task.exception()
