"""The composition root: builds every part from the settings, starts and stops them in order, and hears the signals.

What a part does stands in its own room; nothing but this file and `cli.py` knows all of them.
"""

import asyncio
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import tornado.netutil

from authd import __version__, jobs, log
from authd.config import Settings
from authd.config.settings import HttpSettings, SmtpSettings
from authd.config.values import Endpoint
from authd.docker.registry_keys import RegistryKeys
from authd.docker.tokens import DockerTokens
from authd.errors import AuthdError, ConfigError, Conflict, DatabaseUnavailable
from authd.handlers.assets import Assets
from authd.handlers.branding import page_templates
from authd.handlers.oauth import requesting_application
from authd.handlers.routes import make_application, make_metrics_application
from authd.handlers.server import Server, make_server
from authd.handlers.services import ComponentState, Services
from authd.hygiene import remove_expired
from authd.identity.accounts import Accounts
from authd.identity.passwords import Hasher
from authd.identity.sessions import Sessions
from authd.keys.cipher import load_cipher
from authd.keys.store import KeyStore
from authd.metrics import Metrics
from authd.oauth.issuing import Issuer, Lifetimes
from authd.oauth.metadata import issuer_of
from authd.oauth.service import OAuth
from authd.smtp.forwarder import ForwarderListener, rules_of
from authd.smtp.list_senders import ListSenders
from authd.smtp.mail_store import MailStore
from authd.smtp.signer import SignerListener
from authd.smtp.spool import Spools
from authd.smtp.srs import Srs
from authd.smtp.starttls import MailTls
from authd.sql import migrate
from authd.sql.changes import Changes
from authd.sql.database import Credentials, Database, SessionOptions
from authd.sql.server_secrets import server_secret
from authd.throttle import Throttle
from authd.tls import server_context
from authd.vault.client import VaultClient
from authd.vault.keeper import Keeper

_log = logging.getLogger(__name__)
_LONGEST_PAUSE = 5.0
_HYGIENE_SECONDS = 3600.0
_LOOP_WAITS = 0.001  # seconds for which a thread that works on a large message may keep the loop from going on


