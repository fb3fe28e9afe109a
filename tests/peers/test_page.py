"""docs/reference/peers.md names the peer tests that there are, and how it is written."""

from collections import Counter
from pathlib import Path

import pytest

from tests.peers import page


def test_it_lists_the_peer_tests() -> None:
    assert Counter(line[1:3] for line in page.lines()) == Counter(page.existing()), "tools/test --all --write-pages tests/peers"


def test_it_is_what_its_lines_make() -> None:
    assert page.FILE.read_text(encoding="utf-8") == page.text(page.lines())


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_it_holds_no_failure(outcome: str) -> None:
    assert not [line for line in page.lines() if outcome in line[-1]]


def test_a_run_renews_its_own_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FILE", tmp_path / "page.md")
    tests = [("x", "[file]"), ("y", "[file]")]
    first = page.renewed(page.lines(), {("A 1", *tests[0]): Counter(passed=2, failed=1), ("A 1", *tests[1]): Counter(passed=1),
                                        ("A 1", "gone", "[file]"): Counter(passed=1)}, tests)
    page.FILE.write_text(page.text(first), encoding="utf-8")
    assert page.lines() == [("A 1", "gone", "[file]", "1 passed"), ("A 1", *tests[0], "1 failed, 2 passed"),
                            ("A 1", *tests[1], "1 passed")]
    assert sorted(page.renewed(page.lines(), {("A 2", *tests[0]): Counter(passed=3)}, tests)) == [
        ("A 1", *tests[1], "1 passed"), ("A 2", *tests[0], "3 passed")]
