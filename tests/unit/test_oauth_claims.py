"""What tokens and userinfo say about a person, and what stands in their signatures."""

import base64
import dataclasses
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from joserfc.jwt import Token

from authd.errors import InvalidInput
from authd.keys.jwk import to_jwk
from authd.oauth import claims, metadata, scopes, signing, tokens
from authd.oauth.facts import Client
from authd.oauth.server import decide_token, decide_userinfo
from tests.fixtures.oauth import ISSUER
from tests.unit.oauth_facts import (
    ACCESS,
    ALICE,
    CLIENT,
    NOW,
    OPEN_ACCESS,
    OPEN_GRANT,
    SID,
    SUBJECT,
    code_facts,
    code_request,
    inspection_facts,
    issuer,
    refresh_facts,
    refresh_request,
    signing_key,
)


def decoded(token: str, algorithm: str = "RSA-2048") -> Token:
    """The verified token, by a library that is not the one that signed it."""
    key = signing_key(algorithm)
    published = KeySet.import_key_set({"keys": [to_jwk(key.public_key, key.kid, key.jws_algorithm)]})
    return joserfc_jwt.decode(token, published, algorithms=[key.jws_algorithm])


def exchanged(**facts: Any) -> dict[str, Any]:
    reply = decide_token(code_facts(**facts), code_request(), NOW, issuer()).reply
    assert reply.body is not None
    return dict(reply.body)


def test_the_id_token() -> None:
    body = exchanged()
    token = decoded(body["id_token"])
    assert token.header == {"alg": "RS256", "kid": "kid-RSA-2048", "typ": "JWT"}
    digest = hashlib.sha256(body["access_token"].encode()).digest()[:16]
    assert token.claims == {
        "iss": ISSUER, "sub": str(ALICE), "aud": "app", "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 3600,
        "auth_time": int((NOW - timedelta(minutes=5)).timestamp()), "acr": "1", "amr": ["pwd"], "sid": str(SID), "nonce": "n-0",
        "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "email": "alice@example.com", "email_verified": True}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(("algorithm", "alg", "hashed"), [
    ("RSA-2048", "RS256", 22), ("ES256", "ES256", 22), ("EdDSA", "EdDSA", 43)])
def test_each_algorithm(algorithm: str, alg: str, hashed: int) -> None:
    token = decoded(exchanged(key=signing_key(algorithm))["id_token"], algorithm)
    assert token.header["alg"] == alg
    assert len(token.claims["at_hash"]) == hashed


def test_a_refresh_keeps_who_and_when_and_drops_the_nonce() -> None:
    reply = decide_token(refresh_facts(), refresh_request(), NOW, issuer()).reply
    assert reply.body is not None
    again = decoded(reply.body["id_token"]).claims
    first = decoded(exchanged()["id_token"]).claims
    assert "nonce" not in again
    for name in ("iss", "sub", "aud", "auth_time", "sid"):
        assert again[name] == first[name]


def test_no_id_token_without_openid() -> None:
    body = exchanged(grant=dataclasses.replace(OPEN_GRANT, scopes=("email",)))
    assert "id_token" not in body
    assert "refresh_token" in body


@pytest.mark.parametrize(("granted", "always", "grant_types", "given"), [
    (("openid",), False, {"authorization_code", "refresh_token"}, False),
    (("openid", "offline_access"), False, {"authorization_code", "refresh_token"}, True),
    (("openid",), True, {"authorization_code", "refresh_token"}, True),
    (("email",), False, {"authorization_code", "refresh_token"}, True),
    (("openid", "offline_access"), True, {"authorization_code"}, False)])
def test_who_gets_a_refresh_token(granted: tuple[str, ...], always: bool, grant_types: set[str], given: bool) -> None:
    client = dataclasses.replace(CLIENT, always_refresh=always, grant_types=frozenset(grant_types))
    assert ("refresh_token" in exchanged(client=client, grant=dataclasses.replace(OPEN_GRANT, scopes=granted))) is given


