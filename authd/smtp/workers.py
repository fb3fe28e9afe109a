"""Threads for what takes long with large messages, so that nothing else waits. What is done there is the caller's."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_LARGE = 131072    # bytes from which on a message is worked on in a thread: 1 ms of processor time
_THREADS = 2

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Two threads, made when they are first needed."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=name)

    async def run(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Does the work on a message of that size: a small one's at once, a large one's in a thread."""
        if size < _LARGE:
            return work(*args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Drops what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
