"""The key store on a real database: what it finds, when it notices changes, and what it does without the database."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authd.errors import DatabaseUnavailable, NotFound, UniqueViolation
from authd.keys.cipher import Cipher, KeyUnreadable
from authd.keys.facts import NewKey, Purpose
from authd.keys.generate import imported_key, new_key, opened
from authd.keys.store import KeyStore
from authd.sql import keys as sql
from authd.sql.changes import Changes
from authd.sql.database import Database
from tests.support import open_database

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLAIN = Cipher()
SEALING = Cipher([b"k" * 32])
KEYS = [new_key("jwt", "RSA-2048", None, PLAIN) for _ in range(2)]


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def quick_key(purpose: Purpose = "jwt", selector: str | None = None) -> NewKey:
    """A key that costs nothing to make."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return imported_key(purpose, pem, selector, PLAIN)


async def add_domain(db: Database, name: str, *, jwt_subdomains: bool = False, dkim_subdomains: bool = False) -> int:
    row = await db.fetch_one(
        "INSERT INTO domain (name, jwt_subdomains, dkim_subdomains) VALUES (%(n)s, %(j)s, %(d)s) RETURNING id",
        {"n": name, "j": jwt_subdomains, "d": dkim_subdomains})
    assert row is not None
    return int(row[0])


async def test_the_parent_rule_on_rows(database_url: str) -> None:
    async with open_database(database_url) as db:
        store = KeyStore(db, PLAIN, Clock())
        parent = await add_domain(db, "example.com", jwt_subdomains=True)
        await add_domain(db, "keyless.org")
        await sql.insert(db, KEYS[0], domain_id=parent, now=NOW)
        key = await store.jwt_key_for("A.Example.COM:8443")
        assert (key.domain, key.kid, key.jws_algorithm) == ("example.com", KEYS[0].kid, "RS256")
        assert await store.jwt_key("example.com") is key
        curve = await add_domain(db, "curve.org")
        await sql.insert(db, new_key("jwt", "ES256", None, PLAIN), domain_id=curve, now=NOW)
        assert (await store.jwt_key_for("curve.org")).jws_algorithm == "ES256"
        with pytest.raises(NotFound):
            await store.jwt_key("curve.org")
        for name, code in (("keyless.org", "not_jwt_enabled"), ("a.keyless.org", "not_auth_domain"), ("\0", "not_auth_domain")):
            with pytest.raises(NotFound) as caught:
                await store.jwt_key(name)
            assert caught.value.code == code


async def test_keys_are_kept_and_loaded_once(database_url: str) -> None:
    async with open_database(database_url) as db:
        clock = Clock()
        store = KeyStore(db, PLAIN, clock)
        domain = await add_domain(db, "example.com")
        await sql.insert(db, KEYS[0], domain_id=domain, now=NOW)
        keys = await asyncio.gather(*(store.jwt_key("example.com") for _ in range(100)))
        assert len({id(key) for key in keys}) == 1
        await db.execute("DELETE FROM signing_key")
        assert await store.jwt_key("example.com") is keys[0]
        clock.time += 60 * SECOND
        with pytest.raises(NotFound):
            await store.jwt_key("example.com")


async def test_a_change_is_heard_of(database_url: str) -> None:
    async with open_database(database_url) as db:
        store, changes = KeyStore(db, PLAIN, Clock()), Changes(db)
        forgotten = asyncio.Event()
        changes.subscribe("keys", store.forget)
        changes.subscribe("keys", forgotten.set)
        changes.start()
        try:
            await asyncio.wait_for(changes.listening.wait(), 5)
            with pytest.raises(NotFound):
                await store.jwt_key("example.com")
            forgotten.clear()
            async with db.transaction() as tx:
                row = await tx.fetch_one("INSERT INTO domain (name) VALUES ('example.com') RETURNING id")
                assert row is not None
                first = await sql.insert(tx, KEYS[0], domain_id=row[0], now=NOW)
            await asyncio.wait_for(forgotten.wait(), 5)
            assert (await store.jwt_key("example.com")).kid == KEYS[0].kid
            forgotten.clear()
            assert await sql.retire(db, first, retired_at=NOW, published_until=NOW + 3600 * SECOND)
            await asyncio.wait_for(forgotten.wait(), 5)
            with pytest.raises(NotFound):
                await store.jwt_key("example.com")
        finally:
            await changes.stop()


