"""By which key and certificate a registry knows us. The certificate is made once and kept: registries of 2.x refuse
another certificate of the same key, and an expired one.
"""

from collections.abc import Callable
from datetime import datetime

from authd.docker.bearer import Signer
from authd.docker.facts import Registry
from authd.errors import NotFound
from authd.keys import certificate
from authd.keys.facts import SigningKey
from authd.keys.store import KeyStore
from authd.sql import docker as sql
from authd.sql.database import Database

CERTIFICATE_DAYS = 3652


class RegistryKeys:
    """The signers of registries. Every method may raise what KeyStore raises, DatabaseUnavailable above all."""

    def __init__(self, db: Database, keys: KeyStore, now: Callable[[], datetime]) -> None:
        self._db = db
        self._keys = keys
        self._now = now
        self._certificates: dict[tuple[int, int], bytes] = {}

    async def signer(self, registry: Registry) -> Signer:
        """The RSA key of the registry's domain, or its EC key where it has no other: registries of 2.x know no Ed25519.

        NotFound with code not_jwt_enabled where there is neither.
        """
        try:
            key = await self._keys.jwt_key(registry.domain, "RS256")
        except NotFound:
            key = await self._keys.jwt_key(registry.domain, "ES256")
        return Signer(key, await self._certificate(registry, key))

    async def _certificate(self, registry: Registry, key: SigningKey) -> bytes:
        held = self._certificates.get((registry.id, key.id)) or await sql.certificate(self._db, registry.id, key.id)
        if held is None:
            made = certificate.self_signed(key.private_key, registry.service, self._now(), CERTIFICATE_DAYS, ca=True)
            held = await sql.insert_certificate(self._db, registry.id, key.id, made)
        self._certificates[registry.id, key.id] = held
        return held
