"""Whose signature a message gets: pure rules over the envelope sender and the header (no keys, no database).

What is signed and how is in dkim.py. That a list's sender is never signed needs the database and is asked in signer.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from authd.smtp import grammar, message, srs
from authd.smtp.grammar import Path
from authd.smtp.message import Field

FORWARDED = b"authd-forwarded"
_TOKEN = re.compile(rb"""
    (?P<space>   [ \t\r\n]+ )
  | (?P<word>    "(?:[^"\\]|\\.)*" | [^\s"(),:;<>@\[\]\\.]+ | \[[^\[\]\\]*\] )
  | (?P<special> [(),:;<>@.] )
""", re.VERBOSE | re.DOTALL)
_IN_COMMENT = re.compile(rb"(?:[^()\\]|\\.)*", re.DOTALL)
# The shape of a single address: w for a word, anything else for itself; the group is the domain.
_SHAPE = re.compile(r"[w.]*<w(?:\.w)*@(w(?:\.w)*)>|w(?:\.w)*@(w(?:\.w)*)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """The domain whose keys sign, if it has any; or, with an empty domain, the reason why nobody signs."""

    domain: str
    reason: str = ""


def candidate(sender: Path, header: Sequence[Field], *, originated: bool) -> Candidate:
    """Who signs. `originated`: only our own users' mail comes this way, so that a null sender is ours too."""
    if message.count(header, FORWARDED):
        return Candidate("", "forwarded")
    if srs.is_shaped(sender.local_part):
        return Candidate("", "srs_sender")
    if sender.is_null and not originated:
        return Candidate("", "null_sender")
    values = [field.value for field in header if field.name == b"from"]
    domain = author_domain(values[0]) if len(values) == 1 else None
    if domain is None:
        return Candidate("", "not_one_author")
    if not sender.is_null and not aligned(sender.domain.lower(), domain):
        return Candidate("", "sender_not_aligned")
    return Candidate(domain)


def aligned(one: str, other: str) -> bool:
    """Whether two domains (lower case) are equal, or one is below the other."""
    return bool(one and other) and (one == other or one.endswith("." + other) or other.endswith("." + one))


def author_domain(value: bytes) -> str | None:
    """The domain, in lower case, of a From field that holds exactly one address (RFC 5322 section 3.4).

    None for anything else: several addresses, groups, and what cannot be read without doubt.
    """
    tokens = _tokens(value)
    shape = _SHAPE.fullmatch("".join("w" if is_word else token.decode() for token, is_word in tokens))
    if shape is None:
        return None
    start, end = shape.span(shape.lastindex or 0)
    domain = b"".join(token for token, _ in tokens[start:end]).decode("latin-1").lower()
    return domain if grammar.is_domain(domain) else None


def _tokens(value: bytes) -> list[tuple[bytes, bool]]:
    """Words (True) and specials (False), without white space and (nested) comments; empty where something is left over."""
    tokens: list[tuple[bytes, bool]] = []
    position = depth = 0
    while position < len(value):
        if depth:
            inside = _IN_COMMENT.match(value, position)
            position = inside.end() if inside else position
        match = _TOKEN.match(value, position)
        if match is None:
            return []
        position = match.end()
        token = match[0]
        if token in (b"(", b")"):
            depth += 1 if token == b"(" else -1
            if depth < 0:
                return []
        elif match.lastgroup != "space":
            tokens.append((token, match.lastgroup == "word"))
    return [] if depth else tokens
