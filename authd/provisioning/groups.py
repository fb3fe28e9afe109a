"""Groups and permissions: the states, what options declare them, and the effects that bring them about. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from authd.errors import Conflict, InvalidInput
from authd.identity.permissions import is_identifier
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, State, managed, reported
from authd.provisioning.texts import plain_text


@dataclass(frozen=True, kw_only=True)
class Group(State):
    """A group and the permissions that its members hold through it. `members` are identifiers of accounts."""

    kind: ClassVar[str] = "group"

    name: str = UNSET
    permissions: frozenset[str] = managed(frozenset(), by_create=False)
    members: Any = reported()

    def effects(self, before: "Group | None") -> tuple[Effect, ...]:
        steps: list[Effect] = [InsertGroup(self.name)] if before is None else []
        held = before.permissions if before is not None else frozenset()
        if self.permissions != held:
            steps += [GrantToGroup(self.name, tuple(sorted(self.permissions - held))),
                      RevokeFromGroup(self.name, tuple(sorted(held - self.permissions)))]
        return tuple(steps)

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteGroup(self.name),)


@dataclass(frozen=True, kw_only=True)
class Permission(State):
    """A permission: `identifier` for programs, `title` for people. `required_by` are the names of clients."""

    kind: ClassVar[str] = "permission"
    name_field: ClassVar[str] = "identifier"

    identifier: str = UNSET
    title: str = managed("")
    required_by: Any = reported()

    def effects(self, before: "Permission | None") -> tuple[Effect, ...]:
        return ((InsertPermission if before is None else UpdatePermission)(self.identifier, self.title),)

    def removal(self) -> tuple[Effect, ...]:
        if self.required_by:  # without it these clients would let everybody in
            raise Conflict(f"{self.identifier} is required by {', '.join(self.required_by)}; drop it there first")
        return (DeletePermission(self.identifier),)


def group_options(*, name: str, permission: Iterable[str] | None = None) -> Group:
    """The state that options declare; None leaves things as they are. Raises InvalidInput."""
    return Group(name=plain_text("group", name), permissions=UNSET if permission is None else frozenset(permission))


def permission_options(*, permission: str, name: str | None = None) -> Permission:
    """The state that options declare: `name` is the title; None leaves it as it is. Raises InvalidInput."""
    if not is_identifier(permission):
        raise InvalidInput("permission", f"{permission!r} may have letters, digits and _ . : - only, 255 at most")
    title = UNSET if name is None else plain_text("name", name, empty_allowed=True)
    return Permission(identifier=permission, title=title)


@dataclass(frozen=True)
class InsertGroup(Statement):
    group: str


@dataclass(frozen=True)
class DeleteGroup(InsertGroup):
    pass


@dataclass(frozen=True)
class GrantToGroup(Statement):
    changes_one: ClassVar[bool] = False

    group: str
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class RevokeFromGroup(GrantToGroup):
    pass


@dataclass(frozen=True)
class InsertPermission(Statement):
    permission: str
    title: str


@dataclass(frozen=True)
class UpdatePermission(InsertPermission):
    pass


@dataclass(frozen=True)
class DeletePermission(Statement):
    permission: str
