"""What the measured host knows: a domain with its keys, people who can sign in, a mailing list, an OAuth2 client, and a Docker
registry.

A process of its own, so that the one that measures stays small: `python -m … population site CONFIG PEOPLE` prints a
`Site` as JSON, `… keys CONFIG COUNT` adds signing keys to what is published, `… crowd CONFIG ACCOUNTS` adds accounts.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from authd import config
from authd.config import Settings
from authd.credentials import running_database
from authd.identity import crypt
from authd.keys.cipher import load_cipher
from authd.keys.store import KeyStore
from authd.provisioning.accounts import account_options
from authd.provisioning.aliases import alias_options
from authd.provisioning.clients import NewSecret, client_options
from authd.provisioning.domains import domain_options
from authd.provisioning.mailing_lists import mailing_list_options
from authd.provisioning.plan import Change, Mode
from authd.provisioning.provisioner import Provisioner
from authd.provisioning.registries import registry_options
from authd.provisioning.state import Secret, State
from authd.sql import keys as sql_keys
from authd.sql.database import Database, SessionOptions
from authd.sql.migrate import migrate

DOMAIN = "bench.example"
PASSWORD = "correct horse battery staple"  # noqa: S105
REGISTRY = "registry.bench.example"
LIST = f"list@{DOMAIN}"
MEMBERS = ("ann@example.net", "bob@example.net", "carol@example.net")
REDIRECT_URI = "http://127.0.0.1:9999/callback"
_PATIENCE = 300.0  # seconds that a statement may take
GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")


@dataclass(frozen=True)
class Site:
    """Names and secrets that the load needs. Everybody in `people` has PASSWORD."""

    people: list[str]
    client_id: str
    client_secret: str


async def populate(database: Database, settings: Settings, people: int) -> Site:
    """A domain with a JWT and a DKIM key, `people` accounts with an address each, a list of three members, a client that is
    trusted, and a registry that anybody may pull from.
    """
    await migrate(database)
    scheme = crypt.scheme_here("yescrypt")
    with ThreadPoolExecutor(2) as pool:
        hashes = list(pool.map(lambda _: crypt.hash_password(PASSWORD, scheme), range(people)))
    secret, secret_hash = crypt.generated_secret()
    client = client_options(name="Benchmark", client_id="benchmark", redirect_uri=[REDIRECT_URI], grant_type=GRANT_TYPES,
                            domain=DOMAIN, skip_authorization=True, always_refresh=True)
    states: list[State] = [domain_options(name=DOMAIN, create_key=["jwt", "dkim"]),
                           replace(client, secret=NewSecret(secret, generated=True, hash=secret_hash)),
                           registry_options(client_id=REGISTRY, name="Benchmark", domain=DOMAIN,
                                            allow_unauthenticated_pull=True),
                           mailing_list_options(name="Benchmark", addresses=MEMBERS),
                           alias_options(address=LIST, mailing_list="Benchmark")]
    names = [f"user{number}" for number in range(people)]
    for name, password_hash in zip(names, hashes, strict=True):
        account = account_options(identifier=name)
        states += [replace(account, password=Secret(PASSWORD, hash=password_hash)),
                   alias_options(address=f"{name}@{DOMAIN}", user=name),
                   account_options(identifier=name, delivery_mailbox=f"{name}@{DOMAIN}")]
    provisioner = Provisioner(database, _key_store(database, settings), _now, actor="benchmark", scheme=scheme)
    await provisioner.apply(Change(state, Mode.ENSURE) for state in states)
    return Site([f"{name}@{DOMAIN}" for name in names], "benchmark", secret)


async def add_keys(database: Database, settings: Settings, count: int) -> None:
    """More published keys of the issuer (ES256, which take no time to make)."""
    store = _key_store(database, settings)
    async with database.transaction() as tx:
        for _ in range(count):
            await sql_keys.insert(tx, await store.new_key("jwt", "ES256"), domain_id=None, now=_now())


async def add_crowd(database: Database, settings: Settings, count: int) -> None:
    """Accounts of the one domain, with three addresses each, in statements that each write all rows."""
    await database.execute(
        "INSERT INTO account (identifier) SELECT 'crowd' || n FROM generate_series(1, %(count)s) n", {"count": count})
    await database.execute(
        "INSERT INTO alias (local_part, domain_id, account_uuid) "
        "SELECT a.identifier || part, d.id, a.uuid FROM account a, domain d, unnest(ARRAY['', '.second', '.third']) part "
        "WHERE a.identifier LIKE 'crowd%%' AND d.name = %(domain)s", {"domain": DOMAIN})
    await database.execute("VACUUM ANALYZE account, alias")


def _key_store(database: Database, settings: Settings) -> KeyStore:
    return KeyStore(database, load_cipher(settings.secrets.key_file), _now)


def _now() -> datetime:
    return datetime.now(UTC)


def main(kind: str, file: Path, number: int) -> None:
    """Runs one of the three on the configured database."""
    settings = config.load(file, {})

    async def run(work: Callable[[Database, Settings, int], Awaitable[object]]) -> object:
        database = Database(credentials, options=SessionOptions(statement_timeout=_PATIENCE))
        try:
            return await work(database, settings, number)
        finally:
            database.close()

    with running_database(settings) as credentials:
        made = asyncio.run(run({"site": populate, "keys": add_keys, "crowd": add_crowd}[kind]))
    if isinstance(made, Site):
        print(json.dumps(asdict(made)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
