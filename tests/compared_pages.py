"""Pages of docs/ whose tables are what tests saw. A test that sees something else than its row on the page says fails.

`tools/test --only-tests --write-pages FILE` writes the page anew; all tests of the file must run for that. Which tests fill
which table is theirs to say. Pages that list the outcomes of tests are result_pages.py's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """The heads of its columns, and the first cell of each of its rows."""

    heads: Sequence[str]
    names: Sequence[str]

    def lines(self, rows: Mapping[str, Sequence[str]]) -> list[str]:
        """The table in Markdown; a row that is not there has its name alone."""
        return [_line(*self.heads), _line(*["---"] * len(self.heads)),
                *(_line(name, *rows.get(name, [])) for name in self.names)]


@dataclass
class ComparedPage:
    """A page: `text` has `{name}` on a line of its own where the table of that name stands.

    One that `is_written` is not compared.
    """

    file: Path
    text: str
    tables: Mapping[str, Table]
    is_written: bool = False
    seen: dict[str, dict[str, Sequence[str]]] = field(default_factory=dict)

    def saw(self, table: str, name: str, *cells: str) -> None:
        """A test saw what stands in `cells`. AssertionError: the page says something else."""
        self.seen.setdefault(table, {})[name] = cells
        if not self.is_written:
            line = _line(name, *cells)
            said = [one for one in self._rows(table) if one.startswith(_line(name))]
            assert said == [line], f"{self.file.name} says {said}, and the test saw {line!r}; see {__name__}"

    def check_frame(self) -> None:
        """AssertionError: the page has another text or other rows than there are tests."""
        if not self.is_written:
            rows = [row for body in self._bodies() for row in body]
            bare = [_line(line[2:].split(" |")[0]) if line in rows else line
                    for line in self.file.read_text(encoding="utf-8").splitlines()]
            assert bare == self._rendered({}).splitlines()

    def close(self) -> None:
        """Writes the page, if that is wanted and every row was seen."""
        if self.is_written:
            missing = [(key, name) for key, table in self.tables.items() for name in table.names
                       if name not in self.seen.get(key, {})]
            assert not missing, f"{self.file.name} is not written, since these tests did not run or failed: {missing}"
            self.file.write_text(self._rendered(self.seen), encoding="utf-8")

    def _rendered(self, seen: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
        return self.text.format(**{key: "\n".join(table.lines(seen.get(key, {}))) for key, table in self.tables.items()})

    def _rows(self, table: str) -> list[str]:
        """The rows of a table as they stand on the page, whose tables come in the order of `tables`."""
        return self._bodies()[[*self.tables].index(table)]

    def _bodies(self) -> list[list[str]]:
        bodies: list[list[str]] = []
        is_inside = False
        for line in self.file.read_text(encoding="utf-8").splitlines():
            if line.startswith("| ---"):
                bodies.append([])
                is_inside = True
            elif is_inside and line.startswith("|"):
                bodies[-1].append(line)
            else:
                is_inside = False
        return bodies


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
