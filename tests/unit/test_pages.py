"""Pages whose tables are what tests saw."""

from pathlib import Path

import pytest

from tests.pages import ComparedPage, Table, table, tables

TEXT = "# Page\n\n{first}\n\nBetween.\n\n{second}\n"


def page(folder: Path, *names: str, is_written: bool = False) -> ComparedPage:
    return ComparedPage(folder / "page.md", TEXT, {"first": Table(["when", "what"], names), "second": Table(["who"], ["we"])},
                        is_written)


def written(folder: Path) -> ComparedPage:
    """A page with two rows in its first table, as it is written."""
    writer = page(folder, "rain", "snow", is_written=True)
    for name, cell in (("rain", "wet | cold"), ("snow", "")):
        writer.saw("first", name, cell)
    writer.saw("second", "we")
    writer.close()
    return writer


def test_what_is_written_is_read() -> None:
    rows = [("a", "b|c"), ("d | e", "")]
    assert tables(f"{table(['x', 'y'], rows)}\n\ntext\n\n{table(['z'], [])}") == [rows, []]


def test_a_page_as_it_was_written_holds(tmp_path: Path) -> None:
    written(tmp_path)
    reader = page(tmp_path, "rain", "snow")
    reader.saw("first", "rain", "wet | cold")
    reader.check_frame()


def test_a_row_that_says_something_else_is_told(tmp_path: Path) -> None:
    written(tmp_path)
    for name, cell in (("rain", "dry"), ("hail", "wet | cold")):
        with pytest.raises(AssertionError, match="the test saw"):
            page(tmp_path, "rain", "snow").saw("first", name, cell)


@pytest.mark.parametrize("names", [["rain"], ["rain", "snow", "hail"], ["snow", "rain"]])
def test_a_row_without_a_test_or_a_test_without_a_row_is_told(tmp_path: Path, names: list[str]) -> None:
    written(tmp_path)
    with pytest.raises(AssertionError):
        page(tmp_path, *names).check_frame()


def test_another_text_is_told(tmp_path: Path) -> None:
    file = written(tmp_path).file
    file.write_text(file.read_text(encoding="utf-8").replace("Between.", "Elsewhere."), encoding="utf-8")
    with pytest.raises(AssertionError):
        page(tmp_path, "rain", "snow").check_frame()


def test_a_page_is_not_written_where_a_test_did_not_run(tmp_path: Path) -> None:
    writer = page(tmp_path, "rain", is_written=True)
    with pytest.raises(AssertionError, match="rain"):
        writer.close()
    assert not writer.file.exists()
