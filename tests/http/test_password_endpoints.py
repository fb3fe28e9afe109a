"""What an earlier authserver got wrong at `/docker/token/`, `/checkpassword/` and `/getkey/`, one by one, at each of them."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

import pytest
from tornado.httpclient import HTTPResponse
from tornado.httpserver import HTTPServer

from authd.config import Settings
from authd.config.settings import HttpSettings
from authd.identity import crypt
from tests.http.auth_domains import PROXIED
from tests.http.docker_registry import SERVICE, add_registry
from tests.http.support import PASSWORD, Browser, Site, add_account, add_service_user, json_of, site_settings

DOMAIN = "auth.example.com"
ALICE, OTHER_ALIAS, LIST = "alice@example.com", "a.smith@example.com", "all@example.com"
HALF_OPEN = 20

Ask = Callable[[Browser, str, str], Awaitable[HTTPResponse]]


def basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


async def docker_get(browser: Browser, username: str, password: str) -> HTTPResponse:
    return await browser.get(f"/docker/token/?service={SERVICE}", Authorization=basic(username, password), **PROXIED)


async def docker_post(browser: Browser, username: str, password: str) -> HTTPResponse:
    return await browser.post("/docker/token/", {
        "grant_type": "password", "service": SERVICE, "client_id": "c", "username": username, "password": password}, **PROXIED)


async def checkpassword(browser: Browser, username: str, password: str) -> HTTPResponse:
    return await browser.post("/checkpassword/", {"username": username, "password": password}, **PROXIED)


async def checkpassword_basic(browser: Browser, username: str, password: str) -> HTTPResponse:
    return await browser.send("POST", "/checkpassword/", b"", PROXIED | {"Authorization": basic(username, password)})


EVERYWHERE = pytest.mark.parametrize("ask", [docker_get, docker_post, checkpassword, checkpassword_basic])


@pytest.fixture
def settings(base_url: str) -> Settings:
    """A public site behind a proxy on this machine."""
    return site_settings(base_url, http=HttpSettings(
        public_url="https://id.example.org", trusted_proxies=(ip_network("127.0.0.1/32"),)))


async def prepare(site: Site) -> None:
    """alice with two addresses and a service user, a mailing list, and a registry."""
    await add_registry(site, domain=DOMAIN, anonymous_pull=True)
    alice = await add_account(site.database, "alice", address=ALICE)
    await add_service_user(site.database, alice, "robot")
    row = await site.database.fetch_one("INSERT INTO mailing_list (name) VALUES ('all') RETURNING id")
    assert row is not None
    await site.database.execute(
        "INSERT INTO alias (local_part, domain_id, account_uuid, mailing_list_id) "
        "SELECT 'a.smith', id, %(alice)s::uuid, NULL FROM domain WHERE name = 'example.com' UNION ALL "
        "SELECT 'all', id, NULL, %(list)s FROM domain WHERE name = 'example.com'", {"alice": alice, "list": row[0]})


@pytest.mark.gen_test
@EVERYWHERE
async def test_a_deactivated_account_by_any_name(browser: Browser, site: Site, ask: Ask) -> None:
    await prepare(site)
    names = (ALICE, "Alice@EXAMPLE.com", OTHER_ALIAS, "robot")
    for name in names:
        assert (await ask(browser, name, PASSWORD)).code == 200
    await site.database.execute("UPDATE account SET is_active = false")
    for name in names:
        assert (await ask(browser, name, PASSWORD)).code == 401


@pytest.mark.gen_test
async def test_a_deactivated_account_by_what_docker_login_stored(browser: Browser, site: Site) -> None:
    await prepare(site)
    for name in (OTHER_ALIAS, "robot"):
        answer = await browser.get(f"/docker/token/?service={SERVICE}&offline_token=true",
                                   Authorization=basic(name, PASSWORD), **PROXIED)
        fields = {"grant_type": "refresh_token", "service": SERVICE, "client_id": "c",
                  "refresh_token": json_of(answer)["refresh_token"]}
        assert (await browser.post("/docker/token/", fields, **PROXIED)).code == 200
        await site.database.execute("UPDATE account SET is_active = false")
        assert (await browser.post("/docker/token/", fields, **PROXIED)).code == 401
        await site.database.execute("UPDATE account SET is_active = true")


@pytest.mark.gen_test
@EVERYWHERE
async def test_refusals_cost_one_hash_and_look_alike(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch, ask: Ask,
) -> None:
    """Neither the answer nor the work behind it tells who exists; that the time is equal too is in tests/sql."""
    await prepare(site)
    await add_account(site.database, "asleep", address="asleep@example.com", active=False)
    hashed: list[str] = []
    verify = crypt.verify_password

    def counted(password: str, *arguments: Any) -> bool:
        hashed.append(password)
        return verify(password, *arguments)

    monkeypatch.setattr(crypt, "verify_password", counted)
    answers = []
    for name in (ALICE, "robot", "nobody@example.com", "nobody", "asleep@example.com", LIST, "@", "a@b@c"):
        hashed.clear()
        answer = await ask(browser, name, "wrong")
        body = {key: value for key, value in json_of(answer).items() if key != "request_id"}
        answers.append((answer.code, body, hashed[:]))
    assert answers[0][::2] == (401, ["wrong"])
    assert [one for one in answers if one != answers[0]] == []


@pytest.mark.gen_test
@EVERYWHERE
async def test_a_password_of_4096_characters_costs_no_hash(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch, ask: Ask,
) -> None:
    await prepare(site)

    def never(*arguments: Any) -> bool:
        raise AssertionError

    monkeypatch.setattr(crypt, "verify_password", never)
    for name in (ALICE, "nobody@example.com"):
        assert (await ask(browser, name, "x" * 4096)).code == 401


@pytest.mark.gen_test
@EVERYWHERE
async def test_a_mailing_list_has_no_password(browser: Browser, site: Site, ask: Ask) -> None:
    await prepare(site)
    assert (await ask(browser, LIST, PASSWORD)).code == 401


@pytest.mark.gen_test
@pytest.mark.parametrize("value", ["Basic", "Basic ???", "Basic bm9jb2xvbg==", "Basic /zp4", "Basic YTpi YTpi"])
async def test_malformed_basic(browser: Browser, site: Site, value: str) -> None:
    await prepare(site)
    for method, path in (("GET", f"/docker/token/?service={SERVICE}"), ("POST", "/checkpassword/")):
        answer = await browser.send(method, path, b"" if method == "POST" else None, PROXIED | {"Authorization": value})
        assert (answer.code, bool(json_of(answer)["error"])) == (400, True)


@pytest.mark.gen_test
async def test_texts_that_are_none(browser: Browser, site: Site) -> None:
    """JSON null, bad UTF-8, NUL, an integer password."""
    await prepare(site)
    for body in (b"null", b"\xff", b'{"username": "a\\u0000"}', b'{"username": "a", "password": 5}'):
        answer = await browser.send("POST", "/checkpassword/", body, PROXIED | {"Content_Type": "application/json"})
        assert answer.code == 400, body
    for body in (b"grant_type=password&service=%ff", b"grant_type=password&service=a%00", b"null"):
        assert (await browser.send("POST", "/docker/token/", body, PROXIED)).code == 400, body
    assert (await docker_post(browser, ALICE, "a\0b")).code == 401


@pytest.mark.gen_test
async def test_getkey_where_the_host_has_a_port(browser: Browser, site: Site) -> None:
    await prepare(site)
    for kind in ("d", "r"):
        answer = await browser.get(f"/getkey/?type={kind}", **(PROXIED | {"X_Forwarded_Host": f"{DOMAIN}:8443"}))
        assert answer.code == 200, kind


@pytest.mark.gen_test
@pytest.mark.parametrize(("scope", "code"), [
    ("repository:foo", 400), ("registry:catalog:*", 200), ("repository:foo:pull,delete", 200),
    ("repository(plugin):foo:pull", 200), ("repository:host:5000/foo:pull", 200)])
async def test_scopes_that_were_too_much(browser: Browser, site: Site, scope: str, code: int) -> None:
    await prepare(site)
    answer = await browser.get(f"/docker/token/?service={SERVICE}&scope={quote(scope)}",
                               Authorization=basic(ALICE, PASSWORD), **PROXIED)
    assert answer.code == code


@pytest.mark.gen_test
async def test_an_access_token_is_no_refresh_token(browser: Browser, site: Site) -> None:
    await prepare(site)
    token = json_of(await docker_get(browser, ALICE, PASSWORD))["token"]
    answer = await browser.post("/docker/token/", {
        "grant_type": "refresh_token", "service": SERVICE, "client_id": "c", "refresh_token": token}, **PROXIED)
    assert answer.code == 401


@pytest.mark.gen_test
async def test_errors_are_json_for_clients_that_post_first(browser: Browser, site: Site) -> None:
    """containerd posts, and falls back to GET where the answer says so; docker shows `errors`."""
    await prepare(site)
    wrong = await docker_post(browser, ALICE, "wrong")
    other = await browser.send("PUT", "/docker/token/", b"", PROXIED)
    private = await browser.get(f"/docker/token/?service={SERVICE}&scope=repository:a:push", **PROXIED)
    for answer, code, name in ((wrong, 401, "UNAUTHORIZED"), (other, 405, "UNSUPPORTED"), (private, 401, "UNAUTHORIZED")):
        [error] = json_of(answer)["errors"]
        assert (answer.code, error["code"], sorted(error)) == (code, name, ["code", "detail", "message"])
    assert "sign in" in json_of(private)["errors"][0]["message"]


@pytest.mark.gen_test
async def test_half_open_connections_block_nobody(
    browser: Browser, site: Site, http_server: HTTPServer, http_port: int,
) -> None:
    """Some send nothing, some half a request, some promise a body that never comes."""
    await prepare(site)
    beginnings = (b"", b"GET /docker/token/ HT", b"POST /docker/token/ HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\na=")
    writers = []
    for number in range(HALF_OPEN):
        _, writer = await asyncio.open_connection("127.0.0.1", http_port)
        writer.write(beginnings[number % len(beginnings)])
        writers.append(writer)
    answers = await asyncio.wait_for(asyncio.gather(*(
        docker_get(browser, ALICE, PASSWORD) for _ in range(5))), 10)
    assert {answer.code for answer in answers} == {200}
    assert json.loads((await browser.get("/health/", **PROXIED)).body)["status"] == "ok"
    for writer in writers:
        writer.close()
