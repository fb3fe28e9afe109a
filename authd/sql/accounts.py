"""Statements about accounts as somebody who logs in sees them. Rules are in `authd.identity`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from authd.identity.facts import Account, Login, LoginName, ServiceUser
from authd.sql.database import Executor
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("accounts")
_LOGIN = Prepared(_QUERIES["login"], "account_login")
_SAMPLE = 20_000  # rows that are looked at to learn which schemes are in use
ACCOUNT_COLUMNS = 13


def account_of(row: tuple[Any, ...]) -> Account:
    """The account in the first columns of a row, in the order of `by_uuid`."""
    return Account(*row[:ACCOUNT_COLUMNS])


async def login(db: Executor, name: LoginName) -> Login | None:
    """What the name leads to, whatever its state: an alias's account, a service user, else an admin. One round trip."""
    row = await db.fetch_one(_LOGIN, {"local_part": name.local_part, "domain": name.domain})
    if row is None:
        return None
    held, service_user_id, username, password_hash, generated, limited, permissions = row[ACCOUNT_COLUMNS:]
    service_user = None
    if service_user_id is not None:
        service_user = ServiceUser(service_user_id, username, password_hash, generated, limited, frozenset(permissions))
    return Login(account_of(row), service_user, frozenset(held))


async def by_uuid(db: Executor, uuid: UUID) -> Account | None:
    """The account, active or not."""
    row = await db.fetch_one(_QUERIES["by_uuid"], {"uuid": uuid})
    return None if row is None else account_of(row)


async def permissions(db: Executor, uuid: UUID) -> frozenset[str]:
    """The identifiers of every permission that the account holds, directly or through a group."""
    return frozenset(row[0] for row in await db.fetch_all(_QUERIES["permissions"], {"uuid": uuid}))


async def groups(db: Executor, uuid: UUID) -> tuple[str, ...]:
    """The names of the account's groups, sorted."""
    return tuple(row[0] for row in await db.fetch_all(_QUERIES["groups"], {"uuid": uuid}))


async def hash_settings(db: Executor) -> frozenset[str]:
    """Scheme and cost (`$6$rounds=5000$`) of the stored hashes; of large tables a sample."""
    estimates = await db.fetch_one(_QUERIES["row_estimates"])
    assert estimates is not None
    shares = [min(100.0, 100.0 * _SAMPLE / max(rows, 1.0)) for rows in estimates]
    rows = await db.fetch_all(_QUERIES["hash_settings"], {"account_share": shares[0], "service_user_share": shares[1]})
    return frozenset(row[0] for row in rows)


async def rehash(db: Executor, login: Login, new: str) -> None:
    """Replaces the hash that the login was verified with, unless it has changed meanwhile."""
    old_and_new = {"old": login.password_hash, "new": new}
    if login.service_user is not None:
        await db.execute(_QUERIES["rehash_service_user"], {"id": login.service_user.id, **old_and_new})
    else:
        await db.execute(_QUERIES["rehash_account"], {"uuid": login.account.uuid, **old_and_new})


async def set_password(db: Executor, uuid: UUID, password_hash: str, now: datetime) -> bool:
    """Sets the hash of a password that somebody chose; False if there is no such active account."""
    return await db.execute(_QUERIES["set_password"], {"uuid": uuid, "hash": password_hash, "now": now}) == 1


async def record_login(
    db: Executor, login: Login, *, network: str | None, device_digest: bytes | None, now: datetime, stale: datetime
) -> None:
    """Notes when account, service user, client network and device were last used, each only if the note is older
    than `stale`.
    """
    await db.execute(_QUERIES["record_login"], {
        "uuid": login.account.uuid, "service_user_id": login.service_user and login.service_user.id,
        "network": network, "device_digest": device_digest, "now": now, "stale": stale})
