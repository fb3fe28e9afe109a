"""What tests that take minutes have done, kept in docs/long-runs.md: `record` in a test, and `write` when the run is over.

A row stays until a later run of the same thing replaces it. Nothing is written where what ran is not what was committed.
"""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime

from tests.pages import Cells, table, tables
from tests.support import ROOT

PAGE = ROOT / "docs" / "long-runs.md"
FUZZED = 1_000_000  # inputs that each of the following must have got
COUNTED = ("session machine", "grammar of commands")

HEAD = f"""# Long runs

What `tools/test --long`, or a part of it, did when it last ran: more than continuous integration has time for, which runs
a fixed share of each. Written by tests/long_runs.py at the end of such a run, never by hand. What failed has no row.
The session machine and the grammar must have had {FUZZED:,} inputs or more each. `longest` is what the slowest input took,
in milliseconds of CPU.

"""


@dataclass(frozen=True)
class Row:
    """One thing that ran. `longest`: of one input; "–" where a count, a seed or a time does not apply."""

    what: str
    how: str
    inputs: int
    seed: str
    seconds: float
    longest: str = "–"
    exceptions: int = 0
    day: str = ""
    commit: str = ""

    @property
    def cells(self) -> Cells:
        """As it stands in the page."""
        return (self.what, self.how, f"{self.inputs:,}", self.seed, f"{self.seconds:.0f}", self.longest, str(self.exceptions),
                self.day, self.commit)


TITLES = ("what", "how", "inputs", "seed", "seconds", "longest", "exceptions", "date", "commit")

_recorded: list[Row] = []


def record(row: Row) -> None:
    """Notes that something ran and passed."""
    _recorded.append(row)


def write() -> str:
    """Puts what was recorded into the page. Returns what to tell whoever started the run, "" if nothing was recorded."""
    if not _recorded:
        return ""
    try:
        if git("status", "--porcelain", "--", "authd", "tests"):
            return f"{PAGE.name} is not written: there are changes that are not committed"
    except (OSError, subprocess.CalledProcessError):
        return f"{PAGE.name} is not written: git cannot name the commit"
    today, commit = datetime.now(UTC).date().isoformat(), git("rev-parse", "--short=12", "HEAD")
    old = read(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else []
    new = [replace(row, day=today, commit=commit) for row in _recorded]
    PAGE.write_text(text(merged(old, new)), encoding="utf-8")
    return f"{PAGE.name} is written"


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """All rows by name, the newer one where there are two."""
    rows = {(row.what, row.how): row for row in (*old, *new)}
    return [rows[key] for key in sorted(rows)]


def fuzzed(rows: Iterable[Row], what: str) -> int:
    """How many inputs something got."""
    return sum(row.inputs for row in rows if row.what == what)


def text(rows: list[Row]) -> str:
    """The page."""
    return f"{HEAD}{table(TITLES, [row.cells for row in rows])}\n"


def read(page: str) -> list[Row]:
    """The rows of a page. ValueError where one is malformed."""
    return [_row(cells) for rows in tables(page) for cells in rows]


def _row(cells: Cells) -> Row:
    if len(cells) != len(fields(Row)):
        raise ValueError(f"not a row: {cells}")
    what, how, inputs, seed, seconds, longest, exceptions, day, commit = cells
    date.fromisoformat(day)
    if not re.fullmatch(r"[0-9a-f]{12,40}", commit):
        raise ValueError(f"not a commit: {commit}")
    return Row(what, how, int(inputs.replace(",", "")), seed, float(seconds), longest, int(exceptions), day, commit)


def git(*arguments: str) -> str:
    """What git says. OSError without git, CalledProcessError where this is no checkout."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
