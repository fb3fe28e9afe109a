"""What the forwarder has to know of addresses, and the senders that it remembers under tokens.

What follows from it is decided in `authd.smtp.routing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from authd.smtp.grammar import Path
from authd.smtp.routing import Kind, MailingList, Resolved, Sender
from authd.smtp.srs import VALID_DAYS, Token
from authd.sql.database import Executor
from authd.sql.prepared import Prepared
from authd.sql.queries import load

_QUERIES = load("routing")
_RESOLVE = Prepared(_QUERIES["resolve"], "routing_resolve")
_TOKEN_LIFE = timedelta(days=VALID_DAYS + 3)  # used_at may be a day old, stamps are whole days


@dataclass(frozen=True, slots=True)
class Question:
    """An address of the envelope, and the sender that comes with it."""

    address: Path
    sender: Path


@dataclass(frozen=True, slots=True)
class Facts:
    """What the domain of a question's sender allows, and what every address is that was looked up with its address, by its
    text in lower case. Members of lists and targets of redirects are there too.
    """

    sender: Sender
    resolved: Mapping[str, Resolved]


async def resolve(db: Executor, questions: Sequence[Question]) -> dict[Question, Facts]:
    """The facts for each question. One round trip; at least one question."""
    rows = await db.fetch_all(_RESOLVE, {
        "local_parts": [question.address.local_part for question in questions],
        "domains": [question.address.domain for question in questions],
        "sender_domains": [question.sender.domain for question in questions]})
    resolved = {one.address.key: one for one in map(_resolved, rows)}
    return {question: Facts(_sender(question.sender, row[-1]), resolved)
            for question, row in zip(questions, rows, strict=False)}


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


def _sender(path: Path, allows: bool | None) -> Sender:
    return Sender(path, is_ours=allows is not None, is_transactional=bool(allows))


def _resolved(row: tuple[Any, ...]) -> Resolved:
    (local_part, domain, kind, srs_domain, primary_address, redirect_to, list_id, name, new_mailfrom, has_headers, owner,
     own_address, members, _) = row
    mailing_list = None
    if list_id is not None:
        mailing_list = MailingList(list_id, name, tuple(parse(member) for member in members), _parse(new_mailfrom),
                                   _parse(owner), _parse(own_address), has_headers)
    return Resolved(Path(local_part, domain), Kind(kind), srs_domain, _parse(primary_address), _parse(redirect_to),
                    mailing_list)


def _parse(address: str | None) -> Path | None:
    return None if address is None else parse(address)
