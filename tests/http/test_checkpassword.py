"""`/checkpassword/`: who passes, what the token says, and that nothing malformed is an error of ours."""

import json
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import jwt
import pytest
from tornado.httpclient import HTTPResponse

from authd.config import Settings
from authd.config.settings import HttpSettings, ThrottleSettings
from authd.errors import DatabaseUnavailable, Overloaded
from authd.identity.facts import LoginAttempt
from tests.http.auth_domains import PROXIED, add_auth_domain
from tests.http.support import PASSWORD, Browser, Site, add_account, add_service_user, json_of, quick_hash, site_settings

NAME = "alice@example.com"
NOBODY = {"authenticated": False, "authorized": False}


@pytest.fixture
def settings(base_url: str) -> Settings:
    """A public site behind a proxy on this machine."""
    return site_settings(
        base_url, throttle=ThrottleSettings(account_failures=2),
        http=HttpSettings(public_url="https://id.example.org", trusted_proxies=(ip_network("127.0.0.1/32"),)))


async def prepare(site: Site, **account: Any) -> None:
    """The auth domain, and alice with the permissions imap and staff."""
    await add_auth_domain(site, "auth.example.com")
    await add_account(site.database, "alice", address=NAME, permissions=["staff", "imap"], **account)


async def ask(browser: Browser, fields: Mapping[str, Any], **headers: str) -> HTTPResponse:
    return await browser.send("POST", "/checkpassword/", json.dumps(fields).encode(),
                              {"Content_Type": "application/json"} | PROXIED | headers)


async def ask_basic(browser: Browser, username: str, password: str, **headers: str) -> HTTPResponse:
    credentials = b64encode(f"{username}:{password}".encode()).decode()
    return await browser.send("POST", "/checkpassword/", b"", PROXIED | {"Authorization": f"Basic {credentials}"} | headers)


async def claims_of(site: Site, answer: HTTPResponse, domain: str = "auth.example.com") -> dict[str, Any]:
    assert (answer.code, answer.headers["Content-Type"]) == (200, "application/jwt")
    key = await site.services.keys.jwt_key(domain)
    assert jwt.get_unverified_header(answer.body.decode()) == {"alg": "RS256", "typ": "JWT", "kid": key.kid}
    claims: dict[str, Any] = jwt.decode(
        answer.body, key.public_key, ["RS256"], audience="net.maurus.authclient", issuer=domain,
        options={"verify_exp": False, "verify_nbf": False})
    return claims


@pytest.mark.gen_test
async def test_the_claims(browser: Browser, site: Site) -> None:
    await prepare(site)
    claims = await claims_of(site, await ask(browser, {"username": "Alice@EXAMPLE.com", "password": PASSWORD}))
    now = int(site.clock().timestamp())
    assert claims == {
        "sub": "Alice@EXAMPLE.com", "canonical_username": NAME, "authenticated": True, "authorized": True,
        "scopes": ["imap", "staff"], "nbf": now - 5, "exp": now + 3600, "iss": "auth.example.com",
        "aud": "net.maurus.authclient"}


@pytest.mark.gen_test
async def test_form_json_and_basic_give_the_same(browser: Browser, site: Site) -> None:
    await prepare(site)
    answers = [
        await ask(browser, {"username": NAME, "password": PASSWORD, "scopes": ["imap"]}),
        await browser.post("/checkpassword/", {"username": NAME, "password": PASSWORD, "scopes": "imap,staff"}, **PROXIED),
        await ask_basic(browser, NAME, PASSWORD, X_Auth_Scopes="staff"),
    ]
    claims = [await claims_of(site, answer) for answer in answers]
    assert claims[0] == claims[1] == claims[2]


@pytest.mark.gen_test
async def test_a_parent_domain_signs_for_the_host(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address=NAME)
    await add_auth_domain(site, "example.com", lends=True)
    answer = await ask(browser, {"username": NAME}, X_Forwarded_Host="deep.down.example.com:8443")
    assert (await claims_of(site, answer, "example.com"))["iss"] == "example.com"


@pytest.mark.gen_test
async def test_without_an_auth_domain(browser: Browser, site: Site) -> None:
    await add_account(site.database, "alice", address=NAME)
    answer = await ask(browser, {"username": NAME}, X_Forwarded_Host="id.example.org")
    assert (answer.code, json_of(answer)) == (400, {"error": "Not a valid authorization domain"})


