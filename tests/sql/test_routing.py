"""The forwarder's questions on a real database: resolution, lists, senders, tokens."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from authd.smtp.grammar import Path
from authd.smtp.mail_store import MailStore
from authd.smtp.routing import Kind, MailingList, Resolved, Route, Rules, Sender, Target
from authd.smtp.srs import Srs, Token
from authd.sql import routing
from authd.sql.database import Executor
from authd.sql.routing import Question
from tests.fixtures.mail import add_account, add_domain, add_list
from tests.support import open_database

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SRS = Srs([b"a secret"])
JOE = Path("joe", "elsewhere.example")


async def populate(db: Executor) -> None:
    await add_domain(db, "example.com", srs_domain="srs.example.com", transactional=True)
    await add_domain(db, "plain.example")
    await add_domain(db, "old.example", redirect_to="example.com", mode="all")
    await add_domain(db, "box.example", redirect_to="keeper@far.example", mode="rest")
    await add_account(db, "Root@example.com", admin=True)
    alice = await add_account(db, "alice@example.com", "a.smith@example.com", "!old@example.com")
    await add_account(db, "asleep@example.com", active=False)
    await add_list(db, "team@example.com", "Bob@far.example", "alice@example.com", "inner@plain.example", owner=alice,
                   new_mailfrom="bounces@example.com", headers=True)
    await add_list(db, "inner@plain.example", "carl@far.example", "TEAM@example.com", "asleep@example.com")


async def follow(db: Executor, recipient: str, sender: Path) -> Route:
    return await MailStore(db, Rules(), SRS, lambda: NOW).route(routing.parse(recipient), sender)


async def resolved(db: Executor, *addresses: Path) -> Mapping[str, Resolved]:
    facts = await routing.resolve(db, [Question(address, JOE) for address in addresses])
    return facts[Question(addresses[0], JOE)].resolved


async def test_what_addresses_are(database_url: str) -> None:
    async with open_database(database_url) as db:
        await populate(db)
        kinds = {"Alice@Example.com": Kind.ACCOUNT, "alice+x@example.com": Kind.ACCOUNT, "old@example.com": Kind.BLOCKED,
                 "asleep@example.com": Kind.INACTIVE, "nobody@example.com": Kind.UNKNOWN, "x@old.example": Kind.REDIRECT,
                 "x@box.example": Kind.REDIRECT, "team@example.com": Kind.LIST, "postmaster@plain.example": Kind.POSTMASTER,
                 "postmaster": Kind.POSTMASTER, "SRS0=a@example.com": Kind.SRS, "srs1-a@SRS.example.com": Kind.SRS,
                 "x@srs.example.com": Kind.FOREIGN, "x@far.example": Kind.FOREIGN, "x@[127.0.0.1]": Kind.FOREIGN,
                 'odd "part@example.com': Kind.UNKNOWN}
        paths = [routing.parse(address) if "@" in address else Path(address, "") for address in kinds]
        by_address = await resolved(db, *paths)
        found = [by_address[str(path).lower()] for path in paths]
        assert [resolved.kind for resolved in found] == list(kinds.values())
        assert [str(resolved.address).lower() for resolved in found] == [str(path).lower() for path in paths]
        assert by_address["alice+x@example.com"].primary_address == Path("alice", "example.com")
        assert by_address["x@old.example"].redirect_to == Path("", "example.com")
        assert by_address["x@box.example"].redirect_to == Path("keeper", "far.example")
        assert by_address["postmaster"] == Resolved(Path("postmaster", ""), Kind.POSTMASTER, "srs.example.com",
                                                    Path("Root", "example.com"))
        assert {resolved.srs_domain for resolved in found} == {
            "srs.example.com", "plain.example", "old.example", "box.example", None}


async def test_a_list_with_its_members(database_url: str) -> None:
    async with open_database(database_url) as db:
        await populate(db)
        found = await resolved(db, Path("team", "example.com"), Path("x", "old.example"))
        assert {name: resolved.kind for name, resolved in found.items()} == {
            "team@example.com": Kind.LIST, "x@old.example": Kind.REDIRECT, "alice@example.com": Kind.ACCOUNT,
            "bob@far.example": Kind.FOREIGN, "inner@plain.example": Kind.LIST, "x@example.com": Kind.UNKNOWN}
        team = found["team@example.com"].mailing_list
        assert team is not None and team.has_headers and team.name == "team@example.com"
        assert list(map(str, team.members)) == ["alice@example.com", "Bob@far.example", "inner@plain.example"]
        assert team.new_mailfrom == Path("bounces", "example.com") and team.owner == Path("alice", "example.com")
        assert team.address == Path("team", "example.com")
        route = await follow(db, "team@example.com", JOE)
        assert [(copy.leg.target, str(copy.leg.sender), str(copy.recipient)) for copy in route.copies] == [
            (Target.LOCAL, "bounces@example.com", "alice@example.com"),
            (Target.REMOTE, "bounces@example.com", "Bob@far.example"),
            (Target.REMOTE, "bounces@example.com", "carl@far.example")]
        assert [str(refused.address) for refused in route.refused] == ["asleep@example.com"]


async def test_a_list_without_members_fields_and_an_owner_who_is_active(database_url: str) -> None:
    async with open_database(database_url) as db:
        await add_domain(db, "example.com")
        asleep = await add_account(db, "asleep@example.com", active=False)
        await add_list(db, "full@example.com", "a@far.example", owner=asleep, headers=True)
        await add_list(db, "empty@example.com")
        found = await resolved(db, Path("full", "example.com"), Path("empty", "example.com"))
        full, empty = (found[f"{name}@example.com"].mailing_list for name in ("full", "empty"))
        assert full is not None and full.owner is None and full.address == Path("full", "example.com")
        assert empty == MailingList(empty.id if empty else 0, "empty@example.com", ())


async def test_each_question_is_told_of_its_own_sender(database_url: str) -> None:
    async with open_database(database_url) as db:
        await populate(db)
        expected = {"x@Example.COM": (True, True), "x@plain.example": (True, False), "x@far.example": (False, False),
                    "x@sub.example.com": (False, False)}
        questions = {Question(JOE, routing.parse(address)): allows for address, allows in expected.items()}
        questions[Question(routing.parse("team@example.com"), Path("", ""))] = (False, False)
        facts = await routing.resolve(db, [*questions])
        assert {question: fact.sender for question, fact in facts.items()} == {
            question: Sender(question.sender, *allows) for question, allows in questions.items()}


async def test_tokens_are_remembered_for_as_long_as_they_are_of_use(database_url: str) -> None:
    async with open_database(database_url) as db:
        await populate(db)
        long = Path('odd "@' + "x" * 70, "elsewhere.example")
        first = await follow(db, "inner@plain.example", long)
        await routing.keep_tokens(db, first.tokens, NOW)
        await routing.keep_tokens(db, first.tokens, NOW + timedelta(hours=5))
        assert await db.fetch_all("SELECT used_at FROM srs_token") == [(NOW,)]
        back = await follow(db, str(first.copies[0].leg.sender), Path("", ""))
        assert [copy.recipient for copy in back.copies] == [long]
        await routing.keep_tokens(db, first.tokens, NOW + timedelta(days=3))
        assert await db.fetch_all("SELECT used_at FROM srs_token") == [(NOW + timedelta(days=3),)]
        assert await routing.forget_tokens(db, NOW + timedelta(days=26)) == 0
        assert await routing.forget_tokens(db, NOW + timedelta(days=28)) == 1
        assert await routing.senders_of_tokens(db, [token.token for token in first.tokens]) == {}


async def test_more_tokens_than_are_forgotten_at_once(database_url: str) -> None:
    async with open_database(database_url) as db:
        letters = "abcdefghij"
        await routing.keep_tokens(db, [Token(letter * 16, Path(letter, "x.example")) for letter in letters], NOW)
        later = NOW + timedelta(days=100)
        assert [await routing.forget_tokens(db, later, limit=6) for _ in range(3)] == [6, 4, 0]
