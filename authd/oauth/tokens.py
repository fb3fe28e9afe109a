"""Random tokens, what is stored of them, and the sealed successor of a rotated refresh token.

Signed tokens are in `signing`, what they say in `claims`.
"""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


def new_token() -> str:
    """A token of 256 random bits, 43 characters that need no escape anywhere."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What the database keeps of a code or token: its SHA-256 digest."""
    return hashlib.sha256(token.encode()).digest()


def seal(successor: str, presented: str) -> bytes:
    """Encrypts `successor` so that only whoever presents `presented` again can read it (AES-256-GCM)."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_sealing_key(presented)).encrypt(nonce, successor.encode(), None)


def unseal(sealed: bytes, presented: str) -> str | None:
    """The successor that was sealed, or None where `presented` is not the token it was sealed for."""
    try:
        return AESGCM(_sealing_key(presented)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None).decode()
    except InvalidTag:
        return None


def _sealing_key(presented: str) -> bytes:
    return hmac.digest(presented.encode(), b"authd refresh token successor", "sha256")
