"""The text and the name of the DNS record of a DKIM key (RFC 6376 section 3.6.1, RFC 8463 section 4). How a zone file writes
it is in authd/mail_dns.
"""

from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def record(public_key: RSAPublicKey | Ed25519PublicKey) -> str:
    """The text of the TXT record, in one piece: an RSA key as SubjectPublicKeyInfo, an Ed25519 key as its 32 bytes."""
    if isinstance(public_key, RSAPublicKey):
        kind, data = "rsa", public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, data = "ed25519", public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={b64encode(data).decode('ascii')}"


def record_name(selector: str, domain: str) -> str:
    """Where verifiers look for the record, without a final dot (RFC 6376 section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"
