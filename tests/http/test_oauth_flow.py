"""The OAuth endpoints over HTTP, as a client and a browser meet them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from tornado.httpclient import HTTPResponse

from authd.config import Settings
from authd.sql import keys
from tests.fixtures.oauth import CHALLENGE, SECRET, VERIFIER, add_client
from tests.http.support import Browser, Site, add_account, add_service_user, forms, json_of, site_settings, text

pytestmark = pytest.mark.gen_test

CALLBACK = "https://app.example.com/cb"
BASIC = "Basic " + base64.b64encode(f"app:{SECRET}".encode()).decode()


@pytest.fixture
def settings(base_url: str) -> Settings:
    settings = site_settings(base_url)
    return site_settings(base_url, http=type(settings.http)(public_url=base_url, cors_origins=("https://trusted.example",)))


@dataclass
class Client:
    """A client named `app` and its person's browser."""

    browser: Browser
    issuer: str

    def query(self, **changes: str | None) -> str:
        wanted: dict[str, str | None] = {
            "client_id": "app", "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid email offline_access",
            "state": "s", "nonce": "n", "code_challenge": CHALLENGE, "code_challenge_method": "S256", **changes}
        return urlencode({name: value for name, value in wanted.items() if value is not None})

    async def authorize(self, **changes: str | None) -> HTTPResponse:
        return await self.browser.get(f"/o2/authorize/?{self.query(**changes)}")

    async def allow(self, page: HTTPResponse) -> HTTPResponse:
        return await self.browser.submit(page, allow="yes")

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> HTTPResponse:
        program = Browser(self.browser.client, self.browser.base_url, headers={"Accept": "application/json"})
        return await program.post(path, fields, **{"Authorization": BASIC, **headers})

    async def tokens(self, code: str) -> dict[str, Any]:
        answer = await self.post("/o2/token/", {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
                                                "code_verifier": VERIFIER})
        assert answer.code == 200, answer.body
        assert answer.headers["Cache-Control"] == "no-store"
        found: dict[str, Any] = json_of(answer)
        return found

    async def signed_in(self, site: Site, **account: Any) -> UUID:
        uuid = await add_account(site.database, "alice", address="alice@example.com", full_name="Alice", **account)
        await self.browser.sign_in("alice@example.com")
        return uuid


def sent_back(answer: HTTPResponse) -> dict[str, str]:
    assert answer.code in (302, 303), answer.body
    location = answer.headers["Location"]
    assert location.startswith(CALLBACK + "?")
    return dict(parse_qsl(urlsplit(location).query))


@pytest.fixture
def client(browser: Browser, site: Site, base_url: str, io_loop: Any) -> Client:
    io_loop.run_sync(lambda: add_client(
        site.database, "app", redirect_uris=[CALLBACK], allowed_origins=["https://app.example.com"]))
    return Client(browser, f"{base_url}/o2")


