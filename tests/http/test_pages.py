"""What holds for every page and endpoint: errors, methods, headers, addresses."""

import re

import pytest

from tests.http.support import Browser, Site, json_of, text

pytestmark = pytest.mark.gen_test


async def test_an_unknown_address_is_a_page_for_people_and_json_for_programs(browser: Browser) -> None:
    page = await browser.get("/nowhere/<b>?x=<i>")
    assert page.code == 404
    assert "Page not found" in text(page)
    assert "nowhere" not in text(page)
    answer = json_of(await browser.get("/nowhere/", Accept="*/*"))
    assert answer == {"error": "not_found", "error_description": "There is no page at this address.",
                      "request_id": answer["request_id"]}


async def test_a_request_has_an_id_of_our_own(browser: Browser) -> None:
    page = await browser.get("/nowhere/", X_Request_Id="chosen-outside")
    request_id = page.headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{12}", request_id)
    assert request_id in text(page)
    assert (await browser.get("/nowhere/")).headers["X-Request-Id"] != request_id


@pytest.mark.parametrize(("path", "allowed"), [
    ("/action/login/", "GET, HEAD, POST"), ("/", "GET, HEAD"), ("/health/", "GET, HEAD"), ("/robots.txt", "GET, HEAD")])
async def test_other_methods_are_refused_with_those_allowed(browser: Browser, path: str, allowed: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = await browser.send(method, path, b"" if method in ("PUT", "PATCH") else None, {})
        assert (answer.code, answer.headers["Allow"]) == (405, allowed)


async def test_head_answers_as_get_does_without_a_body(browser: Browser) -> None:
    for path in ("/action/login/", "/health/", "/nowhere/", "/robots.txt"):
        got, headed = await browser.get(path), await browser.send("HEAD", path, None, {})
        assert (headed.code, headed.body) == (got.code, b"")
        assert headed.headers["Content-Type"] == got.headers["Content-Type"]


async def test_the_slash_at_the_end_may_be_missing(browser: Browser) -> None:
    for path in ("/action/login", "/action/logout", "/health", "/health/ready"):
        assert (await browser.get(path)).code == 200


async def test_pages_are_closed_to_everything_foreign(browser: Browser) -> None:
    for path in ("/action/login/", "/nowhere/", "/action/logout/"):
        headers = (await browser.get(path)).headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "Server" not in headers
        assert "Strict-Transport-Security" not in headers


async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(browser: Browser) -> None:
    page = text(await browser.get("/action/login/"))
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", page)


async def test_robots_are_kept_out(browser: Browser) -> None:
    assert text(await browser.get("/robots.txt")) == "User-agent: *\nDisallow: /\n"


async def test_styles_are_kept_for_ever_and_small(browser: Browser, site: Site) -> None:
    page = await browser.get("/action/login/")
    url = site.services.assets.url("style.css")
    assert f'href="{url}"' in text(page)
    style = await browser.get(url)
    assert style.code == 200
    assert style.headers["Content-Type"] == "text/css; charset=utf-8"
    assert style.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "--accent:#1d5fa8" in text(style)
    assert len(page.body) + len(style.body) < 30_000
    assert (await browser.get("/static/style-0123456789abcdef.css")).code == 404
    assert (await browser.get("/static/../templates/base.html")).code == 404


async def test_an_unexpected_error_is_told_without_details(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(token: str) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(site.services.sessions, "find", broken)
    browser.cookies["authd_session"] = "some-token"
    page = await browser.get("/?code=secret-code")
    assert page.code == 500
    assert "Something went wrong" in text(page)
    assert "secret" not in text(page)
    assert "secret detail" in caplog.text
    assert "secret-code" not in caplog.text
    assert "some-token" not in caplog.text


async def test_what_failed_is_logged_without_its_query(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await browser.get("/health/")
    await browser.get("/nowhere/?token=secret")
    lines = [record.getMessage() for record in caplog.records if record.name == "authd.http.access"]
    assert len(lines) == 1
    assert re.fullmatch(r"127\.0\.0\.1 GET /nowhere/ 404 [0-9.]+ ms", lines[0])
    assert "secret" not in caplog.text


async def test_a_database_that_is_away_is_a_passing_condition(browser: Browser, site: Site, database_url: str) -> None:
    browser.cookies["authd_session"] = "some-token"
    site.database.replace_credentials(type(site.database._credentials)(database_url + "_gone"))
    page = await browser.get("/")
    assert page.code == 503
    assert int(page.headers["Retry-After"]) > 0
    assert "gone" not in text(page)
    assert (await browser.get("/health/")).code == 200


async def test_bodies_are_bounded(browser: Browser, site: Site) -> None:
    """What is too long is read to its end, so that the client reads the answer, and thrown away."""
    limit = site.services.config.http.max_body
    assert (await browser.post("/action/login/", {"username": "a" * (limit - 100)})).code == 403
    for length in (limit + 1, 40 * limit):
        assert (await browser.post("/action/login/", {"username": "a" * length})).code == 413
        answer = await browser.send("POST", "/docker/token/", b"a" * length, {})
        assert (answer.code, json_of(answer)["error"]) == (413, "request_too_large")


async def test_malformed_input_is_a_client_error(browser: Browser) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for method, path, body, headers in [
        ("GET", "/action/login/?next=%ff", None, {}),
        ("GET", "/action/login/?next=/a&next=/b", None, {}),
        ("POST", "/action/login/", b"username=%ff", form),
        ("POST", "/action/login/", b"username=a&username=b", form),
        ("POST", "/action/login/", b"--x--", {"Content-Type": "multipart/form-data; boundary=x"}),
    ]:
        assert (await browser.send(method, path, body, headers)).code == 400
