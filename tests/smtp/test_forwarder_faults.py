"""What the forwarder's client reads, and what arrives, when something fails (smtp.md sections 3 and 7).

Everywhere the client tries again, with what it was not answered 250 for, and then everybody has each message once.
"""

import asyncio
import dataclasses
from collections.abc import Collection
from typing import Any

import pytest

from authd.errors import DatabaseUnavailable
from authd.smtp import handover
from authd.smtp.deliveries import Row
from authd.smtp.fanout import at_once
from authd.smtp.grammar import Path
from authd.smtp.mail_store import MailStore
from authd.smtp.routing import Route
from tests.smtp.forwarding import JOE, SETTINGS, Site, forwarding, send
from tests.smtp.support import CLOSE, HOLD, MESSAGE, SILENT, Sink, connected, until

IMPATIENT = dataclasses.replace(SETTINGS, connect_timeout=0.3, reply_timeout=0.3, data_timeout=0.3)
RECIPIENTS = ("alice@example.com", "far@example.com", "x@gone.example")
EVERYBODY = ["alice@example.com", "keeper@far.example", "kim@far.example", "lee@far.example", "mia@far.example"]
STEPS = ["MAIL", "RCPT", "DATA", "content", "end"]
PASSING = ["421 4.3.2 closing", "nonsense"]  # the others, without PIPELINING, are in test_fault_table.py
PLAIN: tuple[str, ...] = ("8BITMIME",)
PIPELINING = (*PLAIN, "PIPELINING")
LATER = "451 4.3.0 Temporarily unavailable, try again later"
PASSING_AT_STEPS = [(step, fault, PLAIN) for step in STEPS for fault in PASSING
                    if (step, fault) != ("content", "nonsense")]  # a server says nothing while it reads
PASSING_AT_STEPS += [(step, fault, PIPELINING) for step in ("MAIL", "RCPT")
                     for fault in (*PASSING, "450 4.7.1 later", CLOSE, SILENT)]


async def rows_become(site: Site, expected: list[tuple[str, str, str]]) -> None:
    """Rows go after their recipient has been answered, so the answer may be here a moment earlier."""
    ends = asyncio.get_running_loop().time() + 10
    while (rows := await site.rows()) != expected:
        assert asyncio.get_running_loop().time() < ends, rows
        await asyncio.sleep(0.001)


def heal(site: Site) -> None:
    """Nothing fails any more."""
    site.local.faults.clear()
    site.remote.faults.clear()


async def offered(site: Site, *recipients: str, content: bytes = MESSAGE) -> dict[str, str]:
    """The last word on each recipient of an SMTP transaction."""
    client, said = site.client, {}
    assert (await client.command("RSET")).startswith("250")
    assert (await client.command(f"MAIL FROM:<{JOE}>")).startswith("250")
    for recipient in recipients:
        said[recipient] = await client.command(f"RCPT TO:<{recipient}>")
    if any(reply.startswith("250") for reply in said.values()):
        reply = await client.command("DATA")
        if reply.startswith("354"):
            await client.write(content + b".\r\n")
            reply = await client.reply()
        said |= {recipient: reply for recipient, answer in said.items() if answer.startswith("250")}
    return said


async def offered_by_lmtp(site: Site, *recipients: str, content: bytes = MESSAGE) -> dict[str, str]:
    """The last word on each recipient of an LMTP transaction."""
    client, said = site.client, {}
    assert (await client.command("LHLO client.example.com")).startswith("250")
    assert (await client.command(f"MAIL FROM:<{JOE}>")).startswith("250")
    for recipient in recipients:
        said[recipient] = await client.command(f"RCPT TO:<{recipient}>")
    taken = [recipient for recipient, reply in said.items() if reply.startswith("250")]
    if taken:
        assert (await client.command("DATA")).startswith("354")
        await client.write(content + b".\r\n")
        for recipient in taken:
            said[recipient] = await client.reply()
    return said


async def until_taken(site: Site, speak: Any) -> list[dict[str, str]]:
    """Tries until nothing is deferred; everything that was said. The faults are there at the first time only."""
    said = [await speak(site, *RECIPIENTS)]
    heal(site)
    while left := [recipient for recipient, reply in said[-1].items() if reply.startswith("4")]:
        assert len(said) < 4
        said.append(await speak(site, *left))
    return said


