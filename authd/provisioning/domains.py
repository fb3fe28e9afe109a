"""Domains and their signing keys: the state, what options declare it, and the effects that bring it about. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from authd.errors import Conflict, InvalidInput
from authd.identity.addresses import parse_address, parse_domain
from authd.keys.facts import DEFAULT_ALGORITHM, DKIM_ALGORITHMS, JWT_ALGORITHMS, Purpose
from authd.provisioning.effects import Effect, Statement
from authd.provisioning.state import UNSET, Adjustment, State, given, managed, reported

DEFAULT_SELECTOR = "default"
PURPOSES: tuple[Purpose, ...] = ("jwt", "dkim")

_SELECTOR = re.compile(r"(?=.{1,63}$)[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signs, from a moment on and perhaps up to one. Without an `id` it is still to be made; without
    `active_from` it then signs at once.
    """

    purpose: Purpose
    algorithm: str
    selector: str | None = None
    id: int | None = None
    kid: str | None = None
    active_from: datetime | None = None
    retired_at: datetime | None = None

    @property
    def family(self) -> str:
        """Keys of one family replace each other."""
        return f"{self.purpose} {self.algorithm.partition('-')[0]}"

    def waits(self, now: datetime) -> bool:
        """Whether it is published and does not sign yet."""
        return self.active_from is not None and self.active_from > now

    def as_json(self) -> dict[str, Any]:
        name = {"selector": self.selector} if self.purpose == "dkim" else {"kid": self.kid}
        moments = {field: moment.isoformat() for field, moment in (
            ("active_from", self.active_from), ("retired_at", self.retired_at)) if moment is not None}
        return {"id": self.id, "purpose": self.purpose, "algorithm": self.algorithm, **name, **moments}


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """A key that a domain shall have; None means any (and the default where one has to be made)."""

    purpose: Purpose
    algorithm: str | None = None
    selector: str | None = None

    def is_met_by(self, key: Key) -> bool:
        return (key.purpose == self.purpose and self.algorithm in (None, key.algorithm)
                and self.selector in (None, key.selector))

    def new_key(self) -> Key:
        selector = (self.selector or DEFAULT_SELECTOR) if self.purpose == "dkim" else None
        return Key(self.purpose, self.algorithm or DEFAULT_ALGORITHM, selector)


@dataclass(frozen=True, slots=True)
class KeyOrders(Adjustment):
    """Keys that shall be there, and purposes that shall have none. `overwrite` makes a new key in any case."""

    create: tuple[KeyOrder, ...] = ()
    remove: frozenset[Purpose] = frozenset()
    overwrite: bool = False

    def applied_to(self, current: frozenset[Key]) -> frozenset[Key]:
        keys = {key for key in current if key.purpose not in self.remove}
        for order in self.create:
            if not self.overwrite and any(order.is_met_by(key) for key in keys):
                continue
            made = order.new_key()
            rivals = {key for key in keys if key.family == made.family or (made.selector and key.selector == made.selector)}
            if rivals and not self.overwrite:
                raise Conflict(f"there is another {order.purpose} key (overwrite it to replace it)")
            keys = (keys - rivals) | {made}
        return frozenset(keys)


@dataclass(frozen=True, kw_only=True)
class Domain(State):
    """A domain with the keys that it signs with. `redirect_mode` says whether redirect_to beats aliases or catches the rest."""

    kind: ClassVar[str] = "domain"

    name: str = UNSET
    redirect_to: str | None = managed(None)
    redirect_mode: str | None = managed(None)
    jwt_subdomains: bool = managed(False)
    dkim_subdomains: bool = managed(False)
    can_use_transactional_email: bool = managed(False)
    srs_domain: str | None = managed(None)
    keys: frozenset[Key] = managed(frozenset(), by_create=False)
    created_at: Any = reported()

    def effects(self, before: "Domain | None") -> tuple[Effect, ...]:
        columns: dict[str, Any] = {
            "domain": self.name, "redirect_to": self.redirect_to, "redirect_mode": self.redirect_mode,
            "jwt_subdomains": self.jwt_subdomains, "dkim_subdomains": self.dkim_subdomains,
            "can_use_transactional_email": self.can_use_transactional_email, "srs_domain": self.srs_domain}
        row = UpdateDomain(**columns) if before is not None else InsertDomain(**columns)
        return (row, *self._key_effects(before.keys if before is not None else frozenset()))

    def _key_effects(self, held: frozenset[Key]) -> list[Effect]:
        stay = {key.id for key in self.keys}
        changed = sorted(self.keys - held, key=repr)
        made = [key for key in changed if key.id is None]
        return [*(_farewell(key, made) for key in sorted(held, key=repr) if key.id not in stay),
                *(ScheduleKey(key.id, key.purpose, key.active_from, key.retired_at)
                  for key in changed if key.id is not None and key.active_from is not None),
                *(GenerateKey(self.name, key.purpose, key.algorithm, key.selector, key.active_from) for key in made)]

    def removal(self) -> tuple[Effect, ...]:
        return (DeleteDomain(self.name),)


