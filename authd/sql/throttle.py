"""Statements about failed logins, known addresses and known devices. How long somebody waits is `authd.throttle`'s rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authd.sql.database import Executor
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("throttle")
_STANDING = Prepared(_QUERIES["standing"], "throttle_standing")


@dataclass(frozen=True, slots=True)
class Failures:
    """What counts against a subject: different wrong passwords, and when the last new one came."""

    count: int
    last_failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The failures of each subject that was asked for, and whether the client is known to the account."""

    failures: dict[str, Failures]
    known: bool


async def standing(
    db: Executor,
    subjects: Sequence[str],
    *,
    account_uuid: UUID | None,
    network: str | None,
    device_digest: bytes | None,
    failures_since: datetime,
    addresses_since: datetime,
    devices_since: datetime,
) -> Standing:
    """How the subjects stand. One round trip. `subjects` is not empty."""
    rows = await db.fetch_all(_STANDING, {
        "subjects": list(subjects), "account_uuid": account_uuid, "network": network, "device_digest": device_digest,
        "failures_since": failures_since, "addresses_since": addresses_since, "devices_since": devices_since})
    return Standing({subject: Failures(count, last) for subject, count, last, _ in rows}, any(row[3] for row in rows))


async def record_failure(
    db: Executor, subjects: Sequence[str], attempt_digest: bytes, *, now: datetime, failures_since: datetime
) -> None:
    """Counts one wrong password against each subject; the same again within the window only lasts longer."""
    await db.execute(_QUERIES["record_failure"], {
        "subjects": list(subjects), "attempt_digest": attempt_digest, "now": now, "failures_since": failures_since})


async def clear(db: Executor, subject: str) -> None:
    """Forgets the failures of a subject."""
    await db.execute(_QUERIES["clear"], {"subject": subject})


async def remember_device(db: Executor, token_digest: bytes, account_uuid: UUID, now: datetime) -> None:
    """Makes the device that holds the token known to the account."""
    await db.execute(_QUERIES["remember_device"], {
        "token_digest": token_digest, "account_uuid": account_uuid, "now": now})


async def remove_failures(db: Executor, before: datetime, limit: int) -> int:
    """Removes at most `limit` failures last seen before a time; how many it were."""
    return await db.execute(_QUERIES["remove_failures"], {"before": before, "limit": limit})


async def remove_addresses(db: Executor, before: datetime, limit: int) -> int:
    """Removes at most `limit` known addresses last used before a time; how many it were."""
    return await db.execute(_QUERIES["remove_addresses"], {"before": before, "limit": limit})


async def remove_devices(db: Executor, before: datetime, limit: int) -> int:
    """Removes at most `limit` known devices last used before a time; how many it were."""
    return await db.execute(_QUERIES["remove_devices"], {"before": before, "limit": limit})
