"""Statements that the mail relays need: facts about addresses. What follows from them is decided in `authd.smtp`."""

from authd.sql.database import Executor
from authd.sql.queries import load

_QUERIES = load("smtp")


async def is_list_sender(db: Executor, address: str) -> bool:
    """Whether a mailing list sends with that envelope sender, in whatever case."""
    row = await db.fetch_one(_QUERIES["is_list_sender"], {"address": address})
    return row is not None and bool(row[0])
