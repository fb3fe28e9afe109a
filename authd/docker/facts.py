"""What the database says about registries and who may use them, as plain data. No rules and no I/O belong here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

TokenHeader = Literal["x5c", "rfc7638-kid", "libtrust-kid"]
TOKEN_HEADERS: tuple[TokenHeader, ...] = get_args(TokenHeader)


@dataclass(frozen=True, slots=True)
class Registry:
    """A row of docker_registry. `service` is what clients and the registry's configuration call it, `domain` the domain
    whose key signs its tokens.
    """

    id: int
    service: str
    name: str
    domain: str
    token_header: TokenHeader


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody may do with the repositories of a pattern (None: with all, and with the list of them)."""

    pattern: str | None
    actions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of whoever asks, anonymous ones included. `patterns` and `repositories` are what is configured in the
    registry for anybody: patterns of rights (None: all repositories), and rows of those that are asked for.
    """

    held: tuple[Right, ...] = ()
    patterns: frozenset[str | None] = frozenset()
    repositories: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose token it will be. `is_admin` is false for a service user of an admin."""

    account: UUID
    name: str
    is_admin: bool
    service_user: int | None = None


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A row of docker_refresh_token with what it depends on. `may_docker`: the service user it was made with, if any, is
    not limited or may use registries.
    """

    id: int
    registry: int
    asker: Asker
    account_is_active: bool
    service_users_only: bool
    has_mailbox: bool
    may_docker: bool
    password_is_the_same: bool
    last_used_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one request for a token can need; `registry` is None where there is no such service."""

    registry: Registry | None
    rights: Rights
    refresh_token: RefreshToken | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """Actions on one resource that a token allows, as its claim `access` tells it."""

    type: str
    class_: str
    name: str
    actions: tuple[str, ...]

    @property
    def claim(self) -> Mapping[str, object]:
        kind = {"class": self.class_} if self.class_ else {}
        return {"type": self.type, **kind, "name": self.name, "actions": list(self.actions)}


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token as it is sent; `expires_in` in seconds, `refresh_token` where one is due."""

    token: str = field(repr=False)
    expires_in: int
    issued_at: datetime
    scope: str
    refresh_token: str | None = field(default=None, repr=False)
