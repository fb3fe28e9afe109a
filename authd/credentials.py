"""Where PostgreSQL is and who we are there, as the settings say: the embedded one, a URL or its parts, or Vault.

Blocking, for the command line; how the daemon keeps credentials from Vault fresh stands in `vault/keeper.py`.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from authd.config import Settings
from authd.embedded import EmbeddedPostgres
from authd.sql.connection import Credentials

DATABASE = "authd"


def configured(settings: Settings) -> Credentials:
    """What the settings say of a PostgreSQL that authd does not run; without what Vault hands out."""
    database = settings.database
    given = {"dbname": database.name, "user": database.user, "password": database.password,
             "sslcert": database.client_certificate, "sslkey": database.client_key, "sslrootcert": database.ca,
             "sslmode": "verify-full" if database.ca else ""}
    if not database.url:
        address = database.default_address
        given |= {"host": address.host, "port": str(address.port), "dbname": database.name or DATABASE}
    return Credentials(database.url, defaults={name: str(value) for name, value in given.items() if value})


@contextmanager
def running_server(settings: Settings) -> Iterator[Credentials]:
    """Where PostgreSQL is; the embedded one runs for as long as the block does."""
    if not settings.embedded_database:
        yield configured(settings)
        return
    server = EmbeddedPostgres(settings.database.embedded)
    server.start()
    try:
        yield Credentials(server.url())
    finally:
        server.stop()


@contextmanager
def running_database(settings: Settings) -> Iterator[Credentials]:
    """Credentials that work for as long as the block does; from Vault where that is configured, and given back after it.

    Raises Unavailable where Vault does not hand any out.
    """
    with running_server(settings) as credentials:
        if not settings.vault.database_path:
            yield credentials
            return
        from authd.vault.client import VaultClient

        with closing(VaultClient(settings.vault)) as vault:
            vault.log_in()
            leased = vault.read_credentials()
            try:
                yield replace(credentials, user=leased.user, password=leased.password)
            finally:
                vault.give_back(leased)
