"""The message of one transaction while it passes through. Knows nothing of what it holds."""

from collections.abc import Iterator

_PIECE = 262144


class Spool:
    """Bytes in order, in pieces that are worth handling, however small they came in."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._last = bytearray()
        self.size = 0

    def append(self, data: bytes) -> None:
        """Adds bytes at the end."""
        self._last += data
        self.size += len(data)
        if len(self._last) >= _PIECE:
            self._pieces.append(bytes(self._last))
            self._last.clear()

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """Everything from the position `start` on."""
        for piece in (*self._pieces, bytes(self._last)):
            if start < len(piece):
                yield piece[start:]
            start = max(0, start - len(piece))

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all there are."""
        head = bytearray()
        for piece in self.pieces():
            head += piece[:size - len(head)]
            if len(head) == size:
                break
        return bytes(head)