async def test_a_rotation_takes_place_at_its_moment(database_url: str) -> None:
    async with open_database(database_url) as db:
        clock = Clock()
        store = KeyStore(db, PLAIN, clock)
        domain = await add_domain(db, "example.com")
        await sql.insert(db, KEYS[0], domain_id=domain, now=NOW)
        await sql.insert(db, KEYS[1], domain_id=domain, now=NOW, active_from=NOW + 10 * SECOND)
        assert (await store.jwt_key("example.com")).kid == KEYS[0].kid
        clock.time += 10 * SECOND
        assert (await store.jwt_key("example.com")).kid == KEYS[1].kid


async def test_what_is_published(database_url: str) -> None:
    """The next key before it signs, the retired one until its tokens have expired, and no private half of any."""
    async with open_database(database_url) as db:
        clock = Clock()
        store = KeyStore(db, PLAIN, clock)
        domain = await add_domain(db, "example.com", dkim_subdomains=True)
        following, retired, withdrawn = quick_key(), quick_key(), quick_key()
        await sql.insert(db, following, domain_id=domain, now=NOW, active_from=NOW + 3600 * SECOND)
        number = await sql.insert(db, retired, domain_id=domain, now=NOW - SECOND)
        await sql.retire(db, number, retired_at=NOW, published_until=NOW + 30 * SECOND)
        number = await sql.insert(db, withdrawn, domain_id=domain, now=NOW - SECOND)
        await sql.retire(db, number, retired_at=NOW, published_until=None)
        await sql.insert(db, quick_key("dkim", "s1"), domain_id=domain, now=NOW)
        issuer = await store.issuer_key()

        published = await store.published()
        body = json.loads(published.body)
        assert [key["kid"] for key in body["keys"]] == [issuer.kid, following.kid, retired.kid]
        assert set(body["keys"][0]) == {"kty", "n", "e", "use", "alg", "kid"}
        assert await store.published() is published
        found = await store.verification_key(issuer.kid)
        assert found is not None
        assert found == (issuer.public_key, "RS256")
        assert await store.verification_key("unknown") is None

        clock.time += 30 * SECOND
        later = await store.published()
        assert set(later.keys) == {issuer.kid, following.kid}
        assert later.etag != published.etag


async def test_the_etag_is_the_same_in_every_process(database_url: str) -> None:
    async with open_database(database_url) as db:
        one, other = KeyStore(db, PLAIN, Clock()), KeyStore(db, PLAIN, Clock())
        await one.issuer_key()
        assert (await one.published()).etag == (await other.published()).etag


async def test_one_issuer_key_when_several_start_at_once(database_url: str) -> None:
    async with open_database(database_url) as db:
        stores = [KeyStore(db, SEALING, Clock()) for _ in range(4)]
        keys = await asyncio.gather(*(store.issuer_key() for store in stores for _ in range(2)))
        assert len({key.kid for key in keys}) == 1
        assert keys[0].domain is None
        assert await db.fetch_one("SELECT count(*) FROM signing_key") == (1,)
        assert (await stores[0].issuer_key("ES256")).jws_algorithm == "ES256"
        assert (await stores[0].issuer_key("RS256")).kid == keys[0].kid


