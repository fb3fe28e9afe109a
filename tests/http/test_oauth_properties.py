"""Whatever is sent to the OAuth endpoints: no 500, no redirect but to a registered URI, no token without a right."""

import json
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tornado.httpclient import HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from tests.fixtures.oauth import CHALLENGE, SECRET, VERIFIER, add_client
from tests.http.support import Browser, Site, add_account, forms

CALLBACK = "https://app.example.com/cb?tenant=1"
GOOD = {"client_id": "app", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid email",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
thorough = settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate])

junk = st.one_of(
    st.text(max_size=40), st.sampled_from([
        "", " ", "\0", "%zz", "\ud7ff", "null", "[]", "{}", '"', "<script>", "a" * 3000, "9" * 400, "-1", "none", "none login",
        "login", "consent", "select_account", "code token", "plain", "form_post", "fragment", "query", "offline_access",
        "openid  profile", "https://evil.example", "//evil.example", "javascript:alert(1)", "/\\evil.example",
        CALLBACK + "&code=x", CALLBACK + "#x", "https://app.example.com@evil.example/cb?tenant=1",
        '{"id_token": {"sub": {"value": "x"}}}', '{"userinfo": {"email": null}}', '{"id_token": {"acr": {"essential": true}}}',
        "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJSUzI1NiIsImtpZCI6InMifQ.e30.AA"]))
AUTHORIZE_NAMES = ["client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt",
                   "max_age", "login_hint", "id_token_hint", "acr_values", "claims", "ui_locales", "display", "code_challenge",
                   "code_challenge_method", "request", "request_uri", "registration", "authd_since", "resource", "x"]
raw = st.binary(max_size=60).map(lambda data: data.decode("latin-1")).map(
    lambda text: "".join(c for c in text if "!" <= c <= "~"))


def changed(good: dict[str, str], names: list[str]) -> st.SearchStrategy[str]:
    """Queries that are near a good one: some parameters changed, left out, repeated, and raw rubbish behind them."""
    changes = st.dictionaries(st.sampled_from(names), junk, max_size=3)
    left_out = st.sets(st.sampled_from(sorted(good)), max_size=1)
    repeated = st.lists(st.sampled_from(names), max_size=1)
    return st.builds(
        lambda changes, left_out, repeated, tail: urlencode([
            *((name, value) for name, value in {**good, **changes}.items() if name not in left_out),
            *((name, "twice") for name in repeated)], errors="surrogatepass") + (f"&{tail}" if tail else ""),
        changes, left_out, repeated, st.one_of(st.just(""), raw))


class World:
    """A client, a person who is signed in and allowed it everything before, and one good token of each kind."""

    def __init__(self, loop: IOLoop, browser: Browser, site: Site) -> None:
        self.loop, self.browser, self.site = loop, browser, site
        self.run(self._prepare())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_sync(lambda: work)

    async def _prepare(self) -> None:
        await add_client(self.site.database, "app", redirect_uris=[CALLBACK])
        await add_client(self.site.database, "other", redirect_uris=["https://other.example/cb"], secrets=["other-secret"])
        await add_account(self.site.database, "alice", address="alice@example.com")
        await self.browser.sign_in("alice@example.com")
        page = await self.browser.get(f"/o2/authorize/?{urlencode(GOOD | {'scope': 'openid email profile offline_access'})}")
        await self.browser.post(forms(page)[0].action, forms(page)[0].hidden | {"allow": "yes"}, Origin=self.browser.base_url)

    async def code(self) -> str:
        answer = await self.browser.get(f"/o2/authorize/?{urlencode(GOOD | {'scope': 'openid offline_access'})}")
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))["code"]

    async def form(self, path: str, body: str) -> HTTPResponse:
        return await Browser(self.browser.client, self.browser.base_url).send("POST", path, body.encode("utf-8", "replace"), {})

    async def tokens(self) -> dict[str, str]:
        answer = await self.form("/o2/token/", urlencode({
            "client_id": "app", "client_secret": SECRET, "grant_type": "authorization_code", "code": await self.code(),
            "redirect_uri": CALLBACK, "code_verifier": VERIFIER}))
        found: dict[str, str] = json.loads(answer.body)
        return found


@pytest.fixture
def world(io_loop: IOLoop, http_server: HTTPServer, browser: Browser, site: Site) -> World:
    return World(io_loop, browser, site)


def single(query: str, name: str) -> str | None:
    """The value of a parameter that came exactly once and is not blank."""
    values = [value for key, value in parse_qsl(query, keep_blank_values=True, errors="replace") if key == name]
    return values[0] if len(values) == 1 and values[0] else None


