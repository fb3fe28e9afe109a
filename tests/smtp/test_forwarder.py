"""The forwarder on a real database: who gets what, from whom, and what the client hears."""

import pytest

from authd.config.settings import SmtpSettings
from authd.config.values import Downstream, networks
from authd.smtp.grammar import Path
from tests.smtp.forwarding import JOE, SRS, forwarding, header_of, send, senders, text
from tests.smtp.support import MESSAGE, NOW, Sink, connected, running_sink

REWRITTEN = str(SRS.forward(Path("joe", "elsewhere.example"), "example.com", NOW).sender)


async def test_mail_for_an_account_goes_to_local_delivery_as_it_is(database_url: str) -> None:
    async with forwarding(database_url) as site:
        assert await send(site, "A.Smith+x@example.com", content=MESSAGE) == "250 2.0.0 delivered"
        assert site.arrived() == [("local", JOE, "A.Smith+x@example.com")]
        (one,) = site.local.delivered
        assert one.content.endswith(MESSAGE)
        added = one.content.removesuffix(MESSAGE)
        assert added.startswith(b"Received: from client.example.com ([127.0.0.1])\r\n\tby mx.example.com with ESMTP id ")
        assert added.count(b"\r\n") == 3
        assert await site.rows() == []


async def test_a_list_goes_to_its_members(database_url: str) -> None:
    async with forwarding(database_url) as site:
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert site.arrived() == [("local", REWRITTEN, "alice@example.com"), ("remote", REWRITTEN, "kim@far.example")]
        for sink in (site.local, site.remote):
            (one,) = sink.delivered
            assert one.content.endswith(MESSAGE)
            lines = header_of(one)
            assert lines[0] == b"Delivered-To: team@example.com"
            assert lines[1].startswith(b"Authd-Forwarded: ")
            assert lines[2].startswith(b"Received: ")
        assert await site.rows() == []


async def test_lists_in_lists_redirects_and_duplicates(database_url: str) -> None:
    async with forwarding(database_url) as site:
        recipients = ["all@example.com", "alice@old.example", "bob@example.com", "x@gone.example", "far@example.com"]
        assert await send(site, *recipients, content=MESSAGE) == "250 2.0.0 Ok"
        assert site.recipients() == ["alice@example.com", "bob@example.com", "keeper@far.example", "kim@far.example",
                                     "lee@far.example", "mia@far.example"]
        by_recipient = {recipient: (sender, one) for _, sender, recipient in site.arrived()
                        for sink in (site.local, site.remote) for one in sink.delivered
                        if recipient in map(text, one.recipients)}
        assert by_recipient["bob@example.com"][0] == "bounces@example.com"
        kim = header_of(by_recipient["kim@far.example"][1])
        assert kim[:2] == [b"Delivered-To: far@example.com", b"Delivered-To: all@example.com"]
        assert b"List-Id: <all.example.com>" in header_of(by_recipient["bob@example.com"][1])
        assert b"List-Id: <all.example.com>" in kim
        keeper = by_recipient["keeper@far.example"][0]
        assert SRS.reverse(Path(keeper.partition("@")[0], "gone.example"), NOW) == Path("joe", "elsewhere.example")


@pytest.mark.parametrize(("recipient", "code"), [
    ("nobody@example.com", "550 5.1.1"), ("asleep@example.com", "550 5.1.1"), ("blocked@example.com", "550 5.7.1"),
    ("dead@example.com", "550 5.1.1"), ("SRS0=aaaa=AA=x.example=y@example.com", "550 5.7.1")])
async def test_who_is_refused_at_rcpt(database_url: str, recipient: str, code: str) -> None:
    async with forwarding(database_url) as site:
        assert (await send(site, recipient, content=MESSAGE)).startswith(code)
        assert await send(site, "alice@example.com", content=MESSAGE) == "250 2.0.0 delivered"
        assert site.arrived() == [("local", JOE, "alice@example.com")]
        assert site.local.connections + site.remote.connections == 1


async def test_other_ways_to_treat_unknown_and_blocked_ones(database_url: str) -> None:
    async with forwarding(database_url, unknown_local="pass", blocked="discard", rewrite_to_primary=True) as site:
        for recipient in ("nobody@example.com", "blocked@example.com", "a.smith@example.com"):
            assert (await send(site, recipient, content=MESSAGE)).startswith("250")
        assert site.recipients() == ["alice@example.com", "nobody@example.com"]


async def test_mail_that_is_not_for_us(database_url: str) -> None:
    async with running_sink(Sink()) as bulk, forwarding(
            database_url, transactional_relay=Downstream("127.0.0.1", bulk.port)) as site:
        for sender in ("alice@example.com", "robot@bulk.example", JOE, ""):
            assert await send(site, "kim@far.example", content=MESSAGE, sender=sender) == "250 2.0.0 delivered"
        assert site.arrived() == [("remote", "", "kim@far.example"), ("remote", "alice@example.com", "kim@far.example"),
                                  ("remote", JOE, "kim@far.example")]
        assert [text(one.mail) for one in bulk.delivered] == ["robot@bulk.example"]
    async with forwarding(database_url, relay_foreign=False) as site:
        assert (await send(site, "kim@far.example", content=MESSAGE)).startswith("550 5.7.1")
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"


