"""Service users: the state, what options declare it, and the effects that bring it about. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from authd.errors import InvalidInput
from authd.identity.crypt import encode
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, Secret, State, declared_only, given, managed, reported
from authd.provisioning.texts import plain_text

_USERNAME = re.compile(r"[!-?A-~]{1,64}")


@dataclass(frozen=True, kw_only=True)
class ServiceUser(State):
    """A name and password that act for `user` (an account's identifier); `limited` to `permissions`, or to none of them.

    `password` is only ever declared: the current state does not tell it.
    """

    kind: ClassVar[str] = "serviceuser"
    name_field: ClassVar[str] = "username"

    username: str = UNSET
    user: str = managed(None)
    description: str = managed("")
    limited: bool = managed(False)
    permissions: frozenset[str] = managed(frozenset())
    password: Secret | None = declared_only()
    created_at: Any = reported()
    last_used_at: Any = reported()

    def check(self) -> None:
        if self.user is None:
            raise InvalidInput("user", f"the service user {self.username} must act for a user")

    def effects(self, before: "ServiceUser | None") -> tuple[Effect, ...]:
        columns: dict[str, Any] = {"username": self.username, "user": self.user, "description": self.description,
                                   "limited": self.limited}
        steps: list[Effect] = []
        if before is None:
            assert self.password is not None
            steps.append(InsertServiceUser(**columns, password=self.password, generated=self.password.generated))
        else:
            steps.append(UpdateServiceUser(**columns, current=before.username))
            if self.password is not None:
                steps += [SetServiceUserPassword(self.username, self.password, self.password.generated),
                          EndServiceUserSessions(self.username)]
        held = before.permissions if before is not None else frozenset()
        if self.permissions != held:
            steps += [LimitServiceUser(self.username, tuple(sorted(self.permissions - held))),
                      UnlimitServiceUser(self.username, tuple(sorted(held - self.permissions)))]
        return tuple(steps)

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteServiceUser(self.username),)


def service_user_options(
    *,
    username: str | None = None,
    user: str | None = None,
    description: str | None = None,
    permission: Iterable[str] | None = None,
    password: str | None = None,
) -> ServiceUser:
    """The state that options declare; None leaves things as they are. Naming permissions limits it to them, an empty list
    lifts the limit. `user` may still be any USER. Raises InvalidInput.
    """
    if username is not None and not _USERNAME.fullmatch(username):
        raise InvalidInput("username", "is 1 to 64 visible ASCII characters without @")
    if password is not None:
        if not password:
            raise InvalidInput("password", "is empty")
        encode(password)
    names: Any = UNSET if permission is None else frozenset(permission)
    return ServiceUser(
        username=given(username), user=given(user),
        description=UNSET if description is None else plain_text("description", description, empty_allowed=True),
        limited=UNSET if permission is None else bool(names), permissions=names,
        password=UNSET if password is None else Secret(password))


@dataclass(frozen=True)
class UpdateServiceUser(Statement):
    username: str
    user: str
    description: str
    limited: bool
    current: str


@dataclass(frozen=True)
class InsertServiceUser(Statement):
    username: str
    user: str
    description: str
    limited: bool
    password: Secret = field(repr=False)
    generated: bool


@dataclass(frozen=True)
class DeleteServiceUser(Statement):
    username: str


@dataclass(frozen=True)
class SetServiceUserPassword(Statement):
    username: str
    password: Secret = field(repr=False)
    generated: bool


@dataclass(frozen=True)
class EndServiceUserSessions(Statement):
    changes_one: ClassVar[bool] = False

    username: str


@dataclass(frozen=True)
class LimitServiceUser(Statement):
    changes_one: ClassVar[bool] = False

    username: str
    permissions: tuple[str, ...]


@dataclass(frozen=True)
class UnlimitServiceUser(LimitServiceUser):
    pass
