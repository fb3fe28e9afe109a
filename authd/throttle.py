"""How long somebody who failed must wait before trying again. Whether a password is right is `identity.accounts`' work."""

from collections.abc import Callable
from datetime import datetime

from authd.config.settings import ThrottleSettings
from authd.sql.database import Database


class Throttle:
    """Counts failures in PostgreSQL, and admits no more attempts at a time than there are free ones left."""

    def __init__(
        self, db: Database, settings: ThrottleSettings, now: Callable[[], datetime], *, device_seconds: float
    ) -> None:
        raise NotImplementedError
