"""The provisioner on a real database: every noun created, created again, changed and removed, with its audit."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from authd.config import Settings
from authd.errors import Conflict, InvalidInput, NotFound
from authd.hygiene import remove_expired
from authd.identity import crypt
from authd.keys.cipher import Cipher
from authd.keys.store import KeyStore
from authd.provisioning import references
from authd.provisioning.accounts import Account, account_options
from authd.provisioning.aliases import Alias, alias_options
from authd.provisioning.clients import Client, client_options
from authd.provisioning.domains import Domain, domain_options
from authd.provisioning.effects import Statement
from authd.provisioning.groups import Group, Permission, group_options, permission_options
from authd.provisioning.lookup import find, get
from authd.provisioning.mailing_lists import MailingList, mailing_list_options
from authd.provisioning.plan import Change, Mode, Outcome
from authd.provisioning.provisioner import Provisioner, Result
from authd.provisioning.service_users import ServiceUser, service_user_options
from authd.provisioning.state import UNSET, State, adjusted
from authd.sql import provisioning as sql
from authd.sql.database import Database
from authd.sql.queries import load
from tests.support import open_database

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that tests move."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


class Site:
    """A database and a provisioner on it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = Clock()
        self.provisioner = Provisioner(
            db, KeyStore(db, Cipher(), self.clock), self.clock, actor="test", scheme="sha512crypt")

    async def run(self, *changes: Change, dry_run: bool = False) -> list[Result]:
        return await self.provisioner.apply(changes, dry_run=dry_run)

    async def create(self, *states: State) -> list[Outcome]:
        return [result.plan.outcome for result in await self.run(*(Change(state, Mode.CREATE) for state in states))]

    async def edit(self, name: str, state: State) -> Result:
        return (await self.run(Change(state, Mode.EDIT, name)))[0]

    async def remove(self, state: State, name: str) -> Outcome:
        return (await self.run(Change(state, Mode.REMOVE, name)))[0].plan.outcome

    async def people(self) -> None:
        """A domain with two accounts, each with a mailbox."""
        await self.create(
            domain_options(name="d.example"), account_options(identifier="alice", fullname="Alice"),
            account_options(identifier="bob", fullname="Bob"),
            alias_options(address="alice@d.example", user="alice"), alias_options(address="bob@d.example", user="bob"))
        for name in ("alice", "bob"):
            await self.edit(name, account_options(delivery_mailbox=f"{name}@d.example"))


@asynccontextmanager
async def site(url: str) -> AsyncIterator[Site]:
    async with open_database(url, pool_size=2) as db:
        yield Site(db)


def _statements(kind: type[Statement] = Statement) -> Iterable[type[Statement]]:
    for child in kind.__subclasses__():
        yield child
        yield from _statements(child)


def test_each_statement_has_its_query_with_its_parameters() -> None:
    queries = load("provisioning")
    for statement in _statements():
        parameters = {item.name for item in fields(statement)}
        named = {part.split(")s")[0] for part in queries[statement.statement].split("%(")[1:]}
        assert named - {"now"} == parameters, statement


CREATED: list[State] = [
    domain_options(name="new.example", create_key=["jwt"], jwt_algorithm="EdDSA", redirect_all_email_to="d.example",
                   jwt_allow_subdomain_signing=True, srs_domain="srs.example", transactional_email=True),
    account_options(identifier="Carol", fullname="Carol \u00c4", admin=True, password="a password"),
    alias_options(address="Info@d.example", user="alice", blocked=True),
    mailing_list_options(name="All", addresses=["x@y.example", "Z@y.example"], new_mailfrom="all@d.example", owner="bob",
                         list_headers=True),
    alias_options(address="all@d.example", mailing_list="all"),
    permission_options(permission="wiki", name="The wiki"),
    group_options(name="staff", permission=["wiki"]),
    service_user_options(username="printer", user="alice@d.example", permission=["wiki"], description="on the 2nd floor",
                         password="a password"),
    client_options(name="Wiki", client_id="wiki", client_secret="a secret", redirect_uri=["https://wiki.example/cb"],
                   grant_type=["authorization-code", "client-credentials"], domain="d.example", skip_authorization=True,
                   skip_pkce=True, always_refresh=True, access_token="jwt", id_token_alg="ES256", subject_type="pairwise",
                   post_logout_redirect_uri=["https://wiki.example/bye"], allowed_origin=["https://wiki.example"],
                   cas_service=["https://wiki.example/cas/"], backchannel_logout_uri="https://wiki.example/out",
                   jwks='{"keys": [{"kty": "OKP", "x": "y"}]}', jwks_uri="https://wiki.example/jwks",
                   logo_uri="https://wiki.example/logo.png", required_permission=["wiki"]),
]


