"""OAuth2 clients (and CAS services): the state, what options declare it, and the effects that bring it about. Pure."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from authd.errors import InvalidInput
from authd.identity.addresses import parse_domain
from authd.identity.crypt import encode
from authd.oauth.redirect_uris import check_origin, check_redirect_uri, check_web_uri
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, Adjustment, Secret, State, declared_only, given, managed, reported
from authd.provisioning.texts import plain_text

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", "password", DEVICE_CODE)
SECRET_METHODS = frozenset({"client_secret", "client_secret_basic", "client_secret_post"})
AUTH_METHODS = (*sorted(SECRET_METHODS), "none", "private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth")
ID_TOKEN_ALGORITHMS = ("RS256", "ES256", "EdDSA")
DEFAULT_OVERLAP = timedelta(days=1)

_CLIENT_ID = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class NewSecret(Secret):
    """A client secret. Those that the client has now go on working for `overlap`."""

    overlap: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class _SomeAuthMethod(Adjustment):
    """The method that a confidential client has already, or the usual one."""

    def applied_to(self, current: str) -> str:
        return "client_secret" if current == "none" else current


@dataclass(frozen=True, kw_only=True)
class Client(State):
    """A client. `domain` is the domain whose key signs its id_tokens; `secrets` counts those that have not expired.

    `secret` is only ever declared: the current state does not tell it.
    """

    kind: ClassVar[str] = "oauth2"

    name: str = UNSET
    client_id: str = managed(None, by_create=False)
    client_type: str = managed("confidential")
    auth_method: str = managed("client_secret")
    domain: str | None = managed(None)
    is_active: bool = managed(True, by_create=False)
    skip_authorization: bool = managed(False)
    pkce_required: bool = managed(True)
    always_refresh: bool = managed(False)
    access_token_format: str = managed("opaque")
    id_token_alg: str = managed("RS256")
    subject_type: str = managed("public")
    grant_types: frozenset[str] = managed(frozenset({"authorization_code", "refresh_token"}))
    redirect_uris: frozenset[str] = managed(frozenset())
    post_logout_redirect_uris: frozenset[str] = managed(frozenset())
    allowed_origins: frozenset[str] = managed(frozenset())
    cas_services: frozenset[str] = managed(frozenset())
    backchannel_logout_uri: str | None = managed(None)
    jwks: dict[str, Any] | None = managed(None)
    jwks_uri: str | None = managed(None)
    logo_uri: str | None = managed(None)
    required_permissions: frozenset[str] = managed(frozenset(), by_create=False)
    secret: NewSecret | None = declared_only()
    secrets: Any = reported()
    created_at: Any = reported()

    @property
    def uses_secret(self) -> bool:
        """Whether it proves who it is with a client secret."""
        return self.auth_method in SECRET_METHODS

    def check(self) -> None:
        public = self.client_type == "public"
        if public != (self.auth_method == "none"):
            raise InvalidInput("auth_method", "a public client has none, a confidential one needs one")
        if public and "client_credentials" in self.grant_types:
            raise InvalidInput("grant_type", "client_credentials is for confidential clients")
        if self.secret is not None and not self.uses_secret:
            raise InvalidInput("client_secret", f"a client with the method {self.auth_method} has none")
        if "authorization_code" in self.grant_types and not self.redirect_uris and not self.cas_services:
            raise InvalidInput("redirect_uri", "authorization_code needs at least one")
        if self.auth_method == "private_key_jwt" and self.jwks is None and self.jwks_uri is None:
            raise InvalidInput("jwks", "private_key_jwt needs the client's keys, as jwks or jwks_uri")
        for uri in self.redirect_uris:
            check_redirect_uri(uri, public=public)

    def effects(self, before: "Client | None") -> tuple[Effect, ...]:
        steps: list[Effect] = []
        row = {column: _as_column(getattr(self, column)) for column in _COLUMNS}
        if before is None:
            steps.append(InsertClient(client=self.client_id, **row))
        elif self.client_id != before.client_id or row != {
                column: _as_column(getattr(before, column)) for column in _COLUMNS}:
            steps.append(UpdateClient(client=self.client_id, current=before.client_id, **row))
        if self.secret is not None:
            if before is not None:
                steps.append(ExpireClientSecrets(self.client_id, self.secret.overlap))
            steps.append(AddClientSecret(self.client_id, self.secret, self.secret.generated))
        elif before is not None and before.uses_secret and not self.uses_secret:
            steps.append(ExpireClientSecrets(self.client_id, timedelta(0)))
        held = before.required_permissions if before is not None else frozenset()
        if self.required_permissions != held:
            steps += [RequirePermissions(self.client_id, tuple(sorted(self.required_permissions - held))),
                      DropPermissions(self.client_id, tuple(sorted(held - self.required_permissions)))]
        if before is not None and before.is_active and not self.is_active:
            steps.append(EndTokensOfClient(self.client_id))
        return tuple(steps)

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteClient(self.client_id),)


_COLUMNS = (
    "name", "client_type", "auth_method", "domain", "is_active", "skip_authorization", "pkce_required", "always_refresh",
    "access_token_format", "id_token_alg", "subject_type", "grant_types", "redirect_uris", "post_logout_redirect_uris",
    "allowed_origins", "cas_services", "backchannel_logout_uri", "jwks", "jwks_uri", "logo_uri")


def _as_column(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    return tuple(sorted(value)) if isinstance(value, frozenset) else value


def client_options(
    *,
    name: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    client_type: str | None = None,
    auth_method: str | None = None,
    grant_type: Iterable[str] | None = None,
    redirect_uri: Iterable[str] | None = None,
    post_logout_redirect_uri: Iterable[str] | None = None,
    allowed_origin: Iterable[str] | None = None,
    cas_service: Iterable[str] | None = None,
    backchannel_logout_uri: str | None = None,
    domain: str | None = None,
    skip_authorization: bool | None = None,
    skip_pkce: bool | None = None,
    always_refresh: bool | None = None,
    access_token: str | None = None,
    id_token_alg: str | None = None,
    subject_type: str | None = None,
    jwks: str | None = None,
    jwks_uri: str | None = None,
    logo_uri: str | None = None,
    active: bool | None = None,
    required_permission: Iterable[str] | None = None,
) -> Client:
    """The state that options declare; None leaves things as they are, an empty text takes a value away. `jwks` is the JSON
    of a JWK set. Hyphenated names of grant types are understood. Raises InvalidInput.
    """
    if client_id is not None and not _CLIENT_ID.fullmatch(client_id):
        raise InvalidInput("client_id", "is 1 to 255 visible ASCII characters")
    if client_secret is not None:
        if not client_secret:
            raise InvalidInput("client_secret", "is empty")
        encode(client_secret)
    if client_type is None and auth_method is not None:
        client_type = "public" if auth_method == "none" else "confidential"
    method: Any = given(auth_method)
    if auth_method is None and client_type is not None:
        method = "none" if client_type == "public" else _SomeAuthMethod()
    for field_name, value, known in (
            ("client_type", client_type, ("confidential", "public")), ("auth_method", auth_method, AUTH_METHODS),
            ("access_token", access_token, ("opaque", "jwt")), ("id_token_alg", id_token_alg, ID_TOKEN_ALGORITHMS),
            ("subject_type", subject_type, ("public", "pairwise"))):
        if value is not None and value not in known:
            raise InvalidInput(field_name, f"{value} is none of {', '.join(known)}")
    return Client(
        name=UNSET if name is None else plain_text("name", name),
        client_id=given(client_id), client_type=given(client_type), auth_method=method,
        domain=given(parse_domain(domain) if domain else domain, empty=None), is_active=given(active),
        skip_authorization=given(skip_authorization), pkce_required=UNSET if skip_pkce is None else not skip_pkce,
        always_refresh=given(always_refresh), access_token_format=given(access_token), id_token_alg=given(id_token_alg),
        subject_type=given(subject_type),
        grant_types=UNSET if grant_type is None else frozenset(_grant_type(text) for text in grant_type),
        redirect_uris=UNSET if redirect_uri is None else frozenset(redirect_uri),
        post_logout_redirect_uris=_checked("post_logout_redirect_uri", post_logout_redirect_uri, check_web_uri),
        allowed_origins=_checked("allowed_origin", allowed_origin, lambda _, origin: check_origin(origin)),
        cas_services=_checked("cas_service", cas_service, check_web_uri),
        backchannel_logout_uri=_web_uri("backchannel_logout_uri", backchannel_logout_uri),
        jwks=given(_key_set(jwks) if jwks else jwks, empty=None), jwks_uri=_web_uri("jwks_uri", jwks_uri),
        logo_uri=_web_uri("logo_uri", logo_uri),
        required_permissions=UNSET if required_permission is None else frozenset(required_permission),
        secret=UNSET if client_secret is None else NewSecret(client_secret))


def _grant_type(text: str) -> str:
    name = {"device_code": DEVICE_CODE, "device-code": DEVICE_CODE}.get(text, text.replace("-", "_"))
    name = text if text == DEVICE_CODE else name
    if name not in GRANT_TYPES:
        raise InvalidInput("grant_type", f"{text} is none of {', '.join(GRANT_TYPES)}")
    return name


def _checked(name: str, values: Iterable[str] | None, check: Callable[[str, str], None]) -> Any:
    if values is None:
        return UNSET
    for value in (listed := frozenset(values)):
        check(name, value)
    return listed


def _web_uri(name: str, uri: str | None) -> Any:
    if uri:
        check_web_uri(name, uri)
    return given(uri, empty=None)


def _key_set(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise InvalidInput("jwks", "is not JSON") from None
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) and "kty" in key for key in keys):
        raise InvalidInput("jwks", "is not a JWK set with at least one key")
    if any({"d", "k", "p", "q"} & set(key) for key in keys):
        raise InvalidInput("jwks", "holds a private key; register public keys only")
    return dict(document)


@dataclass(frozen=True, kw_only=True)
class InsertClient(Statement):
    client: str
    name: str
    client_type: str
    auth_method: str
    domain: str | None
    is_active: bool
    skip_authorization: bool
    pkce_required: bool
    always_refresh: bool
    access_token_format: str
    id_token_alg: str
    subject_type: str
    grant_types: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    cas_services: tuple[str, ...]
    backchannel_logout_uri: str | None
    jwks: str | None
    jwks_uri: str | None
    logo_uri: str | None


@dataclass(frozen=True, kw_only=True)
class UpdateClient(InsertClient):
    current: str


@dataclass(frozen=True)
class DeleteClient(Statement):
    client: str


@dataclass(frozen=True)
class AddClientSecret(Statement):
    client: str
    secret: Secret = field(repr=False)
    generated: bool


@dataclass(frozen=True)
class ExpireClientSecrets(Statement):
    """The secrets that the client has now end after `overlap`, or when they would have ended before that."""

    changes_one: ClassVar[bool] = False

    client: str
    overlap: timedelta


@dataclass(frozen=True)
class RequirePermissions(Statement):
    changes_one: ClassVar[bool] = False

    client: str
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class DropPermissions(RequirePermissions):
    pass


@dataclass(frozen=True)
class EndTokensOfClient(Statement):
    """What it was given is good no more, also should it become active again."""

    changes_one: ClassVar[bool] = False

    client: str
