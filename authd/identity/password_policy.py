"""What a password that somebody chooses must be like (NIST SP 800-63B). Pure; hashing is in `passwords`."""

import re
from collections.abc import Iterable, Iterator

from authd.errors import InvalidInput
from authd.identity.crypt import MAX_HASHED_BYTES, encode

MIN_LENGTH = 10
_ESTIMATED = 72  # characters that the estimate looks at; its time grows faster than their number
_GOOD_SCORE = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses
_SHORTEST_PERSONAL = 4


def problem(password: str, personal: Iterable[str] = ()) -> str | None:
    """Why `password` is not good enough, as a stable code, or None if it is good.

    `personal` are the person's own names and addresses. The codes: `not_text`, `too_long` (more than 511 bytes, the
    most that libcrypt takes), `too_short` (less than 10 characters), `personal` (little but a name or address of
    theirs), `common` (in a list of passwords that everybody tries), `guessable`. Takes up to a second the first time,
    some ms later.
    """
    try:
        if len(encode(password)) > MAX_HASHED_BYTES:
            return "too_long"
    except InvalidInput as error:
        return error.code
    if len(password) < MIN_LENGTH:
        return "too_short"
    words = list(_words(personal))
    if _is_personal(password, words):
        return "personal"
    return _estimate(password, words)


def _words(personal: Iterable[str]) -> Iterator[str]:
    """Each name as it is and in its parts, in lower case."""
    for text in personal:
        lower = text.lower()
        yield from (word for word in {lower, *re.split(r"[^\w]+", lower)} if len(word) >= _SHORTEST_PERSONAL)


def _is_personal(password: str, words: list[str]) -> bool:
    """Whether less than a password's worth is left once the person's own names are taken out."""
    rest = password.lower()
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "")
    return len(rest) < len(password) and len(rest) < MIN_LENGTH - _SHORTEST_PERSONAL


def _estimate(password: str, words: list[str]) -> str | None:
    from zxcvbn import zxcvbn  # 20 MiB that only a change of a password needs

    result = zxcvbn(password[:_ESTIMATED], user_inputs=words)
    matches = result["sequence"]
    if len(matches) == 1 and matches[0].get("dictionary_name") == "passwords" and len(password) <= _ESTIMATED:
        return "common"
    return None if result["score"] >= _GOOD_SCORE else "guessable"
