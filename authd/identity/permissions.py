"""Pure rules about permissions. Which ones an account holds is a question for `Accounts.permissions`."""

import re
from collections.abc import Iterable

_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:-]{1,255}")


def is_identifier(text: str) -> bool:
    """Whether `text` may name a permission."""
    return _IDENTIFIER.fullmatch(text) is not None


def missing(required: Iterable[str], held: Iterable[str]) -> tuple[str, ...]:
    """The required identifiers that are not held, each once, in the order they were asked for. Case matters."""
    have = frozenset(held)
    return tuple(dict.fromkeys(name for name in required if name not in have))
