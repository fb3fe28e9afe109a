"""A real daemon with a few people, and a real Chromium that looks at it.

Playwright's event loop occupies the thread while it lives, so everything is made for a module and gone after it.
"""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.daemon import Daemon, running_daemon
from tests.http.support import add_account, add_service_user
from tests.support import open_database, require_program

CONFIGURATION = """
[branding]
name = "Example Networks"
footer_links = ["Imprint https://example.com/imprint", "Privacy https://example.com/privacy"]
[throttle]
address_failures = 1000
"""
CHROMIUM_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> Iterator[Daemon]:
    """authd with Alice, an admin called root, Alice's printer, and Bob, who forgets his password."""
    async def people() -> None:
        async with open_database(module_database_url) as database:
            alice = await add_account(database, "alice", address="alice@example.com", full_name="Alice Example")
            await add_service_user(database, alice, "printer")
            await add_account(database, "root", address="root@example.com", full_name="Rosa Root", admin=True)
            await add_account(database, "bob", address="bob@example.com")

    asyncio.run(people())
    with running_daemon(tmp_path_factory.mktemp("daemon"), module_database_url, CONFIGURATION) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def chromium(daemon: Daemon) -> Iterator[Browser]:
    """The system's Chromium."""
    program = require_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, daemon: Daemon) -> Iterator[Page]:
    """A page of a fresh profile. Anything that the policy of a page blocks, and any foreign request, fails the test."""
    context = chromium.new_context(base_url=daemon.base_url, viewport={"width": 1000, "height": 760})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    page.on("request", lambda request: None if request.url.startswith(daemon.base_url) else complaints.append(request.url))
    yield page
    context.close()
    assert complaints == []