@pytest.mark.parametrize("speak", [offered, offered_by_lmtp])
@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize(("step", "fault", "extensions"), PASSING_AT_STEPS)
async def test_a_passing_fault_loses_and_doubles_nothing(
        database_url: str, step: str, fault: str, extensions: tuple[str, ...], where: str, speak: Any) -> None:
    faulty, sound = Sink({step: [fault, fault]}, extensions), Sink(extensions=extensions)
    local, remote = (faulty, sound) if where == "local" else (sound, faulty)
    async with forwarding(database_url, local=local, remote=remote, settings=IMPATIENT) as site:
        said = await until_taken(site, speak)
        assert not any(reply.startswith("5") for answers in said for reply in answers.values())
        assert site.recipients() == EVERYBODY
        await rows_become(site, [])
        assert (await send(site, "bob@example.com", content=MESSAGE)).startswith("250")


@pytest.mark.parametrize("step", ["DATA", "end"])
async def test_a_lasting_refusal_of_a_message_is_passed_on(database_url: str, step: str) -> None:
    async with forwarding(database_url, local=Sink({step: ["554 5.7.1 spam"]})) as site:
        assert await send(site, "alice@example.com", "bob@example.com", content=MESSAGE) == "554 5.7.1 spam"
        assert site.recipients() == []
    async with forwarding(database_url, local=Sink({step: ["554 5.7.1 spam"]})) as site:
        said = await offered_by_lmtp(site, *RECIPIENTS)
        assert said["alice@example.com"] == "554 5.7.1 spam"
        assert {said[name][:3] for name in RECIPIENTS[1:]} == {"451" if step == "DATA" else "250"}


@pytest.mark.parametrize("recipients", [RECIPIENTS, RECIPIENTS[::-1]])
@pytest.mark.parametrize("step", ["DATA", "end"])
async def test_who_has_the_message_is_in_no_bounce(database_url: str, step: str, recipients: tuple[str, ...]) -> None:
    """SMTP: one recipient's downstream refuses the message for good. It alone is answered so, in a transaction of its own."""
    async with forwarding(database_url, local=Sink({step: ["554 5.7.1 spam"] * 9})) as site:
        said = await offered(site, *recipients)
        assert {reply[:9] for reply in said.values()} == {"451 4.4.0"}
        assert (site.recipients() == []) is (step == "DATA")
        tries = 1
        final: dict[str, str] = {}
        while left := [recipient for recipient in recipients if recipient not in final]:
            said = await offered(site, *left)
            final |= {recipient: reply for recipient, reply in said.items() if not reply.startswith("4")}
            tries += 1
        assert {recipient: reply[:3] for recipient, reply in final.items()} == dict.fromkeys(recipients, "250") | {
            "alice@example.com": "554"}
        assert site.recipients() == EVERYBODY[1:] and tries == 3
        await rows_become(site, [])
        heal(site)
        said = await offered(site, *recipients)  # the next message comes whole
        assert {reply[:3] for reply in said.values()} == {"250"}


async def test_a_list_goes_on_without_members_whose_server_refuses_the_message(database_url: str) -> None:
    """A refusal that lasts would otherwise hold the list up for ever."""
    async with forwarding(database_url, local=Sink({"DATA": ["554 5.7.1 spam"]})) as site:
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await site.forwarder.reports.finish()
        assert site.recipients() == ["kim@far.example", "owner@example.com"]
    async with forwarding(database_url, local=Sink({"DATA": ["450 4.7.1 later"]})) as site:
        assert (await send(site, "team@example.com", content=MESSAGE)).startswith("451")
        assert site.recipients() == []


