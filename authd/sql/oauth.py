"""The rows that OAuth decisions are made from, and the writing of their effects. What they mean is `authd.oauth`'s business."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from authd.audit import Entry
from authd.errors import ForeignKeyViolation
from authd.oauth import effects
from authd.oauth.facts import (
    AccessToken,
    AuthorizationFacts,
    Client,
    ClientIdentity,
    Code,
    Grant,
    InspectionFacts,
    PresentedToken,
    RefreshToken,
    SignedIn,
    Subject,
    SubjectIdentity,
    TokenFacts,
)
from authd.sql import audit
from authd.sql.database import Database, Executor, Json
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("oauth")
_FREQUENT = {name: Prepared(_QUERIES[name], f"oauth_{name}") for name in (
    "client_facts", "token_facts", "inspection_facts", "authorization_facts",
    "open_grant", "redeem_code", "rotate_refresh_token", "issue_access_token")}


@dataclass(frozen=True, slots=True)
class Application:
    """A client that somebody gave access to, as they see it in a list."""

    client_id: str
    name: str
    scopes: tuple[str, ...]
    last_used_at: datetime


async def client_facts(db: Executor, now: datetime, client_id: str) -> TokenFacts:
    """Everything about a client that asks for itself."""
    row = await db.fetch_one(_FREQUENT["client_facts"], {"client_id": client_id, "now": now})
    return TokenFacts(client=None if row is None else _client(row))


async def token_facts(
    db: Executor, now: datetime, client_id: str, *, code: bytes | None = None, refresh_token: bytes | None = None,
) -> TokenFacts:
    """Everything about a client and about what it presents, given by its digest."""
    row = await db.fetch_one(_FREQUENT["token_facts"], {
        "client_id": client_id, "code": code, "refresh_token": refresh_token, "access_token": None, "now": now})
    assert row is not None
    client, found_code, refresh, _, _, grant, subject = _cut(row, 19, 7, 4, 5, 6, 10, 10)
    return TokenFacts(client=_client(client), code=_made(Code, found_code), refresh_token=_made(RefreshToken, refresh),
                      grant=_grant(grant), subject=_subject(subject))


async def inspection_facts(db: Executor, now: datetime, client_id: str, token: bytes) -> InspectionFacts:
    """Everything about a client, and about a token of either kind that it asks about, given by its digest."""
    row = await db.fetch_one(_FREQUENT["inspection_facts"], {"client_id": client_id, "token": token, "now": now})
    assert row is not None
    client, refresh, access, owner, grant, subject = _cut(row, 19, 4, 5, 6, 10, 3)
    return InspectionFacts(_client(client), PresentedToken(
        owner=_owner(owner), access_token=_access_token(access), refresh_token=_made(RefreshToken, refresh),
        grant=_grant(grant), subject=_made(SubjectIdentity, subject)))


async def userinfo_facts(db: Executor, now: datetime, access_token: bytes) -> tuple[PresentedToken, Subject | None]:
    """Everything about an access token, given by its digest, and the person it speaks for."""
    row = await db.fetch_one(_FREQUENT["token_facts"], {
        "client_id": None, "code": None, "refresh_token": None, "access_token": access_token, "now": now})
    assert row is not None
    _, _, _, access, owner, grant, subject = _cut(row, 19, 7, 4, 5, 6, 10, 10)
    person = _subject(subject)
    return PresentedToken(_owner(owner), _access_token(access), None, _grant(grant), person), person


async def authorization_facts(db: Executor, client_id: str, *, account_uuid: UUID | None, session: SignedIn | None,
                              scopes: Sequence[str]) -> AuthorizationFacts:
    """Everything about a client and the account that is signed in, with the titles of permissions among `scopes`."""
    row = await db.fetch_one(_FREQUENT["authorization_facts"], {
        "client_id": client_id, "account_uuid": account_uuid, "scopes": list(scopes),
        "service_user_id": session.service_user_id if session else None})
    if row is None:
        return AuthorizationFacts(client=None)
    client, subject, (consented, known, titles) = _cut(row, 19, 10, 3)
    return AuthorizationFacts(client=_client(client), session=session, subject=_subject(subject),
                              consented=frozenset(consented), known_client=known, titles=titles)


async def apply(db: Database, wanted: Sequence[effects.Effect]) -> None:
    """Writes all of the effects, or raises LostRace and has written none."""
    try:
        if len(wanted) == 1:
            await _write(db, wanted[0])
        elif wanted:
            async with db.transaction() as tx:
                for effect in wanted:
                    await _write(tx, effect)
    except ForeignKeyViolation:
        raise effects.LostRace from None


async def applications(db: Executor, account: UUID, now: datetime) -> list[Application]:
    """The clients that have access to an account, by name."""
    rows = await db.fetch_all(_QUERIES["applications"], {"account": account, "now": now})
    return [Application(client_id, name, tuple(scopes), last_used) for client_id, name, scopes, last_used in rows]


async def withdraw(db: Database, account: UUID, client_id: str, at: datetime, entry: Entry) -> bool:
    """Forgets what an account allowed a client and revokes its grants, audited. Whether there was anything."""
    async with db.transaction() as tx:
        row = await tx.fetch_one(_QUERIES["withdraw"], {"account": account, "client_id": client_id, "at": at})
        if row is None or not row[0]:
            return False
        await audit.write(tx, entry)
        return True


async def origin_is_allowed(db: Executor, origin: str) -> bool:
    """Whether any client names this origin as one of its scripts'."""
    row = await db.fetch_one(_QUERIES["origin_is_allowed"], {"origin": origin})
    return row is not None and bool(row[0])


