"""Taking turns and summing up: why a busy machine spoils a whole comparison less than one side of it. Pure."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def alternate(rounds: int, *contestants: Callable[[], _T]) -> list[list[_T]]:
    """Runs the contestants in turn (A B A B …) and returns the results of each."""
    results: list[list[_T]] = [[] for _ in contestants]
    for _ in range(rounds):
        for result, contestant in zip(results, contestants, strict=True):
            result.append(contestant())
    return results


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
