"""Listens to PostgreSQL's notices of change (`authd_change`) and tells the caches that stand before the rows."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable

from authd.errors import DatabaseUnavailable
from authd.sql.database import Database

_log = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Changes:
    """One listening connection. After every (re)connection all subscribers are told, since notices may have been missed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    def subscribe(self, name: str, forget: Callable[[], None]) -> None:
        """Calls `forget` whenever rows behind the cache `name` have changed."""
        self._subscribers[name].append(forget)

    def start(self) -> None:
        """Begins to listen, in the background."""
        self._task = asyncio.create_task(self._run(), name="changes")

    async def stop(self) -> None:
        """Ends listening."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # a connection that is ready at this moment hides it (asyncio.wait_for of Python 3.11)
            await asyncio.wait({self._task}, timeout=_FIRST_PAUSE)

    def reopen(self) -> None:
        """Listens on a new connection, as the database's credentials now say."""
        if self._task is not None:
            self._task.cancel()
            self.start()

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while self._is_wanted():
            try:
                connection = await self._database.connect()
                try:
                    await connection.run("LISTEN authd_change", {})
                    pause = _FIRST_PAUSE
                    self._tell_all()
                    self.listening.set()
                    while self._is_wanted():
                        self._tell(await connection.notification())
                finally:
                    self.listening.clear()
                    connection.close()
            except DatabaseUnavailable as error:
                _log.warning("not listening for changes, caches live at most 60 s: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _is_wanted(self) -> bool:
        """False for a task that `reopen` has replaced and whose cancellation was hidden."""
        return self._task is asyncio.current_task()

    def _tell(self, name: str) -> None:
        for forget in self._subscribers.get(name, ()):
            forget()

    def _tell_all(self) -> None:
        for name in list(self._subscribers):
            self._tell(name)
