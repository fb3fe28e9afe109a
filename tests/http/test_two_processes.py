"""Two daemons on one port and one database: what changes counts in both within a second, and killing one loses nothing."""

import asyncio
import json
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from authd import __version__, app
from authd.config import Settings
from authd.config.settings import DatabaseSettings, SessionSettings
from authd.errors import Conflict
from authd.identity.facts import Login
from authd.identity.sessions import Sessions
from authd.sql import accounts
from authd.sql import migrate as migrations
from authd.sql.database import Credentials
from authd.sql.migrate import Migration
from tests.daemon import Daemon, free_port, free_ports, running_daemon, wait_until_ready
from tests.fixtures.oauth import SECRET, add_client
from tests.sql.authctl import Authctl
from tests.support import open_database

DOMAIN = "auth.example.com"
PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": DOMAIN, "X-Forwarded-For": "10.1.2.3"}
CONNECTIONS = 24  # by chance all of them meet the same process once in eight million runs
WITHIN = 1.0  # seconds
SHARED = '[http]\nreuse_port = true\ntrusted_proxies = ["127.0.0.1"]\n[log]\nlevel = "debug"\n'


@contextmanager
def two_on_one_port(folder: Path, database_url: str, *of_each: str) -> Iterator[tuple[Daemon, Daemon]]:
    """`of_each`: lines for the section [http] of the one and of the other."""
    port, first, second = free_port(), *(of_each or ("", ""))
    for name in ("one", "two"):
        (folder / name).mkdir()
    texts = [SHARED.replace("[log]", f"{lines}[log]") for lines in (first, second)]
    with (running_daemon(folder / "one", database_url, texts[0], port=port, ready=False) as one,
          running_daemon(folder / "two", database_url, texts[1], port=port, ready=False) as two):
        for daemon in (one, two):
            deadline = time.monotonic() + 20
            while "is ready" not in daemon.log:
                assert daemon.process.poll() is None, daemon.log
                assert time.monotonic() < deadline, daemon.log
                time.sleep(0.02)
        yield one, two


async def counts_in_both(ask: Callable[[], Awaitable[HTTPResponse]], new: Callable[[HTTPResponse], bool]) -> None:
    """Asks by many connections until every answer is the new one; the asking must begin within a second of now."""
    changed = time.monotonic()
    while True:
        began = time.monotonic()
        assert began - changed < WITHIN, "the old answer is still given"
        answers = [await ask() for _ in range(CONNECTIONS)]
        if all(new(answer) for answer in answers):
            return


async def test_what_changes_counts_in_both_within_a_second(tmp_path: Path, database_url: str) -> None:
    authctl = Authctl(database_url, tmp_path)
    await asyncio.to_thread(authctl.said, "domain", "create", DOMAIN, "--create-key", "jwt")
    await asyncio.to_thread(authctl.said, "user", "create", "alice", "Alice Example", "--password", "correct horse battery")
    await asyncio.to_thread(authctl.said, "alias", "create", f"alice@{DOMAIN}", "--user", "alice")
    await asyncio.to_thread(authctl.said, "user", "set-delivery-mailbox", "alice", f"alice@{DOMAIN}", "-y")
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True)
    with two_on_one_port(tmp_path, database_url) as (one, two):
        def key() -> Awaitable[HTTPResponse]:
            return client.fetch(f"{one.base_url}/getkey/?domain={DOMAIN}", headers=PROXIED)

        def check() -> Awaitable[HTTPResponse]:
            body = urlencode({"username": f"alice@{DOMAIN}", "password": "correct horse battery"})
            return client.fetch(f"{one.base_url}/checkpassword/", method="POST", body=body, headers=PROXIED, raise_error=False)

        async with open_database(database_url) as db:
            row = await db.fetch_one("SELECT uuid FROM account WHERE identifier = 'alice'")
            account = await accounts.by_uuid(db, row[0]) if row else None
            assert account is not None
            sessions = Sessions(db, SessionSettings(), lambda: datetime.now(UTC))
            new = await sessions.start(Login(account, None, frozenset()), ("pwd",), "10.1.2.3", "a browser")

            def home() -> Awaitable[HTTPResponse]:
                headers = {"Cookie": f"authd_session={new.token}"}
                return client.fetch(f"{one.base_url}/", headers=headers, follow_redirects=False, raise_error=False)

            assert {(await home()).code for _ in range(CONNECTIONS)} == {200}
            await sessions.end(new.session)
            await counts_in_both(home, lambda answer: answer.code != 200)

        old = {(await key()).body for _ in range(CONNECTIONS)}
        assert len(old) == 1
        await asyncio.to_thread(authctl.said, "domain", "edit", DOMAIN, "--create-key", "jwt", "--overwrite")
        await counts_in_both(key, lambda answer: answer.body not in old)

        assert (first := await check()).code == 200, first.body
        assert {(await check()).code for _ in range(CONNECTIONS)} == {200}
        await asyncio.to_thread(authctl.said, "user", "deactivate", "alice", "-y")
        await counts_in_both(check, lambda answer: answer.code != 200)

        for daemon in (one, two):
            assert daemon.stop() == 0
            assert "/getkey/" in daemon.log, "one process got no connection"
    client.close()


