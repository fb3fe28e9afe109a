"""A whole daemon whose credentials live for seconds, under HTTP and mail load: renewals, a sealed Vault, a revoked token
and a restarted PostgreSQL, and not one failed request or lost message. Three minutes each with --long, else a share of it.

Mail goes two ways: through the signer, and to a mailing list through the forwarder, which hands the local member's copy over
and relays the other one through the signer.
"""

import asyncio
import itertools
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import AsyncHTTPClient
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from authd.embedded import EmbeddedPostgres
from authd.sql.migrate import migrate
from tests import long_runs
from tests.daemon import Daemon, free_port, running_daemon
from tests.fixtures.oauth import SECRET, add_client
from tests.openbao import PARENT, OpenBao, running_openbao
from tests.smtp.forwarding import populate
from tests.smtp.support import Sink, connected, running_sink
from tests.sql.authctl import Authctl
from tests.support import open_database

pytestmark = pytest.mark.peer("OpenBao")

LONG = bool(os.environ.get("AUTHD_TEST_LONG"))
SECONDS, LONGEST = (10, 20) if LONG else (4, 8)  # of the credentials' life
DURATION, SEALED, CALM = (180, 20, 30) if LONG else (12, 7, 3)  # seconds: of a test, of a part
HEALED_WITHIN = 5.0
DOMAIN = "example.com"
CREDENTIALS = {"client_id": "app", "client_secret": SECRET}
LIST, LOCAL, FAR = "team@example.com", b"<alice@example.com>", b"<kim@far.example>"


@dataclass
class Load:
    """What clients got. While `down` is true, 503 and 451 are answers too."""

    http_port: int
    signer_port: int
    forwarder_port: int
    sink: Sink
    down: bool = False
    stopping: bool = False
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    last_refusal: float = 0.0
    tokens: list[str] = field(default_factory=list)
    signed: list[bytes] = field(default_factory=list)
    forwarded: list[bytes] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def saw(self, what: str, answer: str, fine: str, passing: str) -> bool:
        """Whether the answer is fine; one that is neither that nor a passing one that is allowed now is a failure."""
        self.answers[f"{what} {answer}"] += 1
        if answer == fine:
            return True
        self.last_refusal = time.monotonic()
        if not (self.down and answer == passing):
            self.failures.append(f"{what} {answer}")
        return False

    async def browse(self, client: AsyncHTTPClient) -> None:
        while not self.stopping:
            form = CREDENTIALS | {"grant_type": "client_credentials"}
            token = await self._ask(client, "token", f"{self._url}/o2/token/", form)
            if token is not None:
                self.tokens.append(json.loads(token)["access_token"])
                await self._ask(client, "introspect", f"{self._url}/o2/introspect/", CREDENTIALS | {"token": self.tokens[-1]})
            await self._ask(client, "key", f"{self._url}/getkey/?domain={DOMAIN}", None)
            await asyncio.sleep(0.02)

    async def _ask(self, client: AsyncHTTPClient, what: str, url: str, form: dict[str, str] | None) -> bytes | None:
        answer = await client.fetch(url, method="GET" if form is None else "POST", body=form and urlencode(form),
                                    headers={"X-Forwarded-Proto": "https"}, raise_error=False, request_timeout=30)
        return answer.body if self.saw(what, str(answer.code), "200", "503") else None

    async def sign(self) -> None:
        await self._mail("sign", self.signer_port, "ann@example.com", "bob@example.net", self.signed)

    async def forward(self) -> None:
        await self._mail("forward", self.forwarder_port, "joe@elsewhere.example", LIST, self.forwarded)

    async def _mail(self, what: str, port: int, sender: str, recipient: str, accepted: list[bytes]) -> None:
        while not self.stopping:
            async with connected(("127.0.0.1", port)) as source:
                for _ in range(20):
                    number = b"number-%d@example.com" % next(self.numbers)
                    content = b"From: %s\r\nMessage-Id: <%s>\r\n\r\nHello.\r\n" % (sender.encode(), number)
                    reply = await source.send(content, sender, [recipient])
                    if self.saw(what, reply[:3], "250", "451"):
                        accepted.append(number)
                    else:
                        await source.command("RSET")
                    await asyncio.sleep(0.02)

    @property
    def _url(self) -> str:
        return f"http://localhost:{self.http_port}"

    def not_once(self) -> list[tuple[bytes, str]]:
        """The messages that were accepted and of which a copy did not arrive, or came twice, or unsigned."""
        arrived = Counter((match[1], recipient.partition(b" ")[0], b"DKIM-Signature:" in message.content)
                          for message in self.sink.delivered for recipient in message.recipients
                          if (match := re.search(rb"Message-Id: <(.+?)>", message.content)))
        copies = [*((number, b"<bob@example.net>", True) for number in self.signed),
                  *((number, LOCAL, False) for number in self.forwarded), *((number, FAR, False) for number in self.forwarded)]
        return [(number, f"{recipient.decode()}: {arrived[number, recipient, is_signed]}")
                for number, recipient, is_signed in copies if arrived[number, recipient, is_signed] != 1]