async def test_bounces_come_back(database_url: str) -> None:
    async with forwarding(database_url) as site:
        assert await send(site, REWRITTEN, content=MESSAGE, sender="") == "250 2.0.0 delivered"
        assert site.arrived() == [("remote", "", JOE)]
        assert header_of(site.remote.delivered[0])[0] == b"Delivered-To: " + REWRITTEN.encode()


async def test_a_sender_too_long_for_srs_comes_back_too(database_url: str) -> None:
    sender = "bounces+" + "x" * 60 + "@elsewhere.example"
    async with forwarding(database_url) as site:
        assert await send(site, "team@example.com", content=MESSAGE, sender=sender) == "250 2.0.0 Ok"
        (rewritten,) = senders(site)
        assert len(rewritten.partition("@")[0]) <= 64
        assert await send(site, rewritten, content=MESSAGE, sender="") == "250 2.0.0 delivered"
        assert ("remote", "", sender) in site.arrived()


async def test_a_null_sender_stays_null(database_url: str) -> None:
    async with forwarding(database_url) as site:
        assert await send(site, "all@example.com", content=MESSAGE, sender="") == "250 2.0.0 Ok"
        assert senders(site) == [""]


async def test_postmaster(database_url: str) -> None:
    async with forwarding(database_url) as site:
        for recipient in ("postmaster", "Postmaster@example.com"):
            assert await send(site, recipient, content=MESSAGE) == "250 2.0.0 delivered"
        assert site.arrived() == [("local", JOE, "root@example.com")] * 2
    async with forwarding(database_url, postmaster="ops@far.example") as site:
        assert await send(site, "postmaster", content=MESSAGE) == "250 2.0.0 delivered"
        assert site.arrived() == [("remote", REWRITTEN, "ops@far.example")]


async def test_a_loop_ends(database_url: str) -> None:
    again = b"Received: from a by b; today\r\nDelivered-To: <Team@example.com>\r\n" + MESSAGE
    async with forwarding(database_url) as site:
        assert (await send(site, "team@example.com", content=again)).startswith("554 5.4.6")
        assert (await send(site, "team@example.com", "bob@example.com", content=again)).startswith("250")
        assert site.recipients() == ["bob@example.com"]
        handed = b"Return-Path: <x@y>\r\nDelivered-To: team@example.com\r\nReceived: from a by b; today\r\n" + MESSAGE
        assert (await send(site, "team@example.com", content=handed)).startswith("250")
        received = b"Received: from a by b; today\r\n" * 101 + MESSAGE
        assert (await send(site, "bob@example.com", content=received)).startswith("554 5.4.6")


async def test_an_own_mailbox_shows_no_delivered_to(database_url: str) -> None:
    async with forwarding(database_url) as site:
        assert (await send(site, "alice@example.com", "bob@example.com", content=MESSAGE)).startswith("250")
        (one,) = site.local.delivered
        assert [text(recipient) for recipient in one.recipients] == ["alice@example.com", "bob@example.com"]
        assert b"Delivered-To" not in one.content and b"Authd-Forwarded" not in one.content


async def test_dsn_is_passed_on_but_not_to_members(database_url: str) -> None:
    async with forwarding(database_url) as site:
        await send(site, "team@example.com", "kim@far.example", content=MESSAGE)  # both downstreams are known now
        assert "DSN" in await site.client.command("EHLO client.example.com")
        for command in ("MAIL FROM:<joe@elsewhere.example> RET=HDRS ENVID=e1",
                        "RCPT TO:<bob@example.com> NOTIFY=FAILURE ORCPT=rfc822;b@x",
                        "RCPT TO:<far@example.com> NOTIFY=FAILURE ORCPT=rfc822;f@x",
                        "RCPT TO:<x@gone.example> NOTIFY=NEVER"):
            assert (await site.client.command(command)).startswith("250")
        assert b"RCPT TO:<bob@example.com> NOTIFY=FAILURE ORCPT=rfc822;b@x" in site.local.commands
        assert b"RCPT TO:<keeper@far.example> NOTIFY=NEVER" in site.remote.commands
        assert b"RCPT TO:<lee@far.example>" in site.remote.commands
        mails = [command for command in site.local.commands + site.remote.commands if b"RET=HDRS ENVID=e1" in command]
        assert len(mails) == 2


