"""docs/long-runs.md: what it must say, and how it is written."""

import subprocess
from dataclasses import replace

import pytest

from tests import long_runs
from tests.long_runs import Row
from tests.pages import Cells, table

ROW = Row("session machine", "random", 1_000_000, "1", 300.0, "2.5", 0, "2026-11-24", "0123456789ab")


def test_the_page_is_what_its_rows_make() -> None:
    page = long_runs.PAGE.read_text(encoding="utf-8")
    assert page == long_runs.text(long_runs.read(page))


def test_a_million_inputs_passed_without_an_exception() -> None:
    rows = long_runs.read(long_runs.PAGE.read_text(encoding="utf-8"))
    for what in long_runs.COUNTED:
        assert long_runs.fuzzed(rows, what) >= long_runs.FUZZED
    assert {row.exceptions for row in rows} == {0}


def test_what_ran_is_in_the_history() -> None:
    try:
        if long_runs.git("rev-parse", "--is-shallow-repository") == "true":
            pytest.skip("a shallow clone does not hold the commits of docs/long-runs.md")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("without git or outside of a checkout the commits of docs/long-runs.md cannot be looked up")
    for row in long_runs.read(long_runs.PAGE.read_text(encoding="utf-8")):
        long_runs.git("merge-base", "--is-ancestor", row.commit, "HEAD")


def test_a_row_is_read_as_it_was_written() -> None:
    assert long_runs.read(long_runs.text([ROW])) == [ROW]


def test_a_newer_row_replaces_an_older_one() -> None:
    newer, other = replace(ROW, inputs=2_000_000), replace(ROW, what="grammar of commands", inputs=5)
    assert long_runs.merged([ROW], [newer, other]) == [other, newer]
    assert long_runs.fuzzed([newer, replace(ROW, how="atheris", inputs=5), other], ROW.what) == 2_000_005


@pytest.mark.parametrize(("cells", "why"), [
    (("a", "b"), "not a row"), (replace(ROW, commit="HEAD").cells, "not a commit"), (replace(ROW, day="today").cells, "today"),
    (("", "", "many", *ROW.cells[3:]), "many")])
def test_a_malformed_row_is_an_error(cells: Cells, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        long_runs.read(table(long_runs.TITLES, [cells]))