async def test_everything_is_created_once(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        assert await here.create(*CREATED) == [Outcome.CREATED] * len(CREATED)
        assert await here.create(*CREATED) == [Outcome.UNCHANGED] * len(CREATED)
        for declared in CREATED:
            state = await get(here.db, type(declared), declared.label, NOW)
            for item in fields(declared):
                wanted, held = getattr(declared, item.name), getattr(state, item.name)
                if isinstance(wanted, (str, bool)) and item.name not in ("user", "mailing_list"):
                    assert held == wanted, item.name
        wiki = await get(here.db, Client, "Wiki", NOW)
        assert wiki.jwks == {"keys": [{"kty": "OKP", "x": "y"}]}
        assert wiki.required_permissions == frozenset({"wiki"})
        assert (await get(here.db, ServiceUser, "PRINTER", NOW)).user == "alice"
        assert (await get(here.db, MailingList, "ALL", NOW)).aliases == ("all@d.example",)


async def test_everything_is_removed_once(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(*CREATED)
        for declared in reversed(CREATED):
            name = declared.label
            assert await here.remove(type(declared)(), name) is Outcome.REMOVED
            assert await find(here.db, type(declared), name, NOW) is None
            assert await here.remove(type(declared)(), name) is Outcome.UNCHANGED


async def test_each_change_is_audited_once_and_without_secrets(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(*CREATED)
        await here.create(*CREATED)
        await here.edit("Carol", account_options(password="another password"))
        await here.remove(Group(), "staff")
        rows = await here.db.fetch_all(
            "SELECT action, actor, object_kind, object_name, old_values, new_values, account_uuid FROM audit ORDER BY id")
        actions = [row[0] for row in rows][7:]
        assert actions == [
            "domain.create", "account.create", "alias.create", "mailing_list.create", "alias.create", "permission.create",
            "group.create", "service_user.create", "client.create", "account.change", "group.remove"]
        assert {row[1] for row in rows} == {"test"}
        assert "a password" not in str(rows)
        assert "a secret" not in str(rows)
        assert "$6$" not in str(rows)
        by_name = {row[3]: row for row in rows}
        assert by_name["staff"][4]["permissions"] == ["wiki"]
        assert by_name["Carol"][4:6] == ({"password": None}, {"password": "(secret)"})
        alice = await get(here.db, Account, "alice", NOW)
        assert by_name["Info@d.example"][6] == by_name["printer"][6] == alice.uuid


async def test_other_values_are_a_conflict_and_change_nothing(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        for state in (account_options(identifier="ALICE", fullname="Malice"),
                      alias_options(address="ALICE@d.example", user="bob"),
                      domain_options(name="D.example", create_key=["jwt"])):
            with pytest.raises(Conflict):
                await here.create(group_options(name="made first"), state)
        assert await sql.groups(here.db) == []
        assert await here.create(account_options(identifier="ALICE", fullname="Alice")) == [Outcome.UNCHANGED]
        assert await here.create(alias_options(address="Alice@D.EXAMPLE", user="ALICE")) == [Outcome.UNCHANGED]


async def test_a_dry_run_says_what_would_happen_and_does_nothing(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        results = await here.run(*(Change(state, Mode.CREATE) for state in CREATED), dry_run=True)
        assert {result.plan.outcome for result in results} == {Outcome.CREATED}
        assert await find(here.db, Client, "wiki", NOW) is None
        with pytest.raises(Conflict, match="delivery mailbox"):
            await here.run(Change(Alias(), Mode.REMOVE, "alice@d.example"), dry_run=True)


async def test_what_a_state_refers_to_must_exist(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        states: list[State] = [
            alias_options(address="a@other.example", user="alice"), alias_options(address="a@d.example", user="nobody"),
            alias_options(address="a@d.example", mailing_list="none"), group_options(name="g", permission=["none"]),
            service_user_options(user="nobody"), service_user_options(user="alice", permission=["none"]),
            mailing_list_options(name="l", owner="nobody"), client_options(name="c", domain="other.example"),
            client_options(name="c", required_permission=["none"], grant_type=["client_credentials"])]
        for state in states:
            with pytest.raises(NotFound):
                await here.create(state)
        for change in (account_options(permission=["none"]), account_options(group=["none"]),
                       account_options(delivery_mailbox="none@d.example"), Account(permissions=adjusted(remove=["none"]))):
            with pytest.raises(NotFound):
                await here.edit("alice", change)
        for kind in (Domain, Account, Alias, MailingList, ServiceUser, Group, Permission, Client):
            with pytest.raises(NotFound, match="there is no"):
                await here.edit("none@none.example" if kind is Alias else "none.example", kind())


async def test_a_user_is_an_alias_an_identifier_or_a_uuid(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        alice = await get(here.db, Account, "alice", NOW)
        assert alice.primary_address == "alice@d.example"
        for selector in ("ALICE", "Alice@D.example", str(alice.uuid), str(alice.uuid).upper()):
            assert (await get(here.db, Account, selector, NOW)).uuid == alice.uuid
        for selector in ("alice@other.example", "", "@", "00000000-0000-0000-0000-000000000000", "x" * 36):
            assert await find(here.db, Account, selector, NOW) is None


async def test_passwords_are_compared_and_set(database_url: str) -> None:
    async with site(database_url) as here:
        await here.create(account_options(identifier="a", password="first one"))
        with pytest.raises(Conflict):
            await here.create(account_options(identifier="a", password="second one"))
        changed = await here.edit("a", account_options(password="second one"))
        again = await here.edit("a", account_options(password="second one"))
        assert (changed.plan.outcome, again.plan.outcome) == (Outcome.CHANGED, Outcome.UNCHANGED)
        [stored] = await sql.account_hashes(here.db, "a")
        assert crypt.verify_password("second one", stored, "sha512crypt")
        row = await here.db.fetch_one("SELECT password_changed_at FROM account")
        assert row == (NOW,)


async def test_generated_passwords_are_told_once(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        declared = service_user_options(user="alice")
        first, second = await here.run(Change(declared, Mode.CREATE), Change(declared, Mode.CREATE))
        assert first.name != second.name
        [stored] = await sql.service_user_hashes(here.db, first.name)
        assert crypt.verify_password(first.secrets["password"], stored, "sha512crypt")
        assert stored.startswith("$6$rounds=1000$")
        named = service_user_options(username=first.name, user="alice")
        [again] = await here.run(Change(named, Mode.CREATE))
        assert (again.plan.outcome, again.secrets) == (Outcome.UNCHANGED, {})


async def test_an_admin_and_a_service_user_do_not_share_a_name(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(account_options(identifier="root", fullname="", admin=True))
        with pytest.raises(Conflict, match="same name"):
            await here.create(service_user_options(username="ROOT", user="alice"))
        await here.create(service_user_options(username="alice", user="alice"))
        with pytest.raises(Conflict, match="same name"):
            await here.edit("alice", account_options(admin=True))


async def test_memberships_grow_and_shrink(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(permission_options(permission="p"), permission_options(permission="q"), group_options(name="g"))
        steps: list[tuple[Any, Any, list[str], list[str]]] = [
            (adjusted(add=["p", "q"]), adjusted(add=["g"]), ["p", "q"], ["g"]),
            (adjusted(remove=["q"]), UNSET, ["p"], ["g"]),
            (frozenset({"q"}), frozenset(), ["q"], [])]
        for permissions, groups, held, joined in steps:
            declared = Account(permissions=permissions, groups=groups)
            assert (await here.edit("alice", declared)).plan.outcome is Outcome.CHANGED
            assert (await here.edit("alice", declared)).plan.outcome is Outcome.UNCHANGED
            alice = await get(here.db, Account, "alice", NOW)
            assert (sorted(alice.permissions), sorted(alice.groups)) == (held, joined)
        await here.edit("alice", Account(groups=adjusted(add=["g"])))
        await here.edit("g", Group(permissions=frozenset({"p"})))
        assert await sql.held_permissions(here.db, alice.uuid) == ["p", "q"]


async def test_a_delivery_mailbox_is_an_alias_of_the_user(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        with pytest.raises(Conflict, match="not an alias of alice"):
            await here.edit("alice", account_options(delivery_mailbox="bob@d.example"))
        with pytest.raises(Conflict):
            await here.remove(Alias(), "alice@d.example")
        await here.edit("alice", account_options(delivery_mailbox=""))
        assert await here.remove(Alias(), "alice@d.example") is Outcome.REMOVED


async def test_aliases_can_be_renamed_and_given_away(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(alias_options(address="old@d.example", user="alice"))
        await here.edit("OLD@d.example", alias_options(address="new@d.example", user="bob@d.example"))
        moved = await get(here.db, Alias, "new@d.example", NOW)
        assert (moved.user, await find(here.db, Alias, "old@d.example", NOW)) == ("bob", None)
        with pytest.raises(Conflict, match="address"):
            await here.edit("new@d.example", alias_options(address="BOB@d.example"))
        await here.edit("alice@d.example", alias_options(address="alice.new@d.example"))
        assert (await get(here.db, Account, "alice", NOW)).primary_address == "alice.new@d.example"


async def test_a_domain_with_aliases_stays(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        with pytest.raises(Conflict, match=r"alice@d\.example, bob@d\.example"):
            await here.remove(Domain(), "d.example")


async def test_keys_are_replaced_and_retired(database_url: str) -> None:
    async with site(database_url) as here:
        await here.create(domain_options(name="d.example", create_key=["jwt", "dkim"]))
        first = await get(here.db, Domain, "d.example", NOW)
        assert {key.purpose for key in first.keys} == {"jwt", "dkim"}
        here.clock.now += timedelta(days=1)
        await here.edit("d.example", domain_options(name="d.example", create_key=["jwt"], overwrite=True))
        second = await get(here.db, Domain, "d.example", here.clock.now)
        assert len(second.keys & first.keys) == 1
        rows = await here.db.fetch_all("SELECT purpose, retired_at, published_until FROM signing_key ORDER BY id")
        assert ("jwt", here.clock.now, here.clock.now + timedelta(hours=2)) in rows
        await here.edit("d.example", domain_options(name="d.example", remove_key=["jwt", "dkim"]))
        assert (await get(here.db, Domain, "d.example", here.clock.now)).keys == frozenset()


async def test_client_secrets_overlap_while_they_change(database_url: str) -> None:
    async with site(database_url) as here:
        options = client_options(name="App", grant_type=["client_credentials"])
        [made] = await here.run(Change(options, Mode.CREATE))
        client_id, old = made.state.as_json()["client_id"] if made.state else "", made.secrets["client_secret"]
        [again] = await here.run(Change(options, Mode.CREATE))
        assert (again.plan.outcome, again.secrets) == (Outcome.UNCHANGED, {})
        rotation = Client(secret=references.new_client_secret(timedelta(hours=1)))
        [rotated] = await here.run(Change(rotation, Mode.EDIT, client_id))
        new = rotated.secrets["client_secret"]

        async def accepted(secret: str) -> bool:
            hashes = await sql.client_hashes(here.db, client_id, here.clock.now)
            return any(crypt.verify_password(secret, stored, "sha512crypt") for stored in hashes)

        assert (await accepted(old), await accepted(new), old == new) == (True, True, False)
        here.clock.now += timedelta(hours=1)
        assert (await accepted(old), await accepted(new)) == (False, True)


async def test_a_client_becomes_public_and_confidential_again(database_url: str) -> None:
    async with site(database_url) as here:
        await here.create(client_options(name="App", redirect_uri=["https://app.example/cb"]))
        public = await here.edit("App", client_options(client_type="public"))
        assert (public.secrets, (await get(here.db, Client, "App", NOW)).secrets) == ({}, 0)
        confidential = await here.edit("App", client_options(client_type="confidential"))
        assert "client_secret" in confidential.secrets
        with pytest.raises(InvalidInput):
            await here.edit("App", client_options(client_type="public", client_secret="s"))


async def test_deactivation_ends_what_was_given(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(client_options(name="App", client_id="app", redirect_uri=["https://app.example/cb"]))
        await here.db.execute("""
            INSERT INTO session (token_digest, account_uuid, amr, authenticated_at, created_at, last_seen_at, expires_at)
            SELECT sha256(identifier::bytea), uuid, '{pwd}', now(), now(), now(), now() + interval '1 day' FROM account""")
        await here.db.execute("""
            INSERT INTO token_grant (id, client_id, account_uuid, scopes, auth_time, acr, amr, created_at)
            SELECT gen_random_uuid(), c.id, a.uuid, '{}', now(), '1', '{}', now() FROM client c, account a""")
        await here.db.execute("""
            INSERT INTO access_token (token_digest, client_id, account_uuid, scopes, issued_at, expires_at)
            SELECT sha256(identifier::bytea), c.id, a.uuid, '{}', now(), now() + interval '1 day' FROM client c, account a""")

        async def alive() -> tuple[list[str], list[str], list[str]]:
            queries = ("session", "token_grant t WHERE revoked_at IS NULL", "access_token t WHERE revoked_at IS NULL")
            names = [await here.db.fetch_all(f"""SELECT identifier FROM account WHERE uuid IN (
                SELECT account_uuid FROM {query}) ORDER BY 1""") for query in queries]
            first, second, third = ([row[0] for row in rows] for rows in names)
            return first, second, third

        await here.edit("alice", account_options(active=False))
        assert await alive() == (["bob"], ["bob"], ["bob"])
        await here.edit("app", client_options(active=False))
        assert await alive() == (["bob"], [], [])


async def test_signing_out_ends_every_session_of_one_account(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.db.execute("""
            INSERT INTO session (token_digest, account_uuid, amr, authenticated_at, created_at, last_seen_at, expires_at)
            SELECT sha256((identifier || n)::bytea), uuid, '{pwd}', now(), now(), now(), now() + interval '1 day'
            FROM account, generate_series(1, 2) n""")
        assert await here.provisioner.sign_out("alice", dry_run=True) == 2
        assert await here.provisioner.sign_out("Alice@d.example") == 2
        assert await here.provisioner.sign_out("alice") == 0
        assert await here.db.fetch_one("SELECT count(*) FROM session") == (2,)
        assert await here.db.fetch_all("SELECT object_name, new_values FROM audit WHERE action = 'account.sign_out'") == [
            ("alice", {"sessions": 2})]


async def test_hygiene_removes_what_expired_and_nothing_else(database_url: str) -> None:
    async with site(database_url) as here:
        await here.people()
        await here.create(client_options(name="App", grant_type=["client_credentials"]))
        await here.edit("App", Client(secret=references.new_client_secret(timedelta(hours=1))))
        await here.db.execute("""
            INSERT INTO session (token_digest, account_uuid, amr, authenticated_at, created_at, last_seen_at, expires_at)
            SELECT sha256(identifier::bytea), uuid, '{pwd}', %(now)s, %(now)s, %(now)s,
                   %(now)s + CASE identifier WHEN 'alice' THEN interval '1 hour' ELSE interval '1 day' END
            FROM account""", {"now": NOW})
        assert await remove_expired(here.db, Settings(), NOW) == 0
        later = NOW + timedelta(hours=2)
        assert await remove_expired(here.db, Settings(), later) == 2
        assert await remove_expired(here.db, Settings(), later) == 0
        assert await here.db.fetch_one("SELECT (SELECT count(*) FROM session), (SELECT count(*) FROM client_secret)") == (1, 1)


async def test_of_several_at_once_one_creates(database_url: str) -> None:
    async with site(database_url) as here:
        outcomes = await asyncio.gather(*(here.create(group_options(name="staff")) for _ in range(5)))
        assert sorted(outcome.value for [outcome] in outcomes) == ["created"] + ["unchanged"] * 4
