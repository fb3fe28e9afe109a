"""docs/reference/peers.md: a line for each peer test, with the version of what it ran and how it went. A run renews the
lines of the tests that it ran, and leaves out those of tests that are no more.
"""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.pages import Cells, table, tables
from tests.support import ROOT

HERE = Path(__file__).parent
FILE = ROOT / "docs" / "reference" / "peers.md"
CHECK = HERE / "test_page.py"  # runs no peer, and is not in the page
HEADS = ("peer", "what was shown", "test", "outcome")
HEAD = """\
# Programs of others that authd was tried with

Each line is a test in `tests/peers` with the real program, of the version named; the outcome counts its cases.

This page is written by `tools/test --all --write-pages` from test results; nothing in it is typed by hand.

"""


def shown(file: Path, function: str) -> Cells:
    """What a test shows, and a link to it: two cells that no other test has."""
    link = f"[{file.relative_to(HERE)}](../../{file.relative_to(ROOT)})"
    return function.removeprefix("test_").replace("_", " "), link


def existing() -> list[Cells]:
    """`shown` of every peer test that there is."""
    return [shown(file, found.name)
            for file in HERE.rglob("test_*.py") if "node_modules" not in file.parts and file != CHECK
            for found in ast.parse(file.read_text(encoding="utf-8")).body
            if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) and found.name.startswith("test_")]


def lines() -> list[Cells]:
    """The lines of the page as it stands; none where there is no page."""
    return [row for rows in tables(FILE.read_text(encoding="utf-8")) for row in rows] if FILE.exists() else []


def text(rows: Iterable[Cells]) -> str:
    """The page."""
    return f"{HEAD}{table(HEADS, sorted(rows))}\n"


def renewed(before: Iterable[Cells], found: Mapping[Cells, Counter[str]], tests: Iterable[Cells]) -> list[Cells]:
    """The lines after a run that found so many outcomes for `(peer, *shown)`, those of `tests` only."""
    fresh = [(*cells, ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())))
             for cells, outcomes in found.items()]
    others = {*tests} - {row[1:3] for row in fresh}
    return [*fresh, *(row for row in before if row[1:3] in others)]


class Recorder:
    """A plugin of pytest that notes how tests went, and writes the page. `cells`: `(peer, *shown)` by node."""

    def __init__(self, cells: Mapping[str, Cells]) -> None:
        self._cells = cells
        self._outcomes: dict[str, str] = {}
        self._found: dict[Cells, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid not in self._cells:
            return
        if self._outcomes.get(report.nodeid, "passed") == "passed":
            self._outcomes[report.nodeid] = report.outcome
        if report.when == "teardown":
            self._found[self._cells[report.nodeid]][self._outcomes[report.nodeid]] += 1

    def pytest_sessionfinish(self) -> None:
        if self._found:
            FILE.write_text(text(renewed(lines(), self._found, existing())), encoding="utf-8")
