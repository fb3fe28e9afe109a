"""One timer that can be moved at no cost. Knows nothing of what it ends."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` once the moment has come. Moving it touches the loop only where it is moved forward.

    A connection's timer moves with every command, and asyncio keeps each cancelled timer in its heap until it is due.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._moment: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._handle_due = 0.0

    def set(self, seconds: float) -> None:
        """Expires `seconds` from now, and not when it was to expire before."""
        self._moment = moment = self._loop.time() + seconds
        if self._handle is None or self._handle_due > moment:
            self.stop()
            self._wait_until(moment)

    def clear(self) -> None:
        """Does not expire until it is set again."""
        self._moment = None

    def stop(self) -> None:
        """As clear, and lets go of the loop."""
        self._moment = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait_until(self, moment: float) -> None:
        self._moment = self._handle_due = moment
        self._handle = self._loop.call_at(moment, self._due)

    def _due(self) -> None:
        self._handle = None
        if self._moment is None:
            return
        if self._loop.time() < self._moment:
            self._wait_until(self._moment)
        else:
            self._moment = None
            self._expired()
