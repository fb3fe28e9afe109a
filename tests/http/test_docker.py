"""`/docker/token/` and `/v2/`: what clients of registries get (docker.md)."""

import asyncio
from base64 import b64decode, b64encode
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

import jwt
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from authd.config import Settings
from authd.config.settings import DockerSettings, HttpSettings
from authd.config.values import networks
from authd.errors import InvalidInput
from authd.handlers.docker import get_request, post_request
from tests.http.docker_registry import SERVICE, add_group, add_registry, allow, claims_of, granted
from tests.http.support import PASSWORD, Browser, Site, add_account, add_service_user, json_of, site_settings

ALICE = "alice@example.com"


@pytest.fixture
def settings(base_url: str) -> Settings:
    """Behind a proxy on the same machine, which says what came by HTTPS."""
    return site_settings(base_url, http=HttpSettings(public_url=base_url, trusted_proxies=networks(["127.0.0.1"])))


def basic(username: str, password: str = PASSWORD) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


async def get(browser: Browser, *scopes: str, username: str | None = ALICE, password: str = PASSWORD, service: str = SERVICE,
              **fields: str) -> HTTPResponse:
    query = urlencode([("service", service), *(("scope", scope) for scope in scopes), *fields.items()])
    headers = {} if username is None else {"Authorization": basic(username, password)}
    return await browser.get(f"/docker/token/?{query}", **headers)


async def post(browser: Browser, **fields: str) -> HTTPResponse:
    return await browser.post("/docker/token/", {"service": SERVICE, "client_id": "docker", **fields})


async def sign_in(browser: Browser, username: str = ALICE) -> str:
    """A refresh token."""
    answer = await get(browser, username=username, offline_token="true")
    assert answer.code == 200
    return str(json_of(answer)["refresh_token"])


async def refresh(browser: Browser, token: str, scope: str = "") -> HTTPResponse:
    return await post(browser, grant_type="refresh_token", refresh_token=token, scope=scope)


@pytest.mark.gen_test
async def test_a_token_as_registries_read_it(site: Site, browser: Browser) -> None:
    registry = await add_registry(site)
    alice = await add_account(site.database, "alice", address=ALICE)
    await allow(site, registry, ["pull", "push"], "team/app", user=alice)
    answer = await get(browser, "repository:team/app:pull,push,delete", "repository:other:pull repository:third:push")
    body = json_of(answer)
    assert body["token"] == body["access_token"]
    assert (body["expires_in"], body["issued_at"]) == (300, "2026-11-24T12:00:00Z")
    assert "refresh_token" not in body
    claims = claims_of(answer)
    assert claims["access"] == [
        {"type": "repository", "name": "team/app", "actions": ["pull", "push"]},
        {"type": "repository", "name": "other", "actions": []}, {"type": "repository", "name": "third", "actions": []}]
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("127.0.0.1", str(alice), SERVICE)
    seconds = int(site.clock().timestamp())
    assert (claims["nbf"], claims["iat"], claims["exp"]) == (seconds, seconds, seconds + 300)
    assert all(isinstance(claims[name], int) for name in ("nbf", "iat", "exp"))
    assert claims["jti"] != claims_of(await get(browser))["jti"]


