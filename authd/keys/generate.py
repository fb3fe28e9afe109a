"""Making and importing private keys, and opening those that authd stored. Blocking (RSA-4096 takes seconds): for a thread.

Nothing here knows the database; what is made is a NewKey, sealed and ready to be inserted.
"""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from authd.errors import InvalidInput
from authd.keys.cipher import Cipher, KeyUnreadable, context
from authd.keys.facts import DKIM_ALGORITHMS, JWT_ALGORITHMS, NewKey, PrivateKey, PublicKey, Purpose, StoredKey
from authd.keys.jwk import thumbprint

RSA_EXPONENT = 65537
IMPORTED_RSA_BITS = {"jwt": (2048, 3072, 4096), "dkim": (1024, 2048, 3072, 4096)}


def new_key(purpose: Purpose, algorithm: str, selector: str | None, cipher: Cipher) -> NewKey:
    """Makes a key. InvalidInput for an algorithm that the purpose does not know, or a selector missing or too much."""
    if algorithm not in (JWT_ALGORITHMS if purpose == "jwt" else DKIM_ALGORITHMS):
        raise InvalidInput("algorithm", f"{algorithm} is not for {purpose} keys")
    return _sealed(purpose, _generated(algorithm), algorithm, selector, cipher)


def imported_key(purpose: Purpose, pem: bytes, selector: str | None, cipher: Cipher) -> NewKey:
    """Takes over an unencrypted PEM key, PKCS#1, SEC 1 or PKCS#8, whatever its line ends. InvalidInput if it is none."""
    try:
        key = load_pem_private_key(pem.replace(b"\r\n", b"\n").strip() + b"\n", None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidInput("key", "not an unencrypted private key in PEM") from None
    return _sealed(purpose, *_recognised(key, purpose), selector, cipher)


def opened(stored: StoredKey, cipher: Cipher) -> PrivateKey:
    """The private key of a row. We checked it when it was made or imported, so that it is not checked again (35 ms).

    Raises KeyUnreadable where the row does not hold a key that we can open.
    """
    der = cipher.open(stored.private_key, stored.cipher_key, context(stored.purpose, stored.public_key))
    try:
        return _recognised(load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True), stored.purpose)[0]
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidInput):
        raise KeyUnreadable(f"the private key {stored.id} in the database is damaged") from None


def public_der(public_key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, as the database keeps it."""
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _generated(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return generate_ec(SECP256R1())
    if algorithm in ("EdDSA", "Ed25519"):
        return Ed25519PrivateKey.generate()
    return generate_rsa(RSA_EXPONENT, int(algorithm.removeprefix("RSA-")))


def _recognised(key: object, purpose: Purpose) -> tuple[PrivateKey, str]:
    """The key and what its algorithm is called for that purpose."""
    if isinstance(key, RSAPrivateKey):
        if key.key_size in IMPORTED_RSA_BITS[purpose]:
            return key, f"RSA-{key.key_size}"
        raise InvalidInput("key", f"RSA keys of {key.key_size} bits are not for {purpose}")
    if isinstance(key, Ed25519PrivateKey):
        return key, "EdDSA" if purpose == "jwt" else "Ed25519"
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1) and purpose == "jwt":
        return key, "ES256"
    raise InvalidInput("key", f"this kind of key is not for {purpose}")


def _sealed(purpose: Purpose, key: PrivateKey, algorithm: str, selector: str | None, cipher: Cipher) -> NewKey:
    if (purpose == "dkim") != (selector is not None):
        raise InvalidInput("selector", "a dkim key needs one, a jwt key has none")
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = public_der(key.public_key())
    sealed, cipher_key = cipher.seal(der, context(purpose, public))
    kid = thumbprint(key.public_key()) if purpose == "jwt" else None
    return NewKey(purpose, algorithm, selector, kid, sealed, cipher_key, public)