async def domain_exists(db: Executor, name: str) -> bool:
    row = await db.fetch_one(_QUERIES["domain_exists"], {"name": name})
    return row is not None and bool(row[0])


async def remove_expired(db: Executor, now: datetime, most: int = 1000) -> int:
    """Removes what has expired, `most` rows of each kind at once; how many went. Nothing relies on this being done."""
    removed = 0
    for name in ("remove_codes", "remove_access_tokens", "remove_refresh_tokens", "forget_successors", "remove_grants"):
        removed += await db.execute(_QUERIES[name], {"now": now, "most": most})
    return removed


async def remove_expired_secrets(db: Executor, now: datetime) -> int:
    """Removes client secrets that have expired; how many it were."""
    return await db.execute(_QUERIES["remove_expired_secrets"], {"now": now})


async def _write(db: Executor, effect: effects.Effect) -> None:
    if isinstance(effect, effects.Record):
        await audit.write(db, effect.entry)
    elif not await _WRITERS[type(effect)](db, effect):
        raise effects.LostRace


async def _open_grant(db: Executor, effect: effects.OpenGrant) -> int:
    return await db.execute(_FREQUENT["open_grant"], {
        "id": effect.id, "client": effect.client, "account": effect.account, "service_user": effect.service_user,
        "session": effect.session, "sid": effect.sid, "scopes": list(effect.scopes), "auth_time": effect.auth_time,
        "acr": effect.acr, "amr": list(effect.amr), "nonce": effect.nonce, "claims": Json(effect.claims),
        "code_digest": effect.code_digest, "redirect_uri": effect.redirect_uri,
        "redirect_uri_given": effect.redirect_uri_given, "code_challenge": effect.code_challenge,
        "issued_at": effect.issued_at, "expires_at": effect.expires_at})


async def _redeem_code(db: Executor, effect: effects.RedeemCode) -> int:
    return await db.execute(_FREQUENT["redeem_code"], {
        "code_digest": effect.code_digest, **_access(effect.access_token), **_refresh(effect.refresh_token)})


async def _rotate_refresh_token(db: Executor, effect: effects.RotateRefreshToken) -> int:
    return await db.execute(_FREQUENT["rotate_refresh_token"], {
        "rotated_digest": effect.digest, "successor_sealed": effect.successor_sealed,
        **_access(effect.access_token), **_refresh(effect.successor)})


