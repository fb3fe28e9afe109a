"""Statements about browser sessions. Their rules are in `authd.identity.sessions`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authd.identity.facts import Session, SessionSummary
from authd.sql.accounts import ACCOUNT_COLUMNS, account_of
from authd.sql.database import Executor
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("sessions")
_FIND = Prepared(_QUERIES["find"], "session_find")


@dataclass(frozen=True, slots=True)
class Found:
    """A session and when it was last seen, as far as that is written down."""

    session: Session
    last_seen_at: datetime


async def start(
    db: Executor,
    *,
    token_digest: bytes,
    account_uuid: UUID,
    service_user_id: int | None,
    amr: Sequence[str],
    acr: str,
    now: datetime,
    expires_at: datetime,
    remote_address: str | None,
    user_agent: str,
) -> tuple[int, UUID]:
    """Writes a session; its id and sid. ForeignKeyViolation where the account or service user is gone."""
    row = await db.fetch_one(_QUERIES["start"], {
        "token_digest": token_digest, "account_uuid": account_uuid, "service_user_id": service_user_id,
        "amr": list(amr), "acr": acr, "now": now, "expires_at": expires_at, "remote_address": remote_address,
        "user_agent": user_agent})
    assert row is not None
    return row[0], row[1]


async def find(db: Executor, token_digest: bytes, *, now: datetime, idle_since: datetime) -> Found | None:
    """The session with that token, of an active account, not expired and seen after `idle_since`. One round trip."""
    row = await db.fetch_one(_FIND, {"token_digest": token_digest, "now": now, "idle_since": idle_since})
    if row is None:
        return None
    session_id, sid, service_user_id, amr, acr, authenticated_at, expires_at, last_seen_at = row[ACCOUNT_COLUMNS:]
    session = Session(
        session_id, sid, account_of(row), service_user_id, tuple(amr), acr, authenticated_at, expires_at)
    return Found(session, last_seen_at)


async def touch(db: Executor, session_id: int, *, now: datetime, stale: datetime) -> None:
    """Notes that the session was seen now, unless another process has noted it since `stale`."""
    await db.execute(_QUERIES["touch"], {"id": session_id, "now": now, "stale": stale})


async def end(db: Executor, session_id: int) -> None:
    """Removes a session."""
    await db.execute(_QUERIES["end"], {"id": session_id})


async def end_all(db: Executor, account_uuid: UUID, except_id: int | None) -> tuple[UUID, ...]:
    """Removes every session of an account but one; their sids."""
    rows = await db.fetch_all(_QUERIES["end_all"], {"account_uuid": account_uuid, "except_id": except_id})
    return tuple(row[0] for row in rows)


async def listing(db: Executor, account_uuid: UUID, *, now: datetime, idle_since: datetime) -> list[SessionSummary]:
    """The account's sessions that `find` would find, the one last seen first."""
    rows = await db.fetch_all(_QUERIES["listing"], {"account_uuid": account_uuid, "now": now, "idle_since": idle_since})
    return [SessionSummary(*row) for row in rows]


async def remove_expired(db: Executor, now: datetime, limit: int) -> int:
    """Removes at most `limit` expired sessions; how many it were."""
    return await db.execute(_QUERIES["remove_expired"], {"now": now, "limit": limit})
