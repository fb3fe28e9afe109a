"""What tokens and userinfo say about a person. Signing is in `signing`; which scopes are given in `scopes`."""

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from authd.errors import InvalidInput
from authd.oauth.facts import ClaimRequest, Client, ClientIdentity, Grant, Subject, SubjectIdentity

# Each claim about a person, and the scope that gives it (OpenID Connect Core section 5.4, and our own two).
SCOPE_OF_CLAIM = MappingProxyType({
    "name": "profile", "preferred_username": "profile", "zoneinfo": "profile", "locale": "profile",
    "email": "email", "email_verified": "email",
    "groups": "groups", "permissions": "permissions",
})
SUPPORTED = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", *SCOPE_OF_CLAIM)
_MEMBERS = ("id_token", "userinfo")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The `claims` parameter (OpenID Connect Core section 5.5), as far as it is understood: the claims that were named, the
    `sub` that must be signed in, and the `acr` values of which one is essential.
    """

    named: ClaimRequest = field(default_factory=dict)
    subject: str | None = None
    essential_acr: frozenset[str] = frozenset()

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that cover what was named, for the consent."""
        return frozenset(SCOPE_OF_CLAIM[name] for names in self.named.values() for name in names)


def parse_wishes(text: str | None) -> Wishes:
    """Reads the `claims` parameter. Unknown members and claims are ignored (section 5.5); InvalidInput for broken JSON."""
    if text is None:
        return Wishes()
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("claims", "not JSON") from None
    if not isinstance(parsed, dict):
        raise InvalidInput("claims", "not a JSON object")
    named: dict[Any, tuple[str, ...]] = {}
    for member in _MEMBERS:
        asked = parsed.get(member)
        if asked is None:
            continue
        if not isinstance(asked, dict) or not all(value is None or isinstance(value, dict) for value in asked.values()):
            raise InvalidInput("claims", f"{member} is not an object of claims")
        if known := tuple(name for name in SCOPE_OF_CLAIM if name in asked):
            named[member] = known
    id_token = parsed.get("id_token") or {}
    subject = (id_token.get("sub") or {}).get("value")
    if subject is not None and not isinstance(subject, str):
        raise InvalidInput("claims", "the value of sub is not a string")
    return Wishes(named, subject, _essential_acr(id_token.get("acr") or {}))


def _essential_acr(wish: Mapping[str, Any]) -> frozenset[str]:
    if wish.get("essential") is not True:
        return frozenset()
    values = wish.get("values", [wish["value"]] if "value" in wish else [])
    if not isinstance(values, list):
        raise InvalidInput("claims", "the values of acr are not a list")
    return frozenset(value for value in values if isinstance(value, str))


def subject_identifier(client: ClientIdentity, subject: SubjectIdentity, pairwise_key: bytes) -> str:
    """`sub`: the account's uuid, or for a pairwise client what only clients of the same host see (section 8.1)."""
    if client.subject_type == "public":
        return str(subject.uuid)
    hosts = {urlsplit(uri).hostname or uri for uri in client.redirect_uris}
    sector = hosts.pop() if len(hosts) == 1 else client.client_id
    return _base64url(hmac.digest(pairwise_key, f"{sector}\0{subject.uuid}".encode(), "sha256"))


def personal(subject: Subject, scopes: Iterable[str], named: Iterable[str] = ()) -> dict[str, Any]:
    """The claims about a person that `scopes` give, and those that were named. What is not known is left out."""
    given = frozenset(scopes)
    wanted = frozenset(named)
    values: dict[str, Any] = {
        "name": subject.full_name, "preferred_username": subject.identifier,
        "zoneinfo": subject.time_zone, "locale": subject.language,
        "email": subject.email, "email_verified": True if subject.email else None,
        "groups": list(subject.groups), "permissions": sorted(subject.permissions),
    }
    return {name: value for name, value in values.items()
            if (SCOPE_OF_CLAIM[name] in given or name in wanted) and value not in (None, "")}


def id_token(client: Client, grant: Grant, subject: Subject, scopes: Iterable[str], *, issuer: str, sub: str,
             now: datetime, expires_at: datetime, at_hash: str, nonce: str | None) -> dict[str, Any]:
    """The claims of an id_token (OpenID Connect Core section 2)."""
    issued = {
        "iss": issuer, "sub": sub, "aud": client.client_id, "iat": int(now.timestamp()), "exp": int(expires_at.timestamp()),
        "auth_time": int(grant.auth_time.timestamp()), "acr": grant.acr, "amr": list(grant.amr), "at_hash": at_hash,
    }
    if grant.sid is not None:
        issued["sid"] = str(grant.sid)
    if nonce is not None:
        issued["nonce"] = nonce
    return {**personal(subject, scopes, grant.claims.get("id_token", ())), **issued}


def access_token(client: Client, grant: Grant | None, subject: Subject | None, scopes: Iterable[str], *, issuer: str,
                 sub: str, now: datetime, expires_at: datetime, jti: str) -> dict[str, Any]:
    """The claims of a JWT access token (RFC 9068 section 2.2); `aud` is the issuer, since no resource can be named yet."""
    issued: dict[str, Any] = {
        "iss": issuer, "sub": sub, "aud": issuer, "client_id": client.client_id,
        "iat": int(now.timestamp()), "exp": int(expires_at.timestamp()), "jti": jti,
    }
    if scope := " ".join(scopes):
        issued["scope"] = scope
    if grant is not None:
        issued |= {"auth_time": int(grant.auth_time.timestamp()), "acr": grant.acr, "amr": list(grant.amr)}
    if subject is not None:
        issued |= {name: value for name, value in personal(subject, scopes).items() if name in ("groups", "permissions")}
    return issued


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
