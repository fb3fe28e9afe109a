"""How long somebody waits, and how many may try at once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authd.throttle import Policy, decide, room

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
POLICY = Policy(10, timedelta(minutes=15), timedelta(minutes=15))


def waits(failures: int, ago: float) -> int:
    return decide(failures, NOW - timedelta(seconds=ago), NOW, POLICY)


def test_nobody_waits_without_failures() -> None:
    assert decide(0, None, NOW, POLICY) == 0


@pytest.mark.parametrize("failures", [1, 5, 9])
def test_the_free_failures_cost_nothing(failures: int) -> None:
    assert waits(failures, 0) == 0


@pytest.mark.parametrize(("failures", "wait"), [
    (10, 2), (11, 4), (12, 8), (15, 64), (18, 512), (19, 900), (20, 900), (10_000, 900)])
def test_from_then_on_the_wait_doubles_up_to_the_longest(failures: int, wait: int) -> None:
    assert waits(failures, 0) == wait
    assert waits(failures, wait - 0.5) == 1
    assert waits(failures, wait) == 0
    assert waits(failures, wait + 100) == 0


def test_there_is_room_for_what_is_free_and_later_for_one() -> None:
    assert [room(failures, POLICY) for failures in (0, 7, 9, 10, 50)] == [10, 3, 1, 1, 1]


@given(st.integers(0, 10**6), st.floats(0, 10**6))
def test_the_wait_is_never_negative_and_never_longer_than_allowed(failures: int, ago: float) -> None:
    assert 0 <= waits(failures, ago) <= 900


@given(st.integers(0, 40), st.floats(0, 1000))
def test_more_failures_never_shorten_the_wait(failures: int, ago: float) -> None:
    assert waits(failures, ago) <= waits(failures + 1, ago)