async def test_killing_one_under_load_loses_nothing_that_was_promised(tmp_path: Path, database_url: str) -> None:
    async with open_database(database_url) as db:
        await add_client(db, "app")
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True, max_clients=32)
    credentials = {"client_id": "app", "client_secret": SECRET}
    tokens: list[str] = []
    with two_on_one_port(tmp_path, database_url) as (one, two):
        killed_at: float | None = None
        lost = 0

        async def work() -> None:
            nonlocal lost
            while killed_at is None or time.monotonic() < killed_at + 1.0:
                begun = time.monotonic()
                body = urlencode(credentials | {"grant_type": "client_credentials"})
                try:
                    answer = await client.fetch(f"{one.base_url}/o2/token/", method="POST", body=body)
                except (OSError, HTTPClientError):
                    assert killed_at is not None and begun < killed_at + 0.1, "the one that lives must serve everybody"
                    lost += 1
                else:
                    tokens.append(json.loads(answer.body)["access_token"])

        workers = [asyncio.ensure_future(work()) for _ in range(16)]
        while len(tokens) < 200:
            await asyncio.sleep(0.01)
        two.process.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        two.process.wait(10)
        await asyncio.gather(*workers)
        assert lost <= 16
        body = [urlencode(credentials | {"token": token}) for token in tokens]
        answers = [json.loads((await client.fetch(f"{one.base_url}/o2/introspect/", method="POST", body=part)).body)
                   for part in body]
        assert len(answers) > 200
        assert {answer["active"] for answer in answers} == {True}
    client.close()


async def test_during_an_upgrade_the_older_one_serves_beside_the_newer_schema(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A newer authd has migrated: first by a step that the older one can live with, then by one that it cannot."""
    ours = migrations.known()
    added = Migration(9001, "add_nickname", "ALTER TABLE account ADD nickname text NOT NULL DEFAULT ''", __version__)
    refusing = Migration(9002, "rename_nickname", "ALTER TABLE account RENAME nickname TO nick", "999.0.0")
    credentials = {"client_id": "app", "client_secret": SECRET, "grant_type": "client_credentials"}
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True)

    async def works(daemon: Daemon) -> None:
        answer = await client.fetch(f"{daemon.base_url}/o2/token/", method="POST", body=urlencode(credentials))
        assert answer.code == 200

    for name in ("running", "started", "refused"):
        (tmp_path / name).mkdir()
    async with open_database(database_url) as db:
        await add_client(db, "app")
        with running_daemon(tmp_path / "running", database_url) as running:
            monkeypatch.setattr(migrations, "known", lambda: (*ours, added))
            assert await migrations.migrate(db) == (added,)
            with running_daemon(tmp_path / "started", database_url) as started:
                for daemon in (running, started):
                    await works(daemon)
            monkeypatch.setattr(migrations, "known", lambda: (*ours, added, refusing))
            assert await migrations.migrate(db) == (refusing,)
            with running_daemon(tmp_path / "refused", database_url, ready=False) as refused:
                assert await asyncio.to_thread(refused.process.wait, 10) == 1
                assert "the database needs authd 999.0.0 or newer" in refused.log
            await works(running)
    client.close()


async def test_a_newer_one_waits_for_its_migrations_while_the_older_one_serves(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `serve` of a newer authd says to a database that only the older one has migrated."""
    added = Migration(9001, "add_nickname", "ALTER TABLE account ADD nickname text", __version__)
    newer = (*migrations.known(), added)
    monkeypatch.setattr(migrations, "known", lambda: newer)
    settings = replace(Settings(), database=DatabaseSettings(url=database_url))
    with running_daemon(tmp_path, database_url) as older:
        daemon = app.Daemon(settings, Credentials(database_url), lambda: settings)
        try:
            with pytest.raises(Conflict, match="lacks 1 migrations; run: authd migrate"):
                await daemon.start()
        finally:
            await daemon.stop()
        await asyncio.to_thread(wait_until_ready, older)


async def test_each_of_two_on_one_port_has_metrics_of_its_own(tmp_path: Path, database_url: str) -> None:
    _, first, second = free_ports(3)  # the first one is what they share
    client: AsyncHTTPClient = SimpleAsyncHTTPClient(force_instance=True)
    with two_on_one_port(tmp_path, database_url, f"metrics_listen = \"127.0.0.1:{first}\"\n",
                         f"metrics_listen = \"127.0.0.1:{second}\"\n") as (one, _):
        for _ in range(CONNECTIONS):
            await client.fetch(f"{one.base_url}/health/")
        counts = []
        for port in (first, second):
            metrics = (await client.fetch(f"http://127.0.0.1:{port}/metrics")).body.decode()
            found = re.search(r'request_seconds_count\{handler="health.Health",status="2xx"\} (\S+)', metrics)
            counts.append(float(found[1]) if found else 0.0)
    assert sum(counts) == CONNECTIONS
    assert min(counts) > 0
    client.close()
