"""What the forwarder has to know of addresses, and the senders that it remembers under tokens.

What follows from it is decided in `authd.smtp.routing`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from authd.smtp.grammar import Path
from authd.smtp.routing import Kind, MailingList, Resolved, Sender
from authd.smtp.srs import VALID_DAYS, Token
from authd.sql.database import Executor
from authd.sql.queries import load

_QUERIES = load("routing")
_TOKEN_LIFE = timedelta(days=VALID_DAYS + 3)  # used_at may be a day old, stamps are whole days


async def resolve(db: Executor, addresses: Sequence[Path]) -> list[Resolved]:
    """What each address is, in the order they are given. One round trip."""
    rows = await db.fetch_all(_QUERIES["resolve"], {
        "local_parts": [address.local_part for address in addresses], "domains": [address.domain for address in addresses]})
    return [_resolved(address, row) for address, row in zip(addresses, rows, strict=True)]


async def sender(db: Executor, path: Path) -> Sender:
    """What the domain of an envelope sender allows."""
    row = None if path.is_null else await db.fetch_one(_QUERIES["sender"], {"domain": path.domain})
    return Sender(path) if row is None else Sender(path, is_ours=True, is_transactional=row[0])


async def senders_of_tokens(db: Executor, tokens: Iterable[str]) -> dict[str, Path]:
    """The senders behind those tokens that are known."""
    rows = await db.fetch_all(_QUERIES["senders_of_tokens"], {"tokens": list(tokens)})
    return {token: parse(address) for token, address in rows}


async def keep_tokens(db: Executor, tokens: Iterable[Token], now: datetime) -> None:
    """Remembers senders; those that are known are written at most once a day."""
    kept = sorted(tokens, key=lambda token: token.token)
    await db.execute(_QUERIES["keep_tokens"], {
        "tokens": [token.token for token in kept], "now": now,
        "addresses": [f"{token.sender.local_part}@{token.sender.domain}" for token in kept]})


async def forget_tokens(db: Executor, now: datetime, *, limit: int = 1000) -> int:
    """Deletes senders that no valid address leads to any more, `limit` at most. How many."""
    return await db.execute(_QUERIES["forget_tokens"], {"before": now - _TOKEN_LIFE, "limit": limit})


def parse(address: str) -> Path:
    """An address as the database holds it: without quotes, and with the last @ before the domain."""
    local_part, _, domain = address.rpartition("@")
    return Path(local_part, domain)


def _resolved(address: Path, row: tuple[Any, ...]) -> Resolved:
    kind, srs_domain, primary_address, redirect_to, list_id, name, new_mailfrom, has_headers, owner, own_address, members = row
    mailing_list = None
    if list_id is not None:
        mailing_list = MailingList(list_id, name, tuple(parse(member) for member in members), _parse(new_mailfrom),
                                   _parse(owner), _parse(own_address), has_headers)
    return Resolved(address, Kind(kind), srs_domain, _parse(primary_address), _parse(redirect_to), mailing_list)


def _parse(address: str | None) -> Path | None:
    return None if address is None else parse(address)
