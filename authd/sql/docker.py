"""The rows that registry tokens are decided from, and what issuing them leaves behind. Rules are in `authd.docker`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from authd.audit import Entry
from authd.docker.facts import Asker, Facts, RefreshToken, Registry, Right, Rights
from authd.errors import NotFound
from authd.sql import audit
from authd.sql.database import Database, Executor
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("docker")
_FACTS = Prepared(_QUERIES["facts"], "docker_facts")


async def facts(
    db: Executor, service: str, names: Sequence[str], *, account: UUID | None = None, refresh_token: bytes | None = None,
    unconfigured: bool = False,
) -> Facts:
    """A registry, the rights in it of the account or of the refresh token's (given by its digest), and that token. What is
    configured for others is told only with `unconfigured`. One round trip.
    """
    row = await db.fetch_one(_FACTS, {
        "service": service, "names": list(names), "account": account, "refresh_token": refresh_token,
        "unconfigured": unconfigured})
    assert row is not None
    rights = Rights() if row[0] is None else _rights(row[5:10])
    return Facts(None if row[0] is None else Registry(*row[:5]), rights, _refresh_token(row[10:]))


async def registry(db: Executor, service: str) -> Registry | None:
    """The registry of that name."""
    row = await db.fetch_one(_QUERIES["registry"], {"service": service})
    return None if row is None else Registry(*row)


async def registry_of_host(db: Executor, host: str, host_name: str) -> Registry | None:
    """The registry that calls itself like a host (with or without its port), else one of the host's domain or of a parent,
    else any.
    """
    row = await db.fetch_one(_QUERIES["registry_of_host"], {"host": host, "host_name": host_name})
    return None if row is None else Registry(*row)


async def certificate(db: Executor, registry_id: int, key_id: int) -> bytes | None:
    """The certificate (DER) of a registry for a key, where it was made."""
    row = await db.fetch_one(_QUERIES["certificate"], {"registry": registry_id, "key": key_id})
    return None if row is None else bytes(row[0])


async def insert_certificate(db: Executor, registry_id: int, key_id: int, made: bytes) -> bytes:
    """Stores a certificate unless there is one; returns the one that counts. NotFound if registry or key is gone."""
    await db.execute(_QUERIES["insert_certificate"], {"registry": registry_id, "key": key_id, "certificate": made})
    held = await certificate(db, registry_id, key_id)
    if held is None:
        raise NotFound(f"the key {key_id} is gone")
    return held


async def insert_refresh_token(
    db: Database, digest: bytes, registry: Registry, asker: Asker, *, client: str, password_changed_at: datetime | None,
    now: datetime, entry: Entry,
) -> bool:
    """Stores a refresh token, audited, unless the account's password is not the one any more that was proven."""
    async with db.transaction() as tx:
        made = await tx.execute(_QUERIES["insert_refresh_token"], {
            "digest": digest, "registry": registry.id, "account": asker.account, "service_user": asker.service_user,
            "client": client, "password_changed_at": password_changed_at, "now": now})
        if made:
            await audit.write(tx, entry)
        return made == 1


async def touch_refresh_token(db: Executor, token_id: int, now: datetime) -> None:
    """The token was used now."""
    await db.execute(_QUERIES["touch_refresh_token"], {"id": token_id, "now": now})


async def end_refresh_tokens(db: Executor, account: UUID) -> int:
    """Ends every refresh token of an account; how many there were."""
    return await db.execute(_QUERIES["end_refresh_tokens"], {"account": account})


async def create_repositories(
    db: Database, registry: Registry, names: Sequence[str], account: UUID, actions: Sequence[str], now: datetime,
    entry: Callable[[str], Entry],
) -> int:
    """Makes those of the repositories that are not there, for an account, with an audit entry each; how many."""
    async with db.transaction() as tx:
        rows = await tx.fetch_all(_QUERIES["create_repositories"], {
            "registry": registry.id, "names": list(names), "account": account, "actions": list(actions), "now": now})
        for (name,) in rows:
            await audit.write(tx, entry(name))
        return len(rows)


async def remove_refresh_tokens(db: Executor, unused_since: datetime, most: int = 1000) -> int:
    """Removes refresh tokens that were not used for long, `most` at once; how many went."""
    return await db.execute(_QUERIES["remove_refresh_tokens"], {"unused_since": unused_since, "most": most})


def _rights(row: Sequence[Any]) -> Rights:
    anonymous_pull, anonymous_push, held, patterns, repositories = row
    anonymous = frozenset([*["pull"] * anonymous_pull, *["push"] * anonymous_push])
    everybody = [Right(None, anonymous)] if anonymous else []
    return Rights(
        (*everybody, *(Right(pattern, frozenset(actions)) for pattern, actions in held)),
        frozenset([*patterns, *[None] * len(everybody)]), frozenset(repositories))


def _refresh_token(row: Sequence[Any]) -> RefreshToken | None:
    if row[0] is None:
        return None
    token_id, registry_id, account, name, is_admin, service_user, *rest = row
    return RefreshToken(token_id, registry_id, Asker(account, name, is_admin, service_user), *rest)
