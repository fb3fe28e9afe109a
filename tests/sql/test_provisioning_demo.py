"""The demo of tools/quickstart: made once, the same at every start, mended where it was changed."""

from dataclasses import asdict, replace

from authd.config import Settings
from authd.config.settings import HttpSettings, PasswordSettings
from authd.identity import crypt
from authd.provisioning.demo import DemoState, ensure_demo
from authd.sql import provisioning as sql
from authd.sql.database import Database
from tests.support import open_database

SETTINGS = Settings(http=HttpSettings(public_url="http://localhost:8080"), password=PasswordSettings(scheme="sha512crypt"))


async def _audited(db: Database) -> int:
    row = await db.fetch_one("SELECT count(*) FROM audit")
    return int(row[0]) if row else 0


async def test_the_demo_is_made_once(database_url: str) -> None:
    async with open_database(database_url) as db:
        first = await ensure_demo(db, SETTINGS, None)
        audited = await _audited(db)
        assert await ensure_demo(db, SETTINGS, DemoState(**asdict(first))) == first
        assert await _audited(db) == audited
        assert first.domain == "localhost"
        for identifier, password in (("admin", first.admin_password), ("user", first.user_password)):
            [stored] = await sql.account_hashes(db, identifier)
            assert crypt.verify_password(password, stored, "sha512crypt")
        users = {account.identifier: account for account in await sql.accounts(db)}
        assert users["admin"].is_admin
        assert not users["user"].is_admin
        assert users["user"].primary_address == first.user_login
        assert users["user"].aliases == (first.user_alias, first.user_login)


async def test_a_lost_state_makes_new_secrets(database_url: str) -> None:
    async with open_database(database_url) as db:
        first = await ensure_demo(db, SETTINGS, None)
        second = await ensure_demo(db, SETTINGS, None)
        assert first.user_password != second.user_password
        for state in (second, replace(second, user_password="changed back")):
            await ensure_demo(db, SETTINGS, state)
            [stored] = await sql.account_hashes(db, "user")
            assert crypt.verify_password(state.user_password, stored, "sha512crypt")