async def test_members_that_are_refused_are_left_out_and_reported_once_a_day(database_url: str) -> None:
    remote = Sink({"RCPT": [None, "550 5.1.1 no lee here", None, None, "550 5.1.1 no lee here"]})
    async with forwarding(database_url, remote=remote) as site:
        for _ in range(2):
            assert await send(site, "far@example.com", content=MESSAGE) == "250 2.0.0 Ok"
            await site.forwarder.reports.finish()
        assert site.recipients() == ["kim@far.example", "kim@far.example", "mia@far.example", "mia@far.example",
                                     "owner@example.com"]
        (report,) = site.local.delivered
        assert report.mail.startswith(b"<>")
        assert b"lee@far.example" in report.content and b"550 5.1.1 no lee here" in report.content
        assert b"kim@far.example" not in report.content
        assert (site.forwarder.counts.left_out, site.forwarder.reports.sent) == (2, 1)


async def test_a_list_without_an_owner_keeps_its_reports_for_one(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "authd.smtp.forwarder")
    async with forwarding(database_url, remote=Sink({"RCPT": ["550 5.1.1 no kim here", None, None] * 2})) as site:
        owner = await site.db.fetch_all("UPDATE mailing_list l SET owner_uuid = NULL FROM mailing_list b "
                                        "WHERE b.id = l.id AND l.name = 'far@example.com' RETURNING b.owner_uuid")
        assert await send(site, "far@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await site.forwarder.reports.finish()
        assert site.local.delivered == []
        assert "list=far@example.com to=<kim@far.example> left out: 550 5.1.1 no kim here" in caplog.text
        await site.db.execute("UPDATE mailing_list SET owner_uuid = %(owner)s WHERE name = 'far@example.com'",
                              {"owner": owner[0][0]})
        assert await send(site, "far@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await site.forwarder.reports.finish()
        (report,) = site.local.delivered
        assert report.mail.startswith(b"<>") and b"kim@far.example" in report.content


async def test_a_list_whose_members_are_all_refused(database_url: str) -> None:
    async with forwarding(database_url, remote=Sink({"RCPT": ["550 5.1.1 no such user"] * 3})) as site:
        assert await send(site, "far@example.com", content=MESSAGE) == "550 5.1.1 no such user"
        assert await site.client.command("RCPT TO:<alice@example.com>") == "250 2.1.5 recipient taken"


async def test_a_member_that_is_deferred_defers_the_list(database_url: str) -> None:
    async with forwarding(database_url, remote=Sink({"RCPT": [None, "450 4.2.1 busy"]})) as site:
        assert (await send(site, "far@example.com", content=MESSAGE)).startswith("451 4.4.0")
        assert await send(site, "far@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert site.recipients() == ["kim@far.example", "lee@far.example", "mia@far.example"]


async def test_a_deferred_list_leaves_the_others_their_legs(database_url: str) -> None:
    """The copy for bob was taken for the list, which then was deferred; the leg is opened anew with alice alone."""
    async with forwarding(database_url, remote=Sink({"RCPT": [None, None, None, "450 4.2.1 busy"]})) as site:
        said = await offered(site, "alice@example.com", "far@example.com", "all@example.com")
        assert said["all@example.com"].startswith("250") and said["far@example.com"].startswith("250")
    async with forwarding(database_url, remote=Sink({"RCPT": ["450 4.2.1 busy"]})) as site:
        said = await offered(site, "bob@example.com", "all@example.com", "alice@example.com")
        assert {name: reply[:3] for name, reply in said.items()} == {
            "bob@example.com": "250", "all@example.com": "451", "alice@example.com": "250"}
        assert site.arrived() == [("local", JOE, "alice@example.com"), ("local", JOE, "bob@example.com")]


async def test_another_set_of_recipients_in_the_second_try(database_url: str) -> None:
    async with forwarding(database_url, remote=Sink({"end": ["451 4.3.0 disk full"]})) as site:
        assert (await send(site, "alice@example.com", "team@example.com", content=MESSAGE)).startswith("451")
        assert site.recipients() == ["alice@example.com"]
        assert len(await site.rows()) == 2
        assert await send(site, "alice@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await rows_become(site, [("team@example.com", "local", "alice@example.com")])
        assert (await send(site, "bob@example.com", "team@example.com", content=MESSAGE)).startswith("250")
        assert site.recipients() == ["alice@example.com", "bob@example.com", "kim@far.example"]
        await rows_become(site, [])
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert site.recipients().count("kim@far.example") == 2


async def test_a_newer_received_field_is_the_same_message(database_url: str) -> None:
    async with forwarding(database_url, remote=Sink({"end": ["451 4.3.0 disk full"]})) as site:
        for time in ("11:59", "12:09"):
            content = b"Received: from a by b; today %s\r\nReceived: older\r\n" % time.encode() + MESSAGE
            await send(site, "team@example.com", content=content)
        assert site.recipients() == ["alice@example.com", "kim@far.example"]
        await send(site, "alice@example.com", content=b"Received: x\r\nReceived: other\r\n" + MESSAGE)
        assert site.recipients() == ["alice@example.com", "alice@example.com", "kim@far.example"]


@pytest.mark.parametrize("recipients", [("alice@example.com",), ("team@example.com", "bob@example.com")])
async def test_a_client_that_left_before_the_answer_comes_again(database_url: str, recipients: tuple[str, ...]) -> None:
    local, remote = Sink({"end": [HOLD]}), Sink()
    async with forwarding(database_url, local=local, remote=remote) as site:
        client = site.client
        await client.command(f"MAIL FROM:<{JOE}>")
        for recipient in recipients:
            assert (await client.command(f"RCPT TO:<{recipient}>")).startswith("250")
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await local.holds(1)
        client.writer.close()
        await until(lambda: all(connection._is_at_end for connection in site.forwarder._listener._connections))
        local.let_go()
        await until(lambda: site.forwarder.connections == 0)
        everybody = site.recipients()
        assert await site.rows() != []
    async with forwarding(database_url, local=local, remote=remote) as site:
        assert await send(site, *recipients, content=MESSAGE) == "250 2.0.0 Ok"
        assert site.recipients() == everybody
        await rows_become(site, [])


async def test_a_client_that_leaves_before_the_end_delivers_nothing(database_url: str) -> None:
    remote = Sink({"DATA": [HOLD]})
    async with forwarding(database_url, remote=remote) as site:
        client = site.client
        await client.command(f"MAIL FROM:<{JOE}>")
        await client.command("RCPT TO:<team@example.com>")
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await remote.holds(1)
        client.writer.close()
        await until(lambda: site.forwarder.connections == 0)
        remote.let_go()
        async with connected(site.forwarder.address) as other:
            assert await other.send(MESSAGE, JOE, ["x@far.example"]) == "250 2.0.0 delivered"
        assert site.recipients() == ["x@far.example"]


class Failing(MailStore):
    """A store whose database goes away at certain calls: `fails` has a list of booleans for each of them."""

    def __init__(self, store: MailStore, **fails: list[bool]) -> None:
        self.__dict__.update(store.__dict__)
        self.fails = fails

    def _maybe(self, call: str) -> None:
        turns = self.fails.get(call, [])
        if turns and turns.pop(0):
            raise DatabaseUnavailable("the database is away")

    async def route(self, recipient: Path, sender: Path) -> Route:
        self._maybe("route")
        return await super().route(recipient, sender)

    async def delivered(self, message_digest: bytes) -> frozenset[Row]:
        self._maybe("delivered")
        return await super().delivered(message_digest)

    async def remember(self, message_digest: bytes, rows: Collection[Row]) -> None:
        self._maybe("remember")
        await super().remember(message_digest, rows)

    async def forget(self, message_digest: bytes, recipients: Any) -> None:
        self._maybe("forget")
        await super().forget(message_digest, recipients)

    async def take_report(self, mailing_list_id: int, address: str) -> bool:
        self._maybe("take_report")
        return await super().take_report(mailing_list_id, address)


@pytest.mark.parametrize("call", ["route", "delivered"])
async def test_without_the_database_nothing_is_taken(database_url: str, call: str) -> None:
    async with forwarding(database_url) as site:
        site.forwarder.store = Failing(site.forwarder.store, **{call: [True]})
        assert await send(site, "team@example.com", content=MESSAGE) == "451 4.3.0 Temporarily unavailable, try again later"
        assert site.arrived() == []
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert len(site.arrived()) == 2


@pytest.mark.parametrize(("turns", "answers"), [
    ([True], [LATER, LATER, LATER, "554 5.5.1 No valid recipients"]),
    ([False, True], ["250 2.1.5 recipient taken", LATER, LATER, LATER]),
])
async def test_what_follows_a_failed_recipient_is_deferred_without_an_alarm(
        database_url: str, turns: list[bool], answers: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """The transaction is gone with it; commands that the client sends all the same are no errors of ours."""
    async with forwarding(database_url) as site:
        site.forwarder.store = Failing(site.forwarder.store, route=turns)
        await site.client.write(b"MAIL FROM:<joe@elsewhere.example>\r\nRCPT TO:<bob@example.com>\r\n"
                                b"RCPT TO:<alice@example.com>\r\nRCPT TO:<far@example.com>\r\nDATA\r\n")
        assert [await site.client.reply() for _ in range(5)] == ["250 2.1.0 Ok", *answers]
        assert (await send(site, "alice@example.com", content=MESSAGE)).startswith("250")
        assert site.recipients() == ["alice@example.com"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_report_to_the_owner_holds_up_nobody_who_stops(database_url: str) -> None:
    async with forwarding(database_url, remote=Sink({"RCPT": [None, "550 5.1.1 gone"]}),
                          local=Sink({"MAIL": [SILENT]})) as site:
        assert await send(site, "far@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await site.local.arrived["MAIL"].wait()
        async with asyncio.timeout(5):
            await site.forwarder.stop(0.1)
        assert not site.local.open and not site.remote.open


async def test_an_unexpected_exception_on_one_leg_waits_for_the_others() -> None:
    """Otherwise they would open connections for a transaction that has been given up."""
    is_over = False

    async def failing() -> None:
        raise ValueError

    async def working() -> None:
        nonlocal is_over
        for _ in range(10):
            await asyncio.sleep(0)
        is_over = True

    with pytest.raises(ValueError):
        await at_once([failing(), working()])
    assert is_over


async def test_a_memory_that_fails_in_passing_is_filled_before_the_answer(database_url: str) -> None:
    async with forwarding(database_url, remote=Sink({"end": ["451 4.3.0 disk full"]})) as site:
        site.forwarder.store = Failing(site.forwarder.store, remember=[True, True])
        assert (await send(site, "team@example.com", content=MESSAGE)).startswith("451")
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert site.recipients() == ["alice@example.com", "kim@far.example"]


async def test_a_memory_that_fails_harms_nobody_where_all_is_delivered(database_url: str) -> None:
    async with forwarding(database_url) as site:
        site.forwarder.store = Failing(site.forwarder.store, remember=[True] * 10, forget=[True])
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        assert len(site.arrived()) == 2


class Slow(MailStore):
    """A store that forgets only when it may."""

    def __init__(self, store: MailStore) -> None:
        self.__dict__.update(store.__dict__)
        self.asked, self.may_forget = asyncio.Event(), asyncio.Event()

    async def forget(self, message_digest: bytes, recipients: Any) -> None:
        self.asked.set()
        await self.may_forget.wait()
        await super().forget(message_digest, recipients)


async def test_a_client_that_leaves_with_its_answer_is_not_remembered(database_url: str) -> None:
    """Otherwise the same bytes, sent again in the next days, would be taken and thrown away."""
    async with forwarding(database_url) as site:
        site.remote.faults = {"end": ["451 4.3.0 disk full"]}
        assert (await send(site, "alice@example.com", "x@far.example", content=MESSAGE)).startswith("451")
        site.forwarder.store = slow = Slow(site.forwarder.store)
        assert await send(site, "alice@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await slow.asked.wait()
        site.client.writer.close()
        await until(lambda: all(connection._is_at_end for connection in site.forwarder._listener._connections))
        slow.may_forget.set()
        await rows_become(site, [])


async def test_without_memory_there_is_an_answer_all_the_same(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "PATIENCE", 0.2)
    async with forwarding(database_url, remote=Sink({"end": ["451 4.3.0 disk full"]})) as site:
        site.forwarder.store = Failing(site.forwarder.store, remember=[True] * 100)
        assert (await send(site, "team@example.com", content=MESSAGE)).startswith("451")


async def test_the_window_between_delivery_and_memory_is_one_statement(database_url: str) -> None:
    """When the second leg is asked to deliver, the first is remembered."""
    remote = Sink({"end": [HOLD]})
    async with forwarding(database_url, remote=remote) as site:
        client = site.client
        await client.command(f"MAIL FROM:<{JOE}>")
        await client.command("RCPT TO:<team@example.com>")
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await remote.holds(1)
        await rows_become(site, [("team@example.com", "local", "alice@example.com")])
        remote.let_go()
        assert await client.reply() == "250 2.0.0 Ok"


async def test_what_lies_between_a_delivery_and_its_memory(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement, and it is the first thing that the database hears after the downstream's 250."""
    local, remote = Sink(), Sink()
    statements: list[tuple[int, int, str]] = []
    async with forwarding(database_url, local=local, remote=remote) as site:
        for name in ("fetch_all", "fetch_one", "execute"):
            def watched(sql: Any, params: Any = None, call: Any = getattr(site.db, name)) -> Any:
                statements.append((len(local.delivered), len(remote.delivered), str(sql)))
                return call(sql, params)

            monkeypatch.setattr(site.db, name, watched)
        assert await send(site, "team@example.com", content=MESSAGE) == "250 2.0.0 Ok"
        await until(lambda: statements[-1][:2] == (1, 1))
    (between,) = [sql for first, second, sql in statements if (first, second) == (1, 0)]
    assert "INSERT INTO delivered_copy" in between
    assert [sql for first, second, sql in statements if (first, second) == (0, 1)] == []


async def test_nothing_reaches_anybody_before_all_have_given_the_go_ahead(database_url: str) -> None:
    local, remote = Sink(), Sink({"DATA": [HOLD]})
    async with forwarding(database_url, local=local, remote=remote) as site:
        client = site.client
        await client.command(f"MAIL FROM:<{JOE}>")
        await client.command("RCPT TO:<team@example.com>")
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await remote.holds(1)
        await until(lambda: b"DATA" in local.commands)
        assert local.content_size == 0
        remote.let_go()
        assert await client.reply() == "250 2.0.0 Ok"


async def test_a_slow_downstream_holds_up_only_what_goes_there(database_url: str) -> None:
    remote = Sink({"end": [HOLD]})
    async with forwarding(database_url, remote=remote) as site:
        slow = asyncio.create_task(send(site, "x@far.example", content=MESSAGE))
        await remote.holds(1)
        async with connected(site.forwarder.address) as other:
            assert await other.send(MESSAGE, JOE, ["alice@example.com"]) == "250 2.0.0 delivered"
        assert not slow.done()
        remote.let_go()
        assert await slow == "250 2.0.0 delivered"


async def test_a_second_try_waits_for_the_first_whose_client_has_left(database_url: str) -> None:
    """The client lost patience while the downstream was delivering, and comes again at once."""
    local = Sink({"end": [HOLD]})
    async with forwarding(database_url, local=local) as site:
        client = site.client
        await client.command(f"MAIL FROM:<{JOE}>")
        await client.command("RCPT TO:<team@example.com>")
        await client.command("DATA")
        await client.write(MESSAGE + b".\r\n")
        await local.holds(1)
        client.writer.close()
        await until(lambda: all(connection._is_at_end for connection in site.forwarder._listener._connections))
        async with connected(site.forwarder.address) as again:
            retry = asyncio.create_task(again.send(MESSAGE, JOE, ["team@example.com"]))
            await until(lambda: local.connections == 2)
            local.let_go()
            assert await retry == "250 2.0.0 Ok"
        assert site.recipients() == ["alice@example.com", "kim@far.example"]
        await rows_become(site, [])


async def test_the_same_bytes_from_several_clients_at_once_are_several_messages(database_url: str) -> None:
    async with forwarding(database_url) as site:
        async def one() -> list[str]:
            async with connected(site.forwarder.address) as client:
                return [await client.send(MESSAGE, JOE, ["team@example.com"]) for _ in range(5)]

        replies = await asyncio.gather(*(one() for _ in range(8)))
        assert {reply for group in replies for reply in group} == {"250 2.0.0 Ok"}
        assert len(site.arrived()) == 8 * 5 * 2
        await rows_become(site, [])
