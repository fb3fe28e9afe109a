"""The decisions of the endpoints that programs call: facts and a request in, a reply and its effects out.

Pure: the same facts, request, moment and token source give the same decision. oauthlib runs the protocol over `validator`;
what it lacks or gets wrong is decided before or after it here. The authorization endpoint has a module of its own.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from oauthlib.oauth2.rfc6749.endpoints import IntrospectEndpoint, RevocationEndpoint, TokenEndpoint
from oauthlib.oauth2.rfc6749.errors import OAuth2Error
from oauthlib.oauth2.rfc6749.grant_types import ClientCredentialsGrant
from oauthlib.oauth2.rfc6749.tokens import BearerToken
from oauthlib.openid.connect.core.grant_types import AuthorizationCodeGrant, RefreshTokenGrant

from authd.oauth import claims, replies, rules, scopes
from authd.oauth.facts import InspectionFacts, PresentedToken, Subject, TokenFacts
from authd.oauth.issuing import Issuer
from authd.oauth.parameters import Parameters
from authd.oauth.replies import Decision, Reply
from authd.oauth.validator import ClientRequest, InspectionValidator, TokenValidator

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
_ENDPOINT = "/o2/"  # oauthlib reads parameters from the URI, of which there are none

# What oauthlib gets to see of a request. Everything else in it stays outside: oauthlib keeps parameters and its own state
# under the same names (`client`, `user`, `scopes`, …).
_TOKEN_PARAMETERS = ("grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "client_id")
_INSPECTION_PARAMETERS = ("token", "token_type_hint", "client_id")


def decide_token(facts: TokenFacts, request: ClientRequest, now: datetime, issuer: Issuer) -> Decision:
    """`/o2/token/` (RFC 6749 sections 4.1.3, 4.4.2 and 6)."""
    grant_type = request.parameters.get("grant_type")
    if refusal := _malformed(request.parameters, "grant_type"):
        return Decision(refusal)
    if grant_type not in GRANT_TYPES:
        return Decision(replies.error("unsupported_grant_type"))
    validator = TokenValidator(facts, request, now, issuer)
    bearer = BearerToken(validator, validator.new_access_token, int(issuer.lifetimes.access_token.total_seconds()),
                         validator.new_refresh_token)
    endpoint = TokenEndpoint(grant_type, bearer, {grant_type: _grant(grant_type, validator, facts)})
    pairs = request.parameters.only(_TOKEN_PARAMETERS) + _scope(request.parameters)
    reply = _run(lambda: endpoint.create_token_response(_ENDPOINT, "POST", pairs))
    return Decision(reply, tuple(validator.effects))


def decide_introspection(facts: InspectionFacts, request: ClientRequest, now: datetime, issuer: Issuer) -> Decision:
    """`/o2/introspect/` (RFC 7662). A public client cannot show that it may ask."""
    if refusal := _malformed(request.parameters, "token"):
        return Decision(refusal)
    if facts.client is not None and facts.client.is_public:
        return Decision(replies.error("invalid_client", "Introspection needs client authentication."))
    validator = InspectionValidator(facts, request, now, issuer)
    endpoint = IntrospectEndpoint(validator)
    pairs = request.parameters.only(_INSPECTION_PARAMETERS)
    return Decision(_run(lambda: endpoint.create_introspect_response(_ENDPOINT, "POST", pairs)))


def decide_revocation(facts: InspectionFacts, request: ClientRequest, now: datetime, issuer: Issuer) -> Decision:
    """`/o2/revoke_token/` (RFC 7009)."""
    if refusal := _malformed(request.parameters, "token"):
        return Decision(refusal)
    validator = InspectionValidator(facts, request, now, issuer)
    endpoint = RevocationEndpoint(validator)
    pairs = request.parameters.only(_INSPECTION_PARAMETERS)
    reply = _run(lambda: endpoint.create_revocation_response(_ENDPOINT, "POST", pairs))
    return Decision(reply, tuple(validator.effects))


def decide_userinfo(presented: PresentedToken, subject: Subject | None, now: datetime, issuer: Issuer) -> Reply:
    """`/o2/userinfo/` (OpenID Connect Core section 5.3)."""
    token, owner, grant = presented.access_token, presented.owner, presented.grant
    if token is None or owner is None or not rules.is_good(presented, now):
        return replies.bearer_error(401, "invalid_token", "The access token is unknown, expired or revoked.")
    if grant is None or subject is None or "openid" not in token.scopes:
        return replies.bearer_error(403, "insufficient_scope", "The access token was not issued for openid.", scope="openid")
    sub = claims.subject_identifier(owner, subject, issuer.pairwise_key)
    return Reply(200, {"sub": sub, **claims.personal(subject, token.scopes, grant.claims.get("userinfo", ()))})


def _malformed(parameters: Parameters, required: str) -> Reply | None:
    if parameters.repeated:
        return replies.error("invalid_request", "A parameter was sent more than once.")
    if parameters.get(required) is None:
        return replies.error("invalid_request", f"Missing {required} parameter.")
    return None


def _scope(parameters: Parameters) -> list[tuple[str, str]]:
    """The scope parameter as oauthlib can split it."""
    asked = scopes.split(parameters.get("scope"))
    return [("scope", " ".join(asked))] if asked else []


def _grant(grant_type: str, validator: TokenValidator, facts: TokenFacts) -> Any:
    if grant_type == "authorization_code":
        wanted = (facts.client is not None and facts.grant is not None
                  and rules.gets_refresh_token(facts.client, facts.grant.scopes))
        return AuthorizationCodeGrant(validator, refresh_token=wanted)
    if grant_type == "refresh_token":
        return RefreshTokenGrant(validator)
    return ClientCredentialsGrant(validator)


def _run(respond: Callable[[], tuple[Any, str, int]]) -> Reply:
    """oauthlib's answer, whether it returned or raised it."""
    try:
        _, body, status = respond()
    except OAuth2Error as error:
        return replies.from_error(error)
    return replies.from_oauthlib(status, body)
