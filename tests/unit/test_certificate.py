"""Self-signed certificates and PEM lines."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import NameOID

from authd.keys.certificate import is_current, pem_lines, self_signed
from authd.keys.facts import PrivateKey

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("key", [RSA, ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()])
def test_it_holds_the_key_and_the_name_and_is_signed_by_itself(key: PrivateKey) -> None:
    certificate = x509.load_der_x509_certificate(self_signed(key, "example.com", NOW, 30))
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "example.com"
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=30)
    assert certificate.not_valid_before_utc <= NOW


@pytest.mark.parametrize("ca", [True, False])
def test_it_may_be_a_trust_anchor(ca: bool) -> None:
    certificate = x509.load_der_x509_certificate(self_signed(RSA, "registry.example.com:5000", NOW, 30, ca=ca))
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is ca
    assert any(isinstance(one.value, x509.SubjectAlternativeName) for one in certificate.extensions) is not ca


def test_a_name_too_long_for_a_common_name() -> None:
    name = "a" * 60 + "." + "b" * 60 + ".example.com"
    der = self_signed(RSA, name, NOW, 30)
    assert is_current(der, name, NOW)
    assert not is_current(der, name[:64], NOW)


def test_when_it_is_current() -> None:
    der = self_signed(RSA, "example.com", NOW, 30)
    assert is_current(der, "example.com", NOW)
    assert not is_current(der, "example.com", NOW + timedelta(days=30))
    assert not is_current(der, "example.com", NOW - timedelta(days=1))
    assert not is_current(der, "example.org", NOW)


def test_pem_lines_can_be_read_back() -> None:
    der = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    lines = pem_lines(der, "PUBLIC KEY")
    assert lines == RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().splitlines()
    assert load_pem_public_key("\n".join(lines).encode()) == RSA.public_key()
