"""Which of the actions that are asked for are granted. Pure: rights in, decision out.

An admin holds every action on every repository. A repository that nothing is configured for belongs to whoever pushes it
first, where the site wants that.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from authd.docker import scope
from authd.docker.facts import Asker, Granted, RefreshToken, Registry, Right, Rights
from authd.docker.scope import Scope

OWNERS_ACTIONS = frozenset(scope.ACTIONS)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is granted, one entry for each resource asked for, and the repositories that the asker creates by it."""

    access: tuple[Granted, ...]
    created: tuple[str, ...] = ()

    @property
    def grants_anything(self) -> bool:
        return any(granted.actions for granted in self.access)

    @property
    def scope(self) -> str:
        """The granted part as a scope."""
        return " ".join(scope.text(granted.type, granted.class_, granted.name, granted.actions)
                        for granted in self.access if granted.actions)


def decide(requested: Iterable[Scope], rights: Rights, asker: Asker | None, *, allow_unconfigured: bool) -> Decision:
    """Never more than was asked for, never more than is held. `asker` is None for somebody who gave no name."""
    access: list[Granted] = []
    created: list[str] = []
    for wanted in requested:
        held = held_actions(wanted, rights, asker)
        if (allow_unconfigured and asker is not None and wanted.is_repository and scope.PUSH in wanted.actions
                and scope.is_repository_name(wanted.name) and not is_configured(wanted.name, rights)):
            held = OWNERS_ACTIONS
            created.append(wanted.name)
        granted = held if scope.EVERYTHING in wanted.actions else held & wanted.actions
        access.append(Granted(wanted.type, wanted.class_, wanted.name, tuple(sorted(granted, key=_order))))
    return Decision(tuple(access), tuple(dict.fromkeys(created)))


def held_actions(wanted: Scope, rights: Rights, asker: Asker | None) -> frozenset[str]:
    """Everything that the asker may do with a resource."""
    is_admin = asker is not None and asker.is_admin
    if wanted.is_repository:
        return OWNERS_ACTIONS if is_admin else _united(
            right for right in rights.held if right.pattern is None or scope.matches(right.pattern, wanted.name))
    if wanted.is_catalog:
        reads_all = scope.PULL in _united(right for right in rights.held if right.pattern is None)
        return frozenset({scope.EVERYTHING}) if is_admin or reads_all else frozenset()
    return frozenset()


def is_configured(name: str, rights: Rights) -> bool:
    """Whether the registry has a row, or anybody has a right, for a repository."""
    return name in rights.repositories or any(
        pattern is None or scope.matches(pattern, name) for pattern in rights.patterns)


def refreshes(token: RefreshToken | None, registry: Registry, now: datetime, unused: timedelta) -> bool:
    """Whether a refresh token is good: for this registry, used within `unused`, and whoever made it could still sign in."""
    if token is None or token.registry != registry.id or not token.account_is_active or now - token.last_used_at > unused:
        return False
    if token.asker.service_user is None:
        return token.password_is_the_same and not token.service_users_only
    return token.may_docker and token.has_mailbox


def _united(rights: Iterable[Right]) -> frozenset[str]:
    return frozenset(action for right in rights for action in right.actions)


def _order(action: str) -> int:
    return scope.ACTIONS.index(action) if action in scope.ACTIONS else len(scope.ACTIONS)
