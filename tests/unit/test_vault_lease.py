"""What is done next about a token and a lease, decided without clock or network."""

import math

import pytest

from authd.vault.lease import LONGEST_PAUSE, Action, Grant, next_step, pause_after


def grant(seconds: float, since: float = 0.0, *, renewable: bool = True, granted: float = 0.0) -> Grant:
    return Grant("id", seconds, since, renewable, granted)


TOKEN = grant(3600)


@pytest.mark.parametrize(("token", "lease", "now", "action", "at"), [
    (None, None, 5, Action.LOG_IN, 5),
    (grant(10), grant(10), 10, Action.LOG_IN, 10),
    (TOKEN, None, 5, Action.READ_CREDENTIALS, 5),
    (TOKEN, grant(10), 11, Action.READ_CREDENTIALS, 11),
    (TOKEN, grant(9), 1, Action.RENEW_LEASE, 6),
    (TOKEN, grant(9, renewable=False), 1, Action.READ_CREDENTIALS, 6),
    (TOKEN, grant(3, since=20, granted=10), 20, Action.READ_CREDENTIALS, 20),
    (TOKEN, grant(10, since=20, granted=10), 20, Action.RENEW_LEASE, 20 + 20 / 3),
    (grant(6), grant(9), 1, Action.RENEW_TOKEN, 4),
    (grant(6, renewable=False), grant(9), 1, Action.LOG_IN, 4),
    (grant(5, since=1, granted=6), grant(9), 1, Action.LOG_IN, 1),
    (grant(0), grant(9), 1, Action.RENEW_LEASE, 6),
])
def test_the_next_step(token: Grant | None, lease: Grant | None, now: float, action: Action, at: float) -> None:
    step = next_step(token, lease, now, 0.0)
    assert step.action is action
    assert step.at == pytest.approx(at)


def test_what_never_ends_is_never_due() -> None:
    assert next_step(grant(0), grant(0), 1e9, 0.5).at == math.inf


def test_renewals_come_earlier_by_chance_and_never_later_than_two_thirds() -> None:
    assert [grant(100).due(chance) for chance in (0.0, 0.5, 1.0)] == pytest.approx([66.67, 61.67, 56.67], abs=0.01)


def test_a_lease_renewed_to_its_maximum_is_replaced_ahead_of_its_end() -> None:
    """Ten seconds at a time, thirty at most: renewed twice, and replaced while the last grant still lives."""
    lease, now, done = grant(10), 0.0, []
    while Action.READ_CREDENTIALS not in done:
        step = next_step(TOKEN, lease, now, 0.0)
        now = step.at
        assert now < lease.ends
        done.append(step.action)
        lease = lease.renewed(min(10.0, 30.0 - now), now)
    assert done == [Action.RENEW_LEASE] * 4 + [Action.READ_CREDENTIALS]


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause_after(failures, 0.0) for failures in (1, 2, 3, 100)] == [0.5, 1.0, 2.0, LONGEST_PAUSE]
    assert pause_after(3, 1.0) == 1.5


def test_a_grant_does_not_print_its_secret() -> None:
    assert "id" not in repr(grant(1)).replace("renewable", "")
