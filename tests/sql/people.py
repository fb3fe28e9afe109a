"""People to log in with: rows written straight into the tables, and a clock that stands still until it is moved."""

from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from authd.identity import crypt
from authd.sql.database import Executor

PASSWORD = "correct horse battery staple"


class Clock:
    """The time of day; `advance` moves it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)


@cache
def hashed(password: str) -> str:
    """A hash that no login finds too weak."""
    return crypt.hash_password(password, "yescrypt")


async def add_domain(db: Executor, name: str) -> int:
    """The id of the domain, which is made where it is missing."""
    await db.execute("INSERT INTO domain (name) VALUES (%(name)s) ON CONFLICT DO NOTHING", {"name": name})
    return int(await _value(db, "SELECT id FROM domain WHERE name = %(name)s", name=name))


async def add_alias(db: Executor, account: UUID, address: str, *, blocked: bool = False) -> int:
    """The id of a new alias of the account."""
    local_part, domain = address.split("@")
    return int(await _value(
        db, "INSERT INTO alias (local_part, domain_id, account_uuid, blocked) "
            "VALUES (%(local_part)s, %(domain)s, %(account)s, %(blocked)s) RETURNING id",
        local_part=local_part, domain=await add_domain(db, domain), account=account, blocked=blocked))


async def add_account(
    db: Executor,
    identifier: str,
    *addresses: str,
    password_hash: str | None = "default",
    primary: bool = True,
    admin: bool = False,
    active: bool = True,
    service_users_only: bool = False,
) -> UUID:
    """An account with these aliases, of which the first is the primary one. Its password is PASSWORD unless said."""
    stored = hashed(PASSWORD) if password_hash == "default" else password_hash
    uuid = await _value(
        db, "INSERT INTO account (identifier, password_hash, is_admin, is_active, service_users_only) "
            "VALUES (%(identifier)s, %(hash)s, %(admin)s, %(active)s, %(only)s) RETURNING uuid",
        identifier=identifier, hash=stored, admin=admin, active=active, only=service_users_only)
    assert isinstance(uuid, UUID)
    aliases = [await add_alias(db, uuid, address) for address in addresses]
    if aliases and primary:
        await db.execute("UPDATE account SET primary_alias_id = %(alias)s WHERE uuid = %(uuid)s",
                         {"alias": aliases[0], "uuid": uuid})
    return uuid


async def add_service_user(
    db: Executor, account: UUID, username: str, *permissions: str, password_hash: str | None = None, generated: bool = True,
    limited: bool = False,
) -> int:
    """The id of a service user, with PASSWORD unless a hash is given; limited where there are permissions or it is said."""
    service_user = int(await _value(
        db, "INSERT INTO service_user (username, account_uuid, password_hash, generated, limited) "
            "VALUES (%(username)s, %(account)s, %(hash)s, %(generated)s, %(limited)s) RETURNING id",
        username=username, account=account, hash=password_hash or hashed(PASSWORD), generated=generated,
        limited=limited or bool(permissions)))
    for name in permissions:
        await db.execute("INSERT INTO service_user_permission VALUES (%(service_user)s, %(permission)s)",
                         {"service_user": service_user, "permission": await add_permission(db, name)})
    return service_user


async def add_permission(db: Executor, identifier: str) -> int:
    """The id of the permission, which is made where it is missing."""
    await db.execute("INSERT INTO permission (identifier) VALUES (%(name)s) ON CONFLICT DO NOTHING", {"name": identifier})
    return int(await _value(db, "SELECT id FROM permission WHERE identifier = %(name)s", name=identifier))


async def grant(db: Executor, account: UUID, *identifiers: str) -> None:
    """Gives the account permissions directly."""
    for name in identifiers:
        await db.execute("INSERT INTO account_permission VALUES (%(account)s, %(permission)s)",
                         {"account": account, "permission": await add_permission(db, name)})


async def add_group(db: Executor, name: str, *permissions: str, members: tuple[UUID, ...] = ()) -> None:
    """A group with permissions and members."""
    group = await _value(db, "INSERT INTO account_group (name) VALUES (%(name)s) RETURNING id", name=name)
    for identifier in permissions:
        await db.execute("INSERT INTO group_permission VALUES (%(group)s, %(permission)s)",
                         {"group": group, "permission": await add_permission(db, identifier)})
    for member in members:
        await db.execute("INSERT INTO group_member VALUES (%(group)s, %(member)s)", {"group": group, "member": member})


async def _value(db: Executor, statement: str, **parameters: object) -> int | UUID | str:
    row = await db.fetch_one(statement, parameters)
    assert row is not None
    value = row[0]
    assert isinstance(value, int | UUID | str)
    return value