async def test_dkim_keys(database_url: str) -> None:
    async with open_database(database_url) as db:
        store = KeyStore(db, PLAIN, Clock())
        parent = await add_domain(db, "example.com", dkim_subdomains=True)
        await add_domain(db, "sub.example.com")
        await sql.insert(db, quick_key("dkim", "ed"), domain_id=parent, now=NOW)
        rsa = new_key("dkim", "RSA-2048", "rsa", PLAIN)
        await sql.insert(db, rsa, domain_id=parent, now=NOW)
        found = await store.dkim_keys("news.sub.example.com")
        assert found is not None
        assert found.domain == "example.com"
        assert [(key.selector, key.algorithm) for key in found.keys] == [("rsa", "rsa-sha256"), ("ed", "ed25519-sha256")]
        again = await store.dkim_keys("example.com")
        assert again is not None
        assert again.keys[0] is found.keys[0]
        assert await store.dkim_keys("example.org") is None
        with pytest.raises(UniqueViolation):
            await sql.insert(db, quick_key("dkim", "ed"), domain_id=parent, now=NOW)


async def test_sealed_keys_need_their_key_file(database_url: str) -> None:
    async with open_database(database_url) as db:
        made = await KeyStore(db, SEALING, Clock()).new_key("dkim", "Ed25519", "s1")
        domain = await add_domain(db, "example.com")
        await sql.insert(db, made, domain_id=domain, now=NOW)
        assert await KeyStore(db, SEALING, Clock()).dkim_keys("example.com") is not None
        with pytest.raises(KeyUnreadable, match=made.cipher_key):
            await KeyStore(db, PLAIN, Clock()).dkim_keys("example.com")


async def test_the_certificate_is_the_same_for_everybody_until_it_expires(database_url: str) -> None:
    async with open_database(database_url) as db:
        clock = Clock()
        one, other = (KeyStore(db, PLAIN, clock, certificate_days=30) for _ in range(2))
        domain = await add_domain(db, "example.com", jwt_subdomains=True)
        await sql.insert(db, KEYS[0], domain_id=domain, now=NOW)
        first, second = await asyncio.gather(one.certificate("example.com"), other.certificate("a.example.com"))
        assert first == second == await one.certificate("example.com")
        certificate = x509.load_der_x509_certificate(first)
        assert certificate.subject.rfc4514_string() == "CN=example.com"
        assert certificate.public_key() == (await one.jwt_key("example.com")).public_key
        clock.time += timedelta(days=30)
        renewed = await one.certificate("example.com")
        assert renewed != first
        assert renewed == await other.certificate("example.com")
        with pytest.raises(NotFound):
            await one.certificate("example.org")


async def test_a_fresh_key_signs_without_the_database_and_an_expired_one_does_not(database_url: str) -> None:
    async with open_database(database_url) as db:
        clock = Clock()
        store = KeyStore(db, PLAIN, clock)
        domain = await add_domain(db, "example.com")
        await sql.insert(db, KEYS[0], domain_id=domain, now=NOW)
        key = await store.jwt_key("example.com")
        await db.execute("ALTER TABLE signing_key RENAME TO gone")
        await db.execute("ALTER DATABASE " + database_url.rpartition("/")[2].partition("?")[0] + " CONNECTION LIMIT 0")
        db.close()
        clock.time += 59 * SECOND
        assert await store.jwt_key("example.com") is key
        clock.time += SECOND
        with pytest.raises(DatabaseUnavailable):
            await store.jwt_key("example.com")


async def test_stored_keys_of_a_domain(database_url: str) -> None:
    async with open_database(database_url) as db:
        domain = await add_domain(db, "example.com")
        first = await sql.insert(db, KEYS[0], domain_id=domain, now=NOW)
        second = await sql.insert(db, quick_key("dkim", "s1"), domain_id=domain, now=NOW)
        keys = await sql.keys_of_domain(db, domain)
        assert [(key.id, key.purpose, key.selector) for key in keys] == [(first, "jwt", None), (second, "dkim", "s1")]
        assert opened(keys[0], PLAIN).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) == KEYS[0].private_key
        assert await sql.remove(db, first)
        assert not await sql.remove(db, first)
        assert not await sql.retire(db, first, retired_at=NOW, published_until=None)


async def test_a_key_made_on_demand_is_published_before_it_signs(database_url: str) -> None:
    async with open_database(database_url) as db:
        store = KeyStore(db, PLAIN, Clock())
        before = await store.published()
        key = await store.issuer_key("ES256")
        after = await store.published()
        assert key.kid not in before.keys
        assert key.kid in after.keys
