"""Under which names the site answers, and what proxies may say."""

from ipaddress import ip_network

import pytest

from authd.config import Settings
from authd.config.settings import HttpSettings
from authd.sql import keys as key_rows
from tests.http.support import Browser, Site, add_account, json_of, site_settings, text


@pytest.fixture
def settings(base_url: str) -> Settings:
    """A public site behind a proxy on this machine."""
    http = HttpSettings(public_url="https://id.example.com", trusted_proxies=(ip_network("127.0.0.1/32"),))
    return site_settings(base_url, http=http)


PROXIED = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "id.example.com", "X_Forwarded_For": "203.0.113.9"}


@pytest.mark.gen_test
@pytest.mark.parametrize("host", ["id.example.com", "ID.example.com", "id.example.com:8443", "id.example.com."])
async def test_the_public_name_in_all_its_forms(browser: Browser, host: str) -> None:
    assert (await browser.get("/action/login/", Host=host)).code == 200


@pytest.mark.gen_test
@pytest.mark.parametrize("host", [
    "evil.example", "localhost", "127.0.0.1", "id.example.com.evil.example", "example.com", "[::1]"])
async def test_other_names_are_misdirected(browser: Browser, host: str) -> None:
    page = await browser.get("/action/login/", Host=host)
    assert page.code == 421
    assert "evil" not in text(page)
    assert json_of(await browser.get("/robots.txt", Host=host))["error"] == "misdirected_request"


@pytest.mark.gen_test
async def test_a_domain_with_a_jwt_key_is_served_and_its_subdomains_if_they_may_use_it(browser: Browser, site: Site) -> None:
    for name, lends in (("own.example", False), ("wide.example", True)):
        row = await site.database.fetch_one(
            "INSERT INTO domain (name, jwt_subdomains) VALUES (%(name)s, %(lends)s) RETURNING id",
            {"name": name, "lends": lends})
        assert row is not None
        key = await site.services.keys.new_key("jwt", "RSA-2048")
        await key_rows.insert(site.database, key, domain_id=row[0], now=site.clock())
    site.services.keys.forget()
    assert (await browser.get("/robots.txt", Host="own.example")).code == 200
    assert (await browser.get("/robots.txt", Host="OWN.example.:444")).code == 200
    assert (await browser.get("/robots.txt", Host="sub.own.example")).code == 421
    assert (await browser.get("/robots.txt", Host="sub.wide.example")).code == 200


@pytest.mark.gen_test
async def test_cookies_are_bound_to_the_host_and_to_https(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    page = await browser.get("/action/login/", **PROXIED)
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    fields = {"username": "alice@example.com", "password": "correct horse battery"}
    hidden = text(page).split('name="csrf_token" value="')[1].split('"')[0]
    answer = await browser.post("/action/login/", fields | {"csrf_token": hidden}, Origin="https://id.example.com", **PROXIED)
    assert answer.code == 303
    session = next(value for value in answer.headers.get_list("Set-Cookie") if value.startswith("__Host-authd_session="))
    assert session.split(";", 1)[1].lower().replace(" ", "").split(";") == ["httponly", "path=/", "samesite=lax", "secure"]
    row = await site.database.fetch_one("SELECT host(remote_address) FROM session")
    assert row == ("203.0.113.9",)


@pytest.mark.gen_test
async def test_a_proxy_names_the_host_it_was_asked_for(browser: Browser) -> None:
    assert (await browser.get("/robots.txt", Host="127.0.0.1", **PROXIED)).code == 200
    assert (await browser.get("/robots.txt", Host="id.example.com", X_Forwarded_Host="evil.example")).code == 421


class TestWithoutProxies:
    """The production default: nobody is trusted."""

    @pytest.fixture
    def settings(self, base_url: str) -> Settings:
        return site_settings(base_url, http=HttpSettings(public_url="https://id.example.com"))

    @pytest.mark.gen_test
    async def test_forwarded_headers_mean_nothing(self, browser: Browser) -> None:
        assert (await browser.get("/robots.txt", Host="evil.example", **PROXIED)).code == 421
        assert (await browser.get("/robots.txt", Host="id.example.com", X_Forwarded_Host="evil.example")).code == 200


class TestOnLoopback:
    """A public URL on this machine: any loopback name, no other (DNS rebinding)."""

    @pytest.fixture
    def settings(self, base_url: str, http_port: int) -> Settings:
        return site_settings(f"http://localhost:{http_port}")

    @pytest.mark.gen_test
    async def test_all_loopback_names_and_no_other(self, browser: Browser, http_port: int) -> None:
        for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
            assert (await browser.get("/robots.txt", Host=f"{host}:{http_port}")).code == 200
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "0.0.0.0"):
            assert (await browser.get("/robots.txt", Host=f"{host}:{http_port}")).code == 421

    @pytest.mark.gen_test
    async def test_both_names_may_sign_in(self, browser: Browser, site: Site, http_port: int) -> None:
        await add_account(site.database, "alice", address="alice@example.com")
        for host in ("localhost", "127.0.0.1"):
            visitor = Browser(browser.client, browser.base_url, headers=browser.headers | {"Host": f"{host}:{http_port}"})
            page = await visitor.get("/action/login/")
            visitor.base_url = f"http://{host}:{http_port}"
            assert (await visitor.submit(page, username="alice@example.com", password="correct horse battery")).code == 303
