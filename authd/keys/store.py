"""The only owner of private keys while authd runs: finds them in the database, opens them once, keeps them for a while.

Which key signs is decided in rules.py, how a key is made and opened in generate.py.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from authd.errors import NotFound
from authd.keys import certificate, generate, rules
from authd.keys.cache import Cache
from authd.keys.cipher import Cipher, KeyUnreadable
from authd.keys.facts import (
    DEFAULT_ALGORITHM,
    JWS_ALGORITHM,
    DkimAlgorithm,
    DkimKey,
    DkimKeys,
    JwsAlgorithm,
    NewKey,
    PublicJwk,
    PublicKey,
    PublishedKeys,
    PublishedRow,
    Purpose,
    SigningKey,
    StoredKey,
)
from authd.keys.jwk import to_jwk
from authd.sql import keys as sql
from authd.sql.database import Database

ISSUER_ALGORITHM: dict[JwsAlgorithm, str] = {"RS256": DEFAULT_ALGORITHM, "ES256": "ES256", "EdDSA": "EdDSA"}
JWKS_AT_ONCE = 100  # keys rendered before other callbacks get their turn; a key takes 15 µs


@dataclass(frozen=True, slots=True)
class _Signer:
    """The key that signs for a name, with its row for what a SigningKey does not say."""

    key: SigningKey
    stored: StoredKey


class KeyStore:
    """Cached keys. Whoever hears that keys changed calls `forget`; they are read anew after 60 s anyway.

    Every method may raise DatabaseUnavailable, and KeyUnreadable where secrets.key_file lacks the key that sealed a row.
    """

    def __init__(self, db: Database, cipher: Cipher, now: Callable[[], datetime], *, certificate_days: int = 3650) -> None:
        self._db = db
        self._cipher = cipher
        self._now = now
        self._certificate_days = certificate_days
        self._signers: Cache[tuple[str, JwsAlgorithm | None], _Signer | NotFound] = Cache(self._load_signer, now)
        self._certificates: Cache[str, bytes] = Cache(self._load_certificate, now)
        self._issuer: Cache[JwsAlgorithm, SigningKey] = Cache(self._load_issuer, now)
        self._dkim: Cache[str, DkimKeys | None] = Cache(self._load_dkim, now)
        self._published: Cache[None, PublishedKeys] = Cache(self._load_published, now)
        self._jwks: dict[str, PublicJwk] = {}
        self._open_jwt: WeakValueDictionary[tuple[object, ...], SigningKey] = WeakValueDictionary()
        self._open_dkim: WeakValueDictionary[tuple[object, ...], DkimKey] = WeakValueDictionary()

    def forget(self) -> None:
        """Drops everything that was read from the database."""
        for cache in (self._signers, self._certificates, self._issuer, self._dkim, self._published):
            cache.forget()

    async def jwt_key(self, domain: str, jws_algorithm: JwsAlgorithm = "RS256") -> SigningKey:
        """The key that signs for `domain` (lower case, A-labels). NotFound with code not_auth_domain or not_jwt_enabled."""
        return (await self._signer(domain, jws_algorithm)).key

    async def jwt_key_for(self, host: str) -> SigningKey:
        """As jwt_key, whatever the algorithm, for the value of a Host header: case, port and a final dot do not matter."""
        return (await self._signer(rules.host_name(host), None)).key

    async def certificate(self, domain: str) -> bytes:
        """A self-signed certificate (DER) for the RS256 key that signs for `domain`, in the name of the key's auth domain.

        It is made when first asked for and stored, so that everybody gets the same bytes until it expires. Errors as jwt_key.
        """
        key = await self.jwt_key(domain)
        assert key.domain is not None
        return await self._certificates.get(key.domain)

    async def issuer_key(self, jws_algorithm: JwsAlgorithm = "RS256") -> SigningKey:
        """The issuer's own key, which belongs to no domain. Made where there is none: once, whoever else tries."""
        return await self._issuer.get(jws_algorithm)

    async def published(self) -> PublishedKeys:
        """Every published JWT key, retired ones too until their tokens have expired, and the JWK set as it is sent."""
        return await self._published.get(None)

    async def verification_key(self, kid: str) -> tuple[PublicKey, JwsAlgorithm] | None:
        """The published key of that kid and the only algorithm to verify with, or None."""
        found = (await self.published()).keys.get(kid)
        return None if found is None else (found.public_key, found.jwk["alg"])

    async def dkim_keys(self, domain: str) -> DkimKeys | None:
        """Every active DKIM key of `domain`, or of the nearest parent that lends its keys; None where there is none."""
        return await self._dkim.get(domain)

    async def new_key(self, purpose: Purpose, algorithm: str, selector: str | None = None) -> NewKey:
        """Makes a key in a thread and seals it; `authd.sql.keys.insert` adds it in the caller's own transaction.

        InvalidInput where algorithm and purpose do not fit.
        """
        return await asyncio.to_thread(generate.new_key, purpose, algorithm, selector, self._cipher)

    async def imported_key(self, purpose: Purpose, pem: bytes, selector: str | None = None) -> NewKey:
        """The same for a key that exists: PEM, PKCS#1 or PKCS#8, CRLF or LF. InvalidInput where it is none of them."""
        return await asyncio.to_thread(generate.imported_key, purpose, pem, selector, self._cipher)

    async def _signer(self, domain: str, jws_algorithm: JwsAlgorithm | None) -> _Signer:
        found = await self._signers.get((domain, jws_algorithm))
        if isinstance(found, NotFound):
            raise NotFound(str(found), code=found.code)
        return found

    async def _load_signer(self, wanted: tuple[str, JwsAlgorithm | None]) -> tuple[_Signer | NotFound, datetime | None]:
        domain, jws_algorithm = wanted
        names = rules.names_of_interest(domain)
        rows = await sql.domains_with_keys(self._db, names, "jwt") if names else {}
        now = self._now()
        changes = rules.next_change((key for row in rows.values() for key in row.keys), now)
        try:
            name, stored = rules.jwt_signer(domain, rows, jws_algorithm, now)
        except NotFound as error:
            return error.with_traceback(None), changes
        return _Signer(self._opened_jwt(stored, name), stored), changes

    async def _load_certificate(self, domain: str) -> tuple[bytes, datetime | None]:
        signer, now = await self._signer(domain, "RS256"), self._now()
        held = signer.stored.certificate
        if held is None or not certificate.is_current(held, domain, now):
            made = certificate.self_signed(signer.key.private_key, domain, now, self._certificate_days)
            held = await sql.replace_certificate(self._db, signer.stored.id, held, made)
        return held, None

    async def _load_issuer(self, jws_algorithm: JwsAlgorithm) -> tuple[SigningKey, datetime | None]:
        keys = await sql.issuer_keys(self._db)
        if rules.signing_jwt_key(keys, jws_algorithm, self._now()) is None:
            made = await self.new_key("jwt", ISSUER_ALGORITHM[jws_algorithm])
            async with self._db.transaction() as tx:
                await sql.lock_issuer(tx)
                if rules.signing_jwt_key(await sql.issuer_keys(tx), jws_algorithm, self._now()) is None:
                    await sql.insert(tx, made, domain_id=None, now=self._now())
            self._published.forget()  # before the notice comes: who gets a token of the new key may ask for it at once
            keys = await sql.issuer_keys(self._db)
        now = self._now()
        stored = rules.signing_jwt_key(keys, jws_algorithm, now)
        if stored is None:
            raise KeyUnreadable("the issuer's key was removed while it was made")
        return self._opened_jwt(stored, None), rules.next_change(keys, now)

    async def _load_dkim(self, domain: str) -> tuple[DkimKeys | None, datetime | None]:
        names = rules.names_of_interest(domain)
        rows = await sql.domains_with_keys(self._db, names, "dkim") if names else {}
        now = self._now()
        changes = rules.next_change((key for row in rows.values() for key in row.keys), now)
        found = rules.dkim_signers(domain, rows, now)
        if found is None:
            return None, changes
        name, stored = found
        return DkimKeys(name, tuple(self._opened_dkim(key) for key in stored)), changes

    async def _load_published(self, _: None) -> tuple[PublishedKeys, datetime | None]:
        now = self._now()
        rows = await sql.published(self._db, now)
        known: dict[str, PublicJwk] = {}
        for start in range(0, len(rows), JWKS_AT_ONCE):
            for row in rows[start:start + JWKS_AT_ONCE]:
                known[row.kid] = self._jwks.get(row.kid) or _public_jwk(row)
            await asyncio.sleep(0)
        body = await asyncio.to_thread(_jwk_set, known.values())
        self._jwks = known
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return PublishedKeys(known, body, etag), rules.next_change(rows, now)

    def _opened_jwt(self, stored: StoredKey, domain: str | None) -> SigningKey:
        """The parsed key of a row: one object for all names that it signs for."""
        identity = (stored.id, domain, stored.public_key)
        key = self._open_jwt.get(identity)
        if key is None:
            assert stored.kid is not None
            private = generate.opened(stored, self._cipher)
            key = SigningKey(stored.id, stored.kid, stored.algorithm, domain, private, private.public_key(), stored.public_key)
            self._open_jwt[identity] = key
        return key

    def _opened_dkim(self, stored: StoredKey) -> DkimKey:
        identity = (stored.id, stored.selector, stored.public_key)
        key = self._open_dkim.get(identity)
        if key is None:
            private = generate.opened(stored, self._cipher)
            assert stored.selector is not None and not isinstance(private, EllipticCurvePrivateKey)
            algorithm: DkimAlgorithm = "rsa-sha256" if isinstance(private, RSAPrivateKey) else "ed25519-sha256"
            key = DkimKey(stored.selector, algorithm, private)
            self._open_dkim[identity] = key
        return key


def _public_jwk(row: PublishedRow) -> PublicJwk:
    public_key = load_der_public_key(row.public_key)
    assert isinstance(public_key, PublicKey)
    return PublicJwk(row.kid, to_jwk(public_key, row.kid, JWS_ALGORITHM[row.algorithm]), public_key)


def _jwk_set(keys: Iterable[PublicJwk]) -> bytes:
    return json.dumps({"keys": [key.jwk for key in keys]}, separators=(",", ":")).encode("ascii")
