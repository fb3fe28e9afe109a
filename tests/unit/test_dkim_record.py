"""The DNS record of a DKIM key, read back by dkimpy where it can."""

from base64 import b64decode

import dkim
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from authd.keys.dkim_record import record, record_name

RSA = rsa.generate_private_key(65537, 2048)
MESSAGE = b"From: a@example.com\r\nTo: b@example.org\r\nSubject: x\r\n\r\nHello\r\n"


def test_rsa_record_verifies_a_signature() -> None:
    pem = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    signature = dkim.sign(MESSAGE, b"s1", b"example.com", pem)
    asked = []

    def lookup(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name.decode().rstrip("."))
        return record(RSA.public_key()).encode()

    assert dkim.verify(signature + MESSAGE, dnsfunc=lookup)
    assert asked == [record_name("s1", "example.com")] == ["s1._domainkey.example.com"]


def test_ed25519_record_is_the_bare_key() -> None:
    """RFC 8463 section 4.2: no SubjectPublicKeyInfo around it."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    tags = dict(part.strip().split("=", 1) for part in record(key).split(";"))
    assert tags["v"] == "DKIM1"
    assert tags["k"] == "ed25519"
    assert b64decode(tags["p"]) == key.public_bytes(Encoding.Raw, PublicFormat.Raw)
