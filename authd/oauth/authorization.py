"""The decision of the authorization endpoint: who has to do what before the client gets a code, and that code.

Pure, like `server`. Whether the request itself is in order is found out in `authorization_request`; pages, cookies and the
sign-in belong to the handlers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from oauthlib.oauth2.rfc6749.errors import OAuth2Error

from authd.audit import Entry
from authd.oauth import claims, rules, scopes, tokens
from authd.oauth.authorization_request import Asked, Redirect, Target, Unanswerable, find_target, read
from authd.oauth.effects import Effect, OpenGrant, Record, RememberConsent
from authd.oauth.facts import AuthorizationFacts, Client, IdTokenHint, SignedIn, Subject
from authd.oauth.issuing import Issuer
from authd.oauth.parameters import Parameters

# Our own parameter: when the request first came, in microseconds. It travels with whoever is sent to sign in, so that the
# answer to `prompt=login` is a sign-in after that moment, once.
SINCE = "authd_since"
_PATIENCE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """The request, and what the person answered on the consent page, if this comes from there."""

    parameters: Parameters
    answer: Literal["allow", "deny"] | None = None
    remote_address: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Nobody may be sent back with this; the person is told."""

    text: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """The person has to sign in (again) first. `since` is when the request came, for the way back."""

    since: str
    login_hint: str | None


@dataclass(frozen=True, slots=True)
class AskConsent:
    """The person has to be asked: which client, and what it would get, as (scope, title)."""

    client: Client
    scopes: tuple[tuple[str, str], ...]
    target: Target


@dataclass(frozen=True, slots=True)
class NotPermitted:
    """The person lacks permissions that the client requires. Nothing in `missing`: a limited service user."""

    client: Client
    missing: tuple[str, ...]
    way_back: Redirect


Outcome = ErrorPage | SignIn | AskConsent | NotPermitted | Redirect


@dataclass(frozen=True, slots=True)
class AuthorizationDecision:
    """An outcome, and what has to be written before it may be shown."""

    outcome: Outcome
    effects: tuple[Effect, ...] = ()


def decide_authorization(
    facts: AuthorizationFacts, request: AuthorizationRequest, now: datetime, issuer: Issuer,
) -> AuthorizationDecision:
    """`/o2/authorize/` (RFC 6749 section 4.1, OpenID Connect Core section 3.1.2)."""
    try:
        target = find_target(facts.client, request.parameters, issuer.name)
    except Unanswerable as error:
        return AuthorizationDecision(ErrorPage(error.text))
    assert facts.client is not None
    try:
        asked = read(facts.client, target, request.parameters)
    except OAuth2Error as error:
        return AuthorizationDecision(target.error(error.error, error.description))
    if facts.hint == "invalid":
        return AuthorizationDecision(target.error("invalid_request", "The id_token_hint is not one of ours."))
    if request.answer == "deny":
        return AuthorizationDecision(target.error("access_denied", "The request was declined."))
    session, subject = facts.session, facts.subject
    since = _since(request.parameters, now)
    if session is None or subject is None or not subject.is_active or not _fresh_enough(asked, session, since, now):
        return AuthorizationDecision(_sign_in(asked, target, since, now))
    if not _is_wanted_account(facts, asked, subject, issuer):
        tried = since is not None and session.authenticated_at >= since
        return AuthorizationDecision(
            target.error("login_required", "Another account is signed in.") if tried else _sign_in(asked, target, since, now))
    if asked.wishes.essential_acr and session.acr not in asked.wishes.essential_acr:
        return AuthorizationDecision(target.error("unmet_authentication_requirements"))
    return _permit(facts, request, asked, target, session, subject, now, issuer)