@pytest.mark.gen_test
async def test_who_does_not_pass(browser: Browser, site: Site) -> None:
    await prepare(site)
    await add_account(site.database, "inactive", address="inactive@example.com", active=False)
    await add_account(site.database, "admin", admin=True)
    list_row = await site.database.fetch_one("INSERT INTO mailing_list (name) VALUES ('everyone') RETURNING id")
    assert list_row is not None
    await site.database.execute(
        "INSERT INTO alias (local_part, domain_id, mailing_list_id) SELECT 'all', id, %(list)s FROM domain "
        "WHERE name = 'example.com'", {"list": list_row[0]})
    for name in ("nobody@example.com", "inactive@example.com", "admin", "all@example.com", "nobody", "a@b@c", "x" * 5000,
                 "alice@example.com\n", "@", "\u00fc@example.com"):
        for fields in ({"username": name, "password": PASSWORD}, {"username": name}):
            answer = await ask(browser, fields)
            assert (answer.code, json_of(answer)) == (401, NOBODY), fields
    for password in ("wrong", ""):
        answer = await ask(browser, {"username": NAME, "password": password})
        assert (answer.code, json_of(answer)) == (401, NOBODY)
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.gen_test
async def test_scopes(browser: Browser, site: Site) -> None:
    await prepare(site)
    answer = await ask(browser, {"username": NAME, "password": PASSWORD, "scopes": ["imap", "docker"]})
    assert (answer.code, json_of(answer)) == (403, {
        "authenticated": True, "authorized": False, "scopes": ["imap", "staff"], "missing": ["docker"]})
    answer = await ask(browser, {"username": NAME, "scopes": ["docker"]})
    assert (answer.code, json_of(answer)["authenticated"]) == (403, False)
    assert (await ask_basic(browser, NAME, PASSWORD, X_Auth_Scopes="imap, docker")).code == 403


@pytest.mark.gen_test
async def test_a_look_up_without_password(browser: Browser, site: Site) -> None:
    await prepare(site)
    claims = await claims_of(site, await ask(browser, {"username": NAME, "scopes": ["imap"]}))
    assert (claims["authenticated"], claims["authorized"]) == (False, True)
    await claims_of(site, await ask(browser, {"username": NAME, "password": None}))
    for address in ("203.0.113.9", "2001:db8::1", "10.1.2.3, 203.0.113.9"):
        answer = await ask(browser, {"username": NAME}, X_Forwarded_For=address)
        assert (answer.code, json_of(answer)) == (401, NOBODY)
    for address in ("192.168.3.4", "fd00::1", "::ffff:10.0.0.1", "203.0.113.9, 172.16.0.1"):
        assert (await ask(browser, {"username": NAME}, X_Forwarded_For=address)).code == 200
    answer = await ask(browser, {"username": NAME, "password": PASSWORD}, X_Forwarded_For="203.0.113.9")
    assert answer.code == 200


@pytest.mark.gen_test
async def test_service_users(browser: Browser, site: Site) -> None:
    await prepare(site)
    row = await site.database.fetch_one("SELECT uuid FROM account")
    assert row is not None
    await add_service_user(site.database, row[0], "phone")
    claims = await claims_of(site, await ask(browser, {"username": "phone", "password": PASSWORD}))
    assert (claims["sub"], claims["canonical_username"], claims["scopes"]) == ("phone", NAME, ["imap", "staff"])

    await site.database.execute(
        "INSERT INTO service_user (username, account_uuid, password_hash, generated, limited) "
        "VALUES ('limited', %(uuid)s, %(hash)s, true, true)", {"uuid": row[0], "hash": quick_hash(PASSWORD)})
    await site.database.execute(
        "INSERT INTO permission (identifier) VALUES ('docker')")
    await site.database.execute(
        "INSERT INTO service_user_permission SELECT s.id, p.id FROM service_user s, permission p "
        "WHERE s.username = 'limited' AND p.identifier IN ('imap', 'docker')")
    answer = await ask(browser, {"username": "limited", "password": PASSWORD, "scopes": ["imap"]})
    assert (await claims_of(site, answer))["scopes"] == ["imap"]
    for scopes in (["staff"], ["docker"], ["imap", "staff"], ["imap", "docker"]):
        answer = await ask(browser, {"username": "limited", "password": PASSWORD, "scopes": scopes})
        assert (answer.code, json_of(answer)) == (403, {
            "authenticated": True, "authorized": False, "scopes": ["imap"], "missing": sorted({*scopes} - {"imap"})})
    assert (await ask(browser, {"username": "limited", "password": PASSWORD})).code == 401
    claims = await claims_of(site, await ask(browser, {"username": "limited"}))
    assert claims["scopes"] == ["imap"]


