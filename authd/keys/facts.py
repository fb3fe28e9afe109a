"""What the other rooms see of signing keys: frozen dataclasses and the names of algorithms.

No I/O, no SQL, no rules about which key signs (rules.py) and no encodings (jwk.py, certificate.py, dkim_record.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
Purpose = Literal["jwt", "dkim"]
JwsAlgorithm = Literal["RS256", "ES256", "EdDSA"]
DkimAlgorithm = Literal["rsa-sha256", "ed25519-sha256"]

JWT_ALGORITHMS = ("RSA-2048", "RSA-3072", "RSA-4096", "ES256", "EdDSA")
DKIM_ALGORITHMS = ("RSA-2048", "RSA-3072", "RSA-4096", "Ed25519")
DEFAULT_ALGORITHM = "RSA-2048"

# The stored algorithm of a jwt key -> the `alg` of what it signs (RFC 7518, RFC 8037).
JWS_ALGORITHM: MappingProxyType[str, JwsAlgorithm] = MappingProxyType({
    "RSA-2048": "RS256", "RSA-3072": "RS256", "RSA-4096": "RS256", "ES256": "ES256", "EdDSA": "EdDSA"})


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SigningKey:
    """A JWT key, parsed and ready to sign. `domain` is the auth domain it belongs to, None for the issuer's own."""

    id: int
    kid: str
    algorithm: str
    domain: str | None
    private_key: PrivateKey = field(repr=False)
    public_key: PublicKey = field(repr=False)
    public_der: bytes = field(repr=False)

    @property
    def jws_algorithm(self) -> JwsAlgorithm:
        """The `alg` header of its signatures."""
        return JWS_ALGORITHM[self.algorithm]


@dataclass(frozen=True, slots=True)
class PublicJwk:
    """A published public key: `jwk` is the object that stands in the JWK set (RFC 7517), `kid`, `use` and `alg` in it."""

    kid: str
    jwk: dict[str, Any]
    public_key: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """Every published JWT key by kid, and the JWK set as it is sent: `body` is JSON, `etag` a quoted strong validator."""

    keys: Mapping[str, PublicJwk]
    body: bytes = field(repr=False)
    etag: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class DkimKey:
    """One DKIM key, parsed. `algorithm` is what stands in the signature's a= tag."""

    selector: str
    algorithm: DkimAlgorithm
    private_key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class DkimKeys:
    """Every key that signs for a domain, RSA first, Ed25519 second. `domain` is the d= tag: the domain itself or a parent."""

    domain: str
    keys: tuple[DkimKey, ...]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of signing_key. The private key is sealed by cipher.py; the public key is SPKI DER, the certificate DER."""

    id: int
    purpose: Purpose
    algorithm: str
    selector: str | None
    kid: str | None
    private_key: bytes = field(repr=False)
    cipher_key: str | None
    public_key: bytes = field(repr=False)
    certificate: bytes | None = field(repr=False)
    active_from: datetime
    retired_at: datetime | None
    published_until: datetime | None


@dataclass(frozen=True, slots=True)
class StoredDomain:
    """A domain and its keys of one purpose. `for_subdomains`: these keys may sign for its sub-domains."""

    name: str
    for_subdomains: bool
    keys: tuple[StoredKey, ...]


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """The public half of a JWT key that is published, and the moments at which that may change."""

    kid: str
    algorithm: str
    public_key: bytes = field(repr=False)
    active_from: datetime
    retired_at: datetime | None
    published_until: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key made or imported, sealed and ready to be inserted. `selector` is set for dkim, `kid` for jwt."""

    purpose: Purpose
    algorithm: str
    selector: str | None
    kid: str | None
    private_key: bytes = field(repr=False)
    cipher_key: str | None
    public_key: bytes = field(repr=False)
