"""Checking and making password hashes without stopping the event loop. What a password may look like: password_policy."""

from collections.abc import Callable

from authd.config.settings import PasswordSettings


def generated_secret() -> tuple[str, str]:
    """A new random secret (at least 128 bits) and its hash, `$6$rounds=1000$…`: store it with `generated` set."""
    raise NotImplementedError


def needs_rehash(stored: str, scheme: str) -> bool:
    """Whether `stored` is weaker than what `scheme` (yescrypt, sha512crypt) makes now. Not for generated secrets."""
    raise NotImplementedError


def hash_now(password: str, scheme: str) -> str:
    """The same as Hasher.hash for command lines: blocks for some 20 to 60 ms. InvalidInput as there."""
    raise NotImplementedError


class Hasher:
    """Hashes in a bounded pool of threads; remembers successful checks for `cache_seconds`."""

    def __init__(self, settings: PasswordSettings, *, clock: Callable[[], float]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Ends the threads once their current work is done."""

    def remembers(self, password: str, stored: str) -> bool:
        """Whether this password matched this hash within the cache time. Costs no hash."""
        raise NotImplementedError

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` matches. A hash that is malformed or None never does, and costs as much.

        Raises InvalidInput for a password over 1,024 bytes or with a NUL, and Overloaded.
        """
        raise NotImplementedError

    async def hash(self, password: str) -> str:
        """A crypt(3) string of the configured scheme. Raises InvalidInput and Overloaded as `verify` does."""
        raise NotImplementedError
