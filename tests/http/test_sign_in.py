"""Signing in and out over HTTP: cookies, forms, refusals, and where one lands."""

from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
from tornado.httpclient import HTTPResponse

from authd.errors import Overloaded
from authd.handlers.services import RequestingApplication
from authd.identity.facts import Login, LoginAttempt
from tests.http.support import PASSWORD, Browser, Site, add_account, add_service_user, forms, text

pytestmark = pytest.mark.gen_test

FAILED = "The name or the password is not right."


def cookie(response: HTTPResponse, name: str) -> dict[str, str]:
    """Value and attributes of a cookie that was set."""
    for header in response.headers.get_list("Set-Cookie"):
        parsed = SimpleCookie(header)
        if name in parsed:
            return {"value": parsed[name].value} | {key: value for key, value in parsed[name].items() if value}
    raise AssertionError(f"{name} was not set")


async def test_the_page_has_the_fields_that_were_promised(browser: Browser) -> None:
    page = await browser.get("/action/login/?next=/account/")
    assert page.code == 200
    for name in ("username", "password", "remember"):
        assert f'name="{name}"' in text(page)
    assert forms(page)[0].hidden["next"] == "/account/"
    assert page.headers["Cache-Control"] == "no-store"


async def test_signing_in_and_out(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com", full_name="Alice <b>")
    signed_in = await browser.sign_in("ALICE@example.com")
    assert (signed_in.code, signed_in.headers["Location"]) == (303, "/")
    home = await browser.get("/")
    assert home.code == 200
    assert "Alice &lt;b&gt;" in text(home)
    assert "alice@example.com" in text(home)
    confirm = await browser.get("/action/logout/")
    assert "Sign out?" in text(confirm)
    assert (await browser.get("/")).code == 200
    old_cookies = dict(browser.cookies)
    signed_out = await browser.submit(confirm)
    assert "expires" in cookie(signed_out, "authd_session")
    assert (signed_out.code, signed_out.headers["Location"]) == (303, "/action/logout/")
    assert "Nobody is signed in here now." in text(await browser.get("/action/logout/"))
    browser.cookies = old_cookies
    assert (await browser.get("/")).headers["Location"] == "/action/login/"


async def test_an_admin_signs_in_with_the_identifier(browser: Browser, site: Site) -> None:
    await add_account(site.database, "root", admin=True)
    assert (await browser.sign_in("root")).headers["Location"] == "/admin/"
    assert "Administrator" in text(await browser.get("/"))
    page = await browser.get("/admin/")
    assert page.code == 200
    assert "database" in text(page)


async def test_administration_is_for_administrators(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    assert (await browser.get("/admin/")).headers["Location"] == "/action/login/?next=/admin/"
    await browser.sign_in("alice@example.com")
    assert (await browser.get("/admin/")).code == 403


async def test_without_a_session_the_way_leads_through_the_sign_in_page(browser: Browser) -> None:
    assert (await browser.get("/")).headers["Location"] == "/action/login/"
    assert (await browser.get("/?a=b&c=d")).headers["Location"] == "/action/login/?next=/%3Fa%3Db%26c%3Dd"


async def test_next_is_followed_within_the_site_only(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    wanted = "/o2/authorize/?client_id=a&state=x%2Fy"
    assert (await browser.sign_in("alice@example.com", next=wanted)).headers["Location"] == wanted
    signed_in_already = await browser.get(f"/action/login/?{urlencode({'next': wanted})}")
    assert (signed_in_already.code, signed_in_already.headers["Location"]) == (303, wanted)
    for elsewhere in ("//evil.example", "///evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)"):
        browser.cookies.clear()
        assert (await browser.sign_in("alice@example.com", next=elsewhere)).headers["Location"] == "/"
        assert (await browser.get(f"/action/login/?{urlencode({'next': elsewhere})}")).headers["Location"] == "/"
    browser.cookies.clear()
    page = await browser.get("/action/login/")
    tampered = await browser.submit(page, username="alice@example.com", password=PASSWORD, next="//evil.example")
    assert tampered.headers["Location"] == "/"


async def test_somebody_who_is_signed_in_may_prove_it_again(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    await browser.sign_in("alice@example.com")
    page = await browser.get("/action/login/?again=1&next=/account/")
    assert page.code == 200
    assert (await browser.submit(page, username="alice@example.com", password=PASSWORD)).headers["Location"] == "/account/"


async def test_every_refusal_looks_the_same(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    await add_account(site.database, "gone", address="gone@example.com", active=False)
    pages = []
    for name, password in (
        ("alice@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("nobody@elsewhere.example", PASSWORD),
        ("gone@example.com", PASSWORD), ("alice", PASSWORD), ("@", "x"), ("a@b@c", "x"), ("alice@example.com", "x" * 1025),
    ):
        page = await browser.sign_in(name, password)
        assert page.code == 401
        assert "WWW-Authenticate" not in page.headers
        assert "session" not in str(page.headers.get_list("Set-Cookie"))
        token = forms(page)[0].hidden["csrf_token"]
        pages.append(text(page).replace(token, "").replace(f'value="{name}"', ""))
    assert FAILED in pages[0]
    assert len(set(pages)) == 1


async def test_the_name_is_shown_again_escaped_and_bounded(browser: Browser) -> None:
    page = await browser.sign_in('"><script>alert(1)</script>' + "a" * 3000, "wrong")
    assert page.code == 401
    assert "<script" not in text(page)
    assert "&#34;&gt;&lt;script&gt;" in text(page)
    assert len(page.body) < 10_000
    assert "wrong" not in text(page)


async def test_missing_fields_are_named(browser: Browser) -> None:
    page = await browser.sign_in("", "")
    assert page.code == 400
    assert 'href="#username"' in text(page)
    assert 'id="password-error"' in text(page)
    assert text(page).count('aria-invalid="true"') == 2


async def test_too_many_failures_have_to_wait(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    page = await browser.sign_in("alice@example.com", "wrong")
    number = 0
    while page.code == 401:
        number += 1
        page = await browser.sign_in("alice@example.com", f"wrong {number}")
    assert number >= site.services.config.throttle.account_failures
    assert page.code == 429
    assert int(page.headers["Retry-After"]) > 0
    assert "There were too many failed attempts. Try again in" in " ".join(text(page).split())
    assert (await browser.sign_in("alice@example.com")).code == 429
    site.clock.advance(seconds=site.services.config.throttle.window + 1)
    assert (await browser.sign_in("alice@example.com")).code == 303


async def test_a_full_queue_is_said_on_the_page(browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def overloaded(attempt: LoginAttempt) -> Login:
        raise Overloaded("full", retry_after=2)

    monkeypatch.setattr(site.services.accounts, "authenticate", overloaded)
    page = await browser.sign_in("alice@example.com")
    assert (page.code, page.headers["Retry-After"]) == (503, "2")
    assert "cannot answer at the moment" in text(page)


async def test_every_sign_in_begins_a_new_session_and_ends_the_old_one(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    planted = dict(browser.cookies, authd_session="planted-by-somebody-else")
    browser.cookies = planted
    await browser.sign_in("alice@example.com")
    first = browser.cookies["authd_session"]
    assert first != "planted-by-somebody-else"
    again = await browser.get("/action/login/?again=1")
    await browser.submit(again, username="alice@example.com", password=PASSWORD)
    assert browser.cookies["authd_session"] != first
    old = Browser(browser.client, browser.base_url, {"authd_session": first})
    assert (await old.get("/")).headers["Location"] == "/action/login/"
    assert (await browser.get("/")).code == 200


async def test_the_cookie_says_what_it_is(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    signed_in = await browser.sign_in("alice@example.com")
    session = cookie(signed_in, "authd_session")
    assert session == {"value": session["value"], "path": "/", "httponly": True, "samesite": "Lax"}
    assert "authd_device" not in browser.cookies


async def test_a_remembered_device_keeps_its_cookies(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    signed_in = await browser.sign_in("alice@example.com", remember="yes")
    assert int(cookie(signed_in, "authd_session")["max-age"]) == site.services.config.session.lifetime
    assert int(cookie(signed_in, "authd_device")["max-age"]) == site.services.config.session.remember_device
    await browser.submit(await browser.get("/action/logout/"))
    assert "authd_device" in browser.cookies


async def test_an_account_that_is_deactivated_is_signed_out(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    await browser.sign_in("alice@example.com")
    await site.database.execute("UPDATE account SET is_active = false")
    assert (await browser.get("/")).headers["Location"] == "/action/login/"


async def test_a_service_user_sees_no_page_but_may_go_to_applications_and_out(browser: Browser, site: Site) -> None:
    account = await add_account(site.database, "alice", address="alice@example.com", admin=True)
    await add_service_user(site.database, account, "printer")
    assert (await browser.sign_in("printer", next="/o2/authorize/?x=y")).headers["Location"] == "/o2/authorize/?x=y"
    home = await browser.get("/")
    assert home.code == 403
    assert "service user" in text(home)
    assert (await browser.submit(home)).headers["Location"] == "/action/logout/"
    assert (await browser.get("/")).headers["Location"] == "/action/login/"


async def test_a_form_counts_only_from_the_page_that_showed_it(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    page = await browser.get("/action/login/")
    fields = {"username": "alice@example.com", "password": PASSWORD}
    token = forms(page)[0].hidden["csrf_token"]
    other = Browser(browser.client, browser.base_url)
    await other.get("/action/login/")
    refused = [
        await browser.post("/action/login/", fields),
        await browser.post("/action/login/", fields | {"csrf_token": token[:-1] + ("0" if token[-1] != "0" else "1")}),
        await browser.post("/action/login/", fields | {"csrf_token": token}, Origin="https://evil.example"),
        await browser.post("/action/login/", fields | {"csrf_token": token}, Origin="null"),
        await browser.post("/action/login/", fields | {"csrf_token": token}, Sec_Fetch_Site="cross-site"),
        await other.post("/action/login/", fields | {"csrf_token": token}),
        await browser.post("/action/login/", fields | {"csrf_token": token}, Content_Type="application/json"),
    ]
    assert [page.code for page in refused] == [403] * len(refused)
    assert "This form has expired" in text(refused[0])
    assert (await browser.post("/action/login/", fields | {"csrf_token": token}, Origin=browser.base_url)).code == 303


async def test_nobody_is_signed_out_from_elsewhere(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    await browser.sign_in("alice@example.com")
    assert (await browser.post("/action/logout/", {})).code == 403
    assert (await browser.get("/")).code == 200


async def test_a_form_shown_before_signing_in_elsewhere_still_counts(browser: Browser, site: Site) -> None:
    """Two tabs with the sign-in page: the second is sent after the first has begun a session."""
    await add_account(site.database, "alice", address="alice@example.com")
    second_tab = await browser.get("/action/login/")
    form_cookie = browser.cookies["authd_form"]
    await browser.sign_in("alice@example.com")
    browser.cookies["authd_form"] = form_cookie
    assert (await browser.submit(second_tab, username="alice@example.com", password=PASSWORD)).code == 303


@pytest.mark.parametrize(("origin", "form_action"), [
    ("https://photos.example:8443", "'self' https://photos.example:8443"),
    ("com.example.photos:", "'self' com.example.photos:"),
    ("https://a; script-src *", "'self'"), ("", "'self'")])
async def test_the_waiting_application_is_named_and_may_be_redirected_to(
    browser: Browser, site: Site, origin: str, form_action: str,
) -> None:
    async def behind(next_path: str) -> RequestingApplication | None:
        assert next_path == "/o2/authorize/?client_id=a"
        return RequestingApplication("Photos & more", origin)

    object.__setattr__(site.services, "application_behind", behind)
    page = await browser.get("/action/login/?next=/o2/authorize/%3Fclient_id%3Da")
    assert "to continue to Photos &amp; more" in text(page)
    assert f"; form-action {form_action}; " in page.headers["Content-Security-Policy"]
