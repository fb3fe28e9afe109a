"""Browser sessions and remembered devices. Cookies are the handlers' business, passwords are `accounts`'."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from authd.config.settings import SessionSettings
from authd.identity.addresses import client_address
from authd.identity.facts import Login, NewSession, Session, SessionSummary
from authd.identity.tokens import new_token, token_digest
from authd.sql import sessions as sql
from authd.sql import throttle
from authd.sql.database import Database

_USER_AGENT_LENGTH = 400
_NOTED_EVERY = timedelta(minutes=5)


class Sessions:
    """Opens, finds and ends sessions. When one was last seen is noted every 5 minutes, so `idle` is 10 minutes at least."""

    def __init__(self, db: Database, settings: SessionSettings, now: Callable[[], datetime]) -> None:
        self._db = db
        self._lifetime = timedelta(seconds=settings.lifetime)
        self._idle = max(timedelta(seconds=settings.idle), 2 * _NOTED_EVERY)
        self._now = now

    async def start(
        self, login: Login, amr: Sequence[str], remote_address: str | None, user_agent: str, *, acr: str = "1"
    ) -> NewSession:
        """A new session, always with a new token. `amr` are RFC 8176 names. The user agent is cut at 400 characters.

        A session that a service user opened carries its id. ForeignKeyViolation where the account has just gone.
        """
        token = new_token()
        now = self._now()
        expires_at = now + self._lifetime
        service_user_id = None if login.service_user is None else login.service_user.id
        session_id, sid = await sql.start(
            self._db, token_digest=token_digest(token), account_uuid=login.account.uuid, service_user_id=service_user_id,
            amr=amr, acr=acr, now=now, expires_at=expires_at, remote_address=client_address(remote_address),
            user_agent="".join(filter(str.isprintable, user_agent))[:_USER_AGENT_LENGTH])
        return NewSession(token, Session(
            session_id, sid, login.account, service_user_id, tuple(amr), acr, now, expires_at))

    async def find(self, token: str) -> Session | None:
        """The session of a cookie; None if it is unknown, over, idle for too long, or its account is inactive."""
        now = self._now()
        found = await sql.find(self._db, token_digest(token), now=now, idle_since=now - self._idle)
        if found is None:
            return None
        if found.last_seen_at < now - _NOTED_EVERY:
            await sql.touch(self._db, found.session.id, now=now, stale=now - _NOTED_EVERY)
        return found.session

    async def end(self, session: Session) -> None:
        """Signs out."""
        await sql.end(self._db, session.id)

    async def end_all(self, account_uuid: UUID, except_: Session | None = None) -> tuple[UUID, ...]:
        """Ends every session of an account but one; the `sid` of each that ended."""
        return await sql.end_all(self._db, account_uuid, None if except_ is None else except_.id)

    async def listing(self, account_uuid: UUID) -> list[SessionSummary]:
        """The account's sessions, the one last seen first."""
        now = self._now()
        return await sql.listing(self._db, account_uuid, now=now, idle_since=now - self._idle)

    async def remember_device(self, account_uuid: UUID) -> str:
        """A token for the known-device cookie, valid for `remember_device` seconds after its last use."""
        token = new_token()
        await throttle.remember_device(self._db, token_digest(token), account_uuid, self._now())
        return token
