"""Every peer test says with `@pytest.mark.peer(NAME, …)` which programs it runs; the page of peers is made of that."""

import pytest

from tests.pages import Cells
from tests.peers import page
from tests.peers.programs import version


def cells(item: pytest.Function) -> Cells:
    """The test's line of the page, without the outcome."""
    marker = item.get_closest_marker("peer")
    if marker is None:
        raise pytest.UsageError(f"{item.nodeid} does not say which peer it runs")
    return ", ".join(f"{peer} {version(peer)}" for peer in marker.args), *page.shown(item.path, item.function.__name__)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run that writes the page does not test the one that it replaces."""
    if config.getoption("--write-pages"):
        items[:] = [item for item in items if item.path != page.CHECK]
        tests = [item for item in items if isinstance(item, pytest.Function) and page.HERE in item.path.parents]
        config.pluginmanager.register(page.Recorder({test.nodeid: cells(test) for test in tests}))
