"""Pages of docs/reference that are tables of test results: tests report rows, `tools/test --write-pages` writes what it ran.

A test reports a row with pytest's `record_property(NAME_OF_THE_PAGE, CELLS)`, CELLS being a tuple of str as long as the page's
columns; the outcome is added here. Rows that are the same in all cells are one line. A run of some tests renews their lines and
leaves the others: delete the page first where tests are gone. What a row means belongs to the tests.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import ROOT

Cells = tuple[str, ...]

ORIGIN = "This page is written by `tools/test --all --write-pages` from test results; nothing in it is typed by hand."


@dataclass(frozen=True)
class Page:
    """A page and the columns of its table; the outcome is added. Lines that agree from column `key` on are of one test."""

    path: Path
    title: str
    introduction: str
    columns: Cells
    key: int = 0

    def text(self, found: dict[Cells, Counter[str]], before: Sequence[Cells] = ()) -> str:
        """The page with what was found, and those of the lines before that are of other tests. Lines are sorted."""
        fresh = [(*cells, ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())))
                 for cells, outcomes in found.items()]
        renewed = {line[self.key:-1] for line in fresh}
        kept = [line for line in before if line[self.key:-1] not in renewed]
        lines = [(*self.columns, "outcome"), ("---",) * (len(self.columns) + 1), *sorted(fresh + kept)]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        return f"# {self.title}\n\n{self.introduction}\n\n{ORIGIN}\n\n{table}\n"


def rows(page: Page) -> list[Cells]:
    """The lines of the table in the page as it stands, with their outcomes; none where there is no page."""
    if not page.path.exists():
        return []
    lines = [line for line in page.path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [tuple(line.strip("| ").split(" | ")) for line in lines[2:]]


PEERS = Page(ROOT / "docs" / "reference" / "peers.md", "Programs of others that authd was tried with",
             "Each line is a test in `tests/peers` with the real program, of the version named; the outcome counts its cases.",
             ("peer", "what was shown", "test"), key=1)
PAGES = {"peers": PEERS}


class Recorder:
    """A plugin of pytest that collects the rows of a run, and writes the pages that got any."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}
        self._rows: dict[str, dict[Cells, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._outcomes.get(report.nodeid, "passed") == "passed":
            self._outcomes[report.nodeid] = report.outcome
        if report.when == "teardown":
            for name, cells in report.user_properties:
                if name in PAGES and isinstance(cells, tuple):
                    self._rows[name][cells][self._outcomes[report.nodeid]] += 1

    def pytest_sessionfinish(self) -> None:
        for name, found in self._rows.items():
            page = PAGES[name]
            page.path.write_text(page.text(found, rows(page)), encoding="utf-8")
