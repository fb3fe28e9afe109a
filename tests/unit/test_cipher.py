"""Sealing of private keys and the key file."""

import secrets
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest

from authd.errors import ConfigError
from authd.keys.cipher import Cipher, KeyUnreadable, context, key_id, load_cipher, parse_key_file

KEY, OTHER = b"k" * 32, b"o" * 32
CONTEXT = context("jwt", b"public")


def test_what_is_sealed_opens_and_does_not_show() -> None:
    cipher = Cipher([KEY])
    sealed, name = cipher.seal(b"secret", CONTEXT)
    assert name == key_id(KEY)
    assert b"secret" not in sealed
    assert cipher.open(sealed, name, CONTEXT) == b"secret"
    assert cipher.seal(b"secret", CONTEXT)[0] != sealed


def test_without_a_key_nothing_is_sealed() -> None:
    assert Cipher().seal(b"plain", CONTEXT) == (b"plain", None)
    assert Cipher([KEY]).open(b"plain", None, CONTEXT) == b"plain"


def test_the_first_key_seals_and_all_open() -> None:
    old, name = Cipher([OTHER]).seal(b"secret", CONTEXT)
    both = Cipher([KEY, OTHER])
    assert both.open(old, name, CONTEXT) == b"secret"
    assert both.seal(b"x", CONTEXT)[1] == key_id(KEY)


def test_the_missing_key_is_named() -> None:
    sealed, name = Cipher([OTHER]).seal(b"secret", CONTEXT)
    with pytest.raises(KeyUnreadable, match=key_id(OTHER)):
        Cipher([KEY]).open(sealed, name, CONTEXT)


@pytest.mark.parametrize("other", [context("dkim", b"public"), context("jwt", b"another")])
def test_a_row_cannot_be_passed_off_as_another(other: bytes) -> None:
    sealed, name = Cipher([KEY]).seal(b"secret", CONTEXT)
    with pytest.raises(KeyUnreadable):
        Cipher([KEY]).open(sealed, name, other)


@pytest.mark.parametrize("damage", [lambda s: s[:-1] + bytes([s[-1] ^ 1]), lambda s: s[:20], lambda s: b""])
def test_damage_is_noticed(damage: object) -> None:
    assert callable(damage)
    sealed, name = Cipher([KEY]).seal(b"secret", CONTEXT)
    with pytest.raises(KeyUnreadable):
        Cipher([KEY]).open(damage(sealed), name, CONTEXT)


def test_a_raw_key_file() -> None:
    key = b"\n" + secrets.token_bytes(30) + b"\n"
    assert parse_key_file(key) == (key,)


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_base64_key_file_of_several_keys(encode: object) -> None:
    assert callable(encode)
    first, second = b"\xff" * 32, b"\xfb" * 32
    assert parse_key_file(encode(first) + b"\n") == (first,)
    assert parse_key_file(encode(first) + b"\r\n" + encode(second) + b"\n") == (first, second)


@pytest.mark.parametrize("data", [b"", b"\n", b"short", b64encode(b"k" * 16), b"k" * 33, "ä".encode() * 20, b"!" * 44])
def test_a_key_file_that_is_none(data: bytes) -> None:
    with pytest.raises(ConfigError, match="32 bytes") as caught:
        parse_key_file(data)
    assert data.decode(errors="replace").strip() == "" or data.decode(errors="replace") not in str(caught.value)


def test_loading_the_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ConfigError, match="No such file"):
        load_cipher(path)
    path.write_bytes(KEY)
    assert load_cipher(path).seal(b"x", CONTEXT)[1] == key_id(KEY)
    assert load_cipher(None).seal(b"x", CONTEXT) == (b"x", None)
