"""What is known when an OAuth request is decided: rows of the database and the outcome of slow proofs, as plain data.

No rules and no I/O belong here. A fact about a token says what is stored; whether it is still good is decided elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from authd.keys.facts import JwsAlgorithm, SigningKey

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]
ClaimRequest = Mapping[Literal["id_token", "userinfo"], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """What a token needs to know of the client it was given to. `id` is the row, `client_id` its name in the protocol."""

    id: int
    client_id: str
    is_active: bool
    subject_type: Literal["public", "pairwise"]
    redirect_uris: tuple[str, ...]
    allowed_origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client(ClientIdentity):
    """A row of `client` with what belongs to it.

    `secret_hashes` are those that have not expired; `required_permissions` are identifiers.
    """

    name: str
    client_type: Literal["confidential", "public"]
    auth_method: str
    domain: str | None
    skip_authorization: bool
    pkce_required: bool
    always_refresh: bool
    access_token_format: Literal["opaque", "jwt"]
    id_token_alg: JwsAlgorithm
    grant_types: frozenset[str]
    logo_uri: str | None
    required_permissions: frozenset[str]
    secret_hashes: tuple[str, ...] = field(repr=False)

    @property
    def is_public(self) -> bool:
        return self.client_type == "public"

    @property
    def has_jwt_access_tokens(self) -> bool:
        return self.access_token_format == "jwt"  # noqa: S105


@dataclass(frozen=True, slots=True)
class SubjectIdentity:
    """The account that a token speaks for."""

    uuid: UUID
    identifier: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Subject(SubjectIdentity):
    """The account that a request is about, as claims and rights need it.

    `permissions` are the identifiers it holds, within those of the service user that it acts through; `limited` says that
    this service user is limited to named permissions.
    """

    full_name: str
    email: str | None
    limited: bool
    permissions: frozenset[str]
    groups: tuple[str, ...]
    time_zone: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What one authorization gave: every token of it lives and ends with it."""

    id: UUID
    client: int
    scopes: tuple[str, ...]
    claims: ClaimRequest
    sid: UUID | None
    auth_time: datetime
    acr: str
    amr: tuple[str, ...]
    nonce: str | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code. `session_alive`: the browser session in which it was given has not ended."""

    digest: bytes
    redirect_uri: str
    redirect_uri_given: bool
    code_challenge: str | None
    expires_at: datetime
    redeemed: bool
    session_alive: bool


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token. A rotated one keeps its successor, sealed under a key that only the token itself yields."""

    digest: bytes
    expires_at: datetime
    rotated_at: datetime | None
    successor_sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token."""

    digest: bytes
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    revoked: bool


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """For the token endpoint. `proven` says that the request authenticated as `client`; `key` signs, where one is needed."""

    client: Client | None
    proven: bool = False
    code: Code | None = None
    refresh_token: RefreshToken | None = None
    grant: Grant | None = None
    subject: Subject | None = None
    key: SigningKey | None = None


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token that somebody shows, of either kind, with everything that decides whether it is good.

    `owner` is the client it was given to; None says that there is no such token. Without a subject, the client was given
    it for itself.
    """

    owner: ClientIdentity | None = None
    access_token: AccessToken | None = None
    refresh_token: RefreshToken | None = None
    grant: Grant | None = None
    subject: SubjectIdentity | None = None


@dataclass(frozen=True, slots=True)
class InspectionFacts:
    """For introspection and revocation: who asks, and about what."""

    client: Client | None
    presented: PresentedToken
    proven: bool = False


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The browser session that an authorization request comes from."""

    id: int
    sid: UUID
    service_user_id: int | None
    authenticated_at: datetime
    acr: str
    amr: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdTokenHint:
    """What an id_token_hint said once its signature was verified."""

    audience: tuple[str, ...]
    subject: str


@dataclass(frozen=True, slots=True)
class AuthorizationFacts:
    """For the authorization endpoint.

    `consented` are the scopes that the account allowed this client before, `titles` what the held permissions are called.
    `hint` is None without an id_token_hint, and "invalid" where its signature or issuer is wrong.
    """

    client: Client | None
    session: SignedIn | None = None
    subject: Subject | None = None
    consented: frozenset[str] = frozenset()
    known_client: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)
    hint: IdTokenHint | Literal["invalid"] | None = None
