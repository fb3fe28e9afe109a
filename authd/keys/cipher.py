"""Sealing of private keys at rest: AES-256-GCM under the keys of `secrets.key_file`. Where sealed keys are kept is not
decided here.

A sealed value is nonce || ciphertext || tag, bound to its context, so that a row cannot be passed off as another one's.
"""

import binascii
import hashlib
import secrets
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authd.errors import ConfigError, Unavailable
from authd.keys.facts import Purpose

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_LENGTH = 16  # hexadecimal characters


class KeyUnreadable(Unavailable):
    """A private key in the database was sealed with a key that we lack, or it was tampered with."""

    code = "key_unreadable"


class Cipher:
    """Seals with the first of its keys and opens with any. Without keys nothing is sealed."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._current = key_id(keys[0]) if keys else None

    def seal(self, plain: bytes, context: bytes) -> tuple[bytes, str | None]:
        """The sealed bytes and the id of the key that sealed them; the plain bytes and None where there is no key."""
        if self._current is None:
            return plain, None
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._ciphers[self._current].encrypt(nonce, plain, context), self._current

    def open(self, sealed: bytes, cipher_key: str | None, context: bytes) -> bytes:
        """What was sealed in this context. KeyUnreadable says which key is missing."""
        if cipher_key is None:
            return sealed
        cipher = self._ciphers.get(cipher_key)
        if cipher is None:
            raise KeyUnreadable(f"a private key was encrypted with the key {cipher_key}, which is not in secrets.key_file")
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise KeyUnreadable(f"a private key encrypted with the key {cipher_key} was altered in the database") from None


def key_id(key: bytes) -> str:
    """What the database remembers of the key that sealed a row."""
    return hashlib.sha256(key).hexdigest()[:KEY_ID_LENGTH]


def context(purpose: Purpose, public_der: bytes) -> bytes:
    """What a private key is bound to: what it is for, and its public half."""
    return purpose.encode("ascii") + b":" + hashlib.sha256(public_der).digest()


def parse_key_file(data: bytes) -> tuple[bytes, ...]:
    """32 raw bytes, or a line of base64 for each key, the one that seals first. ConfigError if it is neither."""
    if len(data) == KEY_BYTES:
        return (data,)
    try:
        keys = tuple(b64decode(line, altchars=b"-_" if b"-" in line or b"_" in line else None, validate=True)
                     for line in data.split())
    except binascii.Error:
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ConfigError(["secrets.key_file: it must hold 32 bytes, raw or in base64 (one line for each key)"])
    return keys


def load_cipher(path: Path | None) -> Cipher:
    """The cipher of `secrets.key_file`, or one that seals nothing. ConfigError if the file cannot be used."""
    if path is None:
        return Cipher()
    try:
        return Cipher(parse_key_file(path.read_bytes()))
    except OSError as error:
        raise ConfigError([f"secrets.key_file: {path}: {error.strerror}"]) from None
