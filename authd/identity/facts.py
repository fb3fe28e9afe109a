"""What the database says about accounts, as plain data. No rules and no I/O belong here."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

Purpose = Literal["web", "checkpassword", "docker", "password_grant"]


@dataclass(frozen=True, slots=True)
class Account:
    """A row of `account`. `password_hash` is a crypt(3) string, or None for an account without a password."""

    uuid: UUID
    identifier: str
    full_name: str
    primary_address: str | None
    is_admin: bool
    is_active: bool
    service_users_only: bool
    password_hash: str | None = field(repr=False)
    password_changed_at: datetime | None
    created_at: datetime
    last_login_at: datetime | None
    time_zone: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """A row of `service_user`. `permissions` are what it is limited to, and mean nothing unless `limited`."""

    id: int
    username: str
    password_hash: str = field(repr=False)
    generated: bool
    limited: bool
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Login:
    """What a login name leads to. `held` are the identifiers of all permissions of the account."""

    account: Account
    service_user: ServiceUser | None
    held: frozenset[str]

    @property
    def permissions(self) -> frozenset[str]:
        """What this login may use: the account's permissions, within those of a limited service user."""
        if self.service_user is not None and self.service_user.limited:
            return self.held & self.service_user.permissions
        return self.held

    @property
    def password_hash(self) -> str | None:
        """The hash that the password of this login must match."""
        return self.account.password_hash if self.service_user is None else self.service_user.password_hash


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """Somebody claims to be `username`.

    `permission` is what the password is asked for (`imap`, `docker`, …; None: nothing in particular).
    `remote_address` is the client's, after trusted proxies. `device_token` is the known-device cookie.
    """

    username: str
    password: str = field(repr=False)
    remote_address: str
    purpose: Purpose
    permission: str | None = None
    device_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LoginName:
    """A login name in the form it is looked up in: an address of ours, or (without `domain`) the name of a
    service user or of an admin.
    """

    local_part: str
    domain: str | None

    @property
    def canonical(self) -> str:
        """One string for all spellings of the same name."""
        return self.local_part if self.domain is None else f"{self.local_part}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's session with the account it belongs to. `sid` is what OpenID Connect clients see."""

    id: int
    sid: UUID
    account: Account
    service_user_id: int | None
    amr: tuple[str, ...]
    acr: str
    authenticated_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that just began; `token` goes into the cookie and exists nowhere else."""

    token: str = field(repr=False)
    session: Session


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """A session as its owner sees it in a list."""

    id: int
    sid: UUID
    service_user: str | None
    created_at: datetime
    last_seen_at: datetime
    remote_address: str | None
    user_agent: str
