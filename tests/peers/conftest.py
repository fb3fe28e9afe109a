"""Every peer test says with `@pytest.mark.peer(NAME, …)` which programs it runs; the page of peers is made of that."""

from pathlib import Path

import pytest

from tests.peers.versions import version
from tests.support import ROOT

HERE = Path(__file__).parent


def cells(item: pytest.Function) -> tuple[str, ...]:
    """The test's line of the page."""
    marker = item.get_closest_marker("peer")
    if marker is None:
        raise pytest.UsageError(f"{item.nodeid} does not say which peer it runs")
    link = f"[{item.path.relative_to(HERE)}](../../{item.path.relative_to(ROOT)})"
    shown = item.function.__name__.removeprefix("test_").replace("_", " ")
    return ", ".join(f"{peer} {version(peer)}" for peer in marker.args), shown, link


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run that writes the page does not test the one that it replaces."""
    if config.getoption("--write-pages"):
        items[:] = [item for item in items if item.path != HERE / "test_page.py"]
        for item in items:
            if isinstance(item, pytest.Function) and HERE in item.path.parents:
                item.user_properties.append(("peers", cells(item)))
