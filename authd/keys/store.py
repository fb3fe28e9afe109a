"""The only owner of private keys while authd runs: finds them in the database, opens them once, keeps them for a while."""

from collections.abc import Callable
from datetime import datetime

from authd.keys.cipher import Cipher
from authd.keys.facts import DkimKeys, JwsAlgorithm, NewKey, PublicKey, PublishedKeys, Purpose, SigningKey
from authd.sql.database import Database


class KeyStore:
    """Cached keys. `forget` is for whoever hears that keys changed (channel "keys"); without it they are re-read after 60 s."""

    def __init__(self, db: Database, cipher: Cipher, now: Callable[[], datetime], *, certificate_days: int = 3650) -> None:
        raise NotImplementedError

    async def jwt_key(self, domain: str, jws_algorithm: JwsAlgorithm = "RS256") -> SigningKey:
        """The key that signs for `domain` (lower case, A-labels): NotFound with code not_auth_domain or not_jwt_enabled."""
        raise NotImplementedError

    async def jwt_key_for(self, host: str, jws_algorithm: JwsAlgorithm = "RS256") -> SigningKey:
        """As jwt_key, for a Host header's value (a port and upper case are allowed)."""
        raise NotImplementedError

    async def issuer_key(self, jws_algorithm: JwsAlgorithm = "RS256") -> SigningKey:
        """The issuer's own key, made where there is none yet."""
        raise NotImplementedError

    async def published(self) -> PublishedKeys:
        """Every published JWT key, and the rendered JWK set with its ETag."""
        raise NotImplementedError

    async def verification_key(self, kid: str) -> tuple[PublicKey, JwsAlgorithm] | None:
        """The published public key of that kid and its algorithm."""
        raise NotImplementedError

    async def certificate(self, domain: str) -> bytes:
        """The self-signed certificate (DER) of the RS256 key that signs for `domain`; errors as jwt_key."""
        raise NotImplementedError

    async def dkim_keys(self, domain: str) -> DkimKeys | None:
        """Every active DKIM key of `domain`, or of the nearest parent that lends its keys; None where there is none."""
        raise NotImplementedError

    async def new_key(self, purpose: Purpose, algorithm: str, selector: str | None = None) -> NewKey:
        """Makes a key in a thread and seals it; the caller inserts it (authd.sql.keys.insert) in its own transaction."""
        raise NotImplementedError

    async def imported_key(self, purpose: Purpose, pem: bytes, selector: str | None = None) -> NewKey:
        """The same for a PEM key of an earlier installation (PKCS#1 or PKCS#8, CRLF or LF); InvalidInput if it is none."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drops everything that is cached."""
        raise NotImplementedError
