"""Mailing lists: the state, what options declare it, and the effects that bring it about. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from authd.errors import InvalidInput
from authd.identity.addresses import parse_address
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, Adjustment, State, given, managed, reported
from authd.provisioning.texts import plain_text


@dataclass(frozen=True, slots=True)
class MemberChange(Adjustment):
    """Members more and less, or exactly these (`only`). Case does not distinguish members; who is one keeps the spelling."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None

    def applied_to(self, current: frozenset[str]) -> frozenset[str]:
        held = {address.lower(): address for address in sorted(current)}
        if self.only is not None:
            return frozenset({address.lower(): held.get(address.lower(), address) for address in self.only}.values())
        for address in self.add:
            held.setdefault(address.lower(), address)
        for address in self.remove:
            held.pop(address.lower(), None)
        return frozenset(held.values())


@dataclass(frozen=True, kw_only=True)
class MailingList(State):
    """A mailing list. `owner` is an account's identifier."""

    kind: ClassVar[str] = "mailinglist"

    name: str = UNSET
    owner: str | None = managed(None, by_create=False)
    new_mailfrom: str | None = managed(None)
    list_headers: bool = managed(False)
    members: frozenset[str] = managed(frozenset())
    aliases: Any = reported()
    created_at: Any = reported()

    def effects(self, before: "MailingList | None") -> tuple[Effect, ...]:
        columns: dict[str, Any] = {"mailing_list": self.name, "owner": self.owner, "new_mailfrom": self.new_mailfrom,
                                   "list_headers": self.list_headers}
        held = before.members if before is not None else frozenset()
        return (
            UpdateMailingList(**columns, current=before.name) if before is not None else InsertMailingList(**columns),
            RemoveMembers(self.name, tuple(sorted(held - self.members))),
            AddMembers(self.name, tuple(sorted(self.members - held))))

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteMailingList(self.name),)


def mailing_list_options(
    *,
    name: str | None = None,
    addresses: Iterable[str] | None = None,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    owner: str | None = None,
    new_mailfrom: str | None = None,
    list_headers: bool | None = None,
) -> MailingList:
    """The state that options declare; None leaves things as they are, an empty text takes a value away. `owner` may still
    be any USER. `addresses` are all members, `add` and `remove` single ones. Raises InvalidInput.
    """
    members: Any = UNSET
    if addresses is not None:
        members = MemberChange(only=_members(addresses))
    elif (change := MemberChange(_members(add), _members(remove))) != MemberChange():
        members = change
    mailfrom: Any = given(_member(new_mailfrom) if new_mailfrom else new_mailfrom, empty=None)
    return MailingList(
        name=UNSET if name is None else plain_text("name", name),
        owner=given(owner, empty=None), new_mailfrom=mailfrom, list_headers=given(list_headers), members=members)


def _members(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(_member(address) for address in addresses)


def _member(text: str) -> str:
    try:
        return str(parse_address(text))
    except InvalidInput:
        raise InvalidInput("address", f"{text!r} is not a mail address") from None


@dataclass(frozen=True)
class InsertMailingList(Statement):
    mailing_list: str
    owner: str | None
    new_mailfrom: str | None
    list_headers: bool


@dataclass(frozen=True)
class UpdateMailingList(InsertMailingList):
    current: str


@dataclass(frozen=True)
class DeleteMailingList(Statement):
    mailing_list: str


@dataclass(frozen=True)
class AddMembers(Statement):
    changes_one: ClassVar[bool] = False

    mailing_list: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class RemoveMembers(AddMembers):
    pass
