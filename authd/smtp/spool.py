"""The message of one transaction while it passes through: in memory as far as it was admitted there, the rest in a temporary
file without a name. Knows nothing of what the message holds.

How much may be held is budget.py's. Files are written in threads, as a disk may be slow; they are read where they are needed,
since what was just written is still in memory.
"""

import asyncio
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from authd.config.settings import SmtpSettings
from authd.smtp.budget import Budget, Reservation
from authd.smtp.workers import Workers

_log = logging.getLogger(__name__)
PIECE = 262144


class Spools:
    """The messages that pass through this process: one for all listeners."""

    def __init__(self, settings: SmtpSettings) -> None:
        self.budget = Budget(settings.memory_size, settings.spool_size)
        self._folder = settings.spool_folder
        self._writers = Workers("spool")

    async def open(self, size: int | None, until: float) -> "Spool":
        """A place for a message that its sender said to have `size` bytes, once there is memory for it. TimeoutError: there
        is none by the moment `until` of the loop's clock.
        """
        return Spool(await self.budget.reserve(size, until), self._folder, self._writers)

    def close(self) -> None:
        """Drops what has not begun."""
        self._writers.close()


class Spool:
    """Bytes in order, in pieces that are worth handling, however small they came in. `size` counts all that were given.

    `is_incomplete`: there was no room for everything, and what came after that was dropped.
    """

    def __init__(self, reservation: Reservation, folder: Path, writers: Workers) -> None:
        self._reservation = reservation
        self._folder = folder
        self._writers = writers
        self._pieces: list[bytes] = []
        self._in_memory = 0
        self._file: BinaryIO | None = None
        self._in_file = 0
        self._writing: asyncio.Future[None] | None = None
        self._last = bytearray()
        self.size = 0
        self.is_incomplete = False

    async def append(self, data: bytes) -> None:
        """Adds bytes at the end."""
        self.size += len(data)
        if self.is_incomplete:
            return
        self._last += data
        if len(self._last) >= PIECE:
            piece = bytes(self._last)
            self._last.clear()
            if self._file is None and self._in_memory + len(piece) + PIECE <= self._reservation.memory:
                self._pieces.append(piece)
                self._in_memory += len(piece)
            else:
                await self._write(piece)

    def complete(self) -> None:
        """No more bytes will come: memory that was reserved for them is given back."""
        self._reservation.shrink(self._in_memory + len(self._last))

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """Everything from the position `start` on."""
        for piece in self._all_pieces():
            if start < len(piece):
                yield piece[start:]
            start = max(0, start - len(piece))

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all there are."""
        head = bytearray()
        for piece in self._all_pieces():
            head += piece[:size - len(head)]
            if len(head) == size:
                break
        return bytes(head)

    def close(self) -> None:
        """Forgets the message."""
        self._pieces.clear()
        self._last.clear()
        self._reservation.release()
        if self._writing is None or self._writing.done():
            self._close_file()
        else:  # closed under a thread that writes, its bytes would go to whatever is opened next
            self._writing.add_done_callback(self._written_at_last)

    def _all_pieces(self) -> Iterator[bytes]:
        yield from self._pieces
        for at in range(0, self._in_file, PIECE):
            assert self._file is not None
            yield os.pread(self._file.fileno(), min(PIECE, self._in_file - at), at)
        yield bytes(self._last)

    async def _write(self, piece: bytes) -> None:
        if not self._reservation.take_file(len(piece)):
            self._drop("smtp.spool_size is reached")
            return
        self._writing = asyncio.ensure_future(self._writers.run(len(piece), self._write_now, piece))
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            self._drop(str(error))
            return
        self._in_file += len(piece)

    def _write_now(self, piece: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - close() closes it
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest):]

    def _written_at_last(self, writing: asyncio.Future[None]) -> None:
        if not writing.cancelled() and (error := writing.exception()) is not None:
            _log.error("a message that is not needed any more could not be written: %s", error)
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()

    def _drop(self, reason: str) -> None:
        _log.error("no room for a message of more than %d bytes: %s", self.size, reason)
        self.is_incomplete = True
