"""A message as bytes: where its header ends, its fields, and the trace field that a relay adds (RFC 5321 section 4.4).

Nothing here changes a byte of what arrived. Signatures are in dkim.py, dots and line ends in transparency.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from authd.smtp import grammar

_NEXT_FIELD = re.compile(rb"\r\n(?![ \t])")
_date = lru_cache(1)(format_datetime)  # the same for all messages of a second
_UNSAFE = re.compile(r"[^A-Za-z0-9._:\[\]-]")


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: `name` in lower case, empty for a line without a colon; `raw` all its bytes but the last CR LF."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands after the colon, still folded."""
        return self.raw.partition(b":")[2]


@dataclass(frozen=True, slots=True)
class Client:
    """Who handed a message in: the name it gave itself, its address, and the protocol as Received names it (RFC 3848)."""

    name: str
    address: str
    protocol: str


def body_start(head: bytes) -> int | None:
    """Where the body begins, after the first empty line; None if `head` holds no empty line."""
    if head.startswith(b"\r\n"):
        return 2
    end = head.find(b"\r\n\r\n")
    return None if end < 0 else end + 4


def fields(header: bytes) -> list[Field]:
    """The fields of a header (up to its empty line, with or without it) from top to bottom."""
    found = []
    for raw in _NEXT_FIELD.split(header.rstrip(b"\r\n")):
        name, colon, _ = raw.partition(b":")
        found.append(Field(name.rstrip(b" \t").lower() if colon else b"", raw))
    return found


def count(header: Sequence[Field], name: bytes) -> int:
    """How many fields have that name (lower case)."""
    return sum(field.name == name for field in header)


def received(client: Client, hostname: str, message_id: str, now: datetime) -> bytes:
    """The Received field of this hop, CR LF included. A name that is no host name stands in a comment, made harmless."""
    literal = f"[IPv6:{client.address}]" if ":" in client.address else f"[{client.address}]"
    source = f"{client.name} ({literal})"
    if not grammar.is_host(client.name):
        source = f"{literal} (HELO {_UNSAFE.sub('?', client.name)})"
    return (f"Received: from {source}\r\n\tby {hostname} with {client.protocol} id {message_id};\r\n"
            f"\t{_date(now.replace(microsecond=0))}\r\n").encode("ascii")
