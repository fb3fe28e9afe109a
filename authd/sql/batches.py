"""Look-ups of many callers, made in few statements: for what every message asks, when many pass at once.

Which statements those are is up to the modules that use it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Generic, TypeVar

_LARGEST = 100  # keys in one statement

K = TypeVar("K")
V = TypeVar("V")


class Batches(Generic[K, V]):
    """`look_up` gives the value of each key that it is given. A key is looked up at once while fewer than `at_once` statements
    are under way; otherwise together with what else is asked for until one of them is over. No answer is older than its
    question.
    """

    def __init__(self, look_up: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, at_once: int = 2) -> None:
        self._look_up = look_up
        self._free = at_once
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V:
        """The value of a key. Raises what `look_up` raised, as it does for everybody whose key was in the same statement."""
        answer: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        self._begin()
        return await answer

    def _begin(self) -> None:
        if self._waiting and self._free:
            self._free -= 1
            task = asyncio.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free += 1
        self._begin()

    async def _run(self) -> None:
        asked = {key: self._waiting.pop(key) for key in [*self._waiting][:_LARGEST]}
        if not asked:  # a statement that began at the same time has taken them along
            return
        try:
            found = await self._look_up([*asked])
            for key, answers in asked.items():
                for answer in _open(answers):
                    answer.set_result(found[key])
        except Exception as error:
            for answer in _open(chain(*asked.values())):
                answer.set_exception(error)
        finally:
            for answer in _open(chain(*asked.values())):  # the loop is ending
                answer.cancel()


def _open(answers: Iterable[asyncio.Future[V]]) -> Iterator[asyncio.Future[V]]:
    """Those that somebody still waits for."""
    return (answer for answer in answers if not answer.done())
