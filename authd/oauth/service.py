"""Brings facts, decision and effects together: each method is one endpoint. What is decided, and by which rule, is elsewhere.

Proofs that take processor time or other rooms (a secret's hash, a key, the signature of an id_token_hint) are had here, before
the decision, and enter it as facts. A decision whose effects lost a race is made anew over what is true then.
"""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Literal, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import jwt

from authd.audit import Entry
from authd.errors import InvalidInput, NotFound
from authd.identity.facts import Account, Session
from authd.keys.facts import SigningKey
from authd.keys.store import KeyStore
from authd.oauth import authentication, metadata, replies, scopes, server, tokens
from authd.oauth.authentication import ClientCredentials
from authd.oauth.authorization import AuthorizationRequest, Outcome, decide_authorization
from authd.oauth.authorization_request import Target, Unanswerable, find_target
from authd.oauth.effects import LostRace, OpenGrant
from authd.oauth.facts import Client, ClientIdentity, IdTokenHint, InspectionFacts, SignedIn, TokenFacts
from authd.oauth.issuing import Issuer
from authd.oauth.parameters import Parameters, parse
from authd.oauth.replies import Decision, Refused, Reply
from authd.oauth.validator import ClientRequest
from authd.sql import oauth as sql
from authd.sql.database import Database
from authd.sql.oauth import Application

AUTHORIZE_PATH = "/o2/authorize/"
_ATTEMPTS = 4
_TOKENS = ("access_token", "refresh_token", "id_token")