def _permit(facts: AuthorizationFacts, request: AuthorizationRequest, asked: Asked, target: Target, session: SignedIn,
            subject: Subject, now: datetime, issuer: Issuer) -> AuthorizationDecision:
    """The right person is signed in: may they, and do they want to?"""
    client = asked.client
    if (missing := rules.missing_permissions(client, subject)) or rules.too_limited(client, subject):
        refusal = target.error("access_denied", "The account lacks a permission that the application requires.")
        return AuthorizationDecision(refusal if "none" in asked.prompt else NotPermitted(client, missing, refusal))
    granted = scopes.grantable(asked.scopes, subject.permissions, refreshable=rules.has_refresh(client))
    if asked.scopes and not granted:
        return AuthorizationDecision(target.error("invalid_scope", "None of the scopes can be granted."))
    shown = (*granted, *sorted(asked.wishes.scopes.difference(granted)))
    if request.answer != "allow" and _must_ask(asked, shown, facts.consented):
        if "none" in asked.prompt:
            return AuthorizationDecision(target.error("consent_required"))
        return AuthorizationDecision(AskConsent(client, _titled(shown, facts), target))
    code = issuer.new_token()
    effects: list[Effect] = [OpenGrant(
        id=issuer.new_id(), client=client.id, account=subject.uuid, service_user=session.service_user_id, session=session.id,
        sid=session.sid, scopes=granted, claims=asked.wishes.named, auth_time=session.authenticated_at, acr=session.acr,
        amr=session.amr, nonce=asked.nonce, code_digest=tokens.digest(code), redirect_uri=target.uri,
        redirect_uri_given=target.uri_given, code_challenge=asked.code_challenge, issued_at=now,
        expires_at=now + issuer.lifetimes.code)]
    if request.answer == "allow":
        effects.append(RememberConsent(subject.uuid, client.id, shown, now))
    if not facts.known_client:
        effects.append(Record(Entry(
            "oauth.authorize", actor=subject.identifier, account_uuid=subject.uuid, remote_address=request.remote_address,
            object_kind="client", object_name=client.client_id, new={"scopes": list(granted)})))
    return AuthorizationDecision(target.answer(("code", code)), tuple(effects))


def _since(parameters: Parameters, now: datetime) -> datetime | None:
    """When somebody was sent to sign in for this request; None if that was not lately."""
    text = parameters.get(SINCE) or ""
    if not (text.isascii() and text.isdigit() and len(text) <= 17):
        return None
    since = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(text))
    return since if now - _PATIENCE <= since <= now else None


def _sign_in(asked: Asked, target: Target, since: datetime | None, now: datetime) -> Outcome:
    if "none" in asked.prompt:
        return target.error("login_required")
    microseconds = ((since or now) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
    return SignIn(str(microseconds), asked.login_hint)


def _fresh_enough(asked: Asked, session: SignedIn, since: datetime | None, now: datetime) -> bool:
    """`prompt=login` and `select_account` want a sign-in that follows the request, `max_age` one that is not too old. For the
    latter too a sign-in that it caused is enough, however long the way back took.
    """
    if since is not None and session.authenticated_at >= since:
        return True
    if asked.prompt & {"login", "select_account"}:
        return False
    return asked.max_age is None or (now - session.authenticated_at).total_seconds() <= asked.max_age


def _is_wanted_account(facts: AuthorizationFacts, asked: Asked, subject: Subject, issuer: Issuer) -> bool:
    """Whether the account is the one that `id_token_hint` or the `sub` of `claims` names."""
    sub = claims.subject_identifier(asked.client, subject, issuer.pairwise_key)
    hinted = facts.hint.subject if isinstance(facts.hint, IdTokenHint) else None
    return {sub}.issuperset(name for name in (hinted, asked.wishes.subject) if name is not None)


def _must_ask(asked: Asked, shown: Sequence[str], consented: frozenset[str]) -> bool:
    return "consent" in asked.prompt or not (asked.client.skip_authorization or consented.issuperset(shown))


def _titled(shown: Sequence[str], facts: AuthorizationFacts) -> tuple[tuple[str, str], ...]:
    """The scopes in the order of `scopes.TITLES`, then permissions under their own titles."""
    standard = tuple((name, title) for name, title in scopes.TITLES.items() if name in shown)
    return standard + tuple((name, facts.titles.get(name) or name) for name in shown if name not in scopes.TITLES)
