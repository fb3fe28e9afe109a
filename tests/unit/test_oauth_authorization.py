"""Who is asked what at the authorization endpoint, and where its answer goes."""

import dataclasses
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from authd.oauth.authorization import (
    SINCE,
    AskConsent,
    AuthorizationDecision,
    AuthorizationRequest,
    ErrorPage,
    NotPermitted,
    SignIn,
    decide_authorization,
)
from authd.oauth.authorization_request import Redirect, origin
from authd.oauth.effects import OpenGrant, Record, RememberConsent
from authd.oauth.facts import IdTokenHint
from authd.oauth.parameters import parse
from tests.fixtures.oauth import CHALLENGE, ISSUER
from tests.unit.oauth_facts import (
    ALICE,
    CALLBACK,
    CLIENT,
    NOW,
    PUBLIC,
    SESSION,
    SUBJECT,
    authorization_facts,
    issuer,
)

CONSENTED = frozenset({"openid", "profile", "email", "groups", "permissions", "offline_access", "wiki", "imap"})


def query(**changes: str | None) -> str:
    wanted: dict[str, str | None] = {
        "client_id": "app", "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid email", "state": "s&=ä",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", **changes}
    return urlencode({name: value for name, value in wanted.items() if value is not None})


def decide(text: str, answer: Literal["allow", "deny"] | None = None, **changes: Any) -> AuthorizationDecision:
    return decide_authorization(
        authorization_facts(**changes), AuthorizationRequest(parse(text), answer, "192.0.2.1"), NOW, issuer())


def answered(decision: AuthorizationDecision) -> dict[str, str]:
    assert isinstance(decision.outcome, Redirect)
    assert decision.outcome.uri == CALLBACK
    return dict(decision.outcome.parameters)


def since(seconds_ago: float) -> dict[str, str]:
    return {SINCE: str(int((NOW - timedelta(seconds=seconds_ago)).timestamp() * 1_000_000))}


# Errors that are a page

@pytest.mark.parametrize(("text", "changes"), [
    (query(), {"client": None}),
    (query(), {"client": dataclasses.replace(CLIENT, is_active=False)}),
    (query(client_id=None), {}),
    (query() + "&client_id=app", {}),
    (query() + f"&redirect_uri={CALLBACK}", {}),
    (query(redirect_uri=None), {}),
    (query(redirect_uri=None, scope=None), {"client": dataclasses.replace(CLIENT, redirect_uris=(CALLBACK, CALLBACK + "2"))}),
    *((query(redirect_uri=uri), {}) for uri in (
        "https://evil.example", CALLBACK + "/", CALLBACK + "?x=1", CALLBACK + "#x", CALLBACK + "/../x", CALLBACK + "/..;/x",
        "https://app.example.com@evil.example/callback", "https://user@app.example.com/callback", "javascript:alert(1)",
        "https://app.example.com/Callback", "https://APP.example.com/callback", "https://app.example.com:443/callback",
        "//app.example.com/callback", "https://app.example.com\\@evil.example/callback", CALLBACK + "%0d", "x" * 3000)),
])
def test_without_a_registered_address_nobody_is_redirected(text: str, changes: dict[str, Any]) -> None:
    decision = decide(text, session=None, **changes)
    assert isinstance(decision.outcome, ErrorPage)
    assert not decision.effects


def test_a_native_client_may_choose_its_port() -> None:
    for uri, good in (("http://127.0.0.1:51234/cb", True), ("http://127.0.0.1:51234/other", False),
                      ("http://localhost:51234/cb", False), ("http://127.0.0.1:51234@evil.example/cb", False)):
        outcome = decide(query(client_id="native", redirect_uri=uri), client=PUBLIC, session=None).outcome
        assert isinstance(outcome, SignIn if good else ErrorPage)
    confidential = dataclasses.replace(CLIENT, redirect_uris=("http://127.0.0.1/cb",))
    assert isinstance(decide(query(redirect_uri="http://127.0.0.1:5/cb"), client=confidential).outcome, ErrorPage)


# Errors that go to the client

@pytest.mark.parametrize(("text", "error"), [
    (query(response_type=None), "invalid_request"),
    (query(response_type="token"), "unsupported_response_type"),
    (query(response_type="code id_token"), "unsupported_response_type"),
    (query(response_type="none"), "unsupported_response_type"),
    (query(response_mode="jwt"), "invalid_request"),
    (query(request="x"), "request_not_supported"),
    (query(request_uri="https://x.example"), "request_uri_not_supported"),
    (query(registration="{}"), "registration_not_supported"),
    (query(prompt="none login"), "invalid_request"),
    (query(max_age="-1"), "invalid_request"),
    (query(max_age="9" * 5000), "invalid_request"),
    (query(claims="{"), "invalid_request"),
    (query(claims='{"id_token": 1}'), "invalid_request"),
    (query(claims='{"userinfo": {"email": 7}}'), "invalid_request"),
    (query(claims="[" * 100_000), "invalid_request"),
    (query(scope="unknown"), "invalid_scope"),
    (query() + "&scope=openid", "invalid_request"),
    (query() + "&state=2", "invalid_request"),
])
def test_errors_go_to_the_registered_address_with_state_and_iss(text: str, error: str) -> None:
    answer = answered(decide(text))
    assert answer["error"] == error
    assert answer["iss"] == ISSUER
    assert answer.get("state") == (None if "state=2" in text else "s&=ä")


def test_the_client_needs_the_grant() -> None:
    client = dataclasses.replace(CLIENT, grant_types=frozenset({"client_credentials"}))
    assert answered(decide(query(), client=client))["error"] == "unauthorized_client"


@pytest.mark.parametrize(("mode", "expected"), [(None, "query"), ("query", "query"), ("fragment", "fragment")])
def test_where_the_answer_stands_in_the_address(mode: str | None, expected: str) -> None:
    client = dataclasses.replace(CLIENT, redirect_uris=(CALLBACK + "?tenant=1",), skip_authorization=True)
    outcome = decide(query(response_mode=mode, redirect_uri=CALLBACK + "?tenant=1"), client=client).outcome
    assert isinstance(outcome, Redirect)
    parts = urlsplit(outcome.location)
    answer = dict(parse_qsl(getattr(parts, expected)))
    assert answer["state"] == "s&=ä"
    assert answer["iss"] == ISSUER
    assert "tenant=1" in parts.query


@pytest.mark.parametrize(("uri", "source"), [
    ("https://app.example.com/cb?x=1", "https://app.example.com"), ("http://127.0.0.1:81/cb", "http://127.0.0.1:81"),
    ("com.example.app:/cb", "com.example.app:"), ("http://[::1]:81/cb", "http:")])
def test_the_origin_for_the_policy_of_a_page(uri: str, source: str) -> None:
    assert origin(uri) == source


# Signing in

def test_nobody_is_signed_in() -> None:
    outcome = decide(query(login_hint="alice"), session=None, subject=None).outcome
    assert isinstance(outcome, SignIn)
    assert outcome.login_hint == "alice"
    assert answered(decide(query(prompt="none"), session=None, subject=None))["error"] == "login_required"


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "60"}, {"max_age": "0"}])
def test_a_new_sign_in_is_wanted_once(wish: dict[str, str]) -> None:
    outcome = decide(query(**wish), consented=CONSENTED).outcome
    assert isinstance(outcome, SignIn)
    back = {SINCE: outcome.since}
    assert isinstance(decide(query(**wish, **back), consented=CONSENTED).outcome, SignIn)
    again = dataclasses.replace(SESSION, authenticated_at=NOW)
    assert "code" in answered(decide(query(**wish, **back), session=again, consented=CONSENTED))