class SecretChecker(Protocol):
    """What of `identity.passwords.Hasher` is used for client secrets."""

    def remembers(self, password: str, stored: str) -> bool: ...

    async def verify(self, password: str, stored: str | None) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and the client it goes to where that is known (whose scripts may read it)."""

    reply: Reply
    client: ClientIdentity | None = None


class OAuth:
    """The OAuth2 and OpenID Connect endpoints."""

    def __init__(
        self, db: Database, keys: KeyStore, secrets: SecretChecker, issuer: Issuer, now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._keys = keys
        self._secrets = secrets
        self._now = now
        self.issuer = issuer
        self.issued: Counter[tuple[str, str]] = Counter()  # by kind and grant

    async def token(self, authorization: str | None, parameters: Parameters, remote_address: str) -> Answer:
        """`/o2/token/`. `authorization` is the header of that name."""
        answer = await self._for_client(authorization, parameters, remote_address, self._decide_token)
        if answer.reply.status == 200 and answer.reply.body is not None:
            self.issued.update((kind, str(parameters.get("grant_type"))) for kind in _TOKENS if kind in answer.reply.body)
        return answer

    async def introspect(self, authorization: str | None, parameters: Parameters, remote_address: str) -> Answer:
        """`/o2/introspect/`."""
        decide = partial(self._decide_inspection, server.decide_introspection)
        return await self._for_client(authorization, parameters, remote_address, decide)

    async def revoke(self, authorization: str | None, parameters: Parameters, remote_address: str) -> Answer:
        """`/o2/revoke_token/`."""
        decide = partial(self._decide_inspection, server.decide_revocation)
        return await self._for_client(authorization, parameters, remote_address, decide)

    async def userinfo(self, access_token: str) -> Answer:
        """`/o2/userinfo/`."""
        now = self._now()
        presented, subject = await sql.userinfo_facts(self._db, now, tokens.digest(access_token))
        return Answer(server.decide_userinfo(presented, subject, now, self.issuer), presented.owner)

    async def authorize(self, parameters: Parameters, session: Session | None, *, answer: Literal["allow", "deny"] | None,
                        remote_address: str) -> Outcome:
        """`/o2/authorize/` for whoever is signed in."""
        request = AuthorizationRequest(parameters, answer, remote_address)
        signed_in = None if session is None else SignedIn(
            session.id, session.sid, session.service_user_id, session.authenticated_at, session.acr, session.amr)
        account = session.account.uuid if session else None
        hint = await self._hint(parameters.get("id_token_hint"))
        while True:
            facts = await sql.authorization_facts(
                self._db, parameters.get("client_id") or "", account_uuid=account, session=signed_in,
                scopes=scopes.split(parameters.get("scope")))
            decision = decide_authorization(dataclasses.replace(facts, hint=hint), request, self._now(), self.issuer)
            try:
                await sql.apply(self._db, decision.effects)
            except LostRace:
                signed_in = account = None  # the session ended meanwhile, or the account or client is gone
                continue
            if any(isinstance(effect, OpenGrant) for effect in decision.effects):
                self.issued["code", "authorization_code"] += 1
            return decision.outcome

    async def waiting(self, path: str) -> tuple[Client, Target] | None:
        """The client whose authorization request stands at a path of ours, and where its answer will go."""
        parts = urlsplit(path)
        if parts.path.rstrip("/") != AUTHORIZE_PATH.rstrip("/"):
            return None
        try:
            parameters = parse(parts.query)
            facts = await sql.authorization_facts(
                self._db, parameters.get("client_id") or "", account_uuid=None, session=None, scopes=())
            target = find_target(facts.client, parameters, self.issuer.name)
        except (InvalidInput, Unanswerable):
            return None
        assert facts.client is not None
        return facts.client, target

    async def applications(self, account: UUID) -> list[Application]:
        """The clients that have access to an account."""
        return await sql.applications(self._db, account, self._now())

    async def withdraw(self, account: Account, client_id: str, remote_address: str) -> bool:
        """The account takes back what it allowed a client, whose tokens end. Whether there was anything."""
        entry = Entry("oauth.withdraw", actor=account.identifier, account_uuid=account.uuid, remote_address=remote_address,
                      object_kind="client", object_name=client_id)
        return await sql.withdraw(self._db, account.uuid, client_id, self._now(), entry)

    async def webfinger(self, resource: str | None, relations: Sequence[str]) -> dict[str, object]:
        """RFC 7033 for accounts. InvalidInput for what is no account's name, NotFound for domains that are not ours."""
        domain = metadata.asked_domain(resource)
        if not await sql.domain_exists(self._db, domain):
            raise NotFound("not one of our domains")
        return metadata.webfinger(resource or "", self.issuer.name, relations)

    async def allows_origin(self, origin: str) -> bool:
        """Whether any client has scripts of this origin (a preflight request does not say which client it is for)."""
        return await sql.origin_is_allowed(self._db, origin)

    async def _for_client(self, authorization: str | None, parameters: Parameters, remote_address: str,
                          decide: "_Endpoint") -> Answer:
        """Runs an endpoint for a client that says who it is, again when a race was lost."""
        try:
            credentials = authentication.read(authorization, parameters)
        except Refused as refused:
            return Answer(replies.error(refused.error, refused.description))
        request = ClientRequest(parameters, remote_address)
        for _ in range(_ATTEMPTS):
            client, decision = await decide(credentials, request)
            try:
                await sql.apply(self._db, decision.effects)
            except LostRace:
                continue
            return Answer(decision.reply, client)
        return Answer(replies.error("invalid_grant", "The grant was used by several requests at once."))

    async def _decide_token(self, credentials: ClientCredentials, request: ClientRequest) -> tuple[Client | None, Decision]:
        now = self._now()
        facts = await self._token_facts(credentials.client_id, request.parameters, now)
        if await self._is_proven(facts.client, credentials):
            facts = dataclasses.replace(facts, proven=True, key=await self._key_for(facts))
        return facts.client, server.decide_token(facts, request, now, self.issuer)

    async def _token_facts(self, client_id: str, parameters: Parameters, now: datetime) -> TokenFacts:
        match parameters.get("grant_type"):
            case "authorization_code":
                return await sql.token_facts(self._db, now, client_id, code=tokens.digest(parameters.get("code") or ""))
            case "refresh_token":
                presented = tokens.digest(parameters.get("refresh_token") or "")
                return await sql.token_facts(self._db, now, client_id, refresh_token=presented)
            case _:
                return await sql.client_facts(self._db, now, client_id)

    async def _decide_inspection(
        self, decide: Callable[[InspectionFacts, ClientRequest, datetime, Issuer], Decision],
        credentials: ClientCredentials, request: ClientRequest,
    ) -> tuple[Client | None, Decision]:
        now, token = self._now(), tokens.digest(request.parameters.get("token") or "")
        facts = await sql.inspection_facts(self._db, now, credentials.client_id, token)
        if await self._is_proven(facts.client, credentials):
            facts = dataclasses.replace(facts, proven=True)
        return facts.client, decide(facts, request, now, self.issuer)

    async def _is_proven(self, client: Client | None, credentials: ClientCredentials) -> bool:
        """Whether the credentials are the client's. Each reading of the secret is compared with each that is valid now."""
        if client is None or not client.is_active or not authentication.may_use(client, credentials.method):
            return False
        if credentials.method == "none":
            return True
        pairs = [(secret, stored) for secret in credentials.secrets for stored in client.secret_hashes]
        if any(self._secrets.remembers(secret, stored) for secret, stored in pairs):
            return True
        for secret, stored in pairs:
            if await self._secrets.verify(secret, stored):
                return True
        return False

    async def _key_for(self, facts: TokenFacts) -> SigningKey | None:
        """The key that signs for the client: its domain's, a parent's that lends it, or the issuer's. None: nothing to sign."""
        client, grant = facts.client, facts.grant
        if client is None or not (client.has_jwt_access_tokens or (grant is not None and "openid" in grant.scopes)):
            return None
        if client.domain is not None:
            try:
                return await self._keys.jwt_key(client.domain, client.id_token_alg)
            except NotFound:
                pass
        return await self._keys.issuer_key(client.id_token_alg)

    async def _hint(self, token: str | None) -> IdTokenHint | Literal["invalid"] | None:
        """OpenID Connect Core section 3.1.2.1: an id_token of ours, expired or not, for whomever."""
        if token is None:
            return None
        try:
            found = await self._keys.verification_key(jwt.get_unverified_header(token).get("kid", ""))
            if found is None:
                return "invalid"
            key, algorithm = found
            claims = jwt.decode(token, key, algorithms=[algorithm], issuer=self.issuer.name, options={
                "require": ["iss", "sub", "aud"], "verify_exp": False, "verify_aud": False, "verify_iat": False})
        except jwt.PyJWTError:
            return "invalid"
        return IdTokenHint(tuple([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]), claims["sub"])


_Endpoint = Callable[[ClientCredentials, ClientRequest], Awaitable[tuple[Client | None, Decision]]]
