"""docs/reference/peers.md names the peer tests that there are. Itself it runs no peer, and is not in the page."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.result_pages import PEERS, rows

HERE = Path(__file__)


def test_the_page_of_peers_lists_the_peer_tests() -> None:
    exist = {(str(file.relative_to(HERE.parent)), found.name.removeprefix("test_").replace("_", " "))
             for file in HERE.parent.rglob("test_*.py") if "node_modules" not in file.parts and file != HERE
             for found in ast.parse(file.read_text(encoding="utf-8")).body
             if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef) and found.name.startswith("test_")}
    listed = [(test[1:].partition("]")[0], shown) for _, shown, test, _ in rows(PEERS)]
    assert Counter(listed) == Counter(exist), "tools/test --all --write-pages tests/peers"


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_the_page_of_peers_holds_no_failure(outcome: str) -> None:
    assert not [row for row in rows(PEERS) if outcome in row[-1]]
