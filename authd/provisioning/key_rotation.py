"""Replacing a key that signs by one that is published first: what a rotation makes of a domain's keys. Pure.

The clock carries it out: the next key begins to sign at a moment, at which those of its family retire.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from authd.errors import Conflict, InvalidInput, NotFound
from authd.keys.facts import DKIM_ALGORITHMS, JWT_ALGORITHMS, Purpose
from authd.provisioning.domains import Domain, Key, check_selector
from authd.provisioning.state import Adjustment

# How long a new key is published before it signs: a person has to bring a DKIM record into DNS, and both are cached.
GRACE: dict[Purpose, timedelta] = {"dkim": timedelta(days=2), "jwt": timedelta(days=1)}
FARTHEST = timedelta(days=36525)

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class KeyRotation(Adjustment):
    """A next key shall wait: the one that does, or a new one (None: of the algorithm that signs, with a selector that is not
    `taken`). `moment` is when it begins to sign (None: as planned, for a new one after GRACE). `makes` false: where none waits,
    all is done already.
    """

    purpose: Purpose
    now: datetime
    algorithm: str | None = None
    selector: str | None = None
    moment: datetime | None = None
    makes: bool = True
    taken: frozenset[str] = frozenset()

    def applied_to(self, current: frozenset[Key]) -> frozenset[Key]:
        family = self._family(current)
        waiting = max((key for key in family if key.waits(self.now)), key=lambda key: key.id or 0, default=None)
        if waiting is None and not self.makes:
            return current
        if waiting is None:
            following = self._made(family, current)
        else:
            self._check(waiting)
            following = replace(waiting, active_from=self.moment or waiting.active_from)
        leaving = [key for key in family if not key.waits(self.now)]
        left = [replace(key, retired_at=following.active_from) for key in leaving]
        return (current - {*leaving, *([waiting] if waiting else [])}) | {following, *left}

    def _family(self, current: frozenset[Key]) -> list[Key]:
        """The keys that give way to the next one, and that itself where it waits."""
        keys = [key for key in current if key.purpose == self.purpose]
        wanted = {key.family for key in keys if key.waits(self.now)} or {key.family for key in keys}
        if self.algorithm is not None:
            wanted = {Key(self.purpose, self.algorithm).family}
        if not wanted:
            raise NotFound(f"there is no {self.purpose} key to replace: authctl domain edit --create-key {self.purpose}")
        if len(wanted) > 1:
            raise InvalidInput("algorithm", f"say which of its {self.purpose} keys: "
                               + ", ".join(sorted({key.algorithm for key in keys})))
        return sorted((key for key in keys if key.family in wanted), key=lambda key: key.id or 0)

    def _made(self, family: list[Key], current: frozenset[Key]) -> Key:
        algorithm = self.algorithm or family[-1].algorithm
        selector = None
        if self.purpose == "dkim":
            taken = self.taken | {key.selector for key in current if key.selector is not None}
            selector = self.selector or free_selector(algorithm, self.now, taken)
            if selector in taken:
                raise Conflict(f"a key of the domain has, or had, the selector {selector}: verifiers may still know it")
        planned = (self.now + GRACE[self.purpose]).replace(microsecond=0)
        return Key(self.purpose, algorithm, selector, active_from=self.moment or planned)

    def _check(self, waiting: Key) -> None:
        if self.algorithm not in (None, waiting.algorithm) or self.selector not in (None, waiting.selector):
            name = "" if waiting.selector is None else f" with the selector {waiting.selector}"
            raise Conflict(f"another next key waits, {waiting.algorithm}{name}: activate it first")


def rotation(
    name: str, purpose: Purpose, now: datetime, *, algorithm: str | None = None, selector: str | None = None,
    active_from: str | None = None, activate: bool = False, taken: Iterable[str] = (),
) -> Domain:
    """The state that the options of a rotation declare. Raises InvalidInput."""
    if algorithm is not None and algorithm not in (JWT_ALGORITHMS if purpose == "jwt" else DKIM_ALGORITHMS):
        raise InvalidInput("algorithm", f"{algorithm} is not for {purpose} keys")
    if selector is not None:
        if purpose != "dkim":
            raise InvalidInput("selector", "is for dkim keys")
        check_selector("selector", selector)
    if activate and (selector is not None or active_from is not None):
        raise InvalidInput("activate", "takes the key that waits, and takes it now")
    moment = now if activate else None if active_from is None else parse_moment(active_from, now)
    keys: Any = KeyRotation(purpose, now, algorithm, selector, moment, not activate, frozenset(taken))
    return Domain(name=name, keys=keys)


def parse_moment(text: str, now: datetime) -> datetime:
    """A number with s, m, h or d from now, or a time as ISO 8601 writes it, in UTC where it names no zone; never in the past,
    nor later than FARTHEST.

    Raises InvalidInput("active_from").
    """
    duration = _DURATION.fullmatch(text)
    try:
        moment = (datetime.fromisoformat(text) if duration is None
                  else now + timedelta(**{_UNITS[duration[2]]: int(duration[1])}))
    except ValueError:
        raise InvalidInput("active_from", "is a time (2026-12-01T04:00) or a number with s, m, h or d") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if moment < now:
        raise InvalidInput("active_from", "is in the past; --activate is for now")
    if moment > now + FARTHEST:
        raise InvalidInput("active_from", "is more than a hundred years away")
    return moment


def free_selector(algorithm: str, today: datetime, taken: Iterable[str]) -> str:
    """A selector that says when the key was made: r20261124 (RSA), e20261124-2 (Ed25519, the second of that day)."""
    base = f"{algorithm[0].lower()}{today:%Y%m%d}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(name for name in names if name not in set(taken))