@thorough
@given(query=changed(GOOD, AUTHORIZE_NAMES), method=st.sampled_from(["GET", "POST"]), signed_in=st.booleans())
@example(query=urlencode(GOOD), method="GET", signed_in=True)
@example(query=urlencode(GOOD | {"response_mode": "form_post"}), method="GET", signed_in=True)
def test_authorize(world: World, query: str, method: str, signed_in: bool) -> None:
    browser = Browser(world.browser.client, world.browser.base_url, dict(world.browser.cookies) if signed_in else {})
    if method == "GET":
        answer = world.run(browser.get(f"/o2/authorize/?{query}"))
    else:
        answer = world.run(browser.send("POST", "/o2/authorize/", query.encode("utf-8", "replace"), {}))
    assert answer.code in (200, 302, 303, 400, 403), answer.code
    location = answer.headers.get("Location", "")
    target = urlsplit(location)
    if location and not target.netloc:
        assert target.path in ("/action/login/", "/o2/authorize/")
    elif location:
        assert location.startswith((CALLBACK + "&", CALLBACK + "#"))
        assert single(query, "client_id") == "app"
        left_out = "redirect_uri" not in dict(parse_qsl(query)) and "openid" not in (single(query, "scope") or "").split()
        assert single(query, "redirect_uri") == CALLBACK or left_out  # the only registered one
    answered = dict(parse_qsl(target.query)) | dict(parse_qsl(target.fragment)) if target.netloc else {}
    for form in forms(answer) if answer.code == 200 else []:
        if urlsplit(form.action).netloc:
            assert form.action == CALLBACK
            answered |= form.hidden
    if "code" in answered:
        assert signed_in
        assert single(query, "response_type") == "code"
        assert single(query, "code_challenge_method") == "S256"
        assert len(single(query, "code_challenge") or "") == 43


TOKEN_NAMES = ["grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "client_id", "client_secret",
               "client", "user", "scopes", "extra_credentials", "state", "token", "x"]


@thorough
@given(data=st.data(), grant_type=st.sampled_from(["authorization_code", "refresh_token", "client_credentials"]))
def test_token(world: World, data: st.DataObject, grant_type: str) -> None:
    good = {"client_id": "app", "client_secret": SECRET, "grant_type": grant_type}
    if grant_type == "authorization_code":
        good |= {"code": world.run(world.code()), "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    elif grant_type == "refresh_token":
        good |= {"refresh_token": world.run(world.tokens())["refresh_token"]}
    body = data.draw(changed(good, TOKEN_NAMES))
    answer = world.run(world.form("/o2/token/", body))
    assert answer.code in (200, 400, 401), answer.code
    said = json.loads(answer.body)
    if answer.code != 200:
        assert said["error"]
        return
    assert all(single(body, name) == value for name, value in good.items())
    assert ("refresh_token" in said) is (grant_type != "client_credentials")
    asked = set((single(body, "scope") or "").split())
    assert set(said["scope"].split()) <= {"openid", "offline_access"}
    if grant_type == "refresh_token" and asked:
        assert set(said["scope"].split()) == asked


INSPECTION_NAMES = ["token", "token_type_hint", "client_id", "client_secret", "user", "client", "x"]


@thorough
@given(data=st.data(), kind=st.sampled_from(["access_token", "refresh_token"]),
       asking=st.sampled_from([("app", SECRET), ("other", "other-secret"), ("nobody", "x")]))
def test_introspect_and_revoke(world: World, data: st.DataObject, kind: str, asking: tuple[str, str]) -> None:
    token = world.run(world.tokens())[kind]
    good = {"client_id": asking[0], "client_secret": asking[1], "token": token}
    body = data.draw(changed(good, INSPECTION_NAMES))
    in_order = all(single(body, name) == value for name, value in good.items())
    answer = world.run(world.form("/o2/introspect/", body))
    assert answer.code in (200, 400, 401)
    if answer.code == 200 and json.loads(answer.body)["active"]:
        assert in_order
        assert asking[0] == "app" or (asking[0] == "other" and kind == "access_token")
    answer = world.run(world.form("/o2/revoke_token/", body))
    assert answer.code in (200, 400, 401)
    check = urlencode({"client_id": "app", "client_secret": SECRET, "token": token})
    still = json.loads(world.run(world.form("/o2/introspect/", check)).body)["active"]
    assert still or (in_order and asking[0] == "app")


@thorough
@given(body=st.binary(max_size=200), path=st.sampled_from(["token", "introspect", "revoke_token", "authorize", "userinfo"]),
       header=st.one_of(st.none(), st.text("abcABC=:/+% \"", max_size=30).map("Basic ".__add__), st.text("abc", max_size=9)))
def test_rubbish(world: World, body: bytes, path: str, header: str | None) -> None:
    browser = Browser(world.browser.client, world.browser.base_url)
    headers = {} if header is None else {"Authorization": header.strip()}
    answer = world.run(browser.send("POST", f"/o2/{path}/", body, headers))
    assert answer.code in (303, 400, 401), answer.code
