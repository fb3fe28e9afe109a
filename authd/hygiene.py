"""Removes what has expired. Nothing relies on it: expired rows are ignored wherever they are read."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from authd.config import Settings
from authd.sql import deliveries, docker, oauth, routing, sessions, throttle
from authd.sql.database import Database

BATCH = 1000
KNOWN_ADDRESS_DAYS = 30  # accounts.md: an address from which the account succeeded in the last 30 days


async def remove_expired(db: Database, settings: Settings, now: datetime) -> int:
    """Removes everything that has expired, in statements of at most 1,000 rows each; how many rows went."""
    failures_since = now - timedelta(seconds=settings.throttle.window)
    devices_since = now - timedelta(seconds=settings.session.remember_device)
    steps: tuple[Callable[[], Awaitable[int]], ...] = (
        lambda: sessions.remove_expired(db, now, BATCH),
        lambda: throttle.remove_failures(db, failures_since, BATCH),
        lambda: throttle.remove_addresses(db, now - timedelta(days=KNOWN_ADDRESS_DAYS), BATCH),
        lambda: throttle.remove_devices(db, devices_since, BATCH),
        lambda: oauth.remove_expired(db, now, BATCH),
        lambda: docker.remove_refresh_tokens(
            db, now - timedelta(seconds=settings.docker.refresh_token_seconds), BATCH),
        lambda: oauth.remove_expired_secrets(db, now),
        lambda: deliveries.remove_expired(db, now, BATCH),
        lambda: deliveries.remove_reports(db, now.date(), BATCH),
        lambda: routing.forget_tokens(db, now, limit=BATCH))
    total = 0
    for step in steps:
        while removed := await step():
            total += removed
    return total
