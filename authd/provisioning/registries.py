"""Docker registries, their repositories and who may use them: the states, what options declare them, and the effects that
bring them about. Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from authd.docker import scope
from authd.docker.facts import TOKEN_HEADERS
from authd.errors import InvalidInput, NotFound
from authd.identity.addresses import parse_domain
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, Adjustment, State, given, managed, reported
from authd.provisioning.texts import plain_text

HolderKind = Literal["user", "group", "anonymous"]

_SERVICE = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class RegistryRight:
    """What an account (its identifier), a group (its name) or anybody may do with the repositories of a pattern; None: with
    all of them.
    """

    holder_kind: HolderKind
    holder: str
    pattern: str | None
    actions: frozenset[str]

    def as_json(self) -> dict[str, Any]:
        holder = True if self.holder_kind == "anonymous" else self.holder
        return {self.holder_kind: holder, "pattern": self.pattern, "actions": sorted(self.actions)}

    @property
    def place(self) -> tuple[str, str, str | None]:
        """What there is one right for."""
        return self.holder_kind, self.holder, self.pattern


@dataclass(frozen=True, slots=True)
class RightsAdjustment(Adjustment):
    """Some actions more, or (`deny`) some less, for one holder and pattern."""

    right: RegistryRight
    deny: bool = False

    def applied_to(self, current: frozenset[RegistryRight]) -> frozenset[RegistryRight]:
        wanted = self.right
        others = frozenset(right for right in current if right.place != wanted.place)
        held = frozenset(action for right in current - others for action in right.actions)
        actions = held - wanted.actions if self.deny else held | wanted.actions
        if not actions:
            return others
        return others | {RegistryRight(wanted.holder_kind, wanted.holder, wanted.pattern, actions)}


def united(rights: Iterable[RegistryRight]) -> frozenset[RegistryRight]:
    """The rights with one for each place."""
    found: frozenset[RegistryRight] = frozenset()
    for right in rights:
        found = RightsAdjustment(right).applied_to(found)
    return found


@dataclass(frozen=True, kw_only=True)
class Registry(State):
    """A registry. `service` is what it calls itself, `domain` the domain whose key signs its tokens."""

    kind: ClassVar[str] = "registry"
    name_field: ClassVar[str] = "service"

    service: str = UNSET
    name: str = managed(None)
    domain: str = managed(None)
    token_header: str = managed("x5c")
    anonymous_pull: bool = managed(False)
    anonymous_push: bool = managed(False)
    rights: frozenset[RegistryRight] = managed(frozenset(), by_create=False)
    repositories: Any = reported()
    created_at: Any = reported()

    def check(self) -> None:
        if not self.name:
            raise InvalidInput("name", "is missing")
        if not self.domain:
            raise InvalidInput("domain", "is missing: whose key signs the tokens of the registry?")

    def effects(self, before: "Registry | None") -> tuple[Effect, ...]:
        row = (self.service, self.name, self.domain, self.token_header, self.anonymous_pull, self.anonymous_push)
        steps: list[Effect] = []
        held: frozenset[RegistryRight] = frozenset()
        if before is None:
            steps.append(InsertRegistry(*row))
        else:
            held = before.rights
            if row != (before.service, before.name, before.domain, before.token_header, before.anonymous_pull,
                       before.anonymous_push):
                steps.append(UpdateRegistry(*row, current=before.service))
        steps += [RemoveRegistryRight(self.service, *_columns(right)) for right in sorted(held - self.rights, key=repr)]
        steps += [AddRegistryRight(self.service, *_columns(right), actions=tuple(sorted(right.actions)))
                  for right in sorted(self.rights - held, key=repr)]
        return tuple(steps)

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteRegistry(self.service),)


@dataclass(frozen=True, kw_only=True)
class Repository(State):
    """A repository that has a row: it exists for `docker.allow_unconfigured_repos`, whoever has rights on it. Its name is
    `SERVICE:REPOSITORY`.
    """

    kind: ClassVar[str] = "repository"

    name: str = UNSET
    created_at: Any = reported()
    rights: Any = reported()

    def effects(self, before: "Repository | None") -> tuple[Effect, ...]:
        return (InsertRepository(*self.name.rsplit(":", 1)),)

    def removal(self) -> tuple[Effect, ...]:
        return (RemoveRepositoryRights(*self.name.rsplit(":", 1)), DeleteRepository(*self.name.rsplit(":", 1)))


def registry_options(
    *,
    client_id: str | None = None,
    name: str | None = None,
    domain: str | None = None,
    token_header: str | None = None,
    allow_unauthenticated_pull: bool | None = None,
    allow_unauthenticated_push: bool | None = None,
    allow: Iterable[RegistryRight] | None = None,
) -> Registry:
    """The state that options declare; None leaves things as they are. `client_id` is the service, `allow` all rights that
    there shall be. Raises InvalidInput.
    """
    if client_id is not None and not _SERVICE.fullmatch(client_id):
        raise InvalidInput("client_id", "is 1 to 255 visible ASCII characters")
    if token_header is not None and token_header not in TOKEN_HEADERS:
        raise InvalidInput("token_header", f"{token_header} is none of {', '.join(TOKEN_HEADERS)}")
    return Registry(
        service=UNSET if client_id is None else client_id,
        name=UNSET if name is None else plain_text("name", name),
        domain=UNSET if domain is None else parse_domain(domain),
        token_header=given(token_header),
        anonymous_pull=given(allow_unauthenticated_pull),
        anonymous_push=given(allow_unauthenticated_push),
        rights=UNSET if allow is None else _listed(allow))


def repository_options(*, service: str, repository: str | None) -> Repository:
    """The state of a repository. Raises InvalidInput."""
    if repository is None or not scope.is_repository_name(repository):
        raise InvalidInput("repository", "is no repository's name, written SERVICE:REPOSITORY")
    return Repository(name=f"{service}:{repository}")


def split_target(text: str, services: Iterable[str]) -> tuple[str, str | None]:
    """SERVICE[:REPO-PATTERN] in its parts; of several services that fit, the longest is meant. NotFound where none does."""
    fitting = [service for service in services if text == service or text.startswith(f"{service}:")]
    if not fitting:
        raise NotFound(f"there is no registry {text}")
    service = max(fitting, key=len)
    return service, text[len(service) + 1:] if len(text) > len(service) else None


def right_options(
    *,
    user: str | None = None,
    group: str | None = None,
    anonymous: bool = False,
    pattern: str | None = None,
    pull: bool = False,
    push: bool = False,
    delete: bool = False,
) -> RegistryRight:
    """The right that options name. `user` may still be any USER; no `pattern`: on the whole registry. Raises InvalidInput."""
    holders: list[tuple[HolderKind, str]] = []
    if user is not None:
        holders.append(("user", user))
    if group is not None:
        holders.append(("group", group))
    if anonymous:
        holders.append(("anonymous", ""))
    if len(holders) != 1:
        raise InvalidInput("", "say who: one of user, group and anonymous")
    actions = frozenset(
        action for action, named in zip(scope.ACTIONS, (pull, push, delete), strict=True) if named)
    if not actions:
        raise InvalidInput("", f"say what: {', '.join(scope.ACTIONS)}")
    if pattern is not None and not scope.is_pattern(pattern):
        raise InvalidInput("pattern", f"{pattern!r} is no repository's name, nor one with * in it")
    [(kind, holder)] = holders
    return RegistryRight(kind, holder, pattern, actions)


def allowed(right: RegistryRight) -> Registry:
    """What `allow` declares of a registry. Raises InvalidInput."""
    if right.holder_kind == "anonymous":
        _check_anonymous(right)
    return _adjusted(right, deny=False)


def denied(right: RegistryRight) -> Registry:
    """What `deny` declares of a registry."""
    return _adjusted(right, deny=True)


def _listed(rights: Iterable[RegistryRight]) -> frozenset[RegistryRight]:
    listed = united(rights)
    for right in listed:
        if right.holder_kind == "anonymous":
            _check_anonymous(right)
            if right.pattern is None:
                raise InvalidInput("pattern", "is missing; for the whole registry there is allow_unauthenticated_pull")
    return listed


def _adjusted(right: RegistryRight, *, deny: bool) -> Registry:
    if right.holder_kind == "anonymous" and right.pattern is None:
        return Registry(anonymous_pull=not deny if scope.PULL in right.actions else UNSET,
                        anonymous_push=not deny if scope.PUSH in right.actions else UNSET)
    rights: Any = RightsAdjustment(right, deny)
    return Registry(rights=rights)


def _check_anonymous(right: RegistryRight) -> None:
    if scope.DELETE in right.actions:
        raise InvalidInput("delete", "is not for anybody")


def _columns(right: RegistryRight) -> tuple[str | None, str | None, str | None]:
    """Pattern, user, group."""
    return (right.pattern, right.holder if right.holder_kind == "user" else None,
            right.holder if right.holder_kind == "group" else None)


@dataclass(frozen=True)
class InsertRegistry(Statement):
    service: str
    name: str
    domain: str
    token_header: str
    anonymous_pull: bool
    anonymous_push: bool


@dataclass(frozen=True)
class UpdateRegistry(InsertRegistry):
    current: str


@dataclass(frozen=True)
class DeleteRegistry(Statement):
    service: str


@dataclass(frozen=True)
class RemoveRegistryRight(Statement):
    service: str
    pattern: str | None
    user: str | None
    group: str | None


@dataclass(frozen=True)
class AddRegistryRight(RemoveRegistryRight):
    actions: tuple[str, ...]


@dataclass(frozen=True)
class InsertRepository(Statement):
    service: str
    repository: str


@dataclass(frozen=True)
class DeleteRepository(InsertRepository):
    pass


@dataclass(frozen=True)
class RemoveRepositoryRights(InsertRepository):
    """Nobody keeps a right that named the repository alone."""

    changes_one: ClassVar[bool] = False
