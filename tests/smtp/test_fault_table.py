"""Each fault of smtp.md section 7, for both listeners and for clients that speak SMTP and LMTP: docs/reference/mail-faults.md.

What is seen here is compared with the page, row by row; how the page is written anew says tests/pages.py.
"""

import asyncio
import dataclasses
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authd.config.values import Endpoint, Mapping
from authd.embedded import EmbeddedPostgres
from authd.keys.cipher import Cipher
from authd.keys.generate import new_key
from authd.keys.store import KeyStore
from authd.smtp.list_senders import ListSenders
from authd.smtp.relay import Relay
from authd.smtp.signer import SignerListener
from authd.smtp.spool import Spools
from authd.sql import keys as key_rows
from authd.sql.database import Database
from authd.sql.migrate import migrate
from tests.daemon import free_port, running_daemon
from tests.pages import ComparedPage, Table
from tests.smtp.fault_trials import DIALECTS, Letter, Trial
from tests.smtp.faults import FAULTS, PASSING, Fault
from tests.smtp.forwarding import JOE, SETTINGS, forwarding, populate
from tests.smtp.support import HOLD, SILENT, Sink, example_keys, running_signer, running_sink, until
from tests.smtp.test_forwarder_daemon import configuration, other_port
from tests.sql.people import Clock, add_domain
from tests.support import ROOT, open_database

IMPATIENT = dataclasses.replace(SETTINGS, connect_timeout=0.4, reply_timeout=0.4, data_timeout=0.4)
ANN = "ann@example.com"
SIGNED = {f"{name}@example.net": [f"{name}@example.net"] for name in ("bob", "eve", "kim")}
FORWARDED = {name: [name] for name in ("alice@example.com", "bob@example.com", "root@example.com")} | {
    "far@example.com": [f"{name}@far.example" for name in ("kim", "lee", "mia")], "gone@gone.example": ["keeper@far.example"]}

DATABASE = ["dkimsigner: before MAIL", "dkimsigner: before the final dot", "mailforwarder: before MAIL",
            "mailforwarder: before RCPT", "mailforwarder: before the final dot",
            "mailforwarder: between two downstreams, one of which then fails; started while the client waits",
            "mailforwarder: between two downstreams; started after the answer"]
KILLED = ["dkimsigner: after the final dot, before the downstream has the message",
          "mailforwarder: before a final dot", "mailforwarder: between two downstreams"]

TEXT = """\
# What happens when something fails

Written by tests/smtp/test_fault_table.py, which has run everything that stands here:
`tools/test --only-tests --write-pages tests/smtp/test_fault_table.py`.

authd has no queue. Its 250 means that the next server has the message; what it cannot hand over stays with the client, who
tries again. Everywhere below the client does so with each recipient whose last word was no 250 and no 5xx. In all of these runs
each 250 was one copy for everybody, whatever came before it, and each 5xx was a downstream's own, about a recipient that
got no copy.

*reads* is what the client is told at its first try: at MAIL, at RCPT, or else at the end of the message, where LMTP has an
answer for each recipient and SMTP one for all. *arrives* is what is delivered then, *in the end* what is delivered and
refused after as many tries as are named. A fault is there at the first try only, unless it is a 5xx, which lasts.

In SMTP one answer has to fit all recipients. Where a message was refused for some of them and not for others, the client
reads 451, and at the next tries 452 at RCPT for those that do not fit together, so that each gets its own answer
([decision 0009](../decisions/0009-one-answer-for-several-recipients.md)).

## dkimsigner: faults of the downstream

A message for bob, eve and kim. MAIL and RCPT go downstream while the client waits.

{signer}

## mailforwarder: faults of local delivery that speaks SMTP

A message for alice, bob and root, who have accounts here; for the list far, whose members kim, lee and mia are elsewhere; and
for gone, whose domain is redirected elsewhere.

{local}

## mailforwarder: faults of local delivery that speaks LMTP

The same message.

{lmtp}

## mailforwarder: faults of the remote relay

The same message. A member of a list that is refused for good is left out, and the owner of the list is told.

{remote}

## The database is stopped

A real PostgreSQL is stopped at the moment that is named, and started before the client tries again if nothing else is said.

{database}

## authd is killed

By SIGKILL, and started anew before the client tries again. What cannot be helped, as SMTP has no way to: if it is killed
between the downstream's 250 and the statement that remembers it, the copies of that one transaction come twice.

{killed}
"""
_COLUMNS = [f"{dialect} client {column}" if column == "reads" else column
            for dialect in DIALECTS for column in ("reads", "arrives", "in the end")]
