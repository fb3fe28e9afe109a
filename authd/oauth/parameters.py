"""The parameters of a request, read strictly before anything else sees them (oauthlib raises on malformed ones).

Parameters sent without a value count as left out, and none may be sent twice (RFC 6749 section 3.1 and 3.2).
What they mean is not known here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qsl

from authd.errors import InvalidInput

MOST = 100
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Each parameter's first value that is not blank, and the names of those that came more than once."""

    values: MappingProxyType[str, str]
    repeated: frozenset[str]

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def only(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The named parameters that were sent, as pairs: whatever else a request carries goes no further."""
        return [(name, self.values[name]) for name in names if name in self.values]


def parse(encoded: bytes | str) -> Parameters:
    """Reads application/x-www-form-urlencoded text. InvalidInput where an escape or its UTF-8 is broken, for a NUL
    (PostgreSQL's text has none), and for more than 100 parameters.
    """
    try:
        text = encoded.decode() if isinstance(encoded, bytes) else encoded
        if _BROKEN_ESCAPE.search(text):
            raise InvalidInput("", "a percent sign without two hexadecimal digits")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST)
    except UnicodeError:
        raise InvalidInput("", "not UTF-8") from None
    except ValueError:
        raise InvalidInput("", "too many parameters") from None
    return collect(pairs)


def collect(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """The same for pairs that were decoded already."""
    values: dict[str, str] = {}
    seen: set[str] = set()
    repeated: set[str] = set()
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidInput("", "a NUL character")
        (repeated if name in seen else seen).add(name)
        if value:
            values.setdefault(name, value)
    return Parameters(MappingProxyType(values), frozenset(repeated))
