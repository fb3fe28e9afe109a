"""How many bytes of messages the process may hold at once, in memory and in temporary files (smtp.md section 1).

Shared by all listeners. Who waits for memory is stalled and served in its turn; who wants room in files is told at once.
What holds the bytes is spool.py.
"""

import asyncio
from collections import deque

MOST_RESERVED = 1048576   # bytes of memory for one message; what is longer goes to a file
LEAST_RESERVED = 262144   # bytes that a message may need before it is known how long it is


class Budget:
    """`memory` and `files` in bytes; `memory` is at least MOST_RESERVED."""

    def __init__(self, memory: int, files: int) -> None:
        self._memory = memory
        self._files = files
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.in_memory = 0
        self.in_files = 0

    @property
    def waiting(self) -> int:
        """How many transactions wait for memory."""
        return len(self._waiting)

    async def reserve(self, size: int | None, until: float) -> "Reservation":
        """Memory for a message that its sender said to have `size` bytes, once there is some. TimeoutError: there is none by
        the moment `until` of the loop's clock.
        """
        wanted = MOST_RESERVED if size is None else min(max(size, LEAST_RESERVED), MOST_RESERVED)
        if self._waiting or self.in_memory + wanted > self._memory:
            async with asyncio.timeout_at(until):
                await self._turn(wanted)
        else:
            self.in_memory += wanted
        return Reservation(self, wanted)

    async def _turn(self, wanted: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(wanted)
            else:
                self._waiting.remove((wanted, turn))
                self._admit()
            raise

    def give_back(self, size: int) -> None:
        """Frees memory, which goes to those who have waited longest."""
        self.in_memory -= size
        self._admit()

    def take_file(self, size: int) -> bool:
        """Takes room in files; False: there is none."""
        if self.in_files + size > self._files:
            return False
        self.in_files += size
        return True

    def give_back_file(self, size: int) -> None:
        """Frees room in files."""
        self.in_files -= size

    def _admit(self) -> None:
        while self._waiting and self.in_memory + self._waiting[0][0] <= self._memory:
            wanted, turn = self._waiting.popleft()
            self.in_memory += wanted
            turn.set_result(None)


class Reservation:
    """One message's share of a budget: `memory` and `files` in bytes."""

    __slots__ = ("_budget", "files", "memory")

    def __init__(self, budget: Budget, memory: int) -> None:
        self._budget = budget
        self.memory = memory
        self.files = 0

    def shrink(self, memory: int) -> None:
        """Gives back what is not needed: the message is known to have no more bytes in memory than that."""
        if memory < self.memory:
            spare, self.memory = self.memory - memory, memory
            self._budget.give_back(spare)

    def take_file(self, size: int) -> bool:
        """More room in files; False: there is none."""
        taken = self._budget.take_file(size)
        if taken:
            self.files += size
        return taken

    def release(self) -> None:
        """Gives everything back."""
        files, self.files = self.files, 0
        self._budget.give_back_file(files)
        self.shrink(0)
