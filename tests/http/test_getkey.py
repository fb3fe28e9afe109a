"""`/getkey/`: public keys and certificates of auth domains."""

from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authd.config import Settings
from authd.config.settings import HttpSettings
from tests.http.auth_domains import PROXIED, add_auth_domain
from tests.http.support import Browser, Site, json_of, site_settings


@pytest.fixture
def settings(base_url: str) -> Settings:
    """A public site behind a proxy on this machine."""
    return site_settings(base_url, http=HttpSettings(
        public_url="https://id.example.org", trusted_proxies=(ip_network("127.0.0.1/32"),)))


@pytest.mark.gen_test
async def test_the_key_of_the_host_s_own_domain_or_of_another(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    await add_auth_domain(site, "example.org", lends=True)
    answer = await browser.get("/getkey/", **PROXIED)
    assert answer.code == 200
    key = await site.services.keys.jwt_key("auth.example.com")
    assert load_pem_public_key("\n".join(json_of(answer)["public_key_pem"]).encode()) == key.public_key

    other = (await site.services.keys.jwt_key("example.org")).public_key
    for name in ("example.org", "sub.example.org", "EXAMPLE.org."):
        lines = json_of(await browser.get(f"/getkey/?domain={name}&type=d&format=pubkey", **PROXIED))["public_key_pem"]
        assert load_pem_public_key("\n".join(lines).encode()) == other
        assert (lines[0], lines[-1]) == ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")


@pytest.mark.gen_test
async def test_a_host_header_with_a_port(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    answer = await browser.get("/getkey", **(PROXIED | {"X_Forwarded_Host": "AUTH.example.com:8443"}))
    assert answer.code == 200


@pytest.mark.gen_test
async def test_the_certificate(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    first = json_of(await browser.get("/getkey/?format=cert", **PROXIED))
    certificate = x509.load_pem_x509_certificate("\n".join(first["cert"]).encode())
    assert certificate.subject.rfc4514_string() == "CN=auth.example.com"
    assert certificate.public_key() == (await site.services.keys.jwt_key("auth.example.com")).public_key
    site.services.keys.forget()
    assert json_of(await browser.get("/getkey/?format=cert", **PROXIED)) == first


@pytest.mark.gen_test
async def test_domains_without_a_key(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    await add_auth_domain(site, "plain.example.com", None)
    await add_auth_domain(site, "curve.example.com", "ES256")
    unknown = ("example.net", "sub.auth.example.com", "%00", "..", "a" * 300, "%F0%9F%92%A9")
    expected = {"plain.example.com": "Domain is not JWT enabled", "curve.example.com": "Domain is not JWT enabled"}
    for domain, error in (expected | dict.fromkeys(unknown, "Not a valid authorization domain")).items():
        for form in ("pubkey", "cert"):
            answer = await browser.get(f"/getkey/?domain={domain}&format={form}", **PROXIED)
            assert (answer.code, json_of(answer)) == (404, {"error": error}), domain
    answer = await browser.get("/getkey/", **(PROXIED | {"X_Forwarded_Host": "id.example.org"}))
    assert (answer.code, json_of(answer)) == (404, {"error": "Not a valid authorization domain"})


@pytest.mark.gen_test
async def test_registries_there_are_none(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    answer = await browser.get("/getkey/?type=r&domain=registry.example.com", **PROXIED)
    assert (answer.code, list(json_of(answer))) == (404, ["error"])


@pytest.mark.gen_test
@pytest.mark.parametrize("query", [
    "type=x", "type=", "format=der", "format=", "domain=%ff", "domain=a&domain=b", "type=d&type=r"])
async def test_malformed_questions(browser: Browser, site: Site, query: str) -> None:
    await add_auth_domain(site, "auth.example.com")
    answer = await browser.get(f"/getkey/?{query}", **PROXIED)
    assert answer.code == 400
    assert json_of(answer)["error"]


@pytest.mark.gen_test
async def test_https_only_and_get_only(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    assert (await browser.get("/getkey/", **(PROXIED | {"X_Forwarded_Proto": "http"}))).code == 400
    assert (await browser.get("/getkey/", Host="auth.example.com")).code == 400
    assert (await browser.post("/getkey/", {}, **PROXIED)).code == 405


@pytest.mark.gen_test
async def test_without_the_database(browser: Browser, site: Site) -> None:
    await add_auth_domain(site, "auth.example.com")
    assert (await browser.get("/getkey/", **PROXIED)).code == 200
    site.database.close()
    assert (await browser.get("/getkey/", **PROXIED)).code == 200
