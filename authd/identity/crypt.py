"""crypt(3) of the system, called so that other threads run meanwhile, and the forms of its strings.

Blocking and pure but for the salt; pools, caches and asyncio are in `passwords`.
"""

import ctypes
import hmac
import re
import secrets
from collections.abc import Callable
from functools import cache
from typing import Literal, cast

from authd.errors import ConfigError, InvalidInput

Scheme = Literal["yescrypt", "sha512crypt"]

MAX_PASSWORD_BYTES = 1024
MAX_HASHED_BYTES = 511  # libxcrypt hashes no longer ones (CRYPT_MAX_PASSPHRASE_SIZE); so nobody has them
SHA512_ROUNDS = 200_000
GENERATED_ROUNDS = 1000

_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
_DATA_SIZE = 32768  # sizeof(struct crypt_data) in libxcrypt
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_YESCRYPT = "$y$j9T$"
_PREFIXES = ("$5$", "$6$", "$y$", "$2b$")
_ROUNDS = re.compile(r"rounds=([0-9]{1,9})\$")
_DEFAULT_ROUNDS = 5000  # of $5$ and $6$ without rounds=
_PROBES = {
    "$5$": "$5$rounds=1000$authd$", "$6$": "$6$rounds=1000$authd$", "$y$": "$y$j75$" + "." * 24,
    "$2b$": "$2b$04$" + "." * 22}


@cache
def _crypt_r() -> Callable[[bytes, bytes, "ctypes.Array[ctypes.c_char]"], bytes | None]:
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
        function.restype = ctypes.c_char_p
        return cast(Callable[[bytes, bytes, "ctypes.Array[ctypes.c_char]"], bytes | None], function)
    raise ConfigError([f"this system has no crypt_r ({' or '.join(_LIBRARIES)} is missing)"])


def _crypt(password: bytes, setting: str) -> str:
    data = ctypes.create_string_buffer(_DATA_SIZE)
    return (_crypt_r()(password, setting.encode(), data) or b"*0").decode(errors="replace")


@cache
def supported() -> frozenset[str]:
    """The prefixes ($5$, $6$, $y$, $2b$) that the system's libcrypt can verify. Raises ConfigError without libcrypt."""
    return frozenset(prefix for prefix, setting in _PROBES.items() if _crypt(b"probe", setting).startswith(prefix))


def scheme_here(wanted: Scheme) -> Scheme:
    """The wanted scheme, or sha512crypt where the system's libcrypt has no yescrypt."""
    return wanted if wanted == "sha512crypt" or "$y$" in supported() else "sha512crypt"


def encode(password: str) -> bytes:
    """The bytes that are hashed. Raises InvalidInput for more than 1,024 of them, a NUL, or lone surrogates."""
    try:
        raw = password.encode()
    except UnicodeEncodeError:
        raise InvalidInput("password", "is not text", code="not_text") from None
    if len(raw) > MAX_PASSWORD_BYTES:
        raise InvalidInput("password", f"is longer than {MAX_PASSWORD_BYTES} bytes", code="too_long")
    if 0 in raw:
        raise InvalidInput("password", "contains a NUL", code="not_text")
    return raw


def hash_password(password: str, scheme: Scheme) -> str:
    """A new hash with a random salt; blocks for some 20 to 60 ms. Raises InvalidInput as `encode` does, and for more than
    511 bytes.
    """
    hashed = _crypt(encode(password), _new_setting(scheme))
    if hashed.startswith("*"):
        raise InvalidInput("password", f"is longer than {MAX_HASHED_BYTES} bytes", code="too_long")
    return hashed


def verify_password(password: str, stored: str | None, scheme: Scheme) -> bool:
    """Whether `password` matches `stored`, in constant time; blocks.

    What is no hash (None, `*`, `!`, an unknown scheme) never matches, but costs a hash of `scheme`.
    Raises InvalidInput as `encode` does.
    """
    raw = encode(password)
    if stored is not None and is_verifiable(stored):
        computed = _crypt(raw, stored)
        if not computed.startswith("*"):
            return hmac.compare_digest(computed.encode(), stored.encode())
    _crypt(raw[:MAX_HASHED_BYTES], _new_setting(scheme))
    return False


def is_verifiable(stored: str) -> bool:
    """Whether `stored` is of a scheme that we verify and this system knows."""
    return stored.isascii() and stored.startswith(_PREFIXES) and f"${stored.split('$', 2)[1]}$" in supported()


def generated_secret() -> tuple[str, str]:
    """A new random secret of 192 bits and its hash, `$6$rounds=1000$…`: store it with `generated` set."""
    secret = secrets.token_urlsafe(24)
    return secret, _crypt(secret.encode(), f"$6$rounds={GENERATED_ROUNDS}${_salt(16)}")


def needs_rehash(stored: str, scheme: Scheme) -> bool:
    """Whether `stored` is weaker than what `scheme` makes now. Never for what is stronger, or no hash at all."""
    strength = _strength(stored)
    return strength is not None and strength < _STRENGTHS[scheme]


def burn(setting: str) -> None:
    """Computes a hash of that scheme and cost (`$6$rounds=5000$`), to see how long it takes; blocks."""
    _crypt(b"measure", setting + "." * (22 if setting.startswith("$2b$") else 16))


def _new_setting(scheme: Scheme) -> str:
    return _YESCRYPT + _salt(24) if scheme == "yescrypt" else f"$6$rounds={SHA512_ROUNDS}${_salt(16)}"


def _salt(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _strength(stored: str) -> tuple[int, int] | None:
    """Orders hashes: the scheme first, then its cost. None for what is no hash of ours, or of a cost unknown to us."""
    if stored.startswith("$y$"):
        # $y$j<N><r>$: N is a power of two and r the block size, each one digit (libxcrypt's gensalt writes no others)
        parameters = re.match(r"\$y\$j([./0-9A-Za-z])([./0-9A-Za-z])\$", stored)
        if parameters is None:
            return None
        return (3, _ALPHABET.index(parameters[1]) + _ALPHABET.index(parameters[2]).bit_length())
    if stored.startswith("$2b$"):
        return (2, 0)
    if stored.startswith(("$6$", "$5$")):
        rounds = _ROUNDS.match(stored, 3)
        return (int(stored[1] == "6"), int(rounds[1]) if rounds else _DEFAULT_ROUNDS)
    return None


_STRENGTHS: dict[Scheme, tuple[int, int]] = {
    "yescrypt": _strength(_YESCRYPT) or (3, 0), "sha512crypt": (1, SHA512_ROUNDS)}