def test_an_old_or_invented_moment_does_not_count_as_a_new_sign_in() -> None:
    for moment in (since(3600), since(-60), {SINCE: "x"}, {SINCE: "9" * 400}, {SINCE: "٣"}):
        assert isinstance(decide(query(prompt="login", **moment), consented=CONSENTED).outcome, SignIn)


def test_a_recent_enough_sign_in_satisfies_max_age() -> None:
    assert "code" in answered(decide(query(max_age="301"), consented=CONSENTED))


def test_another_account_than_the_hinted_one_signs_in_first_and_is_refused_afterwards() -> None:
    other, fresh = IdTokenHint(("app",), "somebody"), dataclasses.replace(SESSION, authenticated_at=NOW)
    assert isinstance(decide(query(), hint=other).outcome, SignIn)
    assert answered(decide(query(prompt="none"), hint=other))["error"] == "login_required"
    assert answered(decide(query(**since(5)), hint=other, session=fresh))["error"] == "login_required"
    same = IdTokenHint(("app",), str(ALICE))
    assert "code" in answered(decide(query(), hint=same, consented=CONSENTED))
    assert answered(decide(query(), hint="invalid"))["error"] == "invalid_request"
    wished = query(claims='{"id_token": {"sub": {"value": "somebody"}}}')
    assert isinstance(decide(wished).outcome, SignIn)


