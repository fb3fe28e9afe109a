"""What is remembered of delivered copies and of reports, and for how long."""

from datetime import UTC, date, datetime, timedelta

from authd.smtp.deliveries import Row
from authd.sql import deliveries
from tests.fixtures.mail import add_domain, add_list
from tests.support import open_database

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE, OTHER = b"1" * 32, b"2" * 32
ANN, BOB, TEAM = (Row(name, "local", name) for name in ("ann@example.com", "bob@example.com", "team@example.com"))


async def test_copies_are_remembered_by_message(database_url: str) -> None:
    async with open_database(database_url) as db:
        await deliveries.add(db, ONE, [ANN, BOB], NOW)
        await deliveries.add(db, ONE, [ANN, TEAM], NOW)
        await deliveries.add(db, OTHER, [ANN], NOW)
        assert await deliveries.find(db, [ONE]) == {ONE: {ANN, BOB, TEAM}}
        await deliveries.remove(db, ONE, ["ann@example.com", "team@example.com"])
        assert await deliveries.find(db, [OTHER, ONE, b"3" * 32]) == {ONE: {BOB}, OTHER: {ANN}, b"3" * 32: frozenset()}


async def test_copies_are_forgotten_after_five_days(database_url: str) -> None:
    async with open_database(database_url) as db:
        await deliveries.add(db, ONE, [ANN, BOB, TEAM], NOW)
        assert await deliveries.remove_expired(db, NOW + timedelta(days=4, hours=23)) == 0
        assert [await deliveries.remove_expired(db, NOW + timedelta(days=6), limit=2) for _ in range(3)] == [2, 1, 0]


async def test_a_member_is_reported_once_a_day(database_url: str) -> None:
    async with open_database(database_url) as db:
        await add_domain(db, "example.com")
        team = await add_list(db, "team@example.com")
        days = [date(2026, 11, day) for day in (24, 24, 25, 24)]
        assert [await deliveries.take_report(db, team, "ann@x.example", day) for day in days] == [True, False, True, False]
        assert await deliveries.take_report(db, team, "bob@x.example", days[0])
        assert await deliveries.remove_reports(db, date(2026, 11, 25)) == 1
        assert await deliveries.remove_reports(db, date(2026, 11, 26)) == 1
