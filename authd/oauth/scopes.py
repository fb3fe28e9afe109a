"""Which scopes exist and which of those that were asked for are given. What each scope reveals is in `claims`."""

from collections.abc import Iterable
from types import MappingProxyType

# What the consent page calls them, in the order it shows them.
TITLES = MappingProxyType({
    "openid": "Know who you are",
    "profile": "See your name and user name",
    "email": "See your mail address",
    "groups": "See the groups you belong to",
    "permissions": "See the permissions you hold",
    "offline_access": "Keep access while you are away",
})
STANDARD = frozenset(TITLES)


def split(text: str | None) -> tuple[str, ...]:
    """The scopes in a parameter, each once, in their order (RFC 6749 section 3.3)."""
    return tuple(dict.fromkeys(name for name in (text or "").split(" ") if name))


def grantable(asked: Iterable[str], held: frozenset[str], *, refreshable: bool) -> tuple[str, ...]:
    """What may be given of what was asked: the standard scopes and permissions that are held. Others are left out, as
    OpenID Connect Core section 3.1.2.1 says; `offline_access` too where the client may not refresh (section 11).
    """
    return tuple(name for name in asked
                 if (name in STANDARD and (refreshable or name != "offline_access")) or name in held)


def acceptable_without_account(asked: Iterable[str]) -> bool:
    """Whether a client may ask for these on its own behalf. It holds no permission, so none of them is given; the standard
    scopes speak of a person and are ignored, anything else is refused (RFC 6749 section 3.3).
    """
    return STANDARD.issuperset(asked)
