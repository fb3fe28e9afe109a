"""What is to be done next to keep a token and credentials alive. Pure: no clock, no network, no chance."""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

RENEW_AT = 2 / 3  # of a grant's life
JITTER = 0.1  # of a grant's life, by which renewals are earlier, so that a fleet does not come all at once
SHRUNK = 0.9  # a renewal that grants less than this of the first grant has met the maximum TTL
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Grant:
    """A token or a lease. Times are in seconds; `seconds` of life began at `since`, on a clock that never steps back."""

    id: str = field(repr=False)
    seconds: float
    since: float
    renewable: bool
    granted: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "granted", max(self.granted, self.seconds))

    @property
    def eternal(self) -> bool:
        """Vault says 0 for a grant that does not end."""
        return self.granted == 0

    @property
    def ends(self) -> float:
        """When it stops to be good for anything."""
        return math.inf if self.eternal else self.since + self.seconds

    @property
    def shrunk(self) -> bool:
        """Whether the last renewal gave less than was first granted: the maximum TTL is near."""
        return self.seconds < self.granted * SHRUNK

    def renewed(self, seconds: float, now: float, renewable: bool = True) -> "Grant":
        """The same grant after a renewal that was answered with `seconds`."""
        return replace(self, seconds=seconds, since=now, renewable=renewable)

    def due(self, chance: float) -> float:
        """When it should be renewed or replaced. `chance` is from 0 to 1, chosen once for each grant or renewal."""
        if self.eternal:
            return math.inf
        return self.since if self.shrunk else self.since + self.seconds * (RENEW_AT - JITTER * chance)


class Action(Enum):
    """What to do to stay in PostgreSQL."""

    LOG_IN = "log in"
    RENEW_TOKEN = "renew the token"  # noqa: S105
    READ_CREDENTIALS = "read credentials"
    RENEW_LEASE = "renew the lease"


@dataclass(frozen=True, slots=True)
class Step:
    """An action and when it is due."""

    action: Action
    at: float


def next_step(token: Grant | None, lease: Grant | None, now: float, chance: float) -> Step:
    """What comes next, and when; `at` <= `now` is due. A lease lives no longer than the token it was read with, so whoever
    logs in again must forget the lease.
    """
    if token is None or token.ends <= now:
        return Step(Action.LOG_IN, now)
    if lease is None or lease.ends <= now:
        return Step(Action.READ_CREDENTIALS, now)
    of_token = Step(Action.RENEW_TOKEN if _extendable(token) else Action.LOG_IN, token.due(chance))
    of_lease = Step(Action.RENEW_LEASE if _extendable(lease) else Action.READ_CREDENTIALS, lease.due(chance))
    return min(of_token, of_lease, key=lambda step: step.at)


def pause_after(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row, the first being 1."""
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE) * (1 - 0.25 * chance)


def _extendable(grant: Grant) -> bool:
    return grant.renewable and not grant.shrunk