async def test_the_whole_flow(client: Client, site: Site) -> None:
    alice = await add_account(site.database, "alice", address="alice@example.com", full_name="Alice")
    sent = await client.authorize(login_hint="alice@example.com")
    assert sent.code == 303
    sign_in = await client.browser.get(sent.headers["Location"])
    assert "to continue to Application app" in text(sign_in)
    assert 'value="alice@example.com"' in text(sign_in)
    assert "form-action 'self' https://app.example.com;" in sign_in.headers["Content-Security-Policy"]
    landed = await client.browser.submit(sign_in, username="alice@example.com", password="correct horse battery")
    page = await client.browser.get(landed.headers["Location"])
    assert page.code == 200
    assert len(forms(page)) == 1
    assert "See your mail address" in text(page)
    assert "form-action 'self' https://app.example.com;" in page.headers["Content-Security-Policy"]
    answer = await client.allow(page)
    parameters = sent_back(answer)
    assert parameters["state"] == "s"
    assert parameters["iss"] == client.issuer
    tokens = await client.tokens(parameters["code"])
    assert tokens["scope"] == "openid email offline_access"

    jwks = json_of(await client.browser.get("/o2/.well-known/jwks.json"))
    verified = jwt.decode(tokens["id_token"], KeySet.import_key_set(jwks), algorithms=["RS256"])
    assert verified.claims["iss"] == client.issuer
    assert verified.claims["sub"] == str(alice)
    assert verified.claims["aud"] == "app"
    assert verified.claims["nonce"] == "n"
    assert verified.claims["email"] == "alice@example.com"
    assert "name" not in verified.claims

    bearer = f"Bearer {tokens['access_token']}"
    for answer in (await client.browser.get("/o2/userinfo/", Authorization=bearer),
                   await client.browser.send("POST", "/o2/userinfo/", b"", {"Authorization": bearer}),
                   await client.browser.post("/o2/userinfo", {"access_token": tokens["access_token"]})):
        assert json_of(answer) == {"sub": str(alice), "email": "alice@example.com", "email_verified": True}

    refreshed = json_of(await client.post("/o2/token/", {
        "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}))
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    assert "nonce" not in jwt.decode(refreshed["id_token"], KeySet.import_key_set(jwks)).claims

    assert site.services.oauth.issued == {("code", "authorization_code"): 1} | {
        (kind, grant): 1 for kind in ("access_token", "refresh_token", "id_token")
        for grant in ("authorization_code", "refresh_token")}
    told = json_of(await client.post("/o2/introspect/", {"token": refreshed["access_token"]}))
    assert told["active"] is True
    assert told["sub"] == str(alice)
    assert (await client.post("/o2/revoke_token/", {"token": refreshed["refresh_token"]})).code == 200
    for token in (tokens["access_token"], refreshed["access_token"], refreshed["refresh_token"]):
        assert json_of(await client.post("/o2/introspect/", {"token": token})) == {"active": False}


async def test_the_second_time_nothing_is_asked_until_consent_is_withdrawn(client: Client, site: Site) -> None:
    await client.signed_in(site)
    first = await client.tokens(sent_back(await client.allow(await client.authorize()))["code"])
    assert "code" in sent_back(await client.authorize())
    assert (await client.authorize(scope="openid groups")).code == 200
    assert sent_back(await client.authorize(prompt="none", scope="openid groups"))["error"] == "consent_required"

    page = await client.browser.get("/account/applications/")
    assert "Application app" in text(page)
    withdrawn = await client.browser.submit(page)
    assert withdrawn.headers["Location"] == "/account/applications/?withdrawn=yes"
    assert "No application has access" in text(await client.browser.get(withdrawn.headers["Location"]))
    assert (await client.authorize()).code == 200
    assert json_of(await client.post("/o2/introspect/", {"token": first["access_token"]})) == {"active": False}


async def test_the_consent_form_cannot_be_forged(client: Client, site: Site) -> None:
    await client.signed_in(site)
    assert (await client.authorize()).code == 200
    path = f"/o2/authorize/?{client.query()}"
    for fields in ({"allow": "yes"}, {"allow": "yes", "csrf_token": "x.y"}):
        assert (await client.browser.post(path, fields, Origin=client.browser.base_url)).code == 403
    page = await client.authorize()
    assert (await client.browser.post(
        path, forms(page)[0].hidden | {"allow": "yes"}, Origin="https://evil.example")).code == 403
    row = await site.database.fetch_one("SELECT count(*) FROM token_grant")
    assert row == (0,)


async def test_declining(client: Client, site: Site) -> None:
    await client.signed_in(site)
    answer = await client.browser.submit(await client.authorize(), deny="yes")
    assert sent_back(answer)["error"] == "access_denied"


async def test_a_request_by_post_is_fetched_again_with_cookies(client: Client, site: Site) -> None:
    answer = await client.browser.post("/o2/authorize/", dict(parse_qsl(client.query())), Origin="https://app.example.com")
    assert answer.code == 303
    assert dict(parse_qsl(urlsplit(answer.headers["Location"]).query))["nonce"] == "n"
    answer = await client.browser.send("POST", "/o2/authorize/", (client.query() + "&scope=a").encode(), {})
    assert sent_back(answer)["error"] == "invalid_request"


async def test_prompt_login_signs_in_again_once(client: Client, site: Site) -> None:
    await client.signed_in(site)
    await client.allow(await client.authorize())
    site.clock.advance(seconds=5)
    sent = await client.authorize(prompt="login")
    assert sent.code == 303
    sign_in = await client.browser.get(sent.headers["Location"])
    assert sign_in.code == 200
    landed = await client.browser.submit(sign_in, username="alice@example.com", password="correct horse battery")
    assert "code" in sent_back(await client.browser.get(landed.headers["Location"]))


async def test_form_post_is_a_page_that_sends_itself_or_is_sent(client: Client, site: Site) -> None:
    await client.signed_in(site)
    page = await client.allow(await client.authorize(response_mode="form_post", state='"><script>'))
    form = forms(page)[-1]
    assert form.action == CALLBACK
    assert form.hidden["state"] == '"><script>'
    assert {"code", "iss"} <= set(form.hidden)
    assert "<script>" not in text(page)
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


async def test_missing_permissions_are_named(client: Client, site: Site) -> None:
    await add_client(site.database, "crm", redirect_uris=[CALLBACK], required_permissions=["crm", "wiki"])
    await client.signed_in(site, permissions=["wiki"])
    page = await client.authorize(client_id="crm")
    assert page.code == 403
    assert "<code>crm</code>" in text(page)
    assert "<code>wiki</code>" not in text(page)
    assert "error=access_denied" in text(page)


async def test_a_service_user_may_authorize_and_see_no_account_page(client: Client, site: Site) -> None:
    alice = await add_account(site.database, "alice", address="alice@example.com")
    await add_service_user(site.database, alice, "printer")
    await client.browser.sign_in("printer")
    assert (await client.authorize()).code == 200
    assert (await client.browser.get("/account/applications/")).code == 403


@pytest.mark.parametrize("changes", [
    {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": "https://evil.example/cb"}, {"redirect_uri": None},
    {"redirect_uri": CALLBACK + "/"}])
async def test_what_cannot_be_answered_is_a_page_and_nobody_signs_in(client: Client, changes: dict[str, str | None]) -> None:
    page = await client.authorize(**changes)
    assert page.code == 400
    assert "Location" not in page.headers
    assert page.headers["Content-Type"].startswith("text/html")


async def test_errors_of_the_token_endpoint(client: Client) -> None:
    grant = {"grant_type": "client_credentials"}
    answer = await client.post("/o2/token/", grant, Authorization="Basic " + base64.b64encode(b"app:wrong").decode())
    assert (answer.code, json_of(answer)["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert (await client.post("/o2/token/?grant_type=client_credentials", grant)).code == 400
    assert (await client.browser.get("/o2/token/")).code == 405
    for body, content_type in ((b'{"grant_type": "client_credentials"}', "application/json"), (b"grant_type=%zz", None),
                               (b"grant_type=\xff\xfe", None), (b"\0", None), (b'grant_type="', None)):
        headers = {"Authorization": BASIC, "Content-Type": content_type or "application/x-www-form-urlencoded"}
        answer = await client.browser.send("POST", "/o2/token/", body, headers)
        assert answer.code == 400, body
        assert json_of(answer)["error"] in ("invalid_request", "unsupported_grant_type")


async def test_client_credentials_by_both_methods(client: Client) -> None:
    assert (await client.post("/o2/token", {"grant_type": "client_credentials"})).code == 200
    form = {"grant_type": "client_credentials", "client_id": "app", "client_secret": SECRET}
    answer = await client.browser.post("/o2/token/", form)
    body = json_of(answer)
    assert set(body) == {"access_token", "expires_in", "token_type", "scope"}
    told = json_of(await client.post("/o2/introspect/", {"token": body["access_token"]}))
    assert (told["sub"], told["client_id"]) == ("app", "app")
    assert (await client.browser.get("/o2/userinfo/", Authorization=f"Bearer {body['access_token']}")).code == 403


async def test_two_secrets_may_overlap(client: Client, site: Site) -> None:
    await add_client(site.database, "two", secrets=["old", "new"])
    for secret, code in (("old", 200), ("new", 200), ("older", 401)):
        form = {"grant_type": "client_credentials", "client_id": "two", "client_secret": secret}
        assert (await client.browser.post("/o2/token/", form)).code == code
    await site.database.execute(
        "UPDATE client_secret SET expires_at = '2020-01-01' WHERE id = (SELECT max(id) FROM client_secret)")
    form = {"grant_type": "client_credentials", "client_id": "two", "client_secret": "new"}
    assert (await client.browser.post("/o2/token/", form)).code == 401


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_jwt_access_tokens(client: Client, site: Site, algorithm: str) -> None:
    await add_client(site.database, "api", access_token_format="jwt", id_token_alg=algorithm)
    form = {"grant_type": "client_credentials", "client_id": "api", "client_secret": SECRET}
    token = json_of(await client.browser.post("/o2/token/", form))["access_token"]
    jwks = json_of(await client.browser.get("/o2/.well-known/jwks.json"))
    verified = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=[algorithm])
    assert verified.header["typ"] == "at+jwt"
    assert verified.claims["client_id"] == verified.claims["sub"] == "api"
    assert json_of(await client.post("/o2/introspect/", {"token": token}))["active"] is True


async def test_the_key_of_the_clients_domain_or_its_parent_signs(client: Client, site: Site) -> None:
    await site.database.execute(
        "INSERT INTO domain (name, jwt_subdomains) VALUES ('example.org', true), ('www.example.org', false)")
    row = await site.database.fetch_one("SELECT id FROM domain WHERE name = 'example.org'")
    assert row is not None
    key = await site.services.keys.new_key("jwt", "ES256")
    await keys.insert(site.database, key, domain_id=row[0], now=site.clock())
    site.services.keys.forget()
    for client_id, algorithm, same in (("here", "ES256", True), ("there", "RS256", False)):
        await add_client(site.database, client_id, access_token_format="jwt", id_token_alg=algorithm)
        await site.database.execute(
            "UPDATE client SET domain_id = (SELECT id FROM domain WHERE name = 'www.example.org') WHERE client_id = %(id)s",
            {"id": client_id})
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
        token = json_of(await client.browser.post("/o2/token/", form))["access_token"]
        header = base64.urlsafe_b64decode(token.split(".")[0] + "==")
        assert (f'"{key.kid}"'.encode() in header) is same


async def test_discovery_at_its_three_places(client: Client) -> None:
    documents = [await client.browser.get(path) for path in (
        "/o2/.well-known/openid-configuration", "/.well-known/openid-configuration/o2",
        "/.well-known/oauth-authorization-server/o2")]
    assert len({document.body for document in documents}) == 1
    document = json_of(documents[0])
    assert document["issuer"] == client.issuer
    assert documents[0].headers["Access-Control-Allow-Origin"] == "*"
    assert document["authorization_response_iss_parameter_supported"] is True


async def test_jwks_can_be_cached(client: Client, site: Site) -> None:
    await site.services.keys.issuer_key()
    site.services.keys.forget()
    answer = await client.browser.get("/o2/.well-known/jwks.json")
    assert "max-age" in answer.headers["Cache-Control"]
    again = await client.browser.get("/o2/.well-known/jwks.json", If_None_Match=answer.headers["Etag"])
    assert (again.code, again.body) == (304, b"")
    assert "d" not in json_of(answer)["keys"][0]


async def test_webfinger(client: Client, site: Site) -> None:
    await add_account(site.database, "alice", address="alice@example.com")
    for name in ("alice", "nobody"):
        answer = await client.browser.get(f"/.well-known/webfinger?resource=acct:{name}@example.com")
        assert answer.code == 200
        assert answer.headers["Content-Type"] == "application/jrd+json"
        assert client.issuer.encode() in answer.body
    assert (await client.browser.get("/.well-known/webfinger?resource=acct:alice@example.org")).code == 404
    assert (await client.browser.get("/.well-known/webfinger")).code == 400


async def test_scripts_of_the_clients_origin_may_read(client: Client) -> None:
    form = {"grant_type": "client_credentials"}
    known = ("https://app.example.com", "https://trusted.example")
    for origin in (*known, "https://evil.example"):
        allowed = origin in known
        answer = await client.post("/o2/token/", form, Origin=origin)
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Origin" in answer.headers["Vary"]
        preflight = await client.browser.send("OPTIONS", "/o2/token/", None, {
            "Origin": origin, "Access-Control-Request-Method": "POST"})
        assert preflight.code == 204
        assert preflight.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


async def test_userinfo_refuses_as_rfc_6750_says(client: Client) -> None:
    for path, headers, status, error in (
            ("/o2/userinfo/", {}, 401, None), ("/o2/userinfo/?access_token=x", {}, 401, None),
            ("/o2/userinfo/", {"Authorization": "Bearer x"}, 401, "invalid_token"),
            ("/o2/userinfo/", {"Authorization": "Basic x"}, 401, "invalid_token")):
        answer = await client.browser.get(path, **headers)
        assert answer.code == status
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        assert (error or "error=") in answer.headers["WWW-Authenticate"] or error is None
    answer = await client.browser.post("/o2/userinfo/", {"access_token": "x"}, Authorization="Bearer x")
    assert answer.code == 400


async def test_a_public_client_needs_no_secret_and_pkce(client: Client, site: Site) -> None:
    await add_client(site.database, "native", client_type="public", redirect_uris=["http://127.0.0.1/cb"])
    await client.signed_in(site)
    page = await client.authorize(client_id="native", redirect_uri="http://127.0.0.1:51234/cb")
    answer = await client.allow(page)
    location = urlsplit(answer.headers["Location"])
    assert location.netloc == "127.0.0.1:51234"
    form = {"grant_type": "authorization_code", "code": parse_qs(location.query)["code"][0], "client_id": "native",
            "redirect_uri": "http://127.0.0.1:51234/cb", "code_verifier": VERIFIER}
    assert (await client.browser.post("/o2/token/", form | {"client_secret": "x"})).code == 401
    assert (await client.browser.post("/o2/token/", form)).code == 200
