"""Statements about signing keys. Private keys pass through sealed; opening them is `authd.keys`' business."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from authd.errors import NotFound
from authd.keys.facts import NewKey, PublishedRow, Purpose, StoredDomain, StoredKey
from authd.sql.database import Executor
from authd.sql.queries import load

_QUERIES = load("keys")


async def domains_with_keys(db: Executor, names: Sequence[str], purpose: Purpose) -> dict[str, StoredDomain]:
    """Those of the named domains that exist, by name, each with all its keys of the purpose."""
    rows = await db.fetch_all(_QUERIES["domains_with_keys"], {"names": list(names), "purpose": purpose})
    keys: dict[tuple[str, bool], list[StoredKey]] = {}
    for name, for_subdomains, *key in rows:
        found = keys.setdefault((name, for_subdomains), [])
        if key[0] is not None:
            found.append(StoredKey(*key))
    return {name: StoredDomain(name, lends, tuple(found)) for (name, lends), found in keys.items()}


async def keys_of_domain(db: Executor, domain_id: int) -> list[StoredKey]:
    """Every key of a domain, of both purposes, retired ones too, oldest first."""
    return _stored(await db.fetch_all(_QUERIES["keys_of_domain"], {"domain_id": domain_id}))


async def issuer_keys(db: Executor) -> list[StoredKey]:
    """The issuer's own keys, retired ones too, oldest first."""
    return _stored(await db.fetch_all(_QUERIES["issuer_keys"]))


async def lock_issuer(tx: Executor) -> None:
    """Makes whoever else wants to make an issuer's key wait until this transaction ends."""
    await tx.fetch_all(_QUERIES["lock_issuer"])


async def published(db: Executor, now: datetime) -> list[PublishedRow]:
    """The public half of every JWT key that is published: the issuer's first, then by domain."""
    return [PublishedRow(*row) for row in await db.fetch_all(_QUERIES["published"], {"now": now})]


async def insert(
    db: Executor, key: NewKey, *, domain_id: int | None, now: datetime, active_from: datetime | None = None,
) -> int:
    """Adds a key and returns its id; it signs from `active_from` (default `now`). UniqueViolation for a selector in use."""
    row = await db.fetch_one(_QUERIES["insert"], {
        "domain_id": domain_id, "purpose": key.purpose, "algorithm": key.algorithm, "selector": key.selector, "kid": key.kid,
        "private_key": key.private_key, "cipher_key": key.cipher_key, "public_key": key.public_key,
        "created_at": now, "active_from": active_from or now})
    assert row is not None
    return int(row[0])


async def retire(db: Executor, key_id: int, *, retired_at: datetime, published_until: datetime | None) -> bool:
    """The key signs no more; its public half stays published until the last of its tokens has expired. Whether it signed."""
    return await db.execute(
        _QUERIES["retire"], {"id": key_id, "retired_at": retired_at, "published_until": published_until}) == 1


async def schedule(
    db: Executor, key_id: int, *, active_from: datetime, retired_at: datetime | None, published_until: datetime | None,
) -> None:
    """From when to when the key signs, and until when its public half stays published."""
    await db.execute(_QUERIES["schedule"], {
        "id": key_id, "active_from": active_from, "retired_at": retired_at, "published_until": published_until})


async def remove(db: Executor, key_id: int) -> bool:
    """Deletes a key at once, whatever it signed. Whether it was there."""
    return await db.execute(_QUERIES["remove"], {"id": key_id}) == 1


async def replace_certificate(db: Executor, key_id: int, old: bytes | None, new: bytes) -> bytes:
    """Stores `new` unless another process replaced `old` already; returns what counts now. NotFound if the key is gone."""
    row = await db.fetch_one(_QUERIES["replace_certificate"], {"id": key_id, "old": old, "new": new})
    row = row or await db.fetch_one(_QUERIES["certificate"], {"id": key_id})
    if row is None or row[0] is None:
        raise NotFound(f"the key {key_id} is gone")
    return bytes(row[0])


def _stored(rows: list[tuple[Any, ...]]) -> list[StoredKey]:
    return [StoredKey(*row) for row in rows]
