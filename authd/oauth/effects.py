"""What a decision wants written, as data. `authd.sql.oauth.apply` writes it.

Each effect is one conditional statement there: it either finds what the decision was based on unchanged, or nothing of the
decision is written.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authd.audit import Entry
from authd.oauth.facts import ClaimRequest


class LostRace(Exception):
    """What a decision was based on has changed before its effects were written: nothing was, and it has to be made anew."""


@dataclass(frozen=True, slots=True)
class NewAccessToken:
    """An access token to be. Without a grant the client acts for itself."""

    digest: bytes
    client: int
    grant: UUID | None
    account: UUID | None
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewRefreshToken:
    """A refresh token to be."""

    digest: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenGrant:
    """Somebody authorized a client: a grant and the code that leads to it."""

    id: UUID
    client: int
    account: UUID
    service_user: int | None
    session: int
    sid: UUID
    scopes: tuple[str, ...]
    claims: ClaimRequest
    auth_time: datetime
    acr: str
    amr: tuple[str, ...]
    nonce: str | None
    code_digest: bytes
    redirect_uri: str
    redirect_uri_given: bool
    code_challenge: str | None
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RedeemCode:
    """A code becomes tokens, if nobody redeemed it and the grant was not revoked."""

    code_digest: bytes
    access_token: NewAccessToken
    refresh_token: NewRefreshToken | None


@dataclass(frozen=True, slots=True)
class RotateRefreshToken:
    """A refresh token gives way to its successor, if nobody rotated it and the grant was not revoked."""

    digest: bytes
    successor: NewRefreshToken
    successor_sealed: bytes
    access_token: NewAccessToken


@dataclass(frozen=True, slots=True)
class IssueAccessToken:
    """One more access token, if its grant (where it has one) was not revoked."""

    access_token: NewAccessToken


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    """Ends a grant with every token of it, if nobody did."""

    grant: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class RevokeAccessToken:
    """Ends one access token, if nobody did."""

    digest: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class RememberConsent:
    """The account allowed these scopes; they join those it allowed this client before."""

    account: UUID
    client: int
    scopes: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """An audit entry."""

    entry: Entry


Effect = (OpenGrant | RedeemCode | RotateRefreshToken | IssueAccessToken | RevokeGrant | RevokeAccessToken | RememberConsent
          | Record)
