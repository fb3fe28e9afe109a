"""Signing in to an application in Chromium: through sign-in and consent, back to it, and taking it back."""

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import expect_accessible, expect_fits, expect_heading, sign_in


def ask(page: Page, callback: str, **parameters: str) -> None:
    """What the application's sign-in button does."""
    page.goto("/o2/authorize/?" + urlencode({
        "response_type": "code", "client_id": "photos", "redirect_uri": callback, "scope": "openid profile email", "state": "s",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256", **parameters}))


@pytest.fixture
def callback(application: str) -> str:
    return f"{application}/callback"


def test_an_application_is_named_allowed_and_withdrawn(page: Page, callback: str) -> None:
    ask(page, callback)
    expect(page.get_by_text("to continue to Photo album")).to_be_visible()
    expect_accessible(page)
    sign_in(page, "alice@example.com")
    expect_heading(page, "Allow access?")
    expect_accessible(page)
    page.set_viewport_size({"width": 360, "height": 640})
    expect_fits(page)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(re.compile(re.escape(callback) + r"\?.*code="))
    expect_heading(page, "Photo album")
    ask(page, callback)
    page.wait_for_url(re.compile(re.escape(callback) + r"\?.*code="))
    page.goto("/")
    page.get_by_role("link", name="Applications with access").click()
    expect(page.get_by_role("rowheader", name="Photo album")).to_be_visible()
    expect_accessible(page)
    expect_fits(page)
    page.get_by_role("button", name="Withdraw the access of Photo album").click()
    expect(page.get_by_role("status")).to_have_text("The access was withdrawn.")
    ask(page, callback)
    expect_heading(page, "Allow access?")


def test_a_refusal_goes_back_to_the_application(page: Page, callback: str) -> None:
    ask(page, callback)
    sign_in(page, "root")
    page.get_by_role("button", name="Decline").click()
    page.wait_for_url(re.compile(re.escape(callback) + r"\?.*error=access_denied"))


def test_an_answer_as_a_form_goes_by_itself(page: Page, callback: str) -> None:
    ask(page, callback, response_mode="form_post")
    sign_in(page, "root")
    with page.expect_request(lambda request: request.url == callback and request.method == "POST") as sent:
        page.get_by_role("button", name="Allow").click()
    assert "code=" in (sent.value.post_data or "")


def test_a_wrong_request_sends_nobody_anywhere(page: Page) -> None:
    ask(page, "https://evil.example/")
    expect_heading(page, "This request cannot be answered")
    expect_accessible(page)