def test_a_jwt_access_token() -> None:
    client = dataclasses.replace(CLIENT, access_token_format="jwt")
    token = decoded(exchanged(client=client)["access_token"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["aud"] == token.claims["iss"] == ISSUER
    assert token.claims["client_id"] == "app"
    assert token.claims["sub"] == str(ALICE)
    assert token.claims["scope"] == "openid email wiki offline_access"
    assert token.claims["jti"]
    assert "email" not in token.claims


def pairwise(*uris: str, client_id: str = "app") -> Client:
    return dataclasses.replace(CLIENT, subject_type="pairwise", redirect_uris=uris, client_id=client_id)


def test_pairwise_subjects_differ_by_host_and_by_person() -> None:
    def sub(client: Client) -> str:
        return claims.subject_identifier(client, SUBJECT, b"key")

    one = sub(pairwise("https://a.example/cb"))
    assert one == sub(pairwise("https://a.example/other", client_id="second"))
    others = {one, sub(pairwise("https://b.example/cb")), sub(pairwise("https://a.example/cb", "https://b.example/cb")),
              claims.subject_identifier(pairwise("https://a.example/cb"), SUBJECT, b"other key"),
              claims.subject_identifier(pairwise("https://a.example/cb"), dataclasses.replace(SUBJECT, uuid=SID), b"key")}
    assert len(others) == 5
    assert str(ALICE) not in one


def test_personal_claims_by_scope_and_by_name() -> None:
    assert claims.personal(SUBJECT, ["openid"]) == {}
    assert claims.personal(SUBJECT, ["profile"]) == {"name": "Alice Example", "preferred_username": "alice", "locale": "en"}
    assert claims.personal(SUBJECT, ["groups", "permissions"]) == {"groups": ["staff"], "permissions": ["imap", "wiki"]}
    assert claims.personal(SUBJECT, [], ["email"]) == {"email": "alice@example.com"}
    assert claims.personal(dataclasses.replace(SUBJECT, email=None), ["email"]) == {}
    assert claims.personal(dataclasses.replace(SUBJECT, groups=()), ["groups"]) == {"groups": []}


def test_the_claims_parameter() -> None:
    wishes = claims.parse_wishes(
        '{"userinfo": {"email": {"essential": true}, "unknown": null}, "id_token": {"groups": null, "sub": {"value": "x"}, '
        '"acr": {"essential": true, "value": "2"}}, "other": 1}')
    assert wishes.named == {"userinfo": ("email",), "id_token": ("groups",)}
    assert wishes.scopes == {"email", "groups"}
    assert wishes.subject == "x"
    assert wishes.essential_acr == {"2"}
    assert claims.parse_wishes(None) == claims.parse_wishes("{}") == claims.Wishes()
    for text in ("", "null", "[]", '"x"', '{"id_token": []}', '{"id_token": {"sub": "x"}}',
                 '{"id_token": {"sub": {"value": 1}}}', '{"id_token": {"acr": {"essential": true, "values": "2"}}}'):
        with pytest.raises(InvalidInput):
            claims.parse_wishes(text)


def test_userinfo_gives_what_was_named() -> None:
    presented = inspection_facts(grant=dataclasses.replace(OPEN_GRANT, claims={"userinfo": ("groups",)})).presented
    reply = decide_userinfo(presented, SUBJECT, NOW, issuer())
    assert reply.body == {"sub": str(ALICE), "email": "alice@example.com", "email_verified": True, "groups": ["staff"]}


def test_userinfo_needs_openid_and_a_token_that_counts() -> None:
    for changes, status in (({"access_token": None}, 401), ({"owner": None}, 401),
                            ({"access_token": dataclasses.replace(OPEN_ACCESS, expires_at=NOW)}, 401),
                            ({"access_token": dataclasses.replace(OPEN_ACCESS, revoked=True)}, 401),
                            ({"access_token": dataclasses.replace(OPEN_ACCESS, scopes=("email",))}, 403)):
        reply = decide_userinfo(inspection_facts(**changes).presented, SUBJECT, NOW, issuer())
        assert reply.status == status
        assert reply.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(("asked", "given"), [
    ("openid email", ("openid", "email")), ("openid openid", ("openid",)), ("crm wiki", ("wiki",)), ("OPENID", ()),
    ("offline_access", ("offline_access",)), ("", ()), (" openid  wiki ", ("openid", "wiki"))])
def test_scopes(asked: str, given: tuple[str, ...]) -> None:
    assert scopes.grantable(scopes.split(asked), SUBJECT.permissions, refreshable=True) == given


def test_offline_access_needs_the_refresh_grant() -> None:
    assert scopes.grantable(["openid", "offline_access"], frozenset(), refreshable=False) == ("openid",)


def test_a_successor_opens_only_with_the_token_it_was_sealed_for() -> None:
    sealed = tokens.seal("successor", ACCESS)
    assert tokens.unseal(sealed, ACCESS) == "successor"
    assert tokens.unseal(sealed, ACCESS + "x") is None
    assert tokens.unseal(sealed[:-1], ACCESS) is None
    assert b"successor" not in sealed
    assert sealed != tokens.seal("successor", ACCESS)


def test_tokens_have_256_bits() -> None:
    assert len({tokens.new_token() for _ in range(100)}) == 100
    assert len(base64.urlsafe_b64decode(tokens.new_token() + "=")) == 32


def test_at_hash_of_the_specification() -> None:
    assert signing.at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize("resource", [None, "", "acct:", "alice", "acct:alice", "@example.com", "acct:alice@",
                                      "https://example.com/@alice", "acct:a@b:8080"])
def test_webfinger_is_about_accounts(resource: str | None) -> None:
    with pytest.raises(InvalidInput):
        metadata.asked_domain(resource)


def test_webfinger_tells_only_what_was_asked() -> None:
    assert metadata.asked_domain("acct:Alice@Example.COM") == "example.com"
    assert metadata.webfinger("acct:a@b", ISSUER, [])["links"] == [{"rel": metadata.ISSUER_RELATION, "href": ISSUER}]
    assert metadata.webfinger("acct:a@b", ISSUER, ["other"])["links"] == []
