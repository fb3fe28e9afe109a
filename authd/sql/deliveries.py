"""Statements about copies that were delivered, and about refused members that were reported.

Which are remembered when is decided in `authd.smtp`.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta

from authd.smtp.deliveries import Row
from authd.sql.database import Executor
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("deliveries")
_FIND, _ADD, _REMOVE = (Prepared(_QUERIES[name], f"deliveries_{name}") for name in ("find", "add", "remove"))
_LIFE = timedelta(days=5)  # as long as clients try again


async def find(db: Executor, message_digests: Sequence[bytes]) -> dict[bytes, frozenset[Row]]:
    """The copies of each message that were delivered before."""
    found: dict[bytes, list[Row]] = {digest: [] for digest in message_digests}
    for digest, *row in await db.fetch_all(_FIND, {"digests": list(message_digests)}):
        found[digest].append(Row(*row))
    return {digest: frozenset(rows) for digest, rows in found.items()}


async def add(db: Executor, message_digest: bytes, rows: Collection[Row], now: datetime) -> None:
    """Remembers that copies were delivered."""
    await db.execute(_ADD, {
        "digest": message_digest, "now": now, "original_recipients": [row.original_recipient for row in rows],
        "targets": [row.target for row in rows], "recipients": [row.recipient for row in rows]})


async def remove(db: Executor, message_digest: bytes, original_recipients: Iterable[str]) -> None:
    """Forgets the copies for recipients (lower case) that will not be sent again."""
    await db.execute(_REMOVE, {"digest": message_digest, "original_recipients": list(original_recipients)})


async def remove_expired(db: Executor, now: datetime, limit: int = 1000) -> int:
    """Forgets the oldest of those that nobody will try again, `limit` at most; how many."""
    return await db.execute(_QUERIES["remove_expired"], {"before": now - _LIFE, "limit": limit})


async def take_report(db: Executor, mailing_list_id: int, address: str, today: date) -> bool:
    """Whether a refused member (lower case) is still to be reported today. If so, it now counts as reported."""
    row = await db.fetch_one(
        _QUERIES["take_report"], {"mailing_list_id": mailing_list_id, "address": address, "today": today})
    return row is not None


async def remove_reports(db: Executor, today: date, limit: int = 1000) -> int:
    """Forgets reports of earlier days, `limit` at most; how many."""
    return await db.execute(_QUERIES["remove_reports"], {"today": today, "limit": limit})