@pytest.mark.gen_test
async def test_no_primary_address(browser: Browser, site: Site) -> None:
    await prepare(site)
    await site.database.execute("UPDATE account SET primary_alias_id = NULL")
    for fields in ({"username": NAME, "password": PASSWORD}, {"username": NAME}):
        answer = await ask(browser, fields)
        assert (answer.code, json_of(answer)) == (401, NOBODY)


@pytest.mark.gen_test
async def test_a_lost_permission_and_a_deactivated_account_count_at_once(browser: Browser, site: Site) -> None:
    await prepare(site)
    fields = {"username": NAME, "password": PASSWORD, "scopes": ["imap"]}
    assert (await ask(browser, fields)).code == 200
    await site.database.execute("DELETE FROM account_permission")
    assert (await ask(browser, fields)).code == 403
    await site.database.execute("UPDATE account SET is_active = false")
    assert (await ask(browser, fields)).code == 401


@pytest.mark.gen_test
async def test_https_and_post_only(browser: Browser, site: Site) -> None:
    await prepare(site)
    answer = await ask(browser, {"username": NAME}, X_Forwarded_Proto="http")
    assert (answer.code, json_of(answer)) == (400, {"error": "HTTPS is required"})
    assert (await browser.get("/checkpassword/", **PROXIED)).code == 405
    answer = await browser.send("POST", "/checkpassword", json.dumps({"username": NAME}).encode(), {
        "Content_Type": "application/json", **PROXIED})
    assert answer.code == 200


@pytest.mark.gen_test
@pytest.mark.parametrize(("kind", "body"), [
    ("application/json", b"null"), ("application/json", b"["), ("application/json", b"\xff"),
    ("application/json", b"[" * 50000), ("application/json", b""),
    ("application/json", b'{"username": 5}'), ("application/json", b'{"username": "a", "password": 5}'),
    ("application/json", b'{"username": "a\\u0000"}'), ("application/json", b'{"username": "\\ud800"}'),
    ("application/x-www-form-urlencoded", b"username=%ff"), ("application/x-www-form-urlencoded", b"username=%00&password=x"),
    ("application/x-www-form-urlencoded", b"username=a&username=b"), ("application/x-www-form-urlencoded", b""),
    ("application/x-www-form-urlencoded", b"&".join(b"%d=1" % number for number in range(5000))),
    ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--\r\n"), ("multipart/form-data", b"x"), ("text/plain", b"username=a"),
    ("", b"username=a"), ("application/json; charset=\xff".encode("latin-1").decode("latin-1"), b"{}")])
async def test_malformed_bodies(browser: Browser, site: Site, kind: str, body: bytes) -> None:
    await prepare(site)
    answer = await browser.send("POST", "/checkpassword/", body, {"Content_Type": kind, **PROXIED})
    assert answer.code == 400
    assert json_of(answer)["error"]


@pytest.mark.gen_test
@pytest.mark.parametrize("value", ["Basic", "Basic ???", "Basic bm9jb2xvbg==", "Basic /zp4"])
async def test_malformed_basic(browser: Browser, site: Site, value: str) -> None:
    await prepare(site)
    answer = await browser.send("POST", "/checkpassword/", b"", {"Authorization": value, **PROXIED})
    assert answer.code == 400
    assert json_of(answer)["error"]


@pytest.mark.gen_test
async def test_too_many_failures(browser: Browser, site: Site) -> None:
    await prepare(site)
    answers = [await ask(browser, {"username": NAME, "password": f"wrong{number}"}) for number in range(4)]
    assert [answer.code for answer in answers][:2] == [401, 401]
    assert answers[-1].code == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert json_of(answers[-1])["error"] == "throttled"


@pytest.mark.gen_test
@pytest.mark.parametrize("error", [Overloaded("full", retry_after=3), DatabaseUnavailable("down", retry_after=3)])
async def test_when_it_cannot_be_answered(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:
    await prepare(site)

    async def fail(attempt: LoginAttempt) -> None:
        raise error

    monkeypatch.setattr(site.services.accounts, "authenticate", fail)
    answer = await ask(browser, {"username": NAME, "password": PASSWORD})
    assert (answer.code, answer.headers["Retry-After"]) == (503, "3")
    assert "down" not in answer.body.decode()
