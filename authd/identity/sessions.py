"""Browser sessions and remembered devices. Cookies are the handlers' business, passwords are `accounts`'."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from authd.config.settings import SessionSettings
from authd.identity.facts import Login, NewSession, Session, SessionSummary
from authd.sql.database import Database


class Sessions:
    """Opens, finds and ends sessions. Tokens have 256 bits; the table holds their SHA-256 digests."""

    def __init__(self, db: Database, settings: SessionSettings, now: Callable[[], datetime]) -> None:
        raise NotImplementedError

    async def start(
        self, login: Login, amr: Sequence[str], remote_address: str | None, user_agent: str, *, acr: str = "1"
    ) -> NewSession:
        """A new session, always with a new token. `amr` are RFC 8176 names. The user agent is cut at 400 characters."""
        raise NotImplementedError

    async def find(self, token: str) -> Session | None:
        """The session of a cookie; None if it is unknown, over, idle for too long, or its account is inactive."""
        raise NotImplementedError

    async def end(self, session: Session) -> None:
        """Signs out."""

    async def end_all(self, account_uuid: UUID, except_: Session | None = None) -> tuple[UUID, ...]:
        """Ends every session of an account but one; the `sid` of each that ended."""
        raise NotImplementedError

    async def listing(self, account_uuid: UUID) -> list[SessionSummary]:
        """The account's sessions, the one last seen first."""
        raise NotImplementedError

    async def remember_device(self, account_uuid: UUID) -> str:
        """A token for the known-device cookie, valid for `remember_device` seconds after its last use."""
        raise NotImplementedError