@pytest.mark.gen_test
async def test_signing_in_without_a_scope(site: Site, browser: Browser) -> None:
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    assert claims_of(await get(browser))["access"] == []
    for answer in (await get(browser, password="wrong"), await get(browser, username="nobody@example.com"),
                   await post(browser, grant_type="password", username=ALICE, password="wrong"),
                   await get(browser, username=None)):
        assert answer.code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert json_of(answer)["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.gen_test
async def test_anonymous(site: Site, browser: Browser) -> None:
    registry = await add_registry(site)
    await allow(site, registry, ["pull"], "public/*")
    answer = await get(browser, "repository:public/app:pull,push repository:private:pull", username=None, offline_token="true")
    assert granted(answer) == {"public/app": ["pull"], "private": []}
    assert claims_of(answer)["sub"] == ""
    assert "refresh_token" not in json_of(answer)
    assert (await get(browser, "repository:private:pull", username=None)).code == 401
    await add_account(site.database, "alice", address=ALICE)
    assert granted(await get(browser, "repository:public/app:pull")) == {"public/app": ["pull"]}
    assert site.services.docker.issued == {("docker_token", "anonymous"): 1, ("docker_token", "password"): 1}


@pytest.mark.gen_test
async def test_a_public_registry(site: Site, browser: Browser) -> None:
    await add_registry(site, anonymous_pull=True)
    answer = await get(browser, "repository:any:pull,push registry:catalog:*", username=None)
    assert granted(answer) == {"any": ["pull"], "catalog": ["*"]}


@pytest.mark.gen_test
async def test_rights_of_groups_patterns_and_the_whole_registry(site: Site, browser: Browser) -> None:
    registry = await add_registry(site)
    alice = await add_account(site.database, "alice", address=ALICE)
    reader = await add_account(site.database, "reader", address="reader@example.com")
    await add_account(site.database, "root", admin=True)
    staff = await add_group(site, "staff", alice)
    await allow(site, registry, ["push"], "team/*", group=staff)
    await allow(site, registry, ["pull"], "team/app", user=alice)
    await allow(site, registry, ["pull"], user=reader)
    asked = "repository:team/app:* repository:team/web:* registry:catalog:*"
    assert granted(await get(browser, asked)) == {"team/app": ["pull", "push"], "team/web": ["push"], "catalog": []}
    assert granted(await get(browser, asked, username="reader@example.com")) == {
        "team/app": ["pull"], "team/web": ["pull"], "catalog": ["*"]}
    everything = ["pull", "push", "delete"]
    assert granted(await get(browser, asked, username="root")) == {
        "team/app": everything, "team/web": everything, "catalog": ["*"]}


@pytest.mark.gen_test
async def test_a_right_in_one_registry_is_none_in_another(site: Site, browser: Browser) -> None:
    await add_registry(site)
    other = await add_registry(site, "other.example.com", algorithm=None)
    alice = await add_account(site.database, "alice", address=ALICE)
    await allow(site, other, ["pull"], user=alice)
    assert granted(await get(browser, "repository:a:pull")) == {"a": []}


@pytest.mark.gen_test
async def test_what_is_malformed(site: Site, browser: Browser) -> None:
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    for scope in ("repository:foo", "repository::pull", "x", "repository:Foo:pull", "repository:foo:pull;push", "é", "\0"):
        answer = await get(browser, scope)
        assert (answer.code, json_of(answer)["error"]) == (400, "invalid_request")
    for accepted in ("registry:catalog:*", "repository:foo:pull,delete", "repository(plugin):foo:pull",
                     "repository:host:5000/foo:pull"):
        assert (await get(browser, accepted)).code == 200
    answer = await get(browser, service="unknown.example.com")
    assert answer.code == 400
    assert "unknown.example.com" in json_of(answer)["error_description"]
    assert (await browser.get("/docker/token/")).code == 400
    encoded = [b64encode(value).decode() for value in (b"nocolon", b"\xff:\xff")]
    for header in ("Basic !", "Bearer x", *(f"Basic {value}" for value in encoded)):
        assert (await browser.get(f"/docker/token/?service={SERVICE}", Authorization=header)).code == 400
    for fields in ({}, {"grant_type": "client_credentials"}, {"grant_type": "password", "username": ALICE},
                   {"grant_type": "refresh_token"}):
        assert (await post(browser, **fields)).code == 400
    assert json_of(await post(browser))["error"] == "unsupported_grant_type"
    assert (await get(browser, username="a\0b", password="c\0d")).code == 401


@pytest.mark.gen_test
async def test_a_refresh_token(site: Site, browser: Browser) -> None:
    registry = await add_registry(site)
    await add_registry(site, "other.example.com", algorithm=None)
    alice = await add_account(site.database, "alice", address=ALICE)
    await allow(site, registry, ["pull"], "app", user=alice)
    token = await sign_in(browser)
    answer = await refresh(browser, token, "repository:app:pull,push repository:b:pull")
    body = json_of(answer)
    assert (body["refresh_token"], body["scope"], body["expires_in"]) == (token, "repository:app:pull", 300)
    assert claims_of(answer)["sub"] == str(alice)
    wrong_service = await post(browser, grant_type="refresh_token", refresh_token=token, service="other.example.com")
    for refused in (wrong_service, await refresh(browser, body["access_token"]), await refresh(browser, "x\ud7ff")):
        assert refused.code == 401
    assert token not in str(await site.database.fetch_all("SELECT * FROM docker_refresh_token"))
    audited = await site.database.fetch_all("SELECT actor FROM audit WHERE action = 'docker_token.create'")
    assert audited == [("alice",)]


@pytest.mark.gen_test
async def test_a_refresh_token_by_post(site: Site, browser: Browser) -> None:
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    fields = {"grant_type": "password", "username": ALICE, "password": PASSWORD}
    assert "refresh_token" not in json_of(await post(browser, **fields))
    body = json_of(await post(browser, access_type="offline", **fields))
    assert (await refresh(browser, body["refresh_token"])).code == 200
    assert site.services.docker.issued == {
        ("docker_token", "password"): 2, ("docker_refresh_token", "password"): 1, ("docker_token", "refresh_token"): 1}


@pytest.mark.gen_test
async def test_what_ends_a_refresh_token(site: Site, browser: Browser) -> None:
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    token = await sign_in(browser)
    change = "UPDATE account SET {} WHERE identifier = 'alice'"
    for broken, mended in (("is_active = false", "is_active = true"),
                           ("service_users_only = true", "service_users_only = false"),
                           ("password_changed_at = now()", "password_changed_at = NULL")):
        await site.database.execute(change.format(broken))
        assert (await refresh(browser, token)).code == 401
        await site.database.execute(change.format(mended))
        assert (await refresh(browser, token)).code == 200
    site.clock.advance(days=60)
    assert (await refresh(browser, token)).code == 200
    site.clock.advance(days=60)
    assert (await refresh(browser, token)).code == 200
    site.clock.advance(days=91)
    assert (await refresh(browser, token)).code == 401


@pytest.mark.gen_test
async def test_a_service_user(site: Site, browser: Browser) -> None:
    registry = await add_registry(site)
    alice = await add_account(site.database, "alice", address=ALICE, admin=True, permissions=["docker", "imap"])
    await add_service_user(site.database, alice, "robot")
    await allow(site, registry, ["pull"], "app", user=alice)
    asked = "repository:app:pull,push"
    assert granted(await get(browser, asked, username="robot")) == {"app": ["pull"]}
    assert granted(await get(browser, asked)) == {"app": ["pull", "push"]}
    token = await sign_in(browser, "robot")
    await site.database.execute("UPDATE service_user SET limited = true")
    assert (await get(browser, asked, username="robot")).code == 403
    assert (await refresh(browser, token)).code == 401
    await site.database.execute("INSERT INTO service_user_permission SELECT s.id, p.id FROM service_user s, permission p "
                                "WHERE p.identifier = 'docker'")
    assert granted(await get(browser, asked, username="robot")) == {"app": ["pull"]}
    assert json_of(await refresh(browser, token, asked))["scope"] == "repository:app:pull"
    await site.database.execute("DELETE FROM account_permission")
    assert (await refresh(browser, token)).code == 401
    await site.database.execute("DELETE FROM service_user")
    assert (await refresh(browser, token)).code == 401
    assert await site.database.fetch_all("SELECT id FROM docker_refresh_token") == []


@pytest.mark.gen_test
async def test_an_inactive_account(site: Site, browser: Browser) -> None:
    await add_registry(site, anonymous_pull=True)
    await add_account(site.database, "alice", address=ALICE, active=False)
    assert (await get(browser, "repository:app:pull")).code == 401


@pytest.mark.gen_test
async def test_failures_are_throttled(site: Site, browser: Browser) -> None:
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    for number in range(10):
        assert (await get(browser, password=f"wrong {number}")).code == 401
    answer = await get(browser)
    assert (answer.code, answer.headers["Retry-After"]) == (429, "2")
    assert json_of(answer)["errors"][0]["code"] == "TOOMANYREQUESTS"


@pytest.mark.gen_test
async def test_token_headers_and_the_one_certificate(site: Site, browser: Browser) -> None:
    registry = await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    header = jwt.get_unverified_header(json_of(await get(browser))["token"])
    sent = b64decode(header["x5c"][0])
    certificate = x509.load_der_x509_certificate(sent)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (certificate.not_valid_after_utc - site.clock()).days >= 3650
    asked = f"/getkey/?type=r&domain={SERVICE}&format="
    pem = "\n".join(json_of(await browser.get(asked + "cert", X_Forwarded_Proto="https"))["cert"])
    assert x509.load_pem_x509_certificate(pem.encode()) == certificate
    key = json_of(await browser.get(asked + "pubkey", X_Forwarded_Proto="https"))["public_key_pem"]
    assert key[0] == "-----BEGIN PUBLIC KEY-----"
    assert await site.database.fetch_all("SELECT registry_id, certificate FROM docker_certificate") == [(registry, sent)]
    kids = {}
    for name in ("rfc7638-kid", "libtrust-kid"):
        await site.database.execute("UPDATE docker_registry SET token_header = %(name)s", {"name": name})
        answer = await get(browser)
        kids[name] = jwt.get_unverified_header(json_of(answer)["token"])
        claims_of(answer, sent)
    assert kids["rfc7638-kid"] == {"alg": "RS256", "typ": "JWT", "kid": header["kid"]}
    assert [len(part) for part in kids["libtrust-kid"]["kid"].split(":")] == [4] * 12


@pytest.mark.gen_test
async def test_a_domain_with_an_ec_key(site: Site, browser: Browser) -> None:
    await add_registry(site, algorithm="ES256")
    await add_account(site.database, "alice", address=ALICE)
    answer = await get(browser)
    assert jwt.get_unverified_header(json_of(answer)["token"])["alg"] == "ES256"
    assert claims_of(answer)["aud"] == SERVICE


@pytest.mark.gen_test
async def test_docker_login_at_our_own_host(site: Site, browser: Browser, base_url: str) -> None:
    assert (await browser.get("/v2/")).code == 404
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    answer = await browser.get("/v2/")
    assert answer.code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{base_url}/docker/token/",service="{SERVICE}"'
    token = json_of(await get(browser))["token"]
    answer = await browser.get("/v2/", Authorization=f"Bearer {token}")
    assert (answer.code, json_of(answer)) == (200, {})
    for wrong in (token[:-8] + "AAAAAAAA", "x", "x.y.z"):
        assert (await browser.get("/v2/", Authorization=f"Bearer {wrong}")).code == 401
    site.clock.advance(minutes=6)
    assert (await browser.get("/v2/", Authorization=f"Bearer {token}")).code == 401


@pytest.mark.gen_test
async def test_a_chunked_body(site: Site, http_client: AsyncHTTPClient, base_url: str) -> None:
    await add_registry(site)
    await add_account(site.database, "alice", address=ALICE)
    body = urlencode({"grant_type": "password", "service": SERVICE, "client_id": "c", "username": ALICE, "password": PASSWORD})

    async def produce(write: Any) -> None:
        for piece in (body[:9], body[9:]):
            await write(piece.encode())

    answer = await http_client.fetch(HTTPRequest(
        f"{base_url}/docker/token/", "POST", {"Content-Type": "application/x-www-form-urlencoded"},
        body_producer=cast(Any, produce)))
    assert answer.code == 200


class TestUnconfigured:
    """With docker.allow_unconfigured_repos."""

    @pytest.fixture
    def settings(self, base_url: str) -> Settings:
        return site_settings(base_url, docker=DockerSettings(allow_unconfigured_repos=True))

    @pytest.mark.gen_test
    async def test_the_first_push_makes_a_repository(self, site: Site, browser: Browser) -> None:
        registry = await add_registry(site)
        alice = await add_account(site.database, "alice", address=ALICE)
        bob = await add_account(site.database, "bob", address="bob@example.com")
        await allow(site, registry, ["pull"], "theirs/*", user=bob)
        assert granted(await get(browser, "repository:new:pull")) == {"new": []}
        assert (await get(browser, "repository:new:push", username=None)).code == 401
        assert granted(await get(browser, "repository:new:pull,push repository:theirs/x:push")) == {
            "new": ["pull", "push"], "theirs/x": []}
        assert granted(await get(browser, "repository:new:pull,push", username="bob@example.com")) == {"new": []}
        assert granted(await get(browser, "repository:new:*")) == {"new": ["pull", "push", "delete"]}
        assert (await get(browser, "repository:new:pull", username=None)).code == 401
        rows = await site.database.fetch_all(
            "SELECT action, object_name, account_uuid FROM audit WHERE object_kind = 'repository'")
        assert rows == [("repository.create", f"{SERVICE}:new", alice)]

    @pytest.mark.gen_test
    async def test_two_push_at_once(self, site: Site, browser: Browser) -> None:
        await add_registry(site)
        names = ["alice", "bob", "carol"]
        for name in names:
            await add_account(site.database, name, address=f"{name}@example.com")
        answers = await asyncio.gather(*(
            get(browser, "repository:new:push repository:other:push", username=f"{name}@example.com") for name in names))
        found = [granted(answer) for answer in answers]
        for repository in ("new", "other"):
            assert sorted(len(one[repository]) for one in found) == [0, 0, 1]


@given(st.lists(st.tuples(
    st.sampled_from(["scope", "service", "account", "offline_token", "client_id", "grant_type", "username", "password",
                     "refresh_token", "access_type"]),
    st.sampled_from([b"", SERVICE.encode(), b"repository:a:pull", b"password", b"refresh_token", b"%zz", b"\xff", b"a\0b",
                     b"registry:catalog:*", b"repository:::", b"x" * 400, ALICE.encode()])), max_size=6))
@hypothesis_settings(max_examples=200)
def test_a_request_is_read_or_refused(pairs: list[tuple[str, bytes]]) -> None:
    arguments: dict[str, list[bytes]] = {}
    for name, value in pairs:
        arguments.setdefault(name, []).append(value)
    for read in (partial(get_request, ""), post_request):
        try:
            request = read(arguments, "127.0.0.1")
        except InvalidInput:
            continue
        assert request.service
