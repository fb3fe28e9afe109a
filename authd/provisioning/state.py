"""What declared and current states have in common. The states themselves are in the nouns' modules.

A state is a frozen dataclass. Declared, it may leave fields UNSET ("as it is") or hold an Adjustment ("one more, one
less"); the current state, read from the database, has a value in every field. UNSET and Adjustments are typed as Any, so
that a field keeps the type it has in a current state.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from authd.provisioning.effects import Effect


class _Unset(Enum):
    UNSET = "as it is"


UNSET: Any = _Unset.UNSET


class Adjustment(ABC):
    """A declared value that depends on the current one."""

    @abstractmethod
    def applied_to(self, current: Any) -> Any:
        """The value that the field shall have."""


@dataclass(frozen=True, slots=True)
class SetAdjustment(Adjustment):
    """Some members more, some less."""

    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()

    def applied_to(self, current: frozenset[str]) -> frozenset[str]:
        return (current | self.add) - self.remove


def adjusted(*, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Any:
    """For a field that holds a set: the current members, with some added and some removed."""
    return SetAdjustment(frozenset(add), frozenset(remove))


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or client secret in plain text, which cannot be printed. `generated`: at least 128 random bits, and made
    together with its `hash`.
    """

    value: str = field(repr=False)
    generated: bool = False
    hash: str | None = field(default=None, repr=False)


def given(value: Any, *, empty: Any = "") -> Any:
    """The field that an option declares: left as it is where the option was left out (None); `empty` for an empty text."""
    return UNSET if value is None else empty if value == "" else value


def declared_only() -> Any:
    """A field for a secret, which a current state does not tell."""
    return field(default=UNSET, metadata={"initial": None, "by_create": False, "secret": True})


def managed(initial: Any, *, by_create: bool = True) -> Any:
    """A field that may be declared. `initial` is its value in a new object, and what `create` compares with where it is
    left out, unless the field has verbs of its own (`by_create` false).
    """
    return field(default=UNSET, metadata={"initial": initial, "by_create": by_create})


def reported() -> Any:
    """A field that only the database knows: shown, never declared, never a difference."""
    return field(default=None, compare=False, metadata={"reported": True})


@dataclass(frozen=True, kw_only=True)
class State(ABC):
    """The state of one object."""

    kind: ClassVar[str]
    name_field: ClassVar[str] = "name"

    @property
    def label(self) -> str:
        """The name that people know it by."""
        return str(getattr(self, self.name_field))

    @property
    def is_named(self) -> bool:
        """Whether it is declared which object is meant."""
        return getattr(self, self.name_field) is not UNSET

    @abstractmethod
    def effects(self, before: Any) -> tuple[Effect, ...]:
        """What has to be done to get here from `before`, a complete state of the same kind or None."""

    @abstractmethod
    def removal(self) -> tuple[Effect, ...]:
        """What has to be done to get rid of it."""

    def check(self) -> None:  # noqa: B027 (most states need no check)
        """Raises InvalidInput where the values of a complete state contradict each other."""

    def as_json(self) -> dict[str, Any]:
        """Every field that is no secret, for programs."""
        return {item.name: _as_json(getattr(self, item.name)) for item in fields(self) if not item.metadata.get("secret")}


S = TypeVar("S", bound=State)


def completed(declared: S) -> S:
    """The state that `create` means: what it leaves out has its initial value."""
    return replace(declared, **{
        item.name: item.metadata["initial"] for item in fields(declared)
        if getattr(declared, item.name) is UNSET and item.metadata.get("by_create")})


def merged(declared: S, current: S | None) -> S:
    """The complete state that `declared` wants, where `current` is the one there is (None: nothing)."""
    values = {}
    for item in fields(declared):
        wanted = getattr(declared, item.name)
        held = getattr(current, item.name) if current is not None else item.metadata.get("initial")
        if wanted is UNSET or item.metadata.get("reported"):
            values[item.name] = held
        else:
            values[item.name] = wanted.applied_to(held) if isinstance(wanted, Adjustment) else wanted
    return replace(declared, **values)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that changes, with values as JSON has them."""

    field: str
    old: Any
    new: Any


def differences(before: S | None, after: S) -> tuple[Difference, ...]:
    """What changes on the way from one complete state to another. A secret shows that it changes, not what it is."""
    changed = []
    for item in fields(after):
        new = getattr(after, item.name)
        old = getattr(before, item.name) if before is not None else item.metadata.get("initial")
        if old != new and item.compare:
            changed.append(Difference(item.name, _as_json(old), _as_json(new)))
    return tuple(changed)


def _as_json(value: Any) -> Any:
    if isinstance(value, (frozenset, tuple)):
        return sorted((_as_json(member) for member in value), key=str) if isinstance(value, frozenset) else list(value)
    if isinstance(value, Secret):
        return "(secret)"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    as_json = getattr(value, "as_json", None)
    return as_json() if as_json is not None else value
