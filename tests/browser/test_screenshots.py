"""The pictures in docs/images/. They are written there by

    AUTHD_SCREENSHOTS=1 tools/test --only-tests tests/browser/test_screenshots.py
"""

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support import ROOT

_LARGEST = 60_000  # bytes


def test_the_sign_in_page(page: Page, tmp_path: Path) -> None:
    folder = ROOT / "docs/images" if os.environ.get("AUTHD_SCREENSHOTS") else tmp_path
    page.set_viewport_size({"width": 720, "height": 640})
    page.goto("/action/login/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.screenshot(path=folder / "sign-in.png")
    assert (folder / "sign-in.png").stat().st_size < _LARGEST
