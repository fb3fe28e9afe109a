"""What a password that somebody chooses must be like (NIST SP 800-63B). Pure; hashing is in passwords."""

from collections.abc import Iterable


def check(password: str, personal: Iterable[str]) -> str | None:
    """Why `password` is not good enough, as a stable code, or None if it is.

    `personal` are the person's own names and addresses. Codes: `too_short`, `too_long`, `not_text`, `personal`,
    `common`, `guessable`.
    """
    raise NotImplementedError