SMTP_FAULTS, ALL_FAULTS = [fault for fault in FAULTS if not fault.needs_lmtp], FAULTS
PAGE = ComparedPage(ROOT / "docs" / "reference" / "mail-faults.md", TEXT, {
    **{place: Table(["the downstream", *_COLUMNS], [fault.name for fault in faults]) for place, faults in (
        ("signer", SMTP_FAULTS), ("local", SMTP_FAULTS), ("lmtp", ALL_FAULTS), ("remote", SMTP_FAULTS))},
    "database": Table(["when", *_COLUMNS], DATABASE), "killed": Table(["when", *_COLUMNS], KILLED)})


@pytest.fixture(scope="module", autouse=True)
def page(pytestconfig: pytest.Config) -> Iterator[None]:
    """Written at the end, where that is wanted."""
    PAGE.is_written = bool(pytestconfig.getoption("--write-pages"))
    yield
    PAGE.close()


def by_name(fault: Fault) -> str:
    return fault.name.replace(" ", "-")


async def tried(trial: Trial, address: tuple[str, int], sink: Sink, relays: Sequence[Relay], fault: Fault) -> tuple[str, ...]:
    """Tries until every recipient has had a last word, with the fault for as long as it lasts. The cells of a row."""
    relay = next(relay for relay in relays if relay.target.port == sink.port)
    there = relay.target
    while trial.left:
        orders = fault.later if trial.tries else fault.orders
        sink.faults = {step: list(replies) for step, replies in orders.items()}
        relay.target = dataclasses.replace(there, port=1) if fault.is_away and not trial.tries else there
        await trial.attempt(address)
    sink.faults, relay.target = {}, there
    after = Trial(Letter(f"after {trial.letter.mark}", trial.letter.sender, trial.letter.copies), trial.dialect, trial.sinks)
    await after.attempt(address)
    assert not after.left and after.finish()[1] == "everything"
    return trial.finish()


def letter(fault: Fault, sender: str, copies: dict[str, list[str]], *where: str) -> Letter:
    return Letter(" ".join((fault.name, *where)), sender, copies, fault.size)


def refusals(fault: Fault) -> list[str]:
    return [reply for orders in fault.orders.values() for reply in orders if reply and reply.startswith("5")]


@pytest.mark.parametrize("fault", SMTP_FAULTS, ids=by_name)
async def test_signer(fault: Fault) -> None:
    async def row(dialect: str) -> tuple[str, ...]:
        settings = IMPATIENT if fault.is_silent else SETTINGS
        async with running_sink(Sink()) as sink, running_signer(sink, example_keys(), settings) as signer:
            trial = Trial(letter(fault, ANN, SIGNED), dialect, [sink], refusals(fault))
            cells = await tried(trial, signer.address, sink, [signer.relay], fault)
            assert all(one.content.startswith(b"DKIM-Signature:") for one in sink.delivered)
            return cells

    PAGE.saw("signer", fault.name, *sum(await asyncio.gather(*map(row, DIALECTS)), ()))


@pytest.mark.parametrize(("place", "fault"), [(place, fault) for place, faults in (
    ("local", SMTP_FAULTS), ("lmtp", ALL_FAULTS), ("remote", SMTP_FAULTS)) for fault in faults],
    ids=lambda one: one if isinstance(one, str) else by_name(one))
async def test_forwarder(module_database_url: str, place: str, fault: Fault) -> None:
    async def row(dialect: str) -> tuple[str, ...]:
        settings = IMPATIENT if fault.is_silent else SETTINGS
        local, remote = Sink(lmtp=place == "lmtp"), Sink()
        async with forwarding(module_database_url, local=local, remote=remote, settings=settings) as site:
            trial = Trial(letter(fault, JOE, FORWARDED, place, dialect), dialect, [local, remote], refusals(fault))
            faulty = remote if place == "remote" else local
            return await tried(trial, site.forwarder.address, faulty, [*site.forwarder.relays.values()], fault)

    async with open_database(module_database_url) as db:
        if not await db.fetch_all("SELECT 1 FROM domain"):
            await populate(db)
        PAGE.saw(place, fault.name, *sum(await asyncio.gather(*map(row, DIALECTS)), ()))
        await nothing_remembered(db)


