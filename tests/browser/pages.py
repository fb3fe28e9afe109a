"""What a person does on the pages, and what accessibility demands of them."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.http.support import PASSWORD
from tests.support import ROOT, missing

_AXE = ROOT / "tests/browser/node_modules/axe-core/axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Through the form of the sign-in page that is open."""
    page.get_by_label("Name", exact=True).fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def expect_accessible(page: Page) -> None:
    """axe-core finds nothing to complain about."""
    if not _AXE.is_file():
        missing("axe-core is not installed (npm ci in tests/browser)")
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate(f"axe.run(document, {{runOnly: {json.dumps(_RULES)}}})")
    violations = [(violation["id"], [node["html"] for node in violation["nodes"]]) for violation in found["violations"]]
    if violations:
        pytest.fail(f"{page.url}: {violations}")


def expect_fits(page: Page) -> None:
    """Nothing has to be scrolled sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def expect_heading(page: Page, text: str) -> None:
    """The page's one heading of the first order."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
