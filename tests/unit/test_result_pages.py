"""Pages made of test results."""

from collections import Counter
from pathlib import Path

from tests.result_pages import Page, rows


def test_a_run_renews_its_own_lines(tmp_path: Path) -> None:
    page = Page(tmp_path / "page.md", "Title", "About.", ("peer", "test"), key=1)
    page.path.write_text(page.text({("A 1", "x"): Counter(passed=2, failed=1), ("A 1", "y"): Counter(passed=1)}))
    assert rows(page) == [("A 1", "x", "1 failed, 2 passed"), ("A 1", "y", "1 passed")]
    page.path.write_text(page.text({("A 2", "x"): Counter(passed=3)}, rows(page)))
    assert rows(page) == [("A 1", "y", "1 passed"), ("A 2", "x", "3 passed")]
