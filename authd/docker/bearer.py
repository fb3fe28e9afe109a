"""The signed token that a registry reads: its claims, its header, and reading one of our own. Pure.

Source: distribution, token authentication specification (jwt); which header which version accepts is in docs/how-to.
"""

import hashlib
from base64 import b32encode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt

from authd.docker.facts import Granted, Registry
from authd.keys.facts import SigningKey

_LIBTRUST_BYTES = 30
_LIBTRUST_GROUP = 4


@dataclass(frozen=True, slots=True)
class Signer:
    """A registry's key, and the certificate (DER) by which the registry knows it."""

    key: SigningKey
    certificate: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """Who a token is from and for, and how long: whole seconds, since 2.x reads no fractions."""

    issuer: str
    subject: str
    issued_at: datetime
    life: timedelta
    id: str


def sign(registry: Registry, signer: Signer, terms: Terms, access: Iterable[Granted]) -> str:
    """The token in compact form. `aud` is one string: 2.x reads no list."""
    issued = int(terms.issued_at.timestamp())
    claims = {
        "iss": terms.issuer, "sub": terms.subject, "aud": registry.service, "exp": issued + int(terms.life.total_seconds()),
        "nbf": issued, "iat": issued, "jti": terms.id, "access": [granted.claim for granted in access]}
    return jwt.encode(claims, signer.key.private_key, signer.key.jws_algorithm, headers=_header(registry, signer))


def is_valid(token: str, registry: Registry, signer: Signer, issuer: str, now: datetime) -> bool:
    """Whether we signed a token for this registry, and it counts now."""
    try:
        claims = jwt.decode(
            token, signer.key.public_key, algorithms=[signer.key.jws_algorithm], issuer=issuer, audience=registry.service,
            options={"require": ["exp", "nbf", "iss", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False})
        return bool(claims["nbf"] <= now.timestamp() < claims["exp"])
    except (jwt.PyJWTError, TypeError):
        return False


def libtrust_kid(public_der: bytes) -> str:
    """The key id of registries before 3.0: from the SHA-256 of the public key (SPKI DER)."""
    text = b32encode(hashlib.sha256(public_der).digest()[:_LIBTRUST_BYTES]).decode("ascii")
    return ":".join(text[i:i + _LIBTRUST_GROUP] for i in range(0, len(text), _LIBTRUST_GROUP))


def _header(registry: Registry, signer: Signer) -> dict[str, Any]:
    match registry.token_header:
        case "libtrust-kid":
            return {"kid": libtrust_kid(signer.key.public_der)}
        case "rfc7638-kid":
            return {"kid": signer.key.kid}
        case "x5c":
            return {"kid": signer.key.kid, "x5c": [b64encode(signer.certificate).decode("ascii")]}
