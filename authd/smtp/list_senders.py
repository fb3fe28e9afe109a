"""Which envelope senders belong to mailing lists, remembered for a moment. Whoever asks decides what follows."""

from collections.abc import Callable
from datetime import datetime, timedelta

from authd.keys.cache import Cache
from authd.sql import smtp as sql
from authd.sql.database import Executor

LIFE = timedelta(seconds=5)  # short, as nothing tells that a list changed; what a list sends is marked as forwarded besides


class ListSenders:
    """Asks the database once for each address and five seconds. Raises DatabaseUnavailable."""

    def __init__(self, db: Executor, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._cache: Cache[str, bool] = Cache(self._load, now)

    async def is_list_sender(self, address: str) -> bool:
        """Whether it is the new_mailfrom of a list, in whatever case."""
        return await self._cache.get(address.lower())

    async def _load(self, address: str) -> tuple[bool, datetime | None]:
        return await sql.is_list_sender(self._db, address), self._now() + LIFE
