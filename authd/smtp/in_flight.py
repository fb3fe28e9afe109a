"""Which messages are on their way in this process, so that the same one sent twice and one tried again are told apart.

A client that tries again has left before; what its first try is still doing must be known first. Two clients that send the
same bytes at the same time send two messages, and what one has delivered says nothing about the other.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from authd.smtp.deliveries import Row


@dataclass(eq=False)
class Passage:
    """One message on its way. `written`: what is remembered of it. `is_orphaned`: its client has left."""

    digest: bytes
    written: set[Row] = field(default_factory=set)
    is_orphaned: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class InFlight:
    """All passages of a process, by the digest of their message."""

    def __init__(self) -> None:
        self._passages: defaultdict[bytes, list[Passage]] = defaultdict(list)

    async def enter(self, digest: bytes) -> Passage:
        """Begins a passage, once earlier tries of the same message whose clients have left are over."""
        while orphans := [passage for passage in self._passages.get(digest, ()) if passage.is_orphaned]:
            await orphans[0].is_over.wait()
        passage = Passage(digest)
        self._passages[digest].append(passage)
        return passage

    def leave(self, passage: Passage) -> None:
        """Ends a passage."""
        passages = self._passages.get(passage.digest, [])
        if passage in passages:
            passages.remove(passage)
            if not passages:
                del self._passages[passage.digest]
        passage.is_over.set()

    def others(self, passage: Passage) -> list[Passage]:
        """The passages of the same bytes from the same sender that are on their way just now."""
        return [other for other in self._passages.get(passage.digest, ()) if other is not passage]


def written(passages: Iterable[Passage]) -> frozenset[Row]:
    """What is remembered of any of the passages."""
    return frozenset(row for passage in passages for row in passage.written)
