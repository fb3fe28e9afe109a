"""The Sender Rewriting Scheme (Shevek, "The Sender Rewriting Scheme", 2004), as postsrsd reads it too. Pure.

A sender SRS0 is ours to reverse to the original sender; SRS1 leads back to the SRS0 of whoever forwarded first.
Senders too long for a local part are kept in the database under a token; who stores and finds it is the caller.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from authd.smtp.grammar import Path

VALID_DAYS = 21
LONGEST_LOCAL_PART = 64  # RFC 5321 section 4.5.3.1.1
SHORTEST_HASH = 4        # what earlier installations may have used

Separator = Literal["=", "+", "-"]

_SHAPE = re.compile(r"SRS[01][=+-]", re.IGNORECASE)
_SRS0 = re.compile(r"SRS0[=+-](?P<hash>[^=]+)=(?P<stamp>[a-z2-7]{2})=(?P<host>[^=]*)=(?P<user>.*)", re.IGNORECASE | re.DOTALL)
_SRS1 = re.compile(r"SRS1[=+-](?P<hash>[^=]+)=(?P<host>[^=]+)=(?P<rest>[=+-].+)", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(r"[a-z2-7]{16,32}", re.IGNORECASE)
_TOKEN_LENGTH = 16  # letters of 5 bits
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CYCLE = 1024       # days until a stamp repeats
_STANDARD_TO_URL = str.maketrans("+/", "-_")
_DAY = 86400


class SrsError(ValueError):
    """An address that does not lead back to a sender; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Token:
    """A sender under the name that stands for it: to be stored before the address is used."""

    token: str
    sender: Path


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An envelope sender at the forwarder's own domain. `token` is set where the database has to remember the sender."""

    sender: Path
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class NeedsToken:
    """A valid address whose sender the database knows under `token` (lower case)."""

    token: str


@dataclass(frozen=True)
class Srs:
    """The rules of one host. The first of `secrets` signs, all of them verify."""

    secrets: Sequence[bytes] = field(repr=False)
    separator: Separator = "="
    hash_length: int = 8

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise ValueError("SRS needs a secret")

    def forward(self, sender: Path, domain: str, now: datetime) -> Rewritten:
        """`sender` rewritten under `domain`. A null sender stays as it is, and so has to stay out of here."""
        if sender.is_null:
            raise ValueError("the null sender is never rewritten")
        rewritten = Path(self._guarded(sender) or self._srs0(sender.domain, sender.local_part, now), domain)
        if len(str(rewritten)) - len(domain) - 1 <= LONGEST_LOCAL_PART:
            return Rewritten(rewritten)
        token = self._token(sender)
        return Rewritten(Path(self._srs0("", token, now), domain), Token(token, sender))

    def reverse(self, recipient: Path, now: datetime) -> Path | NeedsToken:
        """Whom mail to an address of SRS shape is for. Raises SrsError for a wrong hash, an old one, and for nonsense."""
        local_part = recipient.local_part
        if match := _SRS1.fullmatch(local_part):
            self._verify(match["hash"], match["host"], match["rest"])
            return Path(f"SRS0{match['rest']}", match["host"])
        match = _SRS0.fullmatch(local_part)
        if match is None:
            raise SrsError("malformed")
        self._verify(match["hash"], match["stamp"], match["host"], match["user"])
        if not _is_recent(match["stamp"], now):
            raise SrsError("expired")
        if match["host"]:
            return Path(match["user"], match["host"])
        if not _TOKEN.fullmatch(match["user"]):
            raise SrsError("malformed")
        return NeedsToken(match["user"].lower())

    def _srs0(self, host: str, user: str, now: datetime) -> str:
        stamp = _stamp(now)
        return f"SRS0{self.separator}{self._hash(stamp, host, user)}={stamp}={host}={user}"

    def _guarded(self, sender: Path) -> str | None:
        """SRS1 for a sender that somebody has rewritten before us, else None."""
        if match := _SRS1.fullmatch(sender.local_part):
            host, rest = match["host"], match["rest"]
        elif sender.local_part[:4].upper() == "SRS0" and _SHAPE.match(sender.local_part):
            host, rest = sender.domain, sender.local_part[4:]
        else:
            return None
        return f"SRS1{self.separator}{self._hash(host, rest)}={host}={rest}"

    def _hash(self, *parts: str) -> str:
        return _digest(self.secrets[0], parts)[:self.hash_length]

    def _verify(self, given: str, *parts: str) -> None:
        """Raises SrsError unless `given` is the beginning of the right hash under one of the secrets, whatever its case."""
        claimed = given.translate(_STANDARD_TO_URL).lower().encode("utf-8")
        right = [_digest(secret, parts)[:len(given)].lower().encode() for secret in self.secrets]
        matches = [hmac.compare_digest(claimed, candidate) for candidate in right]
        if len(given) < SHORTEST_HASH or not any(matches):
            raise SrsError("wrong hash")

    def _token(self, sender: Path) -> str:
        named = f"{sender.local_part}@{sender.domain}".encode()
        digest = hmac.digest(self.secrets[0], b"authd srs token\0" + named, "sha256")
        return base64.b32encode(digest).decode("ascii")[:_TOKEN_LENGTH].lower()


def is_shaped(local_part: str) -> bool:
    """Whether a local part looks like a rewritten sender: SRS0 or SRS1 and a separator, in any case."""
    return _SHAPE.match(local_part) is not None


def _digest(secret: bytes, parts: Sequence[str]) -> str:
    """HMAC-SHA1 of the lower-cased parts, in base64url."""
    digest = hmac.digest(secret, "".join(parts).lower().encode(), "sha1")
    return base64.urlsafe_b64encode(digest).decode("ascii")


def _stamp(now: datetime) -> str:
    day = _day(now) % _CYCLE
    return _BASE32[day >> 5] + _BASE32[day & 31]


def _is_recent(stamp: str, now: datetime) -> bool:
    """Within VALID_DAYS; a day ahead is allowed, for hosts whose clocks differ around midnight."""
    high, low = (_BASE32.index(letter) for letter in stamp.upper())
    age = (_day(now) - (high << 5 | low)) % _CYCLE
    return age <= VALID_DAYS or age == _CYCLE - 1


def _day(now: datetime) -> int:
    return int(now.astimezone(UTC).timestamp()) // _DAY
