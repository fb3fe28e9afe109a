"""Real daemons with credentials from a real Vault (OpenBao): two on one database, and what one tells of a sealed Vault."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from authd.config.settings import SessionSettings
from authd.embedded import EmbeddedPostgres
from authd.identity.facts import Login
from authd.identity.sessions import Sessions
from authd.sql import accounts
from tests.daemon import Daemon, running_daemon, wait_until_ready
from tests.fixtures.oauth import SECRET, add_client
from tests.openbao import PARENT, PATH, OpenBao, running_openbao
from tests.sql.authctl import Authctl
from tests.support import open_database

pytestmark = pytest.mark.peer("OpenBao")

DOMAIN = "auth.example.com"
PASSWORD = "correct horse battery"
PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": DOMAIN, "X-Forwarded-For": "10.1.2.3"}
WITHIN = 1.0  # seconds
TEXT = '[http]\ntrusted_proxies = ["127.0.0.1"]\n[password]\nrefusal_ms = 0\n[log]\nlevel = "debug"\n'
READ = "vault: read credentials: done"
MANY = 16  # requests at once: more than the connections that an idle daemon has

Ask = Callable[[Daemon], Awaitable[HTTPResponse]]


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with running_openbao(tmp_path_factory.mktemp("openbao")) as server:
        print(server.root.sys.read_health_status(method="GET")["version"])
        yield server


def hand_out(bao: OpenBao, postgres: EmbeddedPostgres, database_url: str, *, seconds: int, longest: int) -> dict[str, str]:
    """The environment of a daemon whose credentials come from the Vault."""
    bao.hand_out_roles(postgres, database_url.split("?")[0].rpartition("/")[2], seconds=seconds, longest=longest)
    role = bao.approle()
    return bao.environment(VAULT_ROLEID=role["role_id"], VAULT_SECRETID=role["secret_id"], DATABASE_PARENTROLE=PARENT)


@contextmanager
def two_daemons(folder: Path, database_url: str, environ: Mapping[str, str]) -> Iterator[list[Daemon]]:
    """Both on one database, without a user in its URL."""
    with ExitStack() as running:
        daemons = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            daemons.append(running.enter_context(
                running_daemon(folder / name, database_url.replace("authd@", ""), TEXT, environ=environ)))
        yield daemons


@dataclass
class Pair:
    """Two daemons, what each is asked, and everything that failed meanwhile."""

    daemons: list[Daemon]
    client: AsyncHTTPClient
    failures: list[str] = field(default_factory=list)
    asked: int = 0

    async def get(self, daemon: Daemon, path: str, **headers: str) -> HTTPResponse:
        return await self.client.fetch(f"{daemon.base_url}{path}", headers=PROXIED | headers, raise_error=False,
                                       follow_redirects=False)

    async def post(self, daemon: Daemon, path: str, **fields: str) -> HTTPResponse:
        return await self.client.fetch(f"{daemon.base_url}{path}", method="POST", body=urlencode(fields), headers=PROXIED,
                                       raise_error=False)

    async def crowd(self) -> None:
        """Many requests at once to both, each of which needs the database."""
        answers = await asyncio.gather(*(
            self.post(daemon, "/o2/token/", client_id="app", client_secret=SECRET, grant_type="client_credentials")
            for daemon in self.daemons for _ in range(MANY)))
        self.asked += len(answers)
        self.failures += [f"{answer.code} {answer.body!r}" for answer in answers if answer.code != 200]

    async def within_a_second(self, ask: Ask, is_new: Callable[[HTTPResponse], bool]) -> None:
        """Both give the new answer to whoever asks a second from now at the latest."""
        changed = time.monotonic()
        for daemon in self.daemons:
            while True:
                began = time.monotonic()
                if is_new(await ask(daemon)):
                    break
                assert began - changed < WITHIN, f"the old answer is still given: {daemon.log}"


async def test_a_lease_replaced_in_one_disturbs_nobody_and_changes_count_in_both(
    bao: OpenBao, postgres: EmbeddedPostgres, database_url: str, tmp_path: Path,
) -> None:
    environ = hand_out(bao, postgres, database_url, seconds=600, longest=3600)
    authctl = Authctl(database_url, tmp_path)

    async def run(*words: str) -> None:
        await asyncio.to_thread(authctl.said, *words)

    await run("domain", "create", DOMAIN, "--create-key", "jwt")
    await run("user", "create", "alice", "Alice Example", "--password", PASSWORD)
    await run("alias", "create", f"alice@{DOMAIN}", "--user", "alice")
    await run("user", "set-delivery-mailbox", "alice", f"alice@{DOMAIN}", "-y")
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True, max_clients=2 * MANY)
    async with open_database(database_url) as db:
        await add_client(db, "app")
        row = await db.fetch_one("SELECT uuid FROM account WHERE identifier = 'alice'")
        account = await accounts.by_uuid(db, row[0]) if row else None
        assert account is not None
        sessions = Sessions(db, SessionSettings(), lambda: datetime.now(UTC))
        new = await sessions.start(Login(account, None, frozenset()), ("pwd",), "10.1.2.3", "a browser")
        with two_daemons(tmp_path, database_url, environ) as daemons:
            pair = Pair(daemons, client)
            leases = bao.root.list(f"sys/leases/lookup/{PATH}")["data"]["keys"]
            assert len(leases) == 2

            def key(daemon: Daemon) -> Awaitable[HTTPResponse]:
                return pair.get(daemon, f"/getkey/?domain={DOMAIN}")

            def home(daemon: Daemon) -> Awaitable[HTTPResponse]:
                return pair.get(daemon, "/", Cookie=f"authd_session={new.token}")

            def check(daemon: Daemon) -> Awaitable[HTTPResponse]:
                return pair.post(daemon, "/checkpassword/", username=f"alice@{DOMAIN}", password=PASSWORD)

            for daemon in pair.daemons:
                assert [(await ask(daemon)).code for ask in (key, home, check)] == [200, 200, 200]
            bao.root.sys.revoke_lease(f"{PATH}/{leases[0]}")
            async with asyncio.timeout(20):
                while sum(daemon.log.count(READ) for daemon in pair.daemons) < 3:
                    await pair.crowd()
            await pair.crowd()
            assert pair.failures == []
            assert sorted(daemon.log.count(READ) for daemon in pair.daemons) == [1, 2]
            print(f"{pair.asked} requests, none failed; read credentials:",
                  [daemon.log.count(READ) for daemon in pair.daemons])

            old = {(await key(daemon)).body for daemon in pair.daemons}
            assert len(old) == 1
            await run("domain", "edit", DOMAIN, "--create-key", "jwt", "--overwrite")
            await pair.within_a_second(key, lambda answer: answer.code == 200 and answer.body not in old)
            await sessions.end(new.session)
            await pair.within_a_second(home, lambda answer: answer.code != 200)
            await run("user", "deactivate", "alice", "-y")
            await pair.within_a_second(check, lambda answer: answer.code == 401)
            for daemon in pair.daemons:
                assert await asyncio.to_thread(daemon.stop) == 0
                assert "Traceback" not in daemon.log
                assert not re.search(r"not listening for changes|ERROR", daemon.log)
    client.close()


async def test_leases_of_seconds_in_two_daemons_at_once(
    bao: OpenBao, postgres: EmbeddedPostgres, database_url: str, tmp_path: Path,
) -> None:
    """Each replaces its credentials again and again; a key that is changed between counts in both each time."""
    environ = hand_out(bao, postgres, database_url, seconds=2, longest=4)
    authctl = Authctl(database_url, tmp_path)
    await asyncio.to_thread(authctl.said, "domain", "create", DOMAIN, "--create-key", "jwt")
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True, max_clients=2 * MANY)
    async with open_database(database_url) as db:
        await add_client(db, "app")
    with two_daemons(tmp_path, database_url, environ) as daemons:
        pair = Pair(daemons, client)

        def key(daemon: Daemon) -> Awaitable[HTTPResponse]:
            return pair.get(daemon, f"/getkey/?domain={DOMAIN}")

        for wanted in (2, 3, 4):
            async with asyncio.timeout(30):
                while min(daemon.log.count(READ) for daemon in pair.daemons) < wanted:
                    await pair.crowd()
            old = [(await key(daemon)).body for daemon in pair.daemons]
            await asyncio.to_thread(authctl.said, "domain", "edit", DOMAIN, "--create-key", "jwt", "--overwrite")
            await pair.within_a_second(key, lambda answer: answer.code == 200 and answer.body not in old)  # noqa: B023
        assert pair.failures == []
        print(f"{pair.asked} requests, none failed; read credentials:", [daemon.log.count(READ) for daemon in pair.daemons])
    client.close()


async def test_a_sealed_vault_shows_in_health_log_and_metrics_and_heals(
    bao: OpenBao, postgres: EmbeddedPostgres, database_url: str, tmp_path: Path,
) -> None:
    environ = hand_out(bao, postgres, database_url, seconds=2, longest=60)
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True)
    with running_daemon(tmp_path, database_url.replace("authd@", ""), environ=environ) as daemon:
        async def state() -> tuple[int, str, str]:
            """The status of /health/ready/, what it says of Vault, and the metric."""
            ready = await client.fetch(f"{daemon.base_url}/health/ready/", raise_error=False)
            metrics = (await client.fetch(f"{daemon.base_url}/metrics")).body.decode()
            trouble = re.search(r"^authd_vault_trouble (\S+)$", metrics, re.MULTILINE)
            assert trouble is not None, metrics
            return ready.code, json.loads(ready.body)["components"]["vault"], trouble[1]

        async def becomes(*expected: object) -> None:
            async with asyncio.timeout(40):
                while await state() != expected:
                    continue

        await becomes(200, "ok", "0.0")
        bao.seal()
        try:
            await becomes(200, "degraded", "1.0")
            assert "vault: cannot renew the lease: Vault fails: Vault is sealed" in daemon.log
            metrics = (await client.fetch(f"{daemon.base_url}/metrics")).body.decode()
            assert re.search(r'authd_vault_steps_total\{outcome="failed",step="renew the lease"\} [1-9]', metrics), metrics
        finally:
            bao.unseal()
        await becomes(200, "ok", "0.0")
        assert "vault: well again" in daemon.log
        await asyncio.to_thread(wait_until_ready, daemon)
        assert await asyncio.to_thread(daemon.stop) == 0
    client.close()