def now() -> datetime:
    """The clock of the running daemon."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """What handlers work with, and what must be closed at the end."""

    services: Services
    hasher: Hasher


async def build(database: Database, settings: Settings, clock: Callable[[], datetime],
                readiness: Callable[[], Awaitable[Mapping[str, ComponentState]]]) -> Parts:
    """Wires the services on a database that is up and migrated. Tests use it with a clock of their own."""
    hasher = Hasher(settings.password)
    throttle = Throttle(database, settings.throttle, clock, device_seconds=settings.session.remember_device)
    assets = Assets.load(settings.branding)
    keys = KeyStore(database, load_cipher(settings.secrets.key_file), clock, certificate_days=settings.jwt.cert_days_valid)
    pairwise_key = await server_secret(database, "pairwise")
    issuer = Issuer(issuer_of(settings.http.public_url), Lifetimes.of(settings.oauth), pairwise_key)
    oauth = OAuth(database, keys, hasher, issuer, clock)
    accounts = Accounts(database, hasher, throttle, settings.password, clock)
    docker = DockerTokens(
        database, RegistryKeys(database, keys, clock), accounts, settings.docker, settings.http.public_url, clock)
    services = Services(
        config=settings,
        keys=keys,
        accounts=accounts,
        sessions=Sessions(database, settings.session, clock), oauth=oauth, docker=docker,
        templates=page_templates(settings.branding, assets), assets=assets,
        form_secret=await server_secret(database, "csrf"), readiness=readiness, now=clock,
        metrics=Metrics(started=clock().timestamp(), busy_connections=lambda: database.busy,
                        pending_hashes=lambda: hasher.pending, logins=accounts.outcomes,
                        tokens=lambda: oauth.issued + docker.issued),
        application_behind=requesting_application(oauth))
    return Parts(services, hasher)


async def serve(settings: Settings, credentials: Credentials, reload: Callable[[], Settings]) -> None:
    """Runs authd until SIGTERM or SIGINT. `reload` reads the configuration again (SIGHUP)."""
    loop = asyncio.get_running_loop()
    sys.setswitchinterval(_LOOP_WAITS)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.set_exception_handler(_report)
    starting = asyncio.ensure_future(_started(settings, credentials, reload))
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    daemon = starting.result()
    gc.collect()
    gc.freeze()  # what stays for good: to look through it again would hold up the loop for 10 ms each time
    loop.add_signal_handler(signal.SIGHUP, lambda: daemon.reload(reload))
    await waiting
    _log.info("stopping")
    await daemon.stop()
    _log.info("stopped")


async def _started(settings: Settings, credentials: Credentials, read: Callable[[], Settings]) -> "Daemon":
    daemon = Daemon(settings, credentials, read)
    try:
        await daemon.start()
    except BaseException:
        await daemon.stop()
        raise
    return daemon


class Daemon:
    """Everything that runs, on one event loop and one pool."""

    def __init__(self, settings: Settings, credentials: Credentials, read: Callable[[], Settings]) -> None:
        self.settings = settings
        self._read = read
        self.database = Database(credentials, pool_size=settings.database.pool_size, options=SessionOptions(
            role=settings.database.parent_role, statement_timeout=settings.database.statement_timeout))
        self._server: Server | None = None
        self._parts: Parts | None = None
        self._mail_tls = MailTls()
        self._listeners: dict[str, Any] = {}
        self._keeper: Keeper | None = None
        self._drains: list[Callable[[float], Awaitable[None]]] = []
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Returns once every listener accepts. Raises AuthdError or OSError where that cannot be."""
        if self.settings.vault.database_path:
            self._keeper = Keeper(self.database, self._enter_vault)
            self._running.push_async_callback(self._keeper.stop)
            await self._keeper.start()
        self._running.callback(self.database.close)
        await self._prepare_schema()
        parts = self._parts = await build(self.database, self.settings, now, self.readiness)
        self._running.callback(parts.hasher.close)
        await parts.services.accounts.calibrate()
        await parts.services.keys.issuer_key()
        changes = Changes(self.database)
        changes.subscribe("keys", parts.services.keys.forget)
        changes.start()
        if self._keeper is not None:
            self._keeper.replaced = changes.reopen
            parts.services.metrics.vault = self._keeper.status
        self._running.push_async_callback(changes.stop)
        hygiene = asyncio.create_task(jobs.repeat(
            self.database, "hygiene", _HYGIENE_SECONDS, lambda: remove_expired(self.database, self.settings, now())))
        self._running.callback(hygiene.cancel)
        await self._open_mail(parts.services)
        self._open_web(parts.services)
        if self.settings.http.metrics_listen is not None:
            self._open_metrics(parts.services, self.settings.http.metrics_listen)
        _log.info("authd %s is ready: %s", __version__, self.settings.http.public_url)

    async def stop(self) -> None:
        """Running requests and messages get the configured grace, all at the same time; then everything else stops, newest
        first.
        """
        drained = await asyncio.gather(
            *(drain(self.settings.http.shutdown_grace) for drain in self._drains), return_exceptions=True)
        for error in filter(None, drained):
            _log.error("a listener stopped out of order", exc_info=error)
        await self._running.aclose()

    def reload(self, read: Callable[[], Settings]) -> None:
        """Takes certificates, keys and the log level anew; the rest of the configuration counts from the next start."""
        try:
            settings = read()
            web, mail = _web_tls(settings.http), self._read_mail_tls(settings.smtp)
            log.configure(settings.log)
        except (AuthdError, OSError) as error:
            _log.error("not reloaded: %s", error)
            return
        self._mail_tls = mail
        if self._server is not None and self._server.ssl_options is not None and web is not None:
            self._server.ssl_options = web  # none would be plain text where browsers come for TLS
        if self._parts is not None:
            self._parts.services.keys.forget()
        _log.info("reloaded")

    async def readiness(self) -> Mapping[str, ComponentState]:
        """Database, keys and listeners, each as it is now."""
        states: dict[str, ComponentState] = {}
        try:
            await self.database.fetch_one("SELECT 1")
            states["database"] = ComponentState("ok")
        except DatabaseUnavailable as error:
            states["database"] = ComponentState("failed", str(error))
        try:
            assert self._parts is not None
            await self._parts.services.keys.published()
            states["keys"] = ComponentState("ok")
        except AuthdError as error:
            states["keys"] = ComponentState("failed", str(error))
        if self._keeper is not None:
            trouble = self._keeper.status().trouble
            states["vault"] = ComponentState("degraded" if trouble else "ok", trouble)
        states |= {name: ComponentState("ok", str(where)) for name, where in self._listeners.items()}
        return states

    def _enter_vault(self) -> VaultClient:
        """With the configuration as it is now: a token in a file may be a new one."""
        try:
            return VaultClient(self._read().vault)
        except ConfigError as error:
            _log.error("vault: the configuration is not read again: %s", error)
            return VaultClient(self.settings.vault)

    async def _prepare_schema(self) -> None:
        """Waits for the database, migrates where that is wanted, and refuses a schema that we cannot run on."""
        pause = 0.1
        while True:
            try:
                await self._check_schema()
                return
            except DatabaseUnavailable as error:
                _log.warning("waiting for the database: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _check_schema(self) -> None:
        wanted = self.settings.database.migrate_on_start
        if wanted or (wanted is None and self.settings.embedded_database):
            await migrate.migrate(self.database, spapi_roles=self.settings.spapi.roles)
        applied = await migrate.applied(self.database)
        migrate.check_version(applied)
        if steps := migrate.pending(migrate.known(), applied):
            raise Conflict(f"the database lacks {len(steps)} migrations; run: authd migrate")

    def _open_web(self, services: Services) -> None:
        http = self.settings.http
        sockets = _bound(http.listen, reuse_port=http.reuse_port)
        server = self._server = make_server(make_application(services), http, _web_tls(http))
        server.add_sockets(sockets)
        self._listeners["http"] = http.listen
        self._drains.append(server.drain)

    def _open_metrics(self, services: Services, listen: Endpoint) -> None:
        """The listener of this very process, also where several share the web listener's port."""
        sockets = _bound(listen)
        server = make_server(make_metrics_application(services), self.settings.http)
        server.add_sockets(sockets)
        self._listeners["metrics"] = listen
        self._drains.append(server.drain)

    async def _open_mail(self, services: Services) -> None:
        spools = services.metrics.spools = Spools(self.settings.smtp)
        self._running.callback(spools.close)
        self._mail_tls = self._read_mail_tls(self.settings.smtp)
        for signer in self._signers(services, spools):
            self._drains.append(signer.stop)
            await signer.start()
            self._listeners[f"signer {signer.mapping.listen}"] = signer.mapping.listen
            services.metrics.signers[str(signer.mapping.listen)] = signer
        forwarder = await self._forwarder(spools)
        if forwarder is not None:
            self._drains.append(forwarder.stop)
            await forwarder.start()
            self._listeners["forwarder"] = self.settings.forwarder.listen
            services.metrics.forwarder = forwarder

    def _signers(self, services: Services, spools: Spools) -> list[SignerListener]:
        settings = self.settings.signer
        if not settings.enabled:
            return []
        lists = ListSenders(self.database, now)
        return [SignerListener(mapping, self.settings.smtp, services.keys, lists, spools=spools, now=now,
                               signature_lifetime=settings.signature_lifetime, tls=lambda: self._mail_tls)
                for mapping in settings.mappings]

    async def _forwarder(self, spools: Spools) -> ForwarderListener | None:
        settings = self.settings.forwarder
        if not settings.enabled:
            return None
        if not settings.srs_secrets:
            _log.warning("the forwarder is off: without forwarder.srs_secrets it cannot rewrite senders")
            return None
        srs = Srs([secret.encode() for secret in settings.srs_secrets], settings.srs_separator)
        store = MailStore(self.database, rules_of(settings), srs, now)
        memory_key = await server_secret(self.database, "delivered_copy")
        return ForwarderListener(settings, self.settings.smtp, store, memory_key, spools=spools, now=now,
                                 tls=lambda: self._mail_tls)

    def _read_mail_tls(self, files: SmtpSettings) -> MailTls:
        forwarder = self.settings.forwarder
        return MailTls.load(files, {
            forwarder.local_delivery_tls, forwarder.remote_relay_tls, forwarder.transactional_relay_tls,
            *(mapping.tls for mapping in self.settings.signer.mappings)})


def _bound(listen: Endpoint, *, reuse_port: bool = False) -> list[socket.socket]:
    try:
        return tornado.netutil.bind_sockets(listen.port, listen.host, reuse_port=reuse_port)
    except OSError as error:
        raise AuthdError(f"cannot listen on {listen}: {error.strerror}") from error


def _web_tls(http: HttpSettings) -> ssl.SSLContext | None:
    return None if http.tls_certificate is None else server_context(http.tls_certificate, http.tls_key)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log.error("%s", context.get("message", "unhandled"), exc_info=context.get("exception"))
