"""Accounts: the state, what options declare it, and the effects that bring it about. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from authd.errors import InvalidInput
from authd.identity.crypt import encode
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, Secret, State, declared_only, given, managed, reported
from authd.provisioning.texts import plain_text


@dataclass(frozen=True, kw_only=True)
class Account(State):
    """An account. `primary_address` is its delivery mailbox, one of its aliases; `permissions` are those held directly.

    `password` is only ever declared: the current state does not tell it.
    """

    kind: ClassVar[str] = "user"
    name_field: ClassVar[str] = "identifier"

    identifier: str = UNSET
    full_name: str = managed("")
    is_admin: bool = managed(False)
    is_active: bool = managed(True, by_create=False)
    service_users_only: bool = managed(False, by_create=False)
    time_zone: str | None = managed(None, by_create=False)
    language: str | None = managed(None, by_create=False)
    primary_address: str | None = managed(None, by_create=False)
    permissions: frozenset[str] = managed(frozenset(), by_create=False)
    groups: frozenset[str] = managed(frozenset(), by_create=False)
    password: Secret | None = declared_only()
    uuid: Any = reported()
    aliases: Any = reported()
    has_password: Any = reported()
    created_at: Any = reported()
    last_login_at: Any = reported()

    def effects(self, before: "Account | None") -> tuple[Effect, ...]:
        steps: list[Effect] = []
        row = (self.identifier, self.full_name, self.is_admin, self.is_active, self.service_users_only,
               self.time_zone, self.language)
        if before is None:
            steps.append(InsertAccount(*row))
        elif row != (before.identifier, before.full_name, before.is_admin, before.is_active, before.service_users_only,
                     before.time_zone, before.language):
            steps.append(UpdateAccount(*row, current=before.identifier))
        held, joined, primary = frozenset[str](), frozenset[str](), None
        if before is not None:
            held, joined, primary = before.permissions, before.groups, before.primary_address
        if self.primary_address != primary:
            steps.append(SetPrimaryAddress(self.identifier, self.primary_address))
        if self.permissions != held:
            steps += [GrantToAccount(self.identifier, tuple(sorted(self.permissions - held))),
                      RevokeFromAccount(self.identifier, tuple(sorted(held - self.permissions)))]
        if self.groups != joined:
            steps += [JoinGroups(self.identifier, tuple(sorted(self.groups - joined))),
                      LeaveGroups(self.identifier, tuple(sorted(joined - self.groups)))]
        if self.password is not None:
            steps += [SetPassword(self.identifier, self.password), EndSessions(self.identifier)]
        if not self.is_active and (before is None or before.is_active):
            steps += [EndSessions(self.identifier), EndTokensOfAccount(self.identifier)]
        return tuple(steps)

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteAccount(self.identifier),)


def account_options(
    *,
    identifier: str | None = None,
    fullname: str | None = None,
    admin: bool | None = None,
    active: bool | None = None,
    service_users_only: bool | None = None,
    time_zone: str | None = None,
    language: str | None = None,
    delivery_mailbox: str | None = None,
    permission: Iterable[str] | None = None,
    group: Iterable[str] | None = None,
    password: str | None = None,
) -> Account:
    """The state that options declare; None leaves things as they are. Raises InvalidInput."""
    if password is not None:
        if not password:
            raise InvalidInput("password", "is empty")
        encode(password)
    return Account(
        identifier=UNSET if identifier is None else plain_text("identifier", identifier),
        full_name=UNSET if fullname is None else plain_text("fullname", fullname, empty_allowed=True),
        is_admin=given(admin),
        is_active=given(active),
        service_users_only=given(service_users_only),
        time_zone=given(time_zone, empty=None),
        language=given(language, empty=None),
        primary_address=given(delivery_mailbox, empty=None),
        permissions=UNSET if permission is None else frozenset(permission),
        groups=UNSET if group is None else frozenset(group),
        password=UNSET if password is None else Secret(password))


@dataclass(frozen=True)
class InsertAccount(Statement):
    user: str
    full_name: str
    is_admin: bool
    is_active: bool
    service_users_only: bool
    time_zone: str | None
    language: str | None


@dataclass(frozen=True)
class UpdateAccount(InsertAccount):
    current: str


@dataclass(frozen=True)
class DeleteAccount(Statement):
    user: str


@dataclass(frozen=True)
class SetPrimaryAddress(Statement):
    user: str
    address: str | None


@dataclass(frozen=True)
class SetPassword(Statement):
    user: str
    password: Secret = field(repr=False)


@dataclass(frozen=True)
class GrantToAccount(Statement):
    changes_one: ClassVar[bool] = False

    user: str
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class RevokeFromAccount(GrantToAccount):
    pass


@dataclass(frozen=True)
class JoinGroups(Statement):
    changes_one: ClassVar[bool] = False

    user: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class LeaveGroups(JoinGroups):
    pass


@dataclass(frozen=True)
class EndSessions(Statement):
    """Signs the account out everywhere."""

    changes_one: ClassVar[bool] = False

    user: str


@dataclass(frozen=True)
class EndTokensOfAccount(EndSessions):
    """What clients were given in its name is good no more, also should it become active again."""