def _farewell(key: Key, successors: Iterable[Key]) -> Effect:
    """A key that is replaced stays published; one that is not, or whose selector is taken, goes at once."""
    assert key.id is not None
    heirs = [other for other in successors if other.family == key.family]
    if heirs and all(other.selector != key.selector or key.selector is None for other in successors):
        return RetireKey(key.id, key.purpose)
    return RemoveKey(key.id)


def domain_options(
    *,
    name: str,
    create_key: Iterable[str] = (),
    remove_key: Iterable[str] = (),
    overwrite: bool = False,
    dkim_selector: str | None = None,
    jwt_algorithm: str | None = None,
    dkim_algorithm: str | None = None,
    jwt_allow_subdomain_signing: bool | None = None,
    dkim_allow_subdomain_signing: bool | None = None,
    redirect_all_email_to: str | None = None,
    catch_all: str | None = None,
    transactional_email: bool | None = None,
    srs_domain: str | None = None,
) -> Domain:
    """The state that options declare; None and an empty list leave things as they are, an empty text takes a value away.
    Raises InvalidInput.
    """
    if redirect_all_email_to and catch_all:
        raise InvalidInput("catch_all", "all mail of a domain goes elsewhere, or the rest of it does; not both")
    redirect = {} if redirect_all_email_to is None and catch_all is None else _redirect(redirect_all_email_to, catch_all)
    create, remove = tuple(dict.fromkeys(create_key)), frozenset(remove_key)
    for purpose in {*create, *remove} - {*PURPOSES}:
        raise InvalidInput("create_key", f"{purpose}: keys are for {' or '.join(PURPOSES)}")
    for purpose, option, value in (("dkim", "dkim_selector", dkim_selector), ("dkim", "dkim_algorithm", dkim_algorithm),
                                   ("jwt", "jwt_algorithm", jwt_algorithm)):
        if value is not None and purpose not in create:
            raise InvalidInput(option, f"belongs to create_key {purpose}")
    algorithms = {"jwt": jwt_algorithm, "dkim": dkim_algorithm}
    orders = tuple(_order(purpose, algorithms[purpose], dkim_selector) for purpose in PURPOSES if purpose in create)
    keys: Any = KeyOrders(orders, frozenset(purpose for purpose in PURPOSES if purpose in remove), overwrite)
    return Domain(
        name=parse_domain(name),
        jwt_subdomains=given(jwt_allow_subdomain_signing),
        dkim_subdomains=given(dkim_allow_subdomain_signing),
        can_use_transactional_email=given(transactional_email),
        srs_domain=given(parse_domain(srs_domain) if srs_domain else srs_domain, empty=None),
        keys=keys if orders or remove else UNSET,
        **redirect)


def _order(purpose: Purpose, algorithm: str | None, selector: str | None) -> KeyOrder:
    known = JWT_ALGORITHMS if purpose == "jwt" else DKIM_ALGORITHMS
    if algorithm is not None and algorithm not in known:
        raise InvalidInput(f"{purpose}_algorithm", f"{algorithm} is none of {', '.join(known)}")
    if selector is not None:
        check_selector("dkim_selector", selector)
    return KeyOrder(purpose, algorithm, selector if purpose == "dkim" else None)


def check_selector(field: str, selector: str) -> None:
    """Raises InvalidInput(field) for what cannot be a selector."""
    if not _SELECTOR.fullmatch(selector):
        raise InvalidInput(field, "is 1 to 63 lower case letters, digits, - and _, in labels split by dots")


def _redirect(everything: str | None, rest: str | None) -> dict[str, Any]:
    target = everything or rest
    if not target:
        return {"redirect_to": None, "redirect_mode": None}
    try:
        target = str(parse_address(target)) if "@" in target else parse_domain(target)
    except InvalidInput:
        raise InvalidInput("redirect_all_email_to" if everything else "catch_all", "is a domain or an address") from None
    return {"redirect_to": target, "redirect_mode": "all" if everything else "rest"}


@dataclass(frozen=True)
class InsertDomain(Statement):
    domain: str
    redirect_to: str | None
    redirect_mode: str | None
    jwt_subdomains: bool
    dkim_subdomains: bool
    can_use_transactional_email: bool
    srs_domain: str | None


@dataclass(frozen=True)
class UpdateDomain(InsertDomain):
    pass


@dataclass(frozen=True)
class DeleteDomain(Statement):
    domain: str


@dataclass(frozen=True)
class GenerateKey(Effect):
    """Makes a key and adds it; it signs from `active_from` on, by default at once."""

    domain: str
    purpose: Purpose
    algorithm: str
    selector: str | None
    active_from: datetime | None = None


@dataclass(frozen=True)
class RetireKey(Effect):
    """The key signs no more, but stays published as long as what it signed may be shown."""

    key: int
    purpose: Purpose


@dataclass(frozen=True)
class ScheduleKey(Effect):
    """The key begins and, if `retired_at` is given, ceases to sign at these moments."""

    key: int
    purpose: Purpose
    active_from: datetime
    retired_at: datetime | None


@dataclass(frozen=True)
class RemoveKey(Effect):
    """The key is deleted, and nothing that it signed is good any more."""

    key: int