async def nothing_remembered(db: Database) -> None:
    """Rows go after their recipient has been answered, so the answer may be here a moment earlier."""
    ends = asyncio.get_running_loop().time() + 10
    while rows := await db.fetch_all("SELECT original_recipient, recipient FROM delivered_copy"):
        assert asyncio.get_running_loop().time() < ends, rows
        await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A cluster that may be stopped and started, with a migrated and populated database."""
    folder = Path(tempfile.mkdtemp(prefix="authd-test-", dir="/tmp"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder, settings=["fsync=off"])
    server.start()

    async def prepare() -> None:
        async with open_database(server.url()) as db:
            await migrate(db)
            await populate(db)
            domain = await add_domain(db, "example.com")
            await key_rows.insert(db, new_key("dkim", "RSA-2048", "s", Cipher()), domain_id=domain, now=Clock()())

    asyncio.run(prepare())
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@asynccontextmanager
async def signing(url: str, sink: Sink) -> AsyncIterator[SignerListener]:
    """A signer that has read nothing from the database yet."""
    clock = Clock()
    async with open_database(url) as db:
        mapping = Mapping(Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", sink.port))
        signer = SignerListener(mapping, SETTINGS, KeyStore(db, Cipher(), clock), ListSenders(db, clock),
                                spools=Spools(SETTINGS), now=clock)
        await signer.start()
        try:
            yield signer
        finally:
            await signer.stop(1)


@pytest.mark.parametrize("when", DATABASE)
async def test_database_stopped(own_postgres: EmbeddedPostgres, when: str) -> None:
    listener, _, moment = when.partition(": ")
    step = {"before MAIL": "MAIL", "before RCPT": "RCPT", "before the final dot": "end"}.get(moment)

    async def stop(before: str = "") -> None:
        if before == (step or ""):
            await asyncio.to_thread(own_postgres.stop)

    async def start() -> None:
        await asyncio.to_thread(own_postgres.start)

    async def signer_row(dialect: str) -> tuple[str, ...]:
        async with running_sink(Sink()) as sink, signing(own_postgres.url(), sink) as signer:
            trial = Trial(Letter(f"{when} {dialect}", ANN, SIGNED), dialect, [sink])
            await trial.attempt(signer.address, stop)
            await start()
            await trial.attempt(signer.address)
            assert all(one.content.startswith(b"DKIM-Signature:") for one in sink.delivered)
            return trial.finish()

    async def forwarder_row(dialect: str) -> tuple[str, ...]:
        local, remote = Sink(), Sink()
        async with forwarding(own_postgres.url(), local=local, remote=remote) as site:
            trial = Trial(Letter(f"{when} {dialect}", JOE, FORWARDED), dialect, [local, remote])
            address = site.forwarder.address
            if step is None:
                local.faults, remote.faults = {"end": [HOLD]}, {"end": [PASSING]} if "fails" in moment else {}
                attempt = asyncio.create_task(trial.attempt(address))
                await local.holds(1)
                await stop()
                local.let_go()
                await until(remote.arrived["end"].is_set)
                if "while" not in moment:
                    await attempt
                await start()
                await attempt
            else:
                await trial.attempt(address, stop)
                await start()
            while trial.left:
                await trial.attempt(address)
            await nothing_remembered(site.db)
            return trial.finish()

    row = signer_row if listener == "dkimsigner" else forwarder_row
    PAGE.saw("database", when, *await row("SMTP"), *await row("LMTP"))


@pytest.mark.parametrize("when", KILLED)
async def test_killed(database_url: str, tmp_path: Path, when: str) -> None:
    """One message in each dialect is on its way when the daemon dies: what it waits for is never said."""
    async with open_database(database_url) as db:
        await populate(db)
    port, is_signer = free_port(), when.startswith("dkimsigner")
    step = "DATA" if "before a final dot" in when else "end"
    local, remote = Sink(), Sink({step: [SILENT] * (4 if step == "DATA" else 2)})  # DATA is asked on both legs at once
    trials = [Trial(Letter(f"{when} {dialect}", *((ANN, SIGNED) if is_signer else (JOE, FORWARDED))), dialect, [local, remote])
              for dialect in DIALECTS]
    async with running_sink(local), running_sink(remote):
        mapping = f'[signer]\nmappings = [{{ in = "127.0.0.1:{port}", out = "127.0.0.1:{remote.port}" }}]\n'
        configured = mapping if is_signer else configuration(port, local, remote)
        with running_daemon(tmp_path, database_url, configured, port=other_port(port)) as daemon:
            attempts = asyncio.gather(*(trial.attempt(("127.0.0.1", port)) for trial in trials))
            await until(lambda: not remote.faults[step], 30)
            daemon.process.kill()
            daemon.process.wait(10)
            await attempts
        with running_daemon(tmp_path, database_url, configured, port=other_port(port)):
            for trial in trials:
                await trial.attempt(("127.0.0.1", port))
    PAGE.saw("killed", when, *trials[0].finish(), *trials[1].finish())


def test_the_page_has_a_row_for_each_test() -> None:
    PAGE.check_frame()
