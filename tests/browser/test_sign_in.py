"""Signing in and out in Chromium: with the mouse, with the keyboard alone, on a telephone, in the dark."""

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.pages import expect_accessible, expect_fits, expect_heading, sign_in
from tests.daemon import Daemon

Scheme = Literal["light", "dark"]


def test_a_user_signs_in_and_out(page: Page) -> None:
    page.goto("/")
    expect_heading(page, "Sign in")
    sign_in(page, "alice@example.com")
    page.wait_for_url("**/")
    expect_heading(page, "Alice Example")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("Nobody is signed in here now.")
    page.goto("/")
    expect_heading(page, "Sign in")


def test_an_admin_signs_in(page: Page) -> None:
    page.goto("/action/login/")
    sign_in(page, "root")
    expect_heading(page, "Administration")
    page.get_by_role("link", name="Your account").click()
    expect_heading(page, "Rosa Root")
    expect(page.get_by_text("Administrator")).to_be_visible()


def test_a_wrong_password_and_an_unknown_name_look_the_same(page: Page) -> None:
    page.goto("/action/login/")
    for name in ("alice@example.com", "nobody@example.com"):
        sign_in(page, name, "wrong")
        expect(page.get_by_role("alert")).to_have_text("The name or the password is not right.")
        expect(page.get_by_label("Name", exact=True)).to_have_value(name)
        expect(page.get_by_label("Password")).to_be_empty()
        expect(page.get_by_label("Password")).to_be_focused()


def test_after_too_many_failures_the_page_says_how_long_to_wait(page: Page) -> None:
    page.goto("/action/login/")
    for number in range(11):
        sign_in(page, "bob@example.com", f"wrong {number}")
        expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, "bob@example.com")
    expect(page.get_by_role("alert")).to_contain_text("There were too many failed attempts. Try again in")


def test_a_service_user_is_told_why_there_is_no_page(page: Page) -> None:
    page.goto("/action/login/")
    sign_in(page, "printer")
    expect_heading(page, "Not allowed")
    expect_accessible(page)
    page.get_by_role("button", name="Sign out").click()
    expect_heading(page, "Signed out")


def test_a_remembered_device_stays_signed_in_when_the_browser_ends(page: Page) -> None:
    page.goto("/action/login/")
    page.get_by_label("Remember this device").check()
    sign_in(page, "alice@example.com")
    expect_heading(page, "Alice Example")
    lifetimes = {cookie["name"]: cookie["expires"] for cookie in page.context.cookies()}
    assert lifetimes.keys() == {"authd_session", "authd_device"}
    assert min(lifetimes.values()) > 0


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/action/login/")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("alice@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Remember this device")).to_be_checked()
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Sign in")
    expect(button).to_be_focused()
    assert button.evaluate("element => getComputedStyle(element).outlineWidth") == "3px"
    page.keyboard.press("Enter")
    expect_heading(page, "Alice Example")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_missing_fields_are_summed_up_with_links(page: Page) -> None:
    page.goto("/action/login/")
    page.locator("main form").evaluate("form => form.noValidate = true")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").get_by_role("link", name="Your password").click()
    expect(page.get_by_label("Password")).to_be_focused()
    expect_accessible(page)


def walk(page: Page, check: Callable[[Page], None]) -> None:
    """Opens every page there is and checks each."""
    page.goto("/nowhere/")
    expect_heading(page, "Page not found")
    check(page)
    page.goto("/action/login/")
    check(page)
    sign_in(page, "alice@example.com", "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    check(page)
    sign_in(page, "alice@example.com")
    expect_heading(page, "Alice Example")
    check(page)
    page.goto("/action/logout/")
    expect_heading(page, "Sign out?")
    check(page)
    page.get_by_role("button", name="Sign out").click()
    expect_heading(page, "Signed out")
    check(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_in_both_colour_schemes(page: Page, scheme: Scheme) -> None:
    page.emulate_media(color_scheme=scheme)
    walk(page, expect_accessible)


def test_the_schemes_differ(page: Page) -> None:
    backgrounds = set()
    schemes: tuple[Scheme, ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.goto("/action/login/")
        backgrounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert backgrounds == {"rgb(246, 247, 249)", "rgb(20, 23, 28)"}


def test_a_telephone_is_wide_enough(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    walk(page, expect_fits)


def test_pages_work_without_scripts(chromium: Browser, daemon: Daemon) -> None:
    context = chromium.new_context(base_url=daemon.base_url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/action/login/")
    sign_in(page, "alice@example.com")
    expect_heading(page, "Alice Example")
    context.close()
