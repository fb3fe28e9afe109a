"""Work that is done now and then, by one process of all that share a database. What the work is stands elsewhere."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from authd.errors import AuthdError
from authd.sql.database import Database
from authd.sql.queries import load

_log = logging.getLogger(__name__)
_QUERIES = load("jobs")


async def once_among_processes(db: Database, name: str, work: Callable[[], Awaitable[object]]) -> bool:
    """Does the work unless another process is at it; whether it was done."""
    async with db.transaction() as tx:
        row = await tx.fetch_one(_QUERIES["try_lock"], {"name": name})
        if row is None or not row[0]:
            return False
        await work()
        return True


async def repeat(db: Database, name: str, every: float, work: Callable[[], Awaitable[object]],
                 sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
    """Does the work every so many seconds, until cancelled. What fails is logged and tried again at the next turn."""
    while True:
        await sleep(every)
        try:
            await once_among_processes(db, name, work)
        except AuthdError as error:
            _log.warning("%s: %s", name, error)
