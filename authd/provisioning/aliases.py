"""Aliases: the state, what options declare it, and the effects that bring it about. Pure."""

from dataclasses import dataclass
from typing import Any, ClassVar

from authd.errors import Conflict, InvalidInput
from authd.identity.addresses import parse_address
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, State, given, managed, reported


@dataclass(frozen=True, kw_only=True)
class Alias(State):
    """An address of exactly one account (`user`, its identifier) or exactly one mailing list.

    `primary_of` is the identifier of the account whose delivery mailbox it is.
    """

    kind: ClassVar[str] = "alias"
    name_field: ClassVar[str] = "address"

    address: str = UNSET
    user: str | None = managed(None)
    mailing_list: str | None = managed(None)
    blocked: bool = managed(False)
    primary_of: Any = reported()
    created_at: Any = reported()

    def check(self) -> None:
        if (self.user is None) == (self.mailing_list is None):
            raise InvalidInput("alias", f"{self.address} must belong to one user or to one mailing list")

    def effects(self, before: "Alias | None") -> tuple[Effect, ...]:
        local_part, domain = self.address.rsplit("@", 1)
        columns: dict[str, Any] = {"local_part": local_part, "domain": domain, "user": self.user,
                                   "mailing_list": self.mailing_list, "blocked": self.blocked}
        if before is None:
            return (InsertAlias(**columns),)
        if before.primary_of is not None and self.user != before.user:
            raise Conflict(f"{before.address} is the delivery mailbox of {before.primary_of}; give it another one first")
        current_local_part, current_domain = before.address.rsplit("@", 1)
        return (UpdateAlias(**columns, current_local_part=current_local_part, current_domain=current_domain),)

    def removal(self) -> tuple[Effect, ...]:
        if self.primary_of is not None:
            raise Conflict(f"{self.address} is the delivery mailbox of {self.primary_of}; give it another one first")
        return (DeleteAlias(*self.address.rsplit("@", 1)),)


def alias_options(
    *, address: str | None = None, user: str | None = None, mailing_list: str | None = None, blocked: bool | None = None,
) -> Alias:
    """The state that options declare; None leaves things as they are. `user` may still be any USER. Raises InvalidInput."""
    if user is not None and mailing_list is not None:
        raise InvalidInput("mailing_list", "an alias belongs to a user or to a mailing list, not to both")
    owner = {} if user is None and mailing_list is None else {"user": user, "mailing_list": mailing_list}
    return Alias(address=UNSET if address is None else str(parse_address(address)), blocked=given(blocked), **owner)


@dataclass(frozen=True)
class InsertAlias(Statement):
    local_part: str
    domain: str
    user: str | None
    mailing_list: str | None
    blocked: bool


@dataclass(frozen=True)
class UpdateAlias(InsertAlias):
    current_local_part: str
    current_domain: str


@dataclass(frozen=True)
class DeleteAlias(Statement):
    local_part: str
    domain: str
