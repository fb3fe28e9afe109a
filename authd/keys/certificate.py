"""Self-signed certificates around signing keys, for software that takes a certificate instead of a key, and PEM lines."""

from base64 import b64encode
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authd.keys.facts import PrivateKey

LONGEST_COMMON_NAME = 64  # ub-common-name, RFC 5280 appendix A.1
PEM_LINE = 64  # RFC 7468 section 2
CLOCK_DIFFERENCE = timedelta(minutes=5)


def self_signed(private_key: PrivateKey, common_name: str, now: datetime, days: int, *, ca: bool = False) -> bytes:
    """A certificate (DER) for `common_name`, valid from just before `now` for `days` days.

    A name too long for a common name is cut there and stands in full in the subjectAltName. `ca`: it may be used as a
    trust anchor by software that insists on CA:TRUE; what an anchor is called is no host (`registry:5000`), so it has no
    subjectAltName, which some parsers would refuse.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:LONGEST_COMMON_NAME])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_DIFFERENCE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
    certificate = builder.sign(private_key, None if isinstance(private_key, Ed25519PrivateKey) else SHA256())
    return certificate.public_bytes(Encoding.DER)


def is_current(der: bytes, common_name: str, now: datetime) -> bool:
    """Whether a certificate was made for this name and is valid now."""
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (names.get_values_for_type(x509.DNSName) == [common_name]
            and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc)


def pem_lines(der: bytes, label: str) -> list[str]:
    """DER as the lines of a PEM block, for example of a "PUBLIC KEY" or a "CERTIFICATE" (RFC 7468)."""
    text = b64encode(der).decode("ascii")
    return [f"-----BEGIN {label}-----", *(text[i:i + PEM_LINE] for i in range(0, len(text), PEM_LINE)),
            f"-----END {label}-----"]
