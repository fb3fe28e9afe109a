"""Facts for the tests of OAuth decisions: one client, one person, one moment, each changed where a test needs it."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authd.config.settings import OauthSettings
from authd.keys.facts import JWT_ALGORITHMS, SigningKey
from authd.oauth import tokens
from authd.oauth.facts import (
    AccessToken,
    AuthorizationFacts,
    Client,
    Code,
    Grant,
    InspectionFacts,
    PresentedToken,
    RefreshToken,
    SignedIn,
    Subject,
    TokenFacts,
)
from authd.oauth.issuing import Issuer, Lifetimes
from authd.oauth.parameters import parse
from authd.oauth.validator import ClientRequest
from tests.fixtures.oauth import CHALLENGE, ISSUER, VERIFIER

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
CALLBACK = "https://app.example.com/callback"
CODE, REFRESH, ACCESS = "the-code", "the-refresh-token", "the-access-token"
ALICE = UUID("8d9a4d0e-52a5-4e2a-9d3c-0d2a8f9b8a11")
GRANT = UUID("11111111-2222-4333-8444-555555555555")
SID = UUID("99999999-2222-4333-8444-555555555555")

CLIENT = Client(
    id=7, client_id="app", name="The application", client_type="confidential", auth_method="client_secret", domain=None,
    is_active=True, skip_authorization=False, pkce_required=True, always_refresh=False, access_token_format="opaque",
    id_token_alg="RS256", subject_type="public",
    grant_types=frozenset({"authorization_code", "refresh_token", "client_credentials"}), redirect_uris=(CALLBACK,),
    allowed_origins=(), logo_uri=None, required_permissions=frozenset(), secret_hashes=("$6$hash",))
PUBLIC = dataclasses.replace(
    CLIENT, id=8, client_id="native", client_type="public", auth_method="none", secret_hashes=(),
    grant_types=frozenset({"authorization_code", "refresh_token"}), redirect_uris=("http://127.0.0.1/cb",))
SUBJECT = Subject(
    uuid=ALICE, identifier="alice", full_name="Alice Example", email="alice@example.com", is_active=True, limited=False,
    permissions=frozenset({"wiki", "imap"}), groups=("staff",), time_zone=None, language="en")
OPEN_GRANT = Grant(
    id=GRANT, client=CLIENT.id, scopes=("openid", "email", "wiki", "offline_access"), claims={}, sid=SID,
    auth_time=NOW - timedelta(minutes=5), acr="1", amr=("pwd",), nonce="n-0", revoked=False)
OPEN_CODE = Code(
    digest=tokens.digest(CODE), redirect_uri=CALLBACK, redirect_uri_given=True, code_challenge=CHALLENGE,
    expires_at=NOW + timedelta(seconds=50), redeemed=False, session_alive=True)
OPEN_REFRESH = RefreshToken(
    digest=tokens.digest(REFRESH), expires_at=NOW + timedelta(days=30), rotated_at=None, successor_sealed=None)
OPEN_ACCESS = AccessToken(
    digest=tokens.digest(ACCESS), scopes=("openid", "email", "wiki"), issued_at=NOW - timedelta(minutes=1),
    expires_at=NOW + timedelta(minutes=59), revoked=False)
SESSION = SignedIn(
    id=3, sid=SID, service_user_id=None, authenticated_at=NOW - timedelta(minutes=5), acr="1", amr=("pwd",))


def numbered(prefix: str = "token") -> Callable[[], str]:
    """A source of tokens that are told apart: token-1, token-2, …"""
    numbers: Iterator[int] = count(1)
    return lambda: f"{prefix}-{next(numbers)}"


def issuer(name: str = ISSUER) -> Issuer:
    return Issuer(name, Lifetimes.of(OauthSettings()), b"pairwise", numbered(), lambda: GRANT)


@cache
def signing_key(algorithm: str) -> SigningKey:
    """A key of one of the stored algorithms."""
    assert algorithm in JWT_ALGORITHMS
    private: Any = {
        "RSA-2048": lambda: rsa.generate_private_key(65537, 2048), "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate}[algorithm]()
    return SigningKey(1, f"kid-{algorithm}", algorithm, None, private, private.public_key(), b"")


def request(**parameters: str) -> ClientRequest:
    return ClientRequest(parse(urlencode(parameters)), "192.0.2.1")


def code_request(**changes: str | None) -> ClientRequest:
    """A code exchange that is in order, but for `changes` (None: left out)."""
    wanted: dict[str, str | None] = {
        "grant_type": "authorization_code", "code": CODE, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **changes}
    return request(**{name: value for name, value in wanted.items() if value is not None})


def refresh_request(**changes: str) -> ClientRequest:
    return request(**{"grant_type": "refresh_token", "refresh_token": REFRESH, **changes})


def code_facts(**changes: Any) -> TokenFacts:
    return dataclasses.replace(TokenFacts(
        client=CLIENT, proven=True, code=OPEN_CODE, grant=OPEN_GRANT, subject=SUBJECT, key=signing_key("RSA-2048")), **changes)


def refresh_facts(**changes: Any) -> TokenFacts:
    return dataclasses.replace(code_facts(code=None, refresh_token=OPEN_REFRESH), **changes)


def inspection_facts(client: Client | None = CLIENT, proven: bool = True, **changes: Any) -> InspectionFacts:
    presented = dataclasses.replace(
        PresentedToken(owner=CLIENT, access_token=OPEN_ACCESS, grant=OPEN_GRANT, subject=SUBJECT), **changes)
    return InspectionFacts(client, presented, proven)


def authorization_facts(**changes: Any) -> AuthorizationFacts:
    return dataclasses.replace(AuthorizationFacts(client=CLIENT, session=SESSION, subject=SUBJECT), **changes)
