"""Writing and reading the audit. What an entry says is decided where it happens, in the form of `authd.audit`."""

from datetime import datetime
from uuid import UUID

from authd.audit import Entry, Record
from authd.sql.database import Executor, Json
from authd.sql.queries import load

_QUERIES = load("audit")


async def write(tx: Executor, entry: Entry) -> None:
    """Adds an entry, in the transaction of the change it tells of; one with a known aggregate_key is only counted."""
    await tx.execute(_QUERIES["write"], {
        "actor": entry.actor, "account_uuid": entry.account_uuid, "remote_address": entry.remote_address,
        "action": entry.action, "object_kind": entry.object_kind, "object_name": entry.object_name,
        "old": None if entry.old is None else Json(dict(entry.old)),
        "new": None if entry.new is None else Json(dict(entry.new)), "aggregate_key": entry.aggregate_key})


async def page(
    db: Executor,
    *,
    account_uuid: UUID | None = None,
    object_kind: str | None = None,
    object_name: str | None = None,
    before: tuple[datetime, int] | None = None,
    limit: int = 50,
) -> list[Record]:
    """The latest records first, of an account or object where one is given; `before` is `at, id` of the last one seen."""
    at, record_id = before or (None, None)
    rows = await db.fetch_all(_QUERIES["page"], {
        "account_uuid": account_uuid, "object_kind": object_kind, "object_name": object_name,
        "before": at, "before_id": record_id, "limit": limit})
    return [Record(*row) for row in rows]
