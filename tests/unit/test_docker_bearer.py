"""Tokens as registries read them. The rules of distribution 2.8 and 3.x are written down here as their sources have them
(registry/auth/token); the real 2.8 is in tests/peers.
"""

import hashlib
import json
from base64 import b32encode, b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authd.docker import bearer
from authd.docker.bearer import Signer, Terms
from authd.docker.facts import TOKEN_HEADERS, Granted, Registry, TokenHeader
from authd.keys.certificate import self_signed
from authd.keys.facts import PrivateKey, SigningKey
from authd.keys.generate import public_der
from authd.keys.jwk import thumbprint

NOW = datetime(2026, 11, 24, 12, 0, 0, 654321, tzinfo=UTC)
LEEWAY = 60  # seconds
REGISTRY = Registry(1, "registry.example.com:5000", "Registry", "example.com", "x5c")
ISSUER = "auth.example.com"
TERMS = Terms(ISSUER, "7a1c", NOW, timedelta(seconds=300), "id")
ACCESS = [Granted("repository", "", "team/app", ("pull", "push")), Granted("repository", "plugin", "p", ())]

# The base point of P-256 (SEC 2, section 2.4.2): 3.x takes it for the key's own when it computes the id of an EC key.
BASE_POINT = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
              0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def signer_of(private: PrivateKey, algorithm: str) -> Signer:
    public = private.public_key()
    key = SigningKey(1, thumbprint(public), algorithm, "example.com", private, public, public_der(public))
    return Signer(key, self_signed(private, REGISTRY.service, NOW, 3652, ca=True))


RSA = signer_of(rsa.generate_private_key(65537, 2048), "RSA-2048")
EC = signer_of(ec.generate_private_key(ec.SECP256R1()), "ES256")


@dataclass(frozen=True)
class Bundle:
    """A registry's rootcertbundle with one certificate, and the clock beside it."""

    certificate: bytes
    now: datetime = NOW

    @property
    def public_key(self) -> Any:
        return x509.load_der_x509_certificate(self.certificate).public_key()


def accepted_by_2(token: str, bundle: Bundle) -> bool:
    """2.8: x5c before kid; the kid is libtrust's; the audience is a string and times are integers."""
    header, claims = parts(token)
    known = chains(header, bundle) if "x5c" in header else header.get("kid") == libtrust_id(bundle.public_key)
    integers = all(type(claims[name]) is int for name in ("exp", "nbf", "iat"))
    return known and integers and isinstance(claims["aud"], str) and holds(token, claims, bundle)


def accepted_by_3(token: str, bundle: Bundle) -> bool:
    """3.x: x5c before kid; the kid is the JWK thumbprint."""
    header, claims = parts(token)
    known = chains(header, bundle) if "x5c" in header else header.get("kid") == thumbprint_of_3(bundle.public_key)
    return known and holds(token, claims, bundle)


def accepted_by_3_alpha(token: str, bundle: Bundle) -> bool:
    """Builds on the way to 3.0 look at kid first, whatever else is there."""
    header, claims = parts(token)
    return header.get("kid") == thumbprint_of_3(bundle.public_key) and holds(token, claims, bundle)


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def chains(header: dict[str, Any], bundle: Bundle) -> bool:
    """Whether the first certificate is the bundle's own, and counts now."""
    [sent] = header["x5c"]
    certificate = x509.load_der_x509_certificate(b64decode(sent, validate=True))
    return (b64decode(sent) == bundle.certificate
            and certificate.not_valid_before_utc <= bundle.now <= certificate.not_valid_after_utc)


def holds(token: str, claims: dict[str, Any], bundle: Bundle) -> bool:
    """Signature, issuer, audience and times."""
    try:
        jwt.decode(token, bundle.public_key, ["RS256", "ES256"], options={"verify_aud": False, "verify_exp": False,
                                                                         "verify_nbf": False, "verify_iat": False})
    except jwt.InvalidTokenError:
        return False
    seconds = bundle.now.timestamp()
    in_time: bool = claims["nbf"] - LEEWAY <= seconds <= claims["exp"] + LEEWAY
    return in_time and (claims["iss"], claims["aud"]) == (ISSUER, REGISTRY.service)


