"""Postfix before, between and behind the forwarder and the signer, as in the manual: real queues, bounces and second tries."""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from authd.config import load
from authd.config.values import Downstream, Endpoint, Mapping
from authd.embedded import EmbeddedPostgres
from tests.daemon import free_ports
from tests.fixtures.dkim import verified
from tests.peers.mail_role import MailRole, mail_role
from tests.peers.postfix import Postfix, Tap, postfix, tapped
from tests.smtp.forwarding import JOE, populate, running_forwarder, text
from tests.smtp.support import (
    Delivered,
    Sink,
    connected,
    ed25519_key,
    example_keys,
    rsa_key,
    running_signer,
    running_sink,
    until,
)
from tests.support import ROOT, open_database

pytestmark = pytest.mark.peer("Postfix")

MANUAL = (ROOT / "docs" / "how-to" / "postfix.md").read_text(encoding="utf-8")
BOTH = rsa_key(), ed25519_key()
BODY = "From: Ann <ann@example.com>\r\nSubject: gr\u00fc\u00dfe\r\n\r\nHello all \u2013 gr\u00fc\u00dfe.\r\n".encode()
END = BODY.partition(b"\r\n\r\n")[2]
TAKEN = ("alice@example.com", "A.Smith@example.com", "team@example.com", "x@gone.example")
REFUSED = ("nobody@example.com", "blocked@example.com", "asleep@example.com", "x@elsewhere.example")
WAYS = pytest.mark.parametrize("way", ["lmtp", "smtp"])


@pytest.fixture(scope="module")
def role(postgres: EmbeddedPostgres, module_database_url: str) -> Iterator[MailRole]:
    with mail_role(postgres, module_database_url, populate) as made:
        yield made


