"""The tokens that registries believe: who asks is proven, what they may is read, and the answer is signed.

Requests come parsed from `handlers.docker`; what is granted is decided in `access`.
"""

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from authd.audit import Entry
from authd.config.settings import DockerSettings
from authd.docker import access, bearer
from authd.docker.access import Decision
from authd.docker.facts import Asker, Facts, Registry, TokenAnswer
from authd.docker.registry_keys import RegistryKeys
from authd.docker.scope import Scope
from authd.errors import InvalidCredentials, InvalidInput, NotFound
from authd.identity.accounts import Accounts
from authd.identity.addresses import client_address
from authd.identity.facts import Login, LoginAttempt
from authd.identity.tokens import new_token, token_digest
from authd.sql import docker as sql
from authd.sql.database import Database

PERMISSION = "docker"
LONGEST_CLIENT = 255
_NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and its password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for, by whom: credentials, a refresh token, or (neither) anybody. `offline`: with a refresh token."""

    service: str
    scopes: tuple[Scope, ...]
    client: str
    remote_address: str
    credentials: Credentials | None = None
    refresh_token: str | None = field(default=None, repr=False)
    offline: bool = False


class UnknownService(InvalidInput):
    """There is no registry of that name."""

    def __init__(self, service: str) -> None:
        super().__init__("service", f"there is no registry {service[:LONGEST_CLIENT]!r}")


class SignInRequired(InvalidCredentials):
    """Nobody in particular may do nothing of what is asked for."""

    code = "unauthorized"


class DockerTokens:
    """Issues registry tokens. `public_url` is authd's own; its host is the issuer."""

    def __init__(self, db: Database, keys: RegistryKeys, accounts: Accounts, settings: DockerSettings, public_url: str,
                 now: Callable[[], datetime]) -> None:
        self._db = db
        self._keys = keys
        self._accounts = accounts
        self._settings = settings
        self._now = now
        self.issuer = issuer_of(public_url)
        self.realm = realm_of(public_url)
        self.issued: Counter[tuple[str, str]] = Counter()  # by kind and grant

    async def issue(self, request: TokenRequest) -> TokenAnswer:
        """The token for what is granted of a request, which may be nothing.

        UnknownService; InvalidCredentials for a wrong password or refresh token; SignInRequired for nobody in particular
        where nothing is granted; PermissionMissing for a service user that is limited to other things; Throttled, Overloaded.
        """
        login = None if request.credentials is None else await self._login(request, request.credentials)
        asker = None if login is None else _asker(login)
        facts, decision = await self._decided(request, asker)
        assert facts.registry is not None
        if facts.refresh_token is not None:
            asker = facts.refresh_token.asker
            if self._now() - facts.refresh_token.last_used_at >= _NOTED_EVERY:
                await sql.touch_refresh_token(self._db, facts.refresh_token.id, self._now())
        if asker is None and not decision.grants_anything:
            raise SignInRequired
        refresh_token = request.refresh_token
        if request.offline and login is not None and asker is not None:
            refresh_token = await self._new_refresh_token(request, facts.registry, login, asker)
            self.issued["docker_refresh_token", "password"] += 1
        answer = await self._signed(facts.registry, asker, decision, refresh_token)
        self.issued["docker_token", _grant(request)] += 1
        return answer

    async def registry(self, service: str) -> Registry | None:
        """The registry of that name."""
        return await sql.registry(self._db, service)

    async def registry_of_host(self, host: str, host_name: str) -> Registry | None:
        """The registry that `docker login HOST` means."""
        return await sql.registry_of_host(self._db, host, host_name)

    async def signer(self, registry: Registry) -> bearer.Signer:
        """By which key and certificate the registry knows us. NotFound where its domain has no key."""
        return await self._keys.signer(registry)

    async def is_valid(self, registry: Registry, token: str) -> bool:
        """Whether a token is one of ours for this registry, and counts now."""
        return bearer.is_valid(token, registry, await self.signer(registry), self.issuer, self._now())

    async def _login(self, request: TokenRequest, credentials: Credentials) -> Login:
        return await self._accounts.authenticate(LoginAttempt(
            credentials.username, credentials.password, request.remote_address, "docker", permission=PERMISSION))

    async def _decided(self, request: TokenRequest, asker: Asker | None) -> tuple[Facts, Decision]:
        """The facts and the decision on them, once the repositories that it creates are there."""
        while True:
            facts = await self._facts(request, asker)
            if facts.registry is None:
                raise UnknownService(request.service)
            if request.refresh_token is not None:
                if not access.refreshes(facts.refresh_token, facts.registry, self._now(), self._unused):
                    raise InvalidCredentials
                assert facts.refresh_token is not None
                asker = facts.refresh_token.asker
            decision = access.decide(
                request.scopes, facts.rights, asker, allow_unconfigured=self._settings.allow_unconfigured_repos)
            if not decision.created or await self._create(request, facts.registry, asker, decision):
                return facts, decision

    async def _facts(self, request: TokenRequest, asker: Asker | None) -> Facts:
        return await sql.facts(
            self._db, request.service, [scope.name for scope in request.scopes if scope.is_repository],
            account=None if asker is None else asker.account,
            refresh_token=None if request.refresh_token is None else token_digest(request.refresh_token),
            unconfigured=self._settings.allow_unconfigured_repos)

    async def _create(self, request: TokenRequest, registry: Registry, asker: Asker | None, decision: Decision) -> bool:
        """Whether nobody else created one of the repositories meanwhile."""
        assert asker is not None

        def entry(name: str) -> Entry:
            return Entry("repository.create", asker.name, asker.account, client_address(request.remote_address),
                         "repository", f"{registry.service}:{name}")

        made = await sql.create_repositories(
            self._db, registry, decision.created, asker.account, sorted(access.OWNERS_ACTIONS), self._now(), entry)
        return made == len(decision.created)

    async def _new_refresh_token(self, request: TokenRequest, registry: Registry, login: Login, asker: Asker) -> str:
        token = new_token()
        entry = Entry("docker_token.create", asker.name, asker.account, client_address(request.remote_address),
                      "registry", registry.service, new={"client": request.client})
        if not await sql.insert_refresh_token(
                self._db, token_digest(token), registry, asker, client=request.client, now=self._now(), entry=entry,
                password_changed_at=login.account.password_changed_at):
            raise InvalidCredentials
        return token

    async def _signed(self, registry: Registry, asker: Asker | None, decision: Decision,
                      refresh_token: str | None) -> TokenAnswer:
        now = self._now()
        terms = bearer.Terms(self.issuer, "" if asker is None else str(asker.account), now,
                             timedelta(seconds=self._settings.token_seconds), secrets.token_urlsafe(16))
        try:
            signer = await self._keys.signer(registry)
        except NotFound as error:
            raise NoKey(registry) from error
        token = bearer.sign(registry, signer, terms, decision.access)
        return TokenAnswer(token, self._settings.token_seconds, now, decision.scope, refresh_token)

    @property
    def _unused(self) -> timedelta:
        return timedelta(seconds=self._settings.refresh_token_seconds)


class NoKey(NotFound):
    """The registry's domain has no key that signs tokens."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(f"the domain {registry.domain} of the registry {registry.service} has no RSA or EC key",
                         code="not_jwt_enabled")


def issuer_of(public_url: str) -> str:
    """Who signs, as registries are configured: the host of the public URL, without a port."""
    return urlsplit(public_url).hostname or ""


def realm_of(public_url: str) -> str:
    """Where registries send their clients for tokens."""
    return f"{public_url}/docker/token/"


def _grant(request: TokenRequest) -> str:
    if request.credentials is not None:
        return "password"
    return "anonymous" if request.refresh_token is None else "refresh_token"


def _asker(login: Login) -> Asker:
    service_user = login.service_user
    if service_user is None:
        return Asker(login.account.uuid, login.account.identifier, login.account.is_admin)
    return Asker(login.account.uuid, service_user.username, is_admin=False, service_user=service_user.id)
