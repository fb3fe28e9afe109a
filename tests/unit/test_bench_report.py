"""What `tools/bench` says about its figures."""

import json

import pytest

from tools.benchmarks.report import Measurement, as_json, as_page, as_table
from tools.benchmarks.rounds import alternate, percentile
from tools.benchmarks.targets import MEBIBYTES, MILLISECONDS, PER_SECOND, TIMES

FAST = Measurement("fast", "something fast", 2000.0, PER_SECOND, 1500, 4000.0, "hello world")
SLOW = Measurement("slow", "something slow", 1400.0, PER_SECOND, 1500)


@pytest.mark.parametrize(("value", "unit", "must", "holds"), [
    (1500, PER_SECOND, 1500, True), (1499, PER_SECOND, 1500, False), (25, MILLISECONDS, 25, True),
    (25.1, MILLISECONDS, 25, False), (71, MEBIBYTES, 70, False), (1, PER_SECOND, None, True),
    (0.9, TIMES, 0.9, True), (0.8, TIMES, 0.9, False),
])
def test_rates_must_be_reached_and_the_rest_not_exceeded(value: float, unit: str, must: float | None, holds: bool) -> None:
    assert Measurement("one", "one", value, unit, must).holds is holds


def test_the_ratio_is_the_value_over_the_limit_where_there_is_one() -> None:
    assert FAST.ratio == 0.5
    assert SLOW.ratio is None


def test_json_has_exactly_the_members_that_scripts_rely_on() -> None:
    first, second = json.loads(as_json([FAST, SLOW]))
    assert first == {"name": "fast", "value": 2000.0, "unit": "1/s", "must": 1500, "limit": 4000.0, "ratio": 0.5, "holds": True}
    assert (second["limit"], second["ratio"], second["holds"]) == (None, None, False)


def test_the_table_is_aligned_and_says_what_does_not_hold() -> None:
    head, fast, slow = as_table([FAST, SLOW]).splitlines()
    assert head.index("holds") == fast.index("yes") == slow.index("NO")
    assert "≥ 1,500" in fast


def test_the_page_names_the_machine_and_every_limit() -> None:
    page = as_page([FAST], "two cores")
    assert "two cores" in page
    assert "| something fast | 2,000 1/s | ≥ 1,500 | 4,000 | 0.50 | yes | hello world |" in page


def test_contestants_take_turns() -> None:
    calls: list[str] = []

    def contestant(name: str, value: int) -> int:
        calls.append(name)
        return value

    assert alternate(3, lambda: contestant("a", 1), lambda: contestant("b", 2)) == [[1, 1, 1], [2, 2, 2]]
    assert "".join(calls) == "ababab"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1, 100), (0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected
