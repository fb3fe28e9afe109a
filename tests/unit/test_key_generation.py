"""Making, importing and opening private keys."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from authd.errors import InvalidInput
from authd.keys.cipher import Cipher
from authd.keys.facts import NewKey, PrivateKey, Purpose, StoredKey
from authd.keys.generate import imported_key, new_key, opened
from authd.keys.jwk import thumbprint

SEALING = Cipher([b"k" * 32])
RSA = rsa.generate_private_key(65537, 2048)


def stored(key: NewKey) -> StoredKey:
    return StoredKey(1, key.purpose, key.algorithm, key.selector, key.kid, key.private_key, key.cipher_key, key.public_key,
                     None, datetime(2026, 1, 1, tzinfo=UTC), None, None)


def pem(key: PrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


@pytest.mark.parametrize(("purpose", "algorithm", "selector"), [
    ("jwt", "RSA-2048", None), ("jwt", "ES256", None), ("jwt", "EdDSA", None), ("dkim", "Ed25519", "s1")])
def test_a_new_key_opens_again(purpose: Purpose, algorithm: str, selector: str | None) -> None:
    key = new_key(purpose, algorithm, selector, SEALING)
    private = opened(stored(key), SEALING)
    assert private.public_key() == load_der_public_key(key.public_key)
    assert key.kid == (thumbprint(private.public_key()) if purpose == "jwt" else None)
    assert (key.algorithm, key.selector) == (algorithm, selector)


@pytest.mark.parametrize(("purpose", "algorithm", "selector"), [
    ("jwt", "Ed25519", None), ("jwt", "RSA-1024", None), ("dkim", "ES256", "s1"), ("dkim", "RSA-1024", "s1"),
    ("jwt", "nonsense", None), ("jwt", "ES256", "s1"), ("dkim", "Ed25519", None)])
def test_what_does_not_fit_is_refused(purpose: Purpose, algorithm: str, selector: str | None) -> None:
    with pytest.raises(InvalidInput):
        new_key(purpose, algorithm, selector, SEALING)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_keys_of_earlier_installations_are_imported(form: PrivateFormat, line_end: bytes) -> None:
    text = b"\n  " + pem(RSA, form).replace(b"\n", line_end) + b"\n\n"
    key = imported_key("jwt", text, None, SEALING)
    assert key.algorithm == "RSA-2048"
    assert key.kid == thumbprint(RSA.public_key())
    assert opened(stored(key), SEALING).public_key() == RSA.public_key()


def test_short_rsa_is_imported_for_dkim_only() -> None:
    short = pem(rsa.generate_private_key(65537, 1024))
    assert imported_key("dkim", short, "old", SEALING).algorithm == "RSA-1024"
    with pytest.raises(InvalidInput, match="1024"):
        imported_key("jwt", short, None, SEALING)


def test_the_same_key_type_is_called_as_its_purpose_calls_it() -> None:
    key = pem(ed25519.Ed25519PrivateKey.generate())
    assert imported_key("jwt", key, None, SEALING).algorithm == "EdDSA"
    assert imported_key("dkim", key, "s1", SEALING).algorithm == "Ed25519"


@pytest.mark.parametrize("text", [
    b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\x00\xff",
    RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")),
    ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    dsa.generate_private_key(1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
])
def test_what_is_no_usable_key(text: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        imported_key("jwt", text, None, SEALING)
    assert "BEGIN" not in str(caught.value)


def test_a_key_does_not_show_itself() -> None:
    key = new_key("jwt", "EdDSA", None, Cipher())
    assert "private_key" not in repr(key)
    assert "private_key" not in repr(stored(key))
