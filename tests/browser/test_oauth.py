"""Somebody signs in to an application through authd, in Chromium."""

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.pages import expect_accessible, expect_fits, expect_heading, sign_in
from tests.browser.relying_party import RelyingParty, running
from tests.daemon import Daemon
from tests.fixtures.oauth import SECRET, add_client
from tests.support import open_database

_numbers = itertools.count()


def register(database_url: str, party: RelyingParty, **columns: Any) -> None:
    """Makes the application known. In a thread of its own, since Playwright's event loop occupies this one."""
    async def add() -> None:
        async with open_database(database_url) as db:
            await add_client(db, party.credentials[0], redirect_uris=[party.callback], **columns)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(add())).result()


@pytest.fixture
def application(daemon: Daemon, module_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RelyingParty]:
    """A new client for each test, and the application that it stands for."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    party = RelyingParty(f"{daemon.base_url}/o2", f"client-{next(_numbers)}", SECRET)
    with running(party):
        register(module_database_url, party)
        yield party


@pytest.fixture
def page(chromium: Browser, daemon: Daemon, application: RelyingParty) -> Iterator[Page]:
    """A page of a fresh profile; what a policy blocks fails the test."""
    context = chromium.new_context(viewport={"width": 1000, "height": 760})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    context.close()
    assert complaints == []


def test_sign_in_consent_tokens_and_the_second_time_no_question(page: Page, daemon: Daemon, application: RelyingParty) -> None:
    page.goto(f"{application.base_url}/login")
    expect_heading(page, "Sign in")
    expect(page.get_by_text(f"to continue to Application {application.credentials[0]}")).to_be_visible()
    sign_in(page, "alice@example.com")
    expect_heading(page, "Allow access?")
    expect_accessible(page)
    expect_fits(page)
    first = page.get_by_role("main").locator("form button").first
    assert (first.get_attribute("name"), first.get_attribute("value")) == ("allow", "yes")
    first.click()
    expect_heading(page, "Hello alice@example.com")
    assert application.claims["email"] == "alice@example.com"
    assert application.claims["sub"] == application.userinfo["sub"]
    assert application.userinfo["name"] == "Alice Example"
    assert application.tokens["refresh_token"]

    application.userinfo = {}
    page.goto(f"{application.base_url}/login")
    expect_heading(page, "Hello alice@example.com")
    assert application.userinfo["name"] == "Alice Example"

    page.goto(f"{daemon.base_url}/account/applications/")
    expect_heading(page, "Applications with access")
    expect_accessible(page)
    expect_fits(page)
    name = f"Application {application.credentials[0]}"
    page.get_by_role("button", name=f"Withdraw the access of {name}").click()
    expect(page.get_by_role("status")).to_have_text("The access was withdrawn.")
    page.goto(f"{application.base_url}/login")
    expect_heading(page, "Allow access?")


def test_declining_goes_back_to_the_application(page: Page, application: RelyingParty) -> None:
    page.goto(f"{application.base_url}/login")
    sign_in(page, "alice@example.com")
    page.get_by_role("button", name="Decline").click()
    expect_heading(page, "Error: access_denied")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_answer_by_form(chromium: Browser, application: RelyingParty, scripts: bool) -> None:
    application.wanted = {"response_mode": "form_post"}
    context = chromium.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto(f"{application.base_url}/login")
    sign_in(page, "alice@example.com")
    page.get_by_role("button", name="Allow").click()
    if not scripts:
        page.get_by_role("button", name="Continue").click()
    expect_heading(page, "Hello alice@example.com")
    context.close()


def test_prompt_login_asks_for_the_password_again(page: Page, application: RelyingParty) -> None:
    page.goto(f"{application.base_url}/login")
    sign_in(page, "alice@example.com")
    page.get_by_role("button", name="Allow").click()
    expect_heading(page, "Hello alice@example.com")
    application.wanted = {"prompt": "login"}
    page.goto(f"{application.base_url}/login")
    expect_heading(page, "Sign in")
    sign_in(page, "alice@example.com")
    expect_heading(page, "Hello alice@example.com")


def test_the_pages_that_say_no(page: Page, daemon: Daemon, application: RelyingParty, module_database_url: str) -> None:
    application.credentials = ("crm", SECRET)
    register(module_database_url, application, required_permissions=["crm"])
    page.goto(f"{application.base_url}/login")
    sign_in(page, "alice@example.com")
    expect_heading(page, "Not allowed")
    expect_accessible(page)
    page.get_by_role("link", name="Back to Application crm").click()
    expect_heading(page, "Error: access_denied")
    page.goto(f"{daemon.base_url}/o2/authorize/?client_id=nobody")
    expect_heading(page, "This request cannot be answered")
    expect_accessible(page)