@dataclass
class Site:
    """What runs."""

    server: EmbeddedPostgres
    bao: OpenBao
    daemon: Daemon
    load: Load

    def ready(self) -> dict[str, str]:
        """The components of /health/ready/."""
        with urlopen(f"{self.daemon.base_url}/health/ready/") as answer:
            found: dict[str, str] = json.load(answer)["components"]
            return found

    def metrics(self) -> dict[tuple[str, ...], float]:
        """The samples of /metrics by name and values of their labels, sorted."""
        with urlopen(f"{self.daemon.base_url}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="authd-load-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster of our own, which may be stopped."""
    made = EmbeddedPostgres(folder / "pg", settings=["fsync=off"])
    made.start()
    yield made
    made.stop()


async def provision(server: EmbeddedPostgres, folder: Path) -> None:
    async with open_database(server.url()) as db:
        await migrate(db)
        await add_client(db, "app")
        await populate(db)
    authctl = Authctl(server.url(), folder)
    await asyncio.to_thread(authctl.said, "domain", "edit", DOMAIN, "--create-key", "jwt", "--create-key", "dkim")


@asynccontextmanager
async def under_load(server: EmbeddedPostgres, folder: Path, what: str) -> AsyncIterator[Site]:
    """Everything runs, and clients of all kinds, until the block has ended and DURATION is over; afterwards every promise is
    looked up.
    """
    began = time.monotonic()
    for name in ("bao", "authd"):
        (folder / name).mkdir()
    await provision(server, folder)
    with running_openbao(folder / "bao") as bao:
        bao.hand_out_roles(server, "authd", seconds=SECONDS, longest=LONGEST)
        role = bao.approle()
        environ = bao.environment(VAULT_ROLEID=role["role_id"], VAULT_SECRETID=role["secret_id"], DATABASE_PARENTROLE=PARENT)
        http_port, signer_port, forwarder_port = _ports(3)
        async with running_sink(Sink()) as sink:
            text = ('[http]\ntrusted_proxies = ["127.0.0.1"]\n[signer]\n'
                    f'mappings = [{{ in = "127.0.0.1:{signer_port}", out = "127.0.0.1:{sink.port}" }}]\n'
                    f'[forwarder]\nlisten = "127.0.0.1:{forwarder_port}"\nlocal_delivery = "127.0.0.1:{sink.port}"\n'
                    f'remote_relay = "127.0.0.1:{signer_port}"\nsrs_secrets = ["a secret"]\n')
            url = server.url().replace("authd@", "")
            with running_daemon(folder / "authd", url, text, port=http_port, environ=environ) as daemon:
                site = Site(server, bao, daemon, Load(daemon.port, signer_port, forwarder_port, sink))
                client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True, max_clients=16)
                work = [*(site.load.browse(client) for _ in range(6)), *(site.load.sign() for _ in range(2)),
                        *(site.load.forward() for _ in range(2))]
                running, begun = asyncio.gather(*work), time.monotonic()
                try:
                    yield site
                    await asyncio.sleep(max(0.0, begun + DURATION - time.monotonic()))
                    site.load.stopping = True
                    await running
                    await _promises_are_kept(site, client)
                finally:
                    running.cancel()
                    client.close()
                assert "Traceback" not in daemon.log
                assert "failed" not in site.ready().values()
                assert await asyncio.to_thread(daemon.stop) == 0
    if LONG:
        long_runs.record(long_runs.Row("Vault under HTTP and mail load", what, sum(site.load.answers.values()), "–",
                                       time.monotonic() - began))


def _ports(count: int) -> list[int]:
    with ExitStack() as held:
        found = []
        for _ in range(count):
            found.append(free_port())
            held.enter_context(socket.create_server(("127.0.0.1", found[-1])))
        return found


async def _promises_are_kept(site: Site, client: AsyncHTTPClient) -> None:
    load = site.load
    assert load.failures == []
    assert load.not_once() == []
    assert min(len(load.tokens), len(load.signed), len(load.forwarded)) > 20
    metrics = await asyncio.to_thread(site.metrics)
    assert metrics["authd_forwarder_messages_total", "accepted"] == len(load.forwarded)
    signer = f"127.0.0.1:{load.signer_port}"
    assert metrics["authd_signer_signed_total", signer] >= len(load.signed)
    assert metrics["authd_tokens_issued_total", "access_token", "client_credentials"] == len(load.tokens)
    print(f"{dict(sorted(load.answers.items()))}; in Vault: "
          f"{ {' '.join(name[1:]): int(value) for name, value in metrics.items() if name[0] == 'authd_vault_steps_total'} }")
    for token in load.tokens[::max(1, len(load.tokens) // 200)]:
        answer = await client.fetch(f"{site.daemon.base_url}/o2/introspect/", method="POST",
                                    body=urlencode(CREDENTIALS | {"token": token}))
        assert json.loads(answer.body)["active"] is True


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.1)


async def test_renewals_throughout(server: EmbeddedPostgres, folder: Path) -> None:
    async with under_load(server, folder, "credentials renewed") as site:
        await asyncio.sleep(DURATION)
        assert site.daemon.log.count("vault: read credentials: done") >= 2
        assert (await asyncio.to_thread(site.ready))["vault"] == "ok"


async def test_vault_sealed_and_its_token_revoked(server: EmbeddedPostgres, folder: Path) -> None:
    async with under_load(server, folder, "sealed, token revoked") as site:
        async def is_well() -> bool:
            return (await asyncio.to_thread(site.ready))["vault"] == "ok"

        await asyncio.sleep(CALM)
        site.bao.seal()
        await asyncio.sleep(SEALED)
        assert (await asyncio.to_thread(site.ready))["vault"] == "degraded"
        assert (await asyncio.to_thread(site.metrics))["authd_vault_trouble",] == 1
        assert "Vault is sealed" in site.daemon.log
        site.bao.unseal()
        await eventually(is_well, 40)
        assert (await asyncio.to_thread(site.metrics))["authd_vault_trouble",] == 0
        assert "vault: well again" in site.daemon.log
        assert site.bao.revoke_tokens() >= 1
        await asyncio.sleep(SECONDS)
        await eventually(is_well, 40)
        assert site.daemon.log.count("vault: log in: done") >= 2


async def test_postgresql_restarted(server: EmbeddedPostgres, folder: Path) -> None:
    async with under_load(server, folder, "PostgreSQL restarted") as site:
        await asyncio.sleep(CALM)
        site.load.down = True
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(2)
        await asyncio.to_thread(server.start)
        started = time.monotonic()
        await asyncio.sleep(HEALED_WITHIN)
        site.load.down = False
        assert site.load.last_refusal - started < HEALED_WITHIN
        assert any(answer.endswith("503") for answer in site.load.answers)
        await asyncio.sleep(CALM)
