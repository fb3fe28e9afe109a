"""The content of a message on the wire (RFC 5321 sections 4.5.2 and 4.1.1.4): where it ends, and the dots at line starts.

Knows nothing of headers (message.py) and of commands (session.py, relay_session.py).
"""

import re
from collections.abc import Iterable, Iterator

END_OF_DATA = b".\r\n"  # after a line end
_END = b"\r\n.\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")


class DotDecoder:
    """Takes the bytes after a 354 as they arrive, in whatever pieces, and gives the content without its extra dots.

    Only CR LF . CR LF ends a message. `is_malformed`: a bare CR, a bare LF or a NUL was seen. With `normalise` a bare LF
    becomes CR LF instead. Time is linear in the bytes; at most four bytes are held back.
    """

    def __init__(self, *, normalise: bool = False) -> None:
        self._normalise = normalise
        self._held = b"\r\n"  # a message that starts with a dot starts as any line does
        self._is_first = True
        self.is_malformed = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """The content that is now known, and what follows the end of data: None until that was seen."""
        data = self._held + data
        dot = data.find(b"\r\n.")
        end = -1 if dot < 0 else data.find(_END, dot)
        if end >= 0:
            content, rest = data[:end + 2], data[end + 5:]
            self._held = b""
        else:
            kept = len(data) - _length_of_start(data)
            content, self._held, rest = data[:kept], data[kept:], None
        return self._decoded(content, has_dot=0 <= dot < len(content)), rest

    def _decoded(self, content: bytes, *, has_dot: bool) -> bytes:
        if not content:
            return b""
        lines = content.count(b"\r\n")
        line_feeds = content.count(b"\n")
        if content.count(b"\r") != lines or b"\0" in content or (line_feeds != lines and not self._normalise):
            self.is_malformed = True
        if has_dot:
            content = content.replace(b"\r\n.", b"\r\n")
        if self._is_first:
            self._is_first = False
            content = content[2:]
        if self._normalise and line_feeds != lines:
            content = _BARE_LF.sub(b"\r\n", content)
        return content


def _length_of_start(data: bytes) -> int:
    """How many of the last bytes may be the beginning of the end of data."""
    return next((length for length in (4, 3, 2, 1) if data.endswith(_END[:length])), 0)


def dot_encoded(content: Iterable[bytes]) -> Iterator[bytes]:
    """The content with an extra dot before each dot that begins a line. END_OF_DATA must follow it."""
    before = b"\r\n"
    for piece in content:
        joined = before + piece
        yield joined.replace(b"\r\n.", b"\r\n..")[len(before):]
        before = joined[-2:]