def block(word: str) -> str:
    """The manual's example that holds the word."""
    found = re.findall(r"^```\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)
    return str(next(text for text in found if word in text))


def tables() -> dict[str, str]:
    """The manual's two tables of PostgreSQL."""
    return {"authd-domains.cf": block("authserver_check_domain"), "authd-recipients.cf": block("authserver_resolve_alias")}


def main_cf(forwarder: int, way: str, relay: int) -> str:
    """The manual's main.cf with our ports and files, and where mail for others goes."""
    transport = {"lmtp": f"lmtp:inet:127.0.0.1:{forwarder}", "smtp": f"smtp:[127.0.0.1]:{forwarder}"}[way]
    settings = block("virtual_transport").replace("lmtp:inet:127.0.0.1:10046", transport).replace("/etc/postfix", "{folder}")
    return f"{settings}relayhost = [127.0.0.1]:{relay}\nsmtpd_relay_restrictions = reject_unauth_destination\n"


def everybody(delivered: list[Delivered]) -> list[str]:
    """The recipients of all copies, sorted."""
    return sorted(text(recipient) for one in delivered for recipient in one.recipients)


def offer(server: Postfix, taken: Sequence[str], refused: Sequence[str] = (), content: bytes = BODY, sender: str = JOE,
          rcpt_options: Sequence[str] = (), port: int = 0) -> None:
    """A transaction; Postfix itself refuses some recipients."""
    with smtplib.SMTP("127.0.0.1", port or server.port, "client.example", timeout=20) as client:
        client.ehlo()
        assert client.mail(sender, ["BODY=8BITMIME"])[0] == 250
        for name in (*taken, *refused):
            code, said = client.rcpt(name, rcpt_options)
            assert (code // 100 == 2) == (name in taken), (name, said)
        assert client.data(content)[0] == 250


@asynccontextmanager
async def before_the_forwarder(url: str, role: MailRole, way: str, local: Sink, remote: Sink,
                               extra: str = "", port: int = 0) -> AsyncIterator[tuple[Postfix, Tap]]:
    """Postfix, and what it writes to the forwarder. The sinks need not run yet where they have a port."""
    async with (open_database(url) as db,
                running_forwarder(db, Downstream("127.0.0.1", local.port, lmtp=local.lmtp),
                                  Downstream("127.0.0.1", remote.port)) as forwarder,
                tapped(forwarder.address[1]) as tap):
        main = main_cf(tap.port, way, remote.port) + extra
        with postfix(port or free_ports(1)[0], main, role=role, tables=tables()) as server:
            yield server, tap
            print(next(line for line in server.log.splitlines() if "status=" in line))
        async with asyncio.timeout(10):
            while await db.fetch_all("SELECT 1 FROM delivered_copy"):
                await asyncio.sleep(0.02)


@WAYS
async def test_recipients_by_tables_pipelined_in_eight_bits(module_database_url: str, role: MailRole, way: str) -> None:
    local, remote = Sink(lmtp=True), Sink()
    async with (running_sink(local), running_sink(remote),
                before_the_forwarder(module_database_url, role, way, local, remote) as (server, tap)):
        await asyncio.to_thread(offer, server, TAKEN, REFUSED)
        await server.logs("status=sent", times=len(TAKEN))
    assert everybody(local.delivered) == ["A.Smith@example.com", "alice@example.com"]
    assert everybody(remote.delivered) == ["keeper@far.example", "kim@far.example"]
    assert all(one.content.endswith(END) for one in local.delivered + remote.delivered)
    [piece] = [piece for piece in tap.pieces if b"MAIL FROM" in piece]
    assert piece.count(b"\r\n") == 2 + len(TAKEN) and b"BODY=8BITMIME" in piece
    assert all(b"BODY=8BITMIME" in command for command in local.commands + remote.commands if command.startswith(b"MAIL"))


@WAYS
async def test_wishes_for_reports_reach_the_mailbox_but_no_list(module_database_url: str, role: MailRole, way: str) -> None:
    local, remote = Sink(), Sink()
    async with (running_sink(local), running_sink(remote),
                before_the_forwarder(module_database_url, role, way, local, remote) as (server, _)):
        await asyncio.to_thread(offer, server, ["team@example.com"])  # the forwarder has seen what both of them offer
        await server.logs("status=sent")
        options = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;whoever@example.com"]
        await asyncio.to_thread(offer, server, ["bob@example.com", "team@example.com"], rcpt_options=options)
        await server.logs("status=sent", times=3)
    asked = [command for command in local.commands if command.startswith(b"RCPT TO:<bob@")]
    assert asked == [b"RCPT TO:<bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;whoever@example.com"]
    others = [command for command in local.commands + remote.commands if command.startswith(b"RCPT") and b"bob@" not in command]
    assert len(others) == 4 and not any(b"NOTIFY" in command or b"ORCPT" in command for command in others)


@WAYS
async def test_what_the_forwarder_refuses_bounces(module_database_url: str, role: MailRole, way: str) -> None:
    local, remote = Sink(), Sink()
    async with (running_sink(local), running_sink(remote),
                before_the_forwarder(module_database_url, role, way, local, remote, "virtual_mailbox_maps = static:all\n")
                as (server, _)):
        await asyncio.to_thread(offer, server, ["alice@example.com", "nobody@example.com", "blocked@example.com"])
        await until(lambda: bool(remote.delivered), 30)
        await server.is_empty()
    assert everybody(local.delivered) == ["alice@example.com"]
    [bounce] = remote.delivered
    assert (text(bounce.mail), everybody([bounce])) == ("", [JOE])
    assert all(said in bounce.content for said in (b"nobody@example.com", b"5.1.1", b"blocked@example.com", b"5.7.1"))
    assert b"Final-Recipient: rfc822; alice@" not in bounce.content


@WAYS
async def test_while_local_delivery_is_away_the_message_waits(module_database_url: str, role: MailRole, way: str) -> None:
    away, port = free_ports(2)
    local, remote = Sink(port=away), Sink()
    async with (running_sink(remote),
                before_the_forwarder(module_database_url, role, way, local, remote, port=port) as (server, _)):
        await asyncio.to_thread(offer, server, ["alice@example.com", "far@example.com"])
        await server.logs("alice@example.com", "status=deferred")
        await server.logs("far@example.com", "status=sent")
        assert await asyncio.to_thread(server.queue) == 1
        async with running_sink(local):
            await asyncio.to_thread(server.flush)
            await server.is_empty()
    assert everybody(local.delivered) == ["alice@example.com"]
    assert everybody(remote.delivered) == ["kim@far.example", "lee@far.example", "mia@far.example"]


@WAYS
async def test_a_second_try_brings_what_the_first_did_not(module_database_url: str, role: MailRole, way: str) -> None:
    local, remote = Sink(faults={"end": ["451 4.3.0 not now"]}), Sink()
    async with (running_sink(local), running_sink(remote),
                before_the_forwarder(module_database_url, role, way, local, remote) as (server, _)):
        await asyncio.to_thread(offer, server, ["far@example.com", "team@example.com", "bob@example.com"])
        await server.logs("status=deferred")
        await asyncio.to_thread(server.flush)
        await server.is_empty()
    assert everybody(local.delivered) == ["alice@example.com", "bob@example.com"]
    assert everybody(remote.delivered) == ["kim@far.example", "lee@far.example", "mia@far.example"]


async def test_who_alone_is_refused_for_good_bounces_alone(module_database_url: str, role: MailRole) -> None:
    """SMTP has one answer for both: 451 at first, then a 452 at RCPT, at which Postfix brings them apart (decision 0009)."""
    local, remote = Sink(faults={"end": ["554 5.6.0 not this one"] * 9}), Sink()
    async with (running_sink(local), running_sink(remote),
                before_the_forwarder(module_database_url, role, "smtp", local, remote) as (server, _)):
        await asyncio.to_thread(offer, server, ["far@example.com", "alice@example.com"])
        await server.logs("status=deferred", "451 4.4.0", times=2)
        async with asyncio.timeout(30):
            while await asyncio.to_thread(server.queue):
                await asyncio.to_thread(server.flush)
                await asyncio.sleep(0.2)
        await server.logs("status=deferred", "452 4.5.3")
        await server.logs("to=<alice@example.com>", "status=bounced", "554 5.6.0")
        await server.logs("to=<far@example.com>", "status=sent")
    bounces = [one for one in remote.delivered if not text(one.mail)]
    assert [everybody([one]) for one in bounces] == [[JOE]]
    assert b"rfc822; alice@example.com" in bounces[0].content and b"far@example.com" not in bounces[0].content
    assert everybody([one for one in remote.delivered if one not in bounces]) == [
        "kim@far.example", "lee@far.example", "mia@far.example"]


@pytest.mark.parametrize("greet", ["EHLO client.example.com", "LHLO client.example.com"])
async def test_behind_the_forwarder(module_database_url: str, role: MailRole, greet: str) -> None:
    """What Postfix says about a recipient or a message is what the client hears."""
    local = Sink()
    [port] = free_ports(1)
    async with running_sink(local), tapped(port) as tap, open_database(module_database_url) as db:
        main = (f"virtual_mailbox_domains = example.com\nvirtual_mailbox_maps = inline:{{ {{ alice@example.com = x }} }}\n"
                f"virtual_transport = smtp:[127.0.0.1]:{local.port}\nmessage_size_limit = 200000\n")
        with postfix(port, main) as server:
            behind = Downstream("127.0.0.1", tap.port)
            async with running_forwarder(db, behind, behind) as forwarder, connected(forwarder.address, greet=greet) as client:
                assert (await client.command(f"MAIL FROM:<{JOE}> BODY=8BITMIME")).startswith("250")
                assert (await client.command("RCPT TO:<alice@example.com>")).startswith("250")
                refused = await client.command("RCPT TO:<bob@example.com>")
                assert refused.startswith("550 5.1.1") and "User unknown" in refused
                assert (await client.command("DATA")).startswith("354")
                await client.write(BODY + b".\r\n")
                assert (await client.reply()).startswith("250")
                reply = await client.send(BODY + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 3000, JOE, ["alice@example.com"])
                assert reply.startswith("552 5.3.4")
                await until(lambda: bool(local.delivered), 30)
            print(next(line for line in server.log.splitlines() if "status=" in line))
    assert everybody(local.delivered) == ["alice@example.com"]
    assert local.delivered[0].content.endswith(END)
    assert any(b"MAIL FROM" in piece and b"BODY=8BITMIME" in piece for piece in tap.pieces)


async def test_the_whole_way_of_the_manual(module_database_url: str, role: MailRole, tmp_path: Path) -> None:
    """What a user submits is signed, goes to a list, and arrives in a mailbox and elsewhere with the signatures whole."""
    (tmp_path / "authd.conf").write_text(block("[signer]"))
    (tmp_path / "srs-secrets").write_text("a secret of enough octets for anybody")
    settings = load(tmp_path / "authd.conf", {})
    assert settings.signer.mappings == (Mapping(Endpoint("127.0.0.1", 10036), Endpoint("127.0.0.1", 10035)),)
    assert settings.forwarder.remote_relay == Downstream("127.0.0.1", 10035)
    local, world = Sink(lmtp=True), Sink()
    incoming, submission, outgoing = free_ports(3)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_sink(local))
        await stack.enter_async_context(running_sink(world))
        db = await stack.enter_async_context(open_database(module_database_url))
        signer = await stack.enter_async_context(running_signer(Sink(port=outgoing), example_keys(*BOTH)))
        forwarder = await stack.enter_async_context(running_forwarder(
            db, Downstream("127.0.0.1", local.port, lmtp=True), Downstream("127.0.0.1", outgoing)))
        master = block("submission inet") + "  -o smtpd_relay_restrictions=permit_mynetworks,reject\n"  # instead of a login
        for theirs, ours in (("submission inet", f"127.0.0.1:{submission} inet"), ("127.0.0.1:10035", f"127.0.0.1:{outgoing}"),
                             ("[127.0.0.1]:10036", f"[127.0.0.1]:{signer.address[1]}")):
            master = master.replace(theirs, ours)
        main = main_cf(forwarder.address[1], "lmtp", world.port)
        server = stack.enter_context(postfix(incoming, main, master, role=role, tables=tables()))
        written_to = ["team@example.com", "pat@far.example"]
        await asyncio.to_thread(offer, server, written_to, sender="ann@example.com", port=submission)
        await asyncio.to_thread(offer, server, ["x@gone.example"])
        await until(lambda: len(world.delivered) >= 3, 30)
        await server.is_empty()
        print(next(line for line in server.log.splitlines() if "status=" in line))
        counts = signer.counts
    assert everybody(local.delivered) == ["alice@example.com"]
    assert everybody(world.delivered) == ["keeper@far.example", "kim@far.example", "pat@far.example"]
    assert counts.signed == 1
    for one in local.delivered + world.delivered:
        signatures = one.content.count(b"DKIM-Signature:")
        assert signatures == (0 if everybody([one]) == ["keeper@far.example"] else 2)
        assert not signatures or verified(one.content, *BOTH) == [True, True]


async def test_what_could_not_be_signed_yet_waits(module_database_url: str) -> None:
    """Behind the signer is nobody, then Postfix gets its answer and signs once for several recipients."""
    away, port = free_ports(2)
    behind = Sink(port=away)
    async with running_signer(behind, example_keys(*BOTH)) as signer:
        main = f"content_filter = smtp:[127.0.0.1]:{signer.address[1]}\nsmtpd_relay_restrictions = permit_mynetworks,reject\n"
        with postfix(port, main) as server:
            await asyncio.to_thread(offer, server, ["bob@example.net", "ben@example.net"], sender="ann@example.com")
            await server.logs("status=deferred")
            async with running_sink(behind):
                await asyncio.to_thread(server.flush)
                await server.is_empty()
            print(next(line for line in server.log.splitlines() if "status=sent" in line))
    [signed] = behind.delivered
    assert everybody([signed]) == ["ben@example.net", "bob@example.net"]
    assert verified(signed.content, *BOTH) == [True, True]


async def test_the_signer_before_the_queue(module_database_url: str) -> None:
    """With smtpd_proxy_filter a user reads what is said behind the signer, and a refused recipient is not lost."""
    behind = Sink(faults={"RCPT": [None, "550 5.1.1 nobody of that name"]})
    [port] = free_ports(1)
    async with running_sink(behind), running_signer(behind, example_keys(*BOTH)) as signer:
        main = (f"smtpd_proxy_filter = 127.0.0.1:{signer.address[1]}\nsmtpd_relay_restrictions = permit_mynetworks,reject\n"
                "smtpd_discard_ehlo_keywords = dsn\n")
        with postfix(port, main) as server:
            await asyncio.to_thread(offer, server, ["bob@example.net"], ["bib@example.net"], sender="ann@example.com")
            print(next(line for line in server.log.splitlines() if "proxy-accept" in line))
    [signed] = behind.delivered
    assert everybody([signed]) == ["bob@example.net"]
    assert verified(signed.content, *BOTH) == [True, True]
