"""Each trap of oauthlib 4.0.1 that is known to us, by name, and the mistakes that other servers made with the same flows."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from authd.errors import InvalidInput
from authd.oauth import metadata, tokens
from authd.oauth.authentication import read
from authd.oauth.authorization import AuthorizationRequest, decide_authorization
from authd.oauth.authorization_request import Redirect
from authd.oauth.effects import IssueAccessToken, Record, RedeemCode, RevokeGrant, RotateRefreshToken
from authd.oauth.parameters import parse
from authd.oauth.replies import Decision, Refused
from authd.oauth.server import decide_introspection, decide_revocation, decide_token
from authd.oauth.validator import ClientRequest
from tests.fixtures.oauth import CHALLENGE
from tests.unit.oauth_facts import (
    CLIENT,
    CODE,
    NOW,
    OPEN_CODE,
    OPEN_GRANT,
    OPEN_REFRESH,
    PUBLIC,
    REFRESH,
    SUBJECT,
    authorization_facts,
    code_facts,
    code_request,
    inspection_facts,
    issuer,
    refresh_facts,
    refresh_request,
    request,
)


def decide(facts: Any, asked: ClientRequest) -> Decision:
    return decide_token(facts, asked, NOW, issuer())


def error_of(decision: Decision) -> str:
    assert decision.reply.status in (400, 401)
    assert decision.reply.body is not None
    return str(decision.reply.body["error"])


def authorize(query: str, **changes: Any) -> Redirect:
    outcome = decide_authorization(
        authorization_facts(**changes), AuthorizationRequest(parse(query)), NOW, issuer()).outcome
    assert isinstance(outcome, Redirect)
    return outcome


# Malformed bodies

@pytest.mark.parametrize("body", [
    b"grant_type=%zz", b"grant_type=\xff", b"a=%ff", b"code=%00", b"a=%", b"&".join([b"a=1"] * 200)])
def test_malformed_bodies_are_refused_before_oauthlib_raises(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(body)


@pytest.mark.parametrize("body", ['grant_type="', "grant_type=authorization_code&code=ä&x=<>"])
def test_a_quote_or_angle_bracket_in_the_body_is_an_error_and_not_an_exception(body: str) -> None:
    assert error_of(decide(code_facts(), ClientRequest(parse(body)))) in ("unsupported_grant_type", "invalid_grant")


def test_blank_parameters_count_as_left_out() -> None:
    assert error_of(decide(code_facts(), code_request(code=""))) == "invalid_request"


@pytest.mark.parametrize("name", ["grant_type", "code", "client_id", "code_verifier", "scope", "unknown"])
def test_repeated_parameters(name: str) -> None:
    body = f"grant_type=authorization_code&code={CODE}&{name}=a&{name}=a"
    assert error_of(decide(code_facts(), ClientRequest(parse(body)))) == "invalid_request"


@pytest.mark.parametrize("name", ["user", "client", "scopes", "extra_credentials", "claims", "response_type", "access_token"])
def test_parameters_named_like_oauthlibs_own_state_do_not_reach_it(name: str) -> None:
    decision = decide(code_facts(), code_request(**{name: "intruder"}))
    assert decision.reply.status == 200
    assert "intruder" not in str(decision)


# PKCE

def test_plain_pkce() -> None:
    for extra in (f"&code_challenge={CHALLENGE}&code_challenge_method=plain", f"&code_challenge={CHALLENGE}"):
        answer = authorize(f"client_id=app&response_type=code&redirect_uri=https://app.example.com/callback{extra}")
        assert ("error", "invalid_request") in answer.parameters


@pytest.mark.parametrize("challenge", ["short", CHALLENGE + "A", CHALLENGE[:-1] + "=", CHALLENGE[:-1] + "%20"])
def test_challenge_that_is_no_digest(challenge: str) -> None:
    answer = authorize("client_id=app&response_type=code&redirect_uri=https://app.example.com/callback"
                       f"&code_challenge={challenge}&code_challenge_method=S256")
    assert ("error", "invalid_request") in answer.parameters


def test_pkce_is_required_unless_the_client_is_exempt() -> None:
    query = "client_id=app&response_type=code&redirect_uri=https://app.example.com/callback"
    assert ("error", "invalid_request") in authorize(query).parameters
    exempt = dataclasses.replace(CLIENT, pkce_required=False, skip_authorization=True)
    assert authorize(query, client=exempt).parameters[0] == ("code", "token-1")


@pytest.mark.parametrize("pkce_required", [True, False])
def test_code_verifier_without_a_stored_challenge_pkce_downgrade(pkce_required: bool) -> None:
    client = dataclasses.replace(CLIENT, pkce_required=pkce_required)
    code = dataclasses.replace(OPEN_CODE, code_challenge=None)
    assert error_of(decide(code_facts(client=client, code=code), code_request())) == "invalid_grant"


def test_no_verifier_at_all() -> None:
    assert error_of(decide(code_facts(), code_request(code_verifier=None))) == "invalid_request"


@pytest.mark.parametrize("verifier", ["w" * 64, "v" * 42, "v" * 129, "v" * 63 + "!", "v" * 63 + "ä", "v" * 63 + " "])
def test_verifier_length_and_alphabet(verifier: str) -> None:
    assert error_of(decide(code_facts(), code_request(code_verifier=verifier))) == "invalid_grant"


# Errors

def test_invalid_client_with_the_right_www_authenticate() -> None:
    for facts in (code_facts(proven=False), code_facts(client=None)):
        decision = decide(facts, code_request())
        assert error_of(decision) == "invalid_client"
        assert decision.reply.status == 401
        assert decision.reply.headers["WWW-Authenticate"].startswith("Basic ")


def test_errors_raised_and_errors_returned_take_one_form() -> None:
    raised = decide(code_facts(proven=False), code_request())
    returned = decide(code_facts(), code_request(code_verifier="w" * 64))
    for decision in (raised, returned):
        assert decision.reply.body is not None
        assert set(decision.reply.body) <= {"error", "error_description"}
    assert "state" not in str(decide(code_facts(proven=False), code_request(state="s")).reply.body)


def test_client_id_mismatch_as_server_error() -> None:
    basic = "Basic YXBwOnNlY3JldA=="  # app:secret
    with pytest.raises(Refused) as refused:
        read(basic, parse("client_id=other"))
    assert refused.value.error == "invalid_request"


def test_two_client_authentications_at_once() -> None:
    with pytest.raises(Refused) as refused:
        read("Basic YXBwOnNlY3JldA==", parse("client_secret=secret"))
    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize("header", [
    "Basic", "Basic !!!", "Basic YXBw", "Bearer abc", "Basic /w==", "Basic YTpiJTAw", "Basic YTol/w=="])
def test_malformed_authorization_headers(header: str) -> None:
    with pytest.raises(Refused) as refused:
        read(header, parse(""))
    assert refused.value.error == "invalid_client"


def test_what_is_known_of_the_client_does_not_get_into_the_token_response() -> None:
    body = decide(code_facts(), code_request()).reply.body
    assert body is not None
    assert set(body) == {"access_token", "expires_in", "token_type", "scope", "refresh_token", "id_token"}


def test_metadata_that_advertises_plain_password_and_implicit() -> None:
    document = metadata.discovery("https://sso.example.com/o2")
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert not {"password", "implicit"} & set(document["grant_types_supported"])


# Codes

def test_save_token_runs_before_the_code_is_invalidated_so_one_effect_does_both() -> None:
    decision = decide(code_facts(), code_request())
    assert decision.reply.status == 200
    (effect,) = decision.effects
    assert isinstance(effect, RedeemCode)
    assert effect.code_digest == tokens.digest(CODE)
    assert effect.access_token.digest == tokens.digest("token-1")
    assert effect.refresh_token is not None
    assert effect.refresh_token.digest == tokens.digest("token-2")


@pytest.mark.parametrize("changes", [
    {"client": dataclasses.replace(CLIENT, id=99)},
    {"code": dataclasses.replace(OPEN_CODE, expires_at=NOW)},
    {"code": dataclasses.replace(OPEN_CODE, session_alive=False)},
    {"code": dataclasses.replace(OPEN_CODE, redirect_uri="https://app.example.com/other")},
    {"grant": dataclasses.replace(OPEN_GRANT, revoked=True)},
    {"subject": dataclasses.replace(SUBJECT, is_active=False)},
    {"client": dataclasses.replace(CLIENT, required_permissions=frozenset({"crm"}))},
    {"subject": dataclasses.replace(SUBJECT, limited=True)},
    {"code": None, "grant": None, "subject": None},
], ids=["another client", "expired", "session ended", "other redirect URI", "revoked", "inactive account",
        "permission missing", "limited service user", "unknown"])
def test_a_code_counts_only_for_whom_and_while_it_was_given(changes: dict[str, Any]) -> None:
    decision = decide(code_facts(**changes), code_request())
    assert error_of(decision) == "invalid_grant"
    assert not decision.effects


def test_an_inactive_client_is_no_client() -> None:
    client = dataclasses.replace(CLIENT, is_active=False)
    assert error_of(decide(code_facts(client=client), code_request())) == "invalid_client"
    assert error_of(decide(refresh_facts(client=client), refresh_request())) == "invalid_client"


def test_the_redirect_uri_may_be_left_out_only_where_it_was_left_out_before() -> None:
    assert error_of(decide(code_facts(), code_request(redirect_uri=None))) == "invalid_grant"
    code = dataclasses.replace(OPEN_CODE, redirect_uri_given=False)
    assert decide(code_facts(code=code), code_request(redirect_uri=None)).reply.status == 200


def test_reuse_of_a_code_revokes_what_it_gave() -> None:
    decision = decide(code_facts(code=dataclasses.replace(OPEN_CODE, redeemed=True)), code_request())
    assert error_of(decision) == "invalid_grant"
    revoke, record = decision.effects
    assert revoke == RevokeGrant(OPEN_GRANT.id, NOW)
    assert isinstance(record, Record)
    assert record.entry.action == "oauth.code_reused"


def test_reuse_by_somebody_who_is_not_the_client_revokes_nothing() -> None:
    code = dataclasses.replace(OPEN_CODE, redeemed=True)
    for changes in ({"proven": False}, {"client": dataclasses.replace(CLIENT, id=99)}):
        assert not decide(code_facts(code=code, **changes), code_request()).effects


# Refresh tokens

def test_rotation_is_one_effect() -> None:
    decision = decide(refresh_facts(), refresh_request())
    (effect,) = decision.effects
    assert isinstance(effect, RotateRefreshToken)
    assert decision.reply.body is not None
    assert decision.reply.body["refresh_token"] == "token-2"
    assert tokens.unseal(effect.successor_sealed, REFRESH) == "token-2"


def test_a_retry_within_the_grace_gets_the_same_successor_and_a_fresh_access_token() -> None:
    rotated = dataclasses.replace(
        OPEN_REFRESH, rotated_at=NOW - timedelta(seconds=9), successor_sealed=tokens.seal("successor", REFRESH))
    decision = decide(refresh_facts(refresh_token=rotated), refresh_request())
    assert decision.reply.body is not None
    assert decision.reply.body["refresh_token"] == "successor"
    assert decision.reply.body["access_token"] == "token-1"
    (effect,) = decision.effects
    assert isinstance(effect, IssueAccessToken)


@pytest.mark.parametrize("seconds", [10, 11, 86400])
def test_a_replay_after_the_grace_revokes_the_family(seconds: int) -> None:
    rotated = dataclasses.replace(
        OPEN_REFRESH, rotated_at=NOW - timedelta(seconds=seconds), successor_sealed=tokens.seal("successor", REFRESH))
    decision = decide(refresh_facts(refresh_token=rotated), refresh_request())
    assert error_of(decision) == "invalid_grant"
    assert decision.effects[0] == RevokeGrant(OPEN_GRANT.id, NOW)


@pytest.mark.parametrize("changes", [
    {"subject": dataclasses.replace(SUBJECT, is_active=False)},
    {"grant": dataclasses.replace(OPEN_GRANT, revoked=True)},
    {"refresh_token": dataclasses.replace(OPEN_REFRESH, expires_at=NOW)},
    {"client": dataclasses.replace(CLIENT, id=99)},
    {"client": dataclasses.replace(CLIENT, required_permissions=frozenset({"crm"}))},
])
def test_a_refresh_checks_everything_again(changes: dict[str, Any]) -> None:
    decision = decide(refresh_facts(**changes), refresh_request())
    assert error_of(decision) == "invalid_grant"
    assert not decision.effects


def test_a_permission_lost_since_is_named_and_no_scope_any_more() -> None:
    client = dataclasses.replace(CLIENT, required_permissions=frozenset({"crm"}))
    body = decide(refresh_facts(client=client), refresh_request()).reply.body
    assert body is not None
    assert "crm" in body["error_description"]
    subject = dataclasses.replace(SUBJECT, permissions=frozenset())
    body = decide(refresh_facts(subject=subject), refresh_request()).reply.body
    assert body is not None
    assert body["scope"] == "openid email offline_access"


def test_a_refresh_cannot_widen_its_scope() -> None:
    assert error_of(decide(refresh_facts(), refresh_request(scope="openid profile"))) == "invalid_scope"
    body = decide(refresh_facts(), refresh_request(scope=" openid  email ")).reply.body
    assert body is not None
    assert body["scope"] == "openid email"


def test_an_access_token_is_no_refresh_token() -> None:
    facts = refresh_facts(refresh_token=None, grant=None, subject=None)
    assert error_of(decide(facts, refresh_request())) == "invalid_grant"


# Client credentials

def test_scopes_unchecked_in_client_credentials() -> None:
    facts = code_facts(code=None, grant=None, subject=None)
    assert error_of(decide(facts, request(grant_type="client_credentials", scope="wiki"))) == "invalid_scope"
    body = decide(facts, request(grant_type="client_credentials", scope="openid email")).reply.body
    assert body is not None
    assert body["scope"] == ""
    assert "refresh_token" not in body


def test_grants_that_the_client_does_not_have() -> None:
    for grant_type, facts in (("client_credentials", code_facts(client=PUBLIC)),
                              ("client_credentials", code_facts(client=dataclasses.replace(CLIENT, grant_types=frozenset())))):
        assert error_of(decide(facts, request(grant_type=grant_type))) == "unauthorized_client"
    for grant_type in ("password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        assert error_of(decide(code_facts(), request(grant_type=grant_type))) == "unsupported_grant_type"


# Introspection and revocation

def test_introspection_needs_a_client_that_can_authenticate() -> None:
    for facts in (inspection_facts(PUBLIC), inspection_facts(proven=False), inspection_facts(None)):
        assert error_of(decide_introspection(facts, request(token="x"), NOW, issuer())) == "invalid_client"


def test_a_refresh_token_is_described_only_to_its_client() -> None:
    other = dataclasses.replace(CLIENT, id=99)
    for client, active in ((CLIENT, True), (other, False)):
        facts = inspection_facts(client, access_token=None, refresh_token=OPEN_REFRESH)
        body = decide_introspection(facts, request(token="x"), NOW, issuer()).reply.body
        assert body is not None
        assert body["active"] is active


def test_nobody_revokes_the_token_of_another_client() -> None:
    other = dataclasses.replace(CLIENT, id=99)
    decision = decide_revocation(inspection_facts(other), request(token="x"), NOW, issuer())
    assert error_of(decision) == "invalid_grant"
    assert not decision.effects


def test_a_deactivated_account_or_client_ends_its_tokens() -> None:
    for changes in ({"subject": dataclasses.replace(SUBJECT, is_active=False)},
                    {"owner": dataclasses.replace(CLIENT, is_active=False)},
                    {"grant": dataclasses.replace(OPEN_GRANT, revoked=True)}):
        body = decide_introspection(inspection_facts(**changes), request(token="x"), NOW, issuer()).reply.body
        assert body == {"active": False}
