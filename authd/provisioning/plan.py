"""Deciding what a declared state means for the current one. Pure: idempotence exists here, once, for every verb."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic

from authd.errors import Conflict, NotFound
from authd.provisioning.effects import Effect
from authd.provisioning.state import Difference, S, State, completed, differences, merged


class Mode(Enum):
    """What a verb does where the object exists, or does not.

    CREATE makes it, and refuses one that exists with other values; ENSURE makes or changes it; EDIT changes one that
    exists; REMOVE removes it.
    """

    CREATE = "create"
    ENSURE = "ensure"
    EDIT = "edit"
    REMOVE = "remove"


@dataclass(frozen=True)
class Change:
    """One item: a declared state and what to do about it. `key` names the object where the declared state does not, or
    gives it another name.
    """

    declared: State
    mode: Mode
    key: str | None = None

    @property
    def name(self) -> str | None:
        """What the object is found by; None for a new one whose name is still to be made."""
        return self.key if self.key is not None else self.declared.label if self.declared.is_named else None


class Outcome(Enum):
    """What a plan comes to."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"


@dataclass(frozen=True)
class Plan(Generic[S]):
    """What will be done to one object. `after` is None where nothing is left of it."""

    outcome: Outcome
    before: S | None
    after: S | None
    effects: tuple[Effect, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def old_values(self) -> dict[str, Any] | None:
        """What an audit entry calls old."""
        if self.outcome is Outcome.REMOVED and self.before is not None:
            return self.before.as_json()
        return {item.field: item.old for item in self.differences} if self.before is not None else None

    @property
    def new_values(self) -> dict[str, Any] | None:
        """What an audit entry calls new."""
        return {item.field: item.new for item in self.differences} if self.after is not None else None


def plan(declared: S, current: S | None, mode: Mode) -> Plan[S]:
    """What `declared` asks for, given what there is. Raises Conflict for what exists with other values, NotFound for an
    edit of what does not exist, InvalidInput for a state that cannot be.
    """
    if mode is Mode.REMOVE:
        if current is None:
            return Plan(Outcome.UNCHANGED, None, None)
        return Plan(Outcome.REMOVED, current, None, current.removal())
    if current is None and mode is Mode.EDIT:
        raise NotFound(f"there is no {declared.kind} {declared.label}")
    after = merged(completed(declared) if mode is Mode.CREATE else declared, current)
    after.check()
    changed = differences(current, after)
    if current is None:
        return Plan(Outcome.CREATED, None, after, after.effects(None), changed)
    if not changed:
        return Plan(Outcome.UNCHANGED, current, current)
    if mode is Mode.CREATE:
        raise Conflict(f"{current.kind} {current.label} exists with other values: " + "; ".join(
            f"{item.field} is {item.old!r}, not {item.new!r}" for item in changed))
    return Plan(Outcome.CHANGED, current, after, after.effects(current), changed)
