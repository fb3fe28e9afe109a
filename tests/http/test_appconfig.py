"""A daemon started on the folders of the three earlier ones: `authd serve --appconfig FOLDER` and nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dkim
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tests.daemon import Daemon, free_ports, served
from tests.smtp.forwarding import JOE, populate
from tests.smtp.support import Sink, connected, running_sink
from tests.sql.authctl import Authctl
from tests.support import ROOT, open_database

DOMAIN = "example.com"
SECRET = "hunter2-hunter2"


def write(folder: Path, **variables: str) -> None:
    folder.mkdir(parents=True)
    for name, value in variables.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")


@contextmanager
def started(folder: Path, port: int, *options: str) -> Iterator[Daemon]:
    """authd in an empty folder, with no variable of ours in the environment."""
    empty = folder / "empty"
    empty.mkdir()
    with served(["--appconfig", str(folder / "appconfig"), *options], port, folder / "none", empty,
                environ={"PYTHONPATH": str(ROOT)}) as daemon:
        yield daemon


async def test_it_answers_signs_and_forwards_as_the_folders_say(tmp_path: Path, database_url: str) -> None:
    async with open_database(database_url) as db:
        await populate(db)
    authctl = Authctl(database_url, tmp_path)
    await asyncio.to_thread(authctl.said, "domain", "edit", DOMAIN, "--create-key", "jwt", "--create-key", "dkim",
                            "--dkim-selector", "s1")
    web, signer, forwarder, metrics = free_ports(4)
    async with running_sink(Sink()) as sink:
        etc = tmp_path / "appconfig"
        write(etc / "authserver" / "env", DATABASE_URL=database_url, BINDIP="127.0.0.1", BINDPORT=str(web), SECRET_KEY=SECRET,
              AUTHSERVER_ENTITY_NAME="Example Ltd")
        write(etc / "dkimsigner", DATABASE_URL=f"postgresql://u:{SECRET}@127.0.0.1:1/nowhere",
              DKIMSIGNER_NETWORK_MAPPING=f"127.0.0.1:{signer}:127.0.0.1:{sink.port}")
        write(etc / "mailforwarder", DATABASE_URL=database_url, MAILFORWARDER_INPUT_IP="127.0.0.1",
              MAILFORWARDER_INPUT_PORT=str(forwarder), MAILFORWARDER_LOCALDELIVERY_IP="127.0.0.1",
              MAILFORWARDER_LOCALDELIVERY_PORT=str(sink.port), MAILFORWARDER_REMOTERELAY_IP="127.0.0.1",
              MAILFORWARDER_REMOTERELAY_PORT=str(signer), MAILFORWARDER_SRS_SECRET="for senders")
        options = ("--set", f"http.metrics_listen=127.0.0.1:{metrics}", "--set", "http.trusted_proxies=127.0.0.1")
        with started(tmp_path, web, *options) as daemon:
            client = SimpleAsyncHTTPClient(force_instance=True)
            key = await client.fetch(f"{daemon.base_url}/getkey/?domain={DOMAIN}", headers={"X-Forwarded-Proto": "https"})
            assert b"BEGIN PUBLIC KEY" in key.body
            page = await client.fetch(f"{daemon.base_url}/action/login/")
            assert b"Example Ltd" in page.body

            async with connected(("127.0.0.1", signer)) as source:
                assert (await source.send(b"From: ann@example.com\r\nSubject: x\r\n\r\nHi.\r\n")).startswith("250")
            async with connected(("127.0.0.1", forwarder)) as source:
                content = b"From: joe@elsewhere.example\r\nMessage-Id: <1@x>\r\nSubject: y\r\n\r\nHi.\r\n"
                assert (await source.send(content, JOE, ["team@example.com"])).startswith("250")

            numbers = (await client.fetch(f"http://127.0.0.1:{metrics}/metrics")).body.decode()
            for sample in (f'authd_signer_signed_total{{listener="127.0.0.1:{signer}"}} 1.0',
                           'authd_forwarder_messages_total{outcome="accepted"} 1.0'):
                assert sample in numbers
            for path, headers in (("/action/login/", {}), ("/health/", {}), ("/metrics", {"X-Forwarded-For": "127.0.0.1"})):
                refused = await client.fetch(f"http://127.0.0.1:{metrics}{path}", headers=headers, raise_error=False)
                assert refused.code == (403 if headers else 404)
            client.close()
            assert await asyncio.to_thread(daemon.stop) == 0
    dkimsigner, authserver = etc / "dkimsigner", etc / "authserver"
    assert f"{dkimsigner}: DATABASE_URL differs from {authserver}, whose value is used" in daemon.log
    assert "SECRET_KEY has no effect" in daemon.log
    assert SECRET not in daemon.log
    assert "Traceback" not in daemon.log
    signed, *forwarded = sink.delivered
    record = await asyncio.to_thread(authctl.said, "domain", "pubkey", DOMAIN, "--key", "dkim", "--format", "dkimdns")
    name = f"s1._domainkey.{DOMAIN}."
    assert dkim.verify(signed.content, dnsfunc=lambda asked, timeout=5: _value(record) if asked.decode() == name else None)
    assert sorted(recipient.partition(b" ")[0] for one in forwarded for recipient in one.recipients) == [
        b"<alice@example.com>", b"<kim@far.example>"]


def _value(record: str) -> bytes:
    """The text of a TXT record as a zone file has it."""
    return b"".join(part.encode() for part in record.split('"')[1::2])