async def _issue_access_token(db: Executor, effect: effects.IssueAccessToken) -> int:
    return await db.execute(_FREQUENT["issue_access_token"], _access(effect.access_token))


async def _revoke_grant(db: Executor, effect: effects.RevokeGrant) -> int:
    return await db.execute(_QUERIES["revoke_grant"], {"grant": effect.grant, "at": effect.at})


async def _revoke_access_token(db: Executor, effect: effects.RevokeAccessToken) -> int:
    return await db.execute(_QUERIES["revoke_access_token"], {"digest": effect.digest, "at": effect.at})


async def _remember_consent(db: Executor, effect: effects.RememberConsent) -> int:
    return await db.execute(_QUERIES["remember_consent"], {
        "account": effect.account, "client": effect.client, "scopes": list(effect.scopes), "at": effect.at})


_WRITERS: dict[type, Callable[[Executor, Any], Awaitable[int]]] = {
    effects.OpenGrant: _open_grant, effects.RedeemCode: _redeem_code, effects.RotateRefreshToken: _rotate_refresh_token,
    effects.IssueAccessToken: _issue_access_token, effects.RevokeGrant: _revoke_grant,
    effects.RevokeAccessToken: _revoke_access_token, effects.RememberConsent: _remember_consent,
}


def _access(token: effects.NewAccessToken) -> dict[str, Any]:
    return {"digest": token.digest, "client": token.client, "account": token.account, "grant": token.grant,
            "scopes": list(token.scopes), "issued_at": token.issued_at, "expires_at": token.expires_at}


def _refresh(token: effects.NewRefreshToken | None) -> dict[str, Any]:
    digest, expires_at = astuple(token) if token else (None, None)
    return {"refresh_digest": digest, "refresh_expires_at": expires_at}


def _cut(row: Sequence[Any], *widths: int) -> Iterable[Sequence[Any]]:
    """The row in pieces of these widths."""
    position = 0
    for width in widths:
        yield row[position:position + width]
        position += width


def _made(kind: Any, values: Sequence[Any]) -> Any:
    return None if values[0] is None else kind(*values)


def _client(values: Sequence[Any]) -> Client | None:
    if values[0] is None:
        return None
    (id_, client_id, is_active, subject_type, redirect_uris, origins, name, client_type, auth_method, domain, skip, pkce,
     always, token_format, algorithm, grant_types, logo_uri, required, secret_hashes) = values
    return Client(id_, client_id, is_active, subject_type, tuple(redirect_uris), tuple(origins), name, client_type, auth_method,
                  domain, skip, pkce, always, token_format, algorithm, frozenset(grant_types), logo_uri, frozenset(required),
                  tuple(secret_hashes))


def _owner(values: Sequence[Any]) -> ClientIdentity | None:
    if values[0] is None:
        return None
    id_, client_id, is_active, subject_type, redirect_uris, origins = values
    return ClientIdentity(id_, client_id, is_active, subject_type, tuple(redirect_uris), tuple(origins))


def _access_token(values: Sequence[Any]) -> AccessToken | None:
    if values[0] is None:
        return None
    digest, scopes, issued_at, expires_at, revoked = values
    return AccessToken(digest, tuple(scopes), issued_at, expires_at, revoked)


def _grant(values: Sequence[Any]) -> Grant | None:
    if values[0] is None:
        return None
    id_, client, scopes, claims, sid, auth_time, acr, amr, nonce, revoked = values
    named = {member: tuple(names) for member, names in (claims or {}).items()}
    return Grant(id_, client, tuple(scopes), named, sid, auth_time, acr, tuple(amr), nonce, revoked)


def _subject(values: Sequence[Any]) -> Subject | None:
    if values[0] is None:
        return None
    uuid, identifier, is_active, full_name, email, limited, permissions, groups, time_zone, language = values
    return Subject(uuid, identifier, is_active, full_name, email, limited, frozenset(permissions), tuple(groups), time_zone,
                   language)
