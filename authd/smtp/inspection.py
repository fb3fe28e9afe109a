"""What every pipeline looks at in a message before it is passed on: the header, and reasons to refuse it."""

import hmac
from dataclasses import dataclass

from authd.config.settings import SmtpSettings
from authd.smtp import message, replies
from authd.smtp.message import Field
from authd.smtp.replies import Reply
from authd.smtp.spool import Spool


@dataclass(frozen=True, slots=True)
class Inspected:
    """`refusal`: why it is not passed on. `body_start`: where the body begins, in bytes."""

    refusal: Reply | None
    header: list[Field]
    body_start: int


def inspect(spool: Spool, settings: SmtpSettings, *, needs_7bit: bool) -> Inspected:
    """Reads the header, and with `needs_7bit` all of the message."""
    head = spool.head(settings.max_header_size)
    start = message.body_start(head)
    header = message.fields(head[:start])
    refusal = None
    if start is None and spool.size > len(head):
        refusal = replies.HEADER_TOO_BIG
    elif message.count(header, b"received") > settings.max_received:
        refusal = replies.MAIL_LOOP
    elif needs_7bit and not all(piece.isascii() for piece in spool.pieces()):
        refusal = replies.NEEDS_8BITMIME
    return Inspected(refusal, header, len(head) if start is None else start)


def digest(key: bytes, sender: str, spool: Spool, inspected: Inspected) -> bytes:
    """The same 32 bytes for the same message from the same sender, whenever it arrives: an HMAC of everything but the newest
    Received field, in which a client that tries again may tell another time.
    """
    mac = hmac.new(key, sender.lower().encode("ascii", "replace") + b"\0", "sha256")
    names = [field.name for field in inspected.header]
    newest = names.index(b"received") if b"received" in names else len(names)
    mac.update(b"".join(field.raw + b"\r\n" for number, field in enumerate(inspected.header) if number != newest))
    for piece in spool.pieces(inspected.body_start):
        mac.update(piece)
    return mac.digest()
