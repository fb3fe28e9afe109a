"""Measurements and how they are shown: a table for people, JSON for programs, a page for the manual. Pure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .targets import AT_LEAST

_HEADINGS = ("measure", "value", "must", "bare limit", "ratio", "holds")


@dataclass(frozen=True)
class Measurement:
    """One figure beside its bare limit, both measured in one run and in `unit`.

    `must` None: reported only. `limit` None: there is no bare limit; otherwise `limit_title` says what it is.
    """

    name: str
    title: str
    value: float
    unit: str
    must: float | None = None
    limit: float | None = None
    limit_title: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the limit."""
        return self.value / self.limit if self.limit else None

    @property
    def holds(self) -> bool:
        """Whether the value is what it must be: at least that for a rate or a share, at most that for anything else."""
        if self.must is None:
            return True
        return self.value >= self.must if self.unit in AT_LEAST else self.value <= self.must


def as_json(measurements: Iterable[Measurement]) -> str:
    """A list of `{name, value, unit, must, limit, ratio, holds}`."""
    return json.dumps([{
        "name": one.name, "value": _rounded(one.value), "unit": one.unit, "must": one.must, "limit": _rounded(one.limit),
        "ratio": _rounded(one.ratio), "holds": one.holds,
    } for one in measurements], indent=2)


def as_table(measurements: Iterable[Measurement]) -> str:
    """Aligned columns for a terminal."""
    rows = [_HEADINGS, *(_cells(one) for one in measurements)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(
        cell.ljust(width) if column in (0, 5) else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows)


def as_page(measurements: Sequence[Measurement], machine: str) -> str:
    """The reference page of the manual, in Markdown. `machine` says where it was measured."""
    lines = [f"| {' | '.join(_HEADINGS)} | limit is |", "|---|--:|--:|--:|--:|---|---|"]
    lines += [f"| {' | '.join(_cells(one))} | {one.limit_title} |" for one in measurements]
    table = "\n".join(lines)
    return f"""\
# Benchmarks

This page is written by `tools/bench all --page docs/reference/benchmarks.md`; figures are never typed by hand.

Measured on {machine}.

{table}

`tools/bench` starts the real daemon on an embedded PostgreSQL in a temporary folder. The daemon, the load generator and the
bare limit are processes of their own; nothing is pinned to a core. Work is a fixed number of requests or messages.
Rounds of authd and of its limit alternate, and each figure is the median of its rounds, so that a busy moment of the
machine spoils neither alone. Mail is sent and taken by Postfix's smtp-source and smtp-sink where those are installed, on the
path or in the folder that AUTHD_PEERS names, and otherwise by programs of our own. A ratio is value divided by limit: for a
rate 1.0 means that authd adds nothing to what must be paid anyway. Where the limit counts another unit of work (signatures,
hashes), that is the one step of the request which nobody can avoid. `tools/bench NAME` repeats a part, `--json` prints the
same figures for programs, and the exit code is 1 when something does not hold.
"""


def _cells(one: Measurement) -> tuple[str, ...]:
    return (
        one.title,
        f"{_shown(one.value)} {one.unit}",
        "" if one.must is None else f"{'≥' if one.unit in AT_LEAST else '≤'} {_shown(one.must)}",
        "" if one.limit is None else _shown(one.limit),
        "" if one.ratio is None else f"{one.ratio:.2f}",
        "" if one.must is None else "yes" if one.holds else "NO",
    )


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
