"""Pages of docs/ whose tables are what tests saw: committed, written by `tools/test --write-pages`, never typed.

Here is how such tables are written and read, and the kind of page that is compared: a test that sees something else than its
row says fails. Which tests fill which table is theirs to say. Pages that tell of one machine or of one day are not compared:
tests/peers/page.py, tests/long_runs.py.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Cells = tuple[str, ...]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(map(_escaped, row))} |" for row in (heads, ["---"] * len(heads), *rows))


def tables(text: str) -> list[list[Cells]]:
    """The rows of every table of a page, without the heads."""
    found: list[list[Cells]] = []
    is_inside = False
    for line in text.splitlines():
        if line.startswith("| ---"):
            found.append([])
            is_inside = True
        elif is_inside and line.startswith("| "):
            found[-1].append(tuple(cell.replace(r"\|", "|") for cell in re.split(r"(?<!\\) \| ", line[2:-2])))
        else:
            is_inside = False
    return found


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")


@dataclass(frozen=True)
class Table:
    """The heads of its columns, and the first cell of each of its rows."""

    heads: Sequence[str]
    names: Sequence[str]


Seen = Mapping[str, Mapping[str, Cells]]  # table -> first cell of a row -> the other cells


@dataclass
class ComparedPage:
    """A page: `text` has `{name}` on a line of its own where the table of that name stands. One that `is_written` is not
    compared; all of its tests must run for that.
    """

    file: Path
    text: str
    tables: Mapping[str, Table]
    is_written: bool = False
    seen: dict[str, dict[str, Cells]] = field(default_factory=dict)

    def saw(self, table: str, name: str, *cells: str) -> None:
        """A test saw what stands in `cells`. AssertionError: the page says something else."""
        self.seen.setdefault(table, {})[name] = cells
        if not self.is_written:
            said = self._said().get(table, {}).get(name)
            assert said == cells, f"{self.file.name} says of {name!r} {said}, and the test saw {cells}; see {__name__}"

    def check_frame(self) -> None:
        """AssertionError: the page has another text or other rows than there are tests."""
        if not self.is_written:
            assert self.file.read_text(encoding="utf-8") == self._rendered(self._said())

    def close(self) -> None:
        """Writes the page, if that is wanted and every row was seen."""
        if self.is_written:
            missing = [(key, name) for key, table in self.tables.items() for name in table.names
                       if name not in self.seen.get(key, {})]
            assert not missing, f"{self.file.name} is not written, since these tests did not run or failed: {missing}"
            self.file.write_text(self._rendered(self.seen), encoding="utf-8")

    def _rendered(self, seen: Seen) -> str:
        """A row that was not seen has its name alone."""
        return self.text.format(**{key: table(one.heads, [(name, *seen.get(key, {}).get(name, ())) for name in one.names])
                                   for key, one in self.tables.items()})

    def _said(self) -> Seen:
        """What stands on the page, whose tables come in the order of `tables`."""
        found = tables(self.file.read_text(encoding="utf-8"))
        return {key: {name: tuple(cells) for name, *cells in rows} for key, rows in zip(self.tables, found, strict=False)}
