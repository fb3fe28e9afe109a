"""Names and titles that people choose: what they may look like. Pure."""

import unicodedata

from authd.errors import InvalidInput

LONGEST = 255


def plain_text(field: str, text: str, *, empty_allowed: bool = False, longest: int = LONGEST) -> str:
    """`text`, if it is one line without control characters and not too long. Raises InvalidInput(field)."""
    if not empty_allowed and not text.strip():
        raise InvalidInput(field, "is empty")
    if len(text) > longest:
        raise InvalidInput(field, f"is longer than {longest} characters")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        raise InvalidInput(field, "must be one line of text")
    return text