def libtrust_id(public_key: Any) -> str:
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at:at + 4] for at in range(0, 48, 4))


def thumbprint_of_3(public_key: Any) -> str:
    """As 3.x computes it: right for RSA."""
    def number(value: int) -> str:
        return urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()

    if isinstance(public_key, rsa.RSAPublicKey):
        numbers = public_key.public_numbers()
        members = f'{{"e":"{number(numbers.e)}","kty":"RSA","n":"{number(numbers.n)}"}}'
    else:
        x, y = BASE_POINT
        members = f'{{"crv":"P-256","kty":"EC","x":"{number(x)}","y":"{number(y)}"}}'
    return urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def signed(header: TokenHeader, signer: Signer, terms: Terms = TERMS) -> str:
    return bearer.sign(replace(REGISTRY, token_header=header), signer, terms, ACCESS)


@pytest.mark.parametrize(("header", "signer", "by_2", "by_3"), [
    ("x5c", RSA, True, True), ("x5c", EC, True, True), ("libtrust-kid", RSA, True, False), ("libtrust-kid", EC, True, False),
    ("rfc7638-kid", RSA, False, True), ("rfc7638-kid", EC, False, False)])
def test_which_header_which_version_accepts(header: TokenHeader, signer: Signer, by_2: bool, by_3: bool) -> None:
    token, bundle = signed(header, signer), Bundle(signer.certificate)
    assert (accepted_by_2(token, bundle), accepted_by_3(token, bundle)) == (by_2, by_3)


def test_x5c_comes_with_the_kid_that_builds_before_3_0_look_at_first() -> None:
    assert accepted_by_3_alpha(signed("x5c", RSA), Bundle(RSA.certificate))


def test_a_bundle_with_another_certificate_or_an_old_one() -> None:
    """Why the certificate is made once and for ten years; what is imported stays with its kid."""
    other = Bundle(self_signed(RSA.key.private_key, REGISTRY.service, NOW, 3652, ca=True))
    late = Bundle(RSA.certificate, NOW + timedelta(days=3653))
    for accepts in (accepted_by_2, accepted_by_3):
        assert not accepts(signed("x5c", RSA), other)
        assert not accepts(signed("x5c", RSA, replace(TERMS, issued_at=late.now)), late)
    assert accepted_by_3(signed("rfc7638-kid", RSA), other)
    assert accepted_by_2(signed("libtrust-kid", RSA), other)


def test_times_are_whole_and_hold_with_a_leeway() -> None:
    token = signed("x5c", RSA)
    assert parts(token)[1]["exp"] - parts(token)[1]["iat"] == 300
    for seconds, expected in ((-61.7, False), (-59, True), (359, True), (361, False)):
        bundle = Bundle(RSA.certificate, NOW + timedelta(seconds=seconds))
        assert accepted_by_2(token, bundle) is accepted_by_3(token, bundle) is expected, seconds


def test_the_claims() -> None:
    claims = parts(signed("x5c", RSA))[1]
    assert claims["access"] == [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]},
                                {"type": "repository", "class": "plugin", "name": "p", "actions": []}]
    assert (claims["iss"], claims["sub"], claims["aud"], claims["jti"]) == (ISSUER, "7a1c", REGISTRY.service, "id")
    assert json.dumps(claims["aud"]) == '"registry.example.com:5000"'


@pytest.mark.parametrize("header", get_args(TokenHeader))
def test_our_own_host_knows_its_tokens_whatever_the_header(header: TokenHeader) -> None:
    assert header in TOKEN_HEADERS
    token = signed(header, RSA)
    assert bearer.is_valid(token, REGISTRY, RSA, ISSUER, NOW)
    assert not bearer.is_valid(token, REGISTRY, EC, ISSUER, NOW)
    assert not bearer.is_valid(token, replace(REGISTRY, service="other"), RSA, ISSUER, NOW)
    assert not bearer.is_valid(token, REGISTRY, RSA, "other", NOW)
    for later in (-1, 300):
        assert not bearer.is_valid(token, REGISTRY, RSA, ISSUER, NOW + timedelta(seconds=later))
