"""oauthlib's questions, answered from facts: the callbacks of the token, introspection and revocation endpoints.

oauthlib is synchronous and never sees the database. It asks in its own order; each answer here stands for itself, and what a
request changes is noted in `effects`. Its questions at the authorization endpoint are answered in `authorization`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oauthlib.oauth2.rfc6749.errors import InvalidGrantError
from oauthlib.openid import RequestValidator

from authd.audit import Entry
from authd.oauth import claims, rules, scopes, signing, tokens
from authd.oauth.effects import (
    Effect,
    IssueAccessToken,
    NewAccessToken,
    NewRefreshToken,
    Record,
    RedeemCode,
    RevokeAccessToken,
    RevokeGrant,
    RotateRefreshToken,
)
from authd.oauth.facts import Client, ClientIdentity, Grant, InspectionFacts, Subject, SubjectIdentity, TokenFacts
from authd.oauth.issuing import Issuer
from authd.oauth.parameters import Parameters

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """What a client sent to one of the endpoints that programs call, and from where."""

    parameters: Parameters
    remote_address: str | None = None


class ClientValidator(RequestValidator):  # type: ignore[misc]
    """Who the client is was found out before; here it is only looked up."""

    def __init__(self, facts: TokenFacts | InspectionFacts, request: ClientRequest, now: datetime, issuer: Issuer) -> None:
        super().__init__()
        self.asking = facts.client if facts.client is not None and facts.client.is_active and facts.proven else None
        self.request = request
        self.now = now
        self.issuer = issuer
        self.effects: list[Effect] = []

    def client_authentication_required(self, request: Any) -> bool:
        return self.asking is None or not self.asking.is_public

    def authenticate_client(self, request: Any) -> bool:
        if self.asking is None:
            return False
        request.client, request.client_id = self.asking, self.asking.client_id
        return True

    def authenticate_client_id(self, client_id: str, request: Any) -> bool:
        return self.authenticate_client(request)

    def sub(self, client: ClientIdentity, subject: SubjectIdentity | None) -> str:
        """`sub` of a token of this client: for a client that acts for itself its own name (RFC 9068 section 2.2)."""
        return client.client_id if subject is None else claims.subject_identifier(client, subject, self.issuer.pairwise_key)

    def revoke_family(self, grant: Grant, subject: Subject | None, action: str) -> None:
        """Somebody used what was used up: every token of the grant ends, and that is on record."""
        assert self.asking is not None
        self.effects += [RevokeGrant(grant.id, self.now), Record(Entry(
            action, actor=self.asking.client_id, account_uuid=subject.uuid if subject else None,
            remote_address=self.request.remote_address, object_kind="client", object_name=self.asking.client_id))]


class TokenValidator(ClientValidator):
    """The token endpoint: code, refresh token, client credentials."""

    def __init__(self, facts: TokenFacts, request: ClientRequest, now: datetime, issuer: Issuer) -> None:
        super().__init__(facts, request, now, issuer)
        self.facts = facts
        self.successor: str | None = None
        """What a refresh token that was rotated a moment ago was rotated to."""

    def validate_grant_type(self, client_id: str, grant_type: str, client: Client, request: Any) -> bool:
        return grant_type in client.grant_types and not (grant_type == "client_credentials" and client.is_public)

    # Client credentials

    def get_default_scopes(self, client_id: str, request: Any) -> list[str]:
        return []

    def validate_scopes(self, client_id: str, asked: list[str], client: Client, request: Any) -> bool:
        request.scopes = []
        return scopes.acceptable_without_account(asked)

    # Authorization code

    def validate_code(self, client_id: str, code: str, client: Client, request: Any) -> bool:
        """The redirect URI and the form of the verifier are checked here too, since their failure is invalid_grant."""
        found, grant, subject = self.facts.code, self.facts.grant, self.facts.subject
        if found is None or grant is None or subject is None or grant.client != client.id or grant.revoked:
            return False
        if found.redeemed:
            self.revoke_family(grant, subject, "oauth.code_reused")
            return False
        if found.expires_at <= self.now or not found.session_alive or not rules.may_act(client, subject):
            return False
        sent = request.redirect_uri
        if sent != found.redirect_uri and (sent is not None or found.redirect_uri_given):
            return False
        verifier = request.code_verifier
        if verifier is not None and (found.code_challenge is None or not _VERIFIER.fullmatch(verifier)):
            return False
        request.user = subject
        request.scopes = list(rules.current_scopes(client, grant, subject))
        return True

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return request.client is not None and bool(request.client.pkce_required)

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        return self.facts.code.code_challenge if self.facts.code else None

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def get_default_redirect_uri(self, client_id: str, request: Any) -> str | None:
        return self.facts.code.redirect_uri if self.facts.code else None

    def confirm_redirect_uri(self, client_id: str, code: str, redirect_uri: str, client: Client, request: Any) -> bool:
        return self.facts.code is not None and redirect_uri == self.facts.code.redirect_uri

    def get_authorization_code_nonce(self, client_id: str, code: str, redirect_uri: str, request: Any) -> str | None:
        return self.facts.grant.nonce if self.facts.grant else None

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any) -> None:
        """RedeemCode did it already: the code and its tokens change in one statement."""

    # Refresh token

    def validate_refresh_token(self, refresh_token: str, client: Client, request: Any) -> bool:
        found, grant, subject = self.facts.refresh_token, self.facts.grant, self.facts.subject
        if found is None or grant is None or subject is None or grant.client != client.id or grant.revoked:
            return False
        if found.expires_at <= self.now:
            return False
        if found.rotated_at is not None:
            if found.successor_sealed is not None and self.now < found.rotated_at + self.issuer.lifetimes.grace:
                self.successor = tokens.unseal(found.successor_sealed, refresh_token)
            if self.successor is None:
                self.revoke_family(grant, subject, "oauth.refresh_token_replayed")
                return False
        if subject.is_active and (lacking := rules.missing_permissions(client, subject)):
            raise InvalidGrantError(f"Permissions are missing: {' '.join(lacking)}")
        request.user = subject
        return rules.may_act(client, subject)

    def get_original_scopes(self, refresh_token: str, request: Any) -> list[str]:
        grant, subject = self.facts.grant, self.facts.subject
        assert grant is not None and subject is not None
        return list(rules.current_scopes(request.client, grant, subject))

    def is_within_original_scope(self, asked: list[str], refresh_token: str, request: Any) -> bool:
        return False

    def rotate_refresh_token(self, request: Any) -> bool:
        return True

    def refresh_id_token(self, request: Any) -> bool:
        return True

    # What is issued

    def new_access_token(self, request: Any) -> str:
        client, grant = request.client, self._grant(request)
        if not client.has_jwt_access_tokens:
            return self.issuer.new_token()
        assert self.facts.key is not None
        return signing.sign(claims.access_token(
            client, grant, request.user, request.scopes, issuer=self.issuer.name, sub=self.sub(client, request.user),
            now=self.now, expires_at=self.now + self.issuer.lifetimes.access_token, jti=self.issuer.new_token(),
        ), self.facts.key, type_="at+jwt")

    def new_refresh_token(self, request: Any, refresh_token: bool = False) -> str:
        return self.successor or self.issuer.new_token()

    def get_id_token(self, token: Mapping[str, Any], token_handler: Any, request: Any) -> str:
        grant, key = self.facts.grant, self.facts.key
        assert grant is not None and key is not None
        return signing.sign(claims.id_token(
            request.client, grant, request.user, request.scopes, issuer=self.issuer.name,
            sub=self.sub(request.client, request.user), now=self.now, expires_at=self.now + self.issuer.lifetimes.id_token,
            at_hash=signing.at_hash(token["access_token"], key.jws_algorithm),
            nonce=grant.nonce if request.grant_type == "authorization_code" else None,
        ), key)

    def save_token(self, token: Mapping[str, Any], request: Any) -> None:
        """Notes one effect that takes what was presented and gives the tokens; oauthlib calls it before it says that the
        code is used up, so leaving that to a second effect could issue twice.
        """
        grant = self._grant(request)
        access_token = NewAccessToken(
            tokens.digest(token["access_token"]), request.client.id, grant.id if grant else None,
            request.user.uuid if request.user else None, tuple(request.scopes), self.now,
            self.now + self.issuer.lifetimes.access_token)
        refresh_token = NewRefreshToken(
            tokens.digest(token["refresh_token"]), self.now + self.issuer.lifetimes.refresh_token,
        ) if "refresh_token" in token else None
        if request.grant_type == "authorization_code":
            self.effects.append(RedeemCode(tokens.digest(request.code), access_token, refresh_token))
        elif request.grant_type == "refresh_token" and self.successor is None:
            assert refresh_token is not None
            self.effects.append(RotateRefreshToken(
                tokens.digest(request.refresh_token), refresh_token,
                tokens.seal(token["refresh_token"], request.refresh_token), access_token))
        else:
            self.effects.append(IssueAccessToken(access_token))

    def _grant(self, request: Any) -> Grant | None:
        return None if request.user is None else self.facts.grant


class InspectionValidator(ClientValidator):
    """The introspection and revocation endpoints."""

    def __init__(self, facts: InspectionFacts, request: ClientRequest, now: datetime, issuer: Issuer) -> None:
        super().__init__(facts, request, now, issuer)
        self.presented = facts.presented

    def introspect_token(self, token: str, token_type_hint: str | None, request: Any) -> dict[str, Any] | None:
        """Any client that can authenticate may ask about an access token, since resource servers are clients too; about a
        refresh token only the one it was given to.
        """
        presented, owner = self.presented, self.presented.owner
        if owner is None or not rules.is_good(presented, self.now):
            return None
        grant, subject = presented.grant, presented.subject
        known: dict[str, Any] = {"iss": self.issuer.name, "client_id": owner.client_id, "sub": self.sub(owner, subject)}
        if subject is not None and owner.subject_type == "public":
            known["username"] = subject.identifier
        if grant is not None:
            known |= {"auth_time": int(grant.auth_time.timestamp()), "acr": grant.acr}
        if (access_token := presented.access_token) is not None:
            return known | {"token_type": "Bearer", "scope": " ".join(access_token.scopes), "aud": self.issuer.name,
                            "iat": int(access_token.issued_at.timestamp()), "exp": int(access_token.expires_at.timestamp())}
        assert presented.refresh_token is not None and grant is not None
        if request.client is None or request.client.id != owner.id:
            return None
        return known | {"scope": " ".join(grant.scopes), "exp": int(presented.refresh_token.expires_at.timestamp())}

    def revoke_token(self, token: str, token_type_hint: str | None, request: Any) -> None:
        """An access token ends alone, a refresh token with everything of its grant (RFC 7009 section 2.1)."""
        presented, owner = self.presented, self.presented.owner
        if owner is None:
            return
        if request.client is None or request.client.id != owner.id:
            raise InvalidGrantError("The token was issued to another client.")
        if presented.access_token is not None:
            if not presented.access_token.revoked:
                self.effects.append(RevokeAccessToken(presented.access_token.digest, self.now))
        elif presented.grant is not None and not presented.grant.revoked:
            self.effects.append(RevokeGrant(presented.grant.id, self.now))