def test_an_inactive_account_is_not_signed_in() -> None:
    assert isinstance(decide(query(), subject=dataclasses.replace(SUBJECT, is_active=False)).outcome, SignIn)


def test_an_essential_acr_that_was_not_reached() -> None:
    wish = query(claims='{"id_token": {"acr": {"essential": true, "values": ["2"]}}}')
    assert answered(decide(wish))["error"] == "unmet_authentication_requirements"
    assert "code" in answered(decide(query(acr_values="2"), consented=CONSENTED))


# Permissions

def test_missing_permissions_are_named_on_a_page() -> None:
    client = dataclasses.replace(CLIENT, required_permissions=frozenset({"crm", "wiki"}))
    decision = decide(query(), client=client, consented=CONSENTED)
    assert isinstance(decision.outcome, NotPermitted)
    assert decision.outcome.missing == ("crm",)
    assert not decision.effects
    assert ("error", "access_denied") in decision.outcome.way_back.parameters
    assert answered(decide(query(prompt="none"), client=client))["error"] == "access_denied"
    assert isinstance(decide(query(), "allow", client=client).outcome, NotPermitted)


def test_a_limited_service_user_passes_only_where_a_permission_is_asked() -> None:
    limited = dataclasses.replace(SUBJECT, limited=True)
    assert isinstance(decide(query(), subject=limited, consented=CONSENTED).outcome, NotPermitted)
    client = dataclasses.replace(CLIENT, required_permissions=frozenset({"imap"}))
    assert "code" in answered(decide(query(), subject=limited, client=client, consented=CONSENTED))


# Consent

def test_consent_is_asked_and_remembered() -> None:
    wish = query(scope="openid email wiki unknown", claims='{"userinfo": {"groups": null}}')
    decision = decide(wish, titles={"wiki": "Wiki"})
    assert isinstance(decision.outcome, AskConsent)
    assert [name for name, _ in decision.outcome.scopes] == ["openid", "email", "groups", "wiki"]
    assert dict(decision.outcome.scopes)["wiki"] == "Wiki"
    assert not decision.effects

    allowed = decide(query(), "allow")
    assert "code" in answered(allowed)
    assert [type(effect) for effect in allowed.effects] == [OpenGrant, RememberConsent, Record]
    assert allowed.effects[1] == RememberConsent(ALICE, CLIENT.id, ("openid", "email"), NOW)


def test_no_question_where_the_answer_is_known() -> None:
    for changes in ({"consented": CONSENTED}, {"client": dataclasses.replace(CLIENT, skip_authorization=True)}):
        decision = decide(query(), known_client=True, **changes)
        assert "code" in answered(decision)
        assert [type(effect) for effect in decision.effects] == [OpenGrant]


def test_a_question_for_what_is_new() -> None:
    assert isinstance(decide(query(), consented=frozenset({"openid"})).outcome, AskConsent)
    assert isinstance(decide(query(claims='{"id_token": {"groups": null}}'),
                             consented=frozenset({"openid", "email"})).outcome, AskConsent)
    assert isinstance(decide(query(prompt="consent"), consented=CONSENTED).outcome, AskConsent)
    assert answered(decide(query(prompt="none")))["error"] == "consent_required"


def test_declined() -> None:
    decision = decide(query(), "deny")
    assert answered(decision) == {
        "error": "access_denied", "error_description": "The request was declined.", "state": "s&=ä", "iss": ISSUER}
    assert not decision.effects


def test_the_grant_says_what_was_allowed_and_how_the_person_signed_in() -> None:
    effect = decide(query(nonce="n", scope="openid wiki crm offline_access"), "allow").effects[0]
    assert isinstance(effect, OpenGrant)
    assert effect.scopes == ("openid", "wiki", "offline_access")
    assert (effect.session, effect.sid, effect.auth_time) == (SESSION.id, SESSION.sid, SESSION.authenticated_at)
    assert (effect.nonce, effect.code_challenge, effect.redirect_uri) == ("n", CHALLENGE, CALLBACK)
    assert effect.expires_at == NOW + timedelta(seconds=60)
