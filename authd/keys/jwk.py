"""Public keys as JSON Web Keys (RFC 7517, 7518, 8037) and their thumbprints (RFC 7638). Public halves only."""

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authd.keys.facts import JwsAlgorithm, PublicKey

EC_COORDINATE_BYTES = 32  # P-256, the only curve that ES256 knows


def thumbprint(public_key: PublicKey) -> str:
    """The SHA-256 thumbprint, base64url without padding (RFC 7638 section 3): our `kid`."""
    members = json.dumps(_required_members(public_key), sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(members.encode()).digest())


def to_jwk(public_key: PublicKey, kid: str, alg: JwsAlgorithm) -> dict[str, Any]:
    """The key as a member of a JWK set: for signatures of that `alg`, found by `kid`."""
    return {**_required_members(public_key), "use": "sig", "alg": alg, "kid": kid}


def base64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _required_members(public_key: PublicKey) -> dict[str, str]:
    """What the thumbprint is made of (RFC 7638 section 3.2, RFC 8037 appendix A.3)."""
    if isinstance(public_key, RSAPublicKey):
        numbers = public_key.public_numbers()
        return {"kty": "RSA", "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}
    if isinstance(public_key, EllipticCurvePublicKey):
        point = public_key.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": base64url(point.x.to_bytes(EC_COORDINATE_BYTES, "big")),
                "y": base64url(point.y.to_bytes(EC_COORDINATE_BYTES, "big"))}
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public_key.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def _unsigned(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