@pytest.mark.parametrize(("allowed", "answer"), [(["127.0.0.0/8"], "250"), (["10.0.0.0/8"], "250")])
async def test_loopback_may_always_send(database_url: str, allowed: list[str], answer: str) -> None:
    settings = SmtpSettings(hostname="mx.example.com", allow_clients=networks(allowed))
    async with forwarding(database_url, settings=settings) as site:
        assert (await send(site, "alice@example.com", content=MESSAGE)).startswith(answer)


async def test_more_members_than_one_transaction_takes(database_url: str) -> None:
    async with forwarding(database_url) as site:
        await site.db.execute("INSERT INTO mailing_list_member SELECT id, 'm' || n || '@far.example' FROM mailing_list, "
                              "generate_series(1, 250) n WHERE name = 'far@example.com'")
        assert await send(site, "far@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert len(site.recipients()) == 253
        assert sorted(len(one.recipients) for one in site.remote.delivered) == [53, 100, 100]


async def test_a_large_message_is_forwarded_whole(database_url: str) -> None:
    content = MESSAGE + b"".join(b"%070d\r\n" % number for number in range(20000))
    async with forwarding(database_url) as site:
        assert await send(site, "team@example.com", content=content) == "250 2.0.0 Ok"
        assert all(one.content.endswith(content) for sink in (site.local, site.remote) for one in sink.delivered)


@pytest.mark.parametrize(("step", "reply"), [
    ("RCPT", "550 5.2.1 mailbox closed"), ("RCPT", "450 4.2.2 full"), ("MAIL", "550 5.7.1 not you")])
async def test_the_downstreams_are_asked_while_the_client_waits(database_url: str, step: str, reply: str) -> None:
    async with forwarding(database_url, local=Sink(faults={step: [reply]})) as site:
        assert await send(site, "alice@example.com", content=MESSAGE) == reply
        assert site.arrived() == []
        assert await send(site, "alice@example.com", content=MESSAGE) == "250 2.0.0 delivered"


async def test_one_recipient_of_several_is_refused(database_url: str) -> None:
    local = Sink(faults={"RCPT": [None, "550 5.2.1 mailbox closed"]})
    async with forwarding(database_url, local=local) as site:
        client = site.client
        assert await client.command(f"MAIL FROM:<{JOE}>") == "250 2.1.0 Ok"
        assert await client.command("RCPT TO:<alice@example.com>") == "250 2.1.5 recipient taken"
        assert await client.command("RCPT TO:<bob@example.com>") == "550 5.2.1 mailbox closed"
        assert (await client.command("DATA")).startswith("354")
        await client.write(MESSAGE + b".\r\n")
        assert await client.reply() == "250 2.0.0 delivered"
        assert site.recipients() == ["alice@example.com"]


async def test_lmtp_in_and_out(database_url: str) -> None:
    async with forwarding(database_url, local=Sink(lmtp=True)) as site:
        replies = await site.lmtp(MESSAGE, "alice@example.com", "nobody@example.com", "bob@example.com", "far@example.com")
        assert replies[0].startswith("550 5.1.1")
        assert replies[1:] == ["250 2.0.0 delivered", "250 2.0.0 delivered", "250 2.0.0 Ok"]
        assert site.recipients() == ["alice@example.com", "bob@example.com", "kim@far.example", "lee@far.example",
                                     "mia@far.example"]
        assert b"LHLO mx.example.com" in site.local.commands
        assert b"with LMTP id" in site.local.delivered[0].content


async def test_eight_bits_can_be_refused(database_url: str) -> None:
    settings = SmtpSettings(hostname="mx.example.com", strict_8bit=True)
    async with forwarding(database_url, remote=Sink(extensions=()), settings=settings) as site:
        content = MESSAGE + "grüße\r\n".encode()
        assert (await send(site, "team@example.com", content=content)).startswith("554 5.6.3")
        assert (await send(site, "alice@example.com", content=content)).startswith("250")


async def test_reset_and_a_new_greeting_give_up(database_url: str) -> None:
    async with forwarding(database_url) as site:
        for command in ("RSET", "EHLO again.example.com"):
            await site.client.command(f"MAIL FROM:<{JOE}>")
            await site.client.command("RCPT TO:<team@example.com>")
            assert (await site.client.command(command)).startswith("250")
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert len(site.arrived()) == 2


async def test_two_clients_do_not_meet(database_url: str) -> None:
    async with forwarding(database_url) as site, connected(site.forwarder.address) as other:
        await site.client.command(f"MAIL FROM:<{JOE}>")
        await other.command("MAIL FROM:<ann@x.example>")
        await site.client.command("RCPT TO:<alice@example.com>")
        await other.command("RCPT TO:<bob@example.com>")
        for client in (other, site.client):
            await client.command("DATA")
            await client.write(MESSAGE + b".\r\n")
            assert (await client.reply()).startswith("250")
        assert site.arrived() == [("local", "ann@x.example", "bob@example.com"), ("local", JOE, "alice@example.com")]


