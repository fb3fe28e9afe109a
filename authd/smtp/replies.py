"""Every reply that authd gives of itself, by name, and what becomes of a downstream's reply on its way to the client.

Texts are for the peer; what the log says is another matter. Enhanced codes are those of RFC 3463 and RFC 5248.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """A code and the text of each line, without the code and without line ends (RFC 5321 section 4.2)."""

    code: int
    lines: tuple[bytes, ...]

    def __bytes__(self) -> bytes:
        if len(self.lines) == 1:
            return b"%d %b\r\n" % (self.code, self.lines[0])
        last = len(self.lines) - 1
        return b"".join(b"%d%b%b\r\n" % (self.code, b" " if at == last else b"-", line) for at, line in enumerate(self.lines))

    def __str__(self) -> str:
        return f"{self.code} " + b" ".join(self.lines).decode("latin-1")

    @property
    def is_positive(self) -> bool:
        """Whether what was asked for is done (2xx)."""
        return 200 <= self.code < 300


def _reply(text: str) -> Reply:
    return Reply(int(text[:3]), (text[4:].encode("ascii"),))


def greeting(hostname: str) -> Reply:
    """What a client reads first."""
    return _reply(f"220 {hostname} ESMTP authd")


def hello(hostname: str) -> Reply:
    """The answer to HELO."""
    return _reply(f"250 {hostname}")


def help(commands: Iterable[str]) -> Reply:
    """The answer to HELP."""
    return _reply(f"214 2.0.0 {' '.join(commands)} (RFC 5321)")


def extensions(hostname: str, keywords: Sequence[str]) -> Reply:
    """The answer to EHLO and LHLO, with an extension a line."""
    return Reply(250, tuple(line.encode("ascii") for line in (hostname, *keywords)))


OK = _reply("250 2.0.0 Ok")
SENDER_OK = _reply("250 2.1.0 Ok")
RECIPIENT_OK = _reply("250 2.1.5 Ok")
CANNOT_VERIFY = _reply("252 2.1.5 Send some mail, and see")
BYE = _reply("221 2.0.0 Bye")
READY_FOR_TLS = _reply("220 2.0.0 Ready for TLS")
START_INPUT = _reply("354 End with a line that holds nothing but a dot")

UNKNOWN_COMMAND = _reply("500 5.5.2 Unknown command")
LINE_TOO_LONG = _reply("500 5.5.6 Line too long")
BARE_LINE_END = _reply("500 5.5.2 A command ends with CR and LF")
MALFORMED_ARGUMENT = _reply("501 5.5.4 Malformed argument")
MALFORMED_SENDER = _reply("501 5.1.7 Malformed sender address")
MALFORMED_RECIPIENT = _reply("501 5.1.3 Malformed recipient address")
BAD_SEQUENCE = _reply("503 5.5.1 Bad sequence of commands")
NO_VALID_RECIPIENTS = _reply("554 5.5.1 No valid recipients")
UNKNOWN_PARAMETER = _reply("555 5.5.4 Unknown parameter")
TOO_MANY_RECIPIENTS = _reply("452 4.5.3 Too many recipients")

MESSAGE_TOO_BIG = _reply("552 5.3.4 Message too big")
HEADER_TOO_BIG = _reply("552 5.3.4 Message header too big")
MALFORMED_LINE_ENDS = _reply("550 5.6.0 The message holds a bare CR, a bare LF or a NUL")
NEEDS_8BITMIME = _reply("554 5.6.3 8-bit content, and the next server does not take it")
MAIL_LOOP = _reply("554 5.4.6 Too many Received headers: a mail loop")

TOO_MANY_BAD_COMMANDS = _reply("421 4.7.0 Too many bad commands")
TOO_MANY_CONNECTIONS = _reply("421 4.7.0 Too many connections")
IDLE_TOO_LONG = _reply("421 4.4.2 Idle for too long")
TRANSACTION_TOO_LONG = _reply("421 4.4.2 The transaction takes too long")
STOPPING = _reply("421 4.3.2 Stopping")
SESSION_FAILED = _reply("421 4.3.0 Internal error, try again later")

SPOOL_FULL = _reply("452 4.3.1 No room for this message now, try again later")
INTERNAL_ERROR = _reply("451 4.3.0 Internal error, try again later")
UNAVAILABLE = _reply("451 4.3.0 Temporarily unavailable, try again later")
TLS_UNAVAILABLE = _reply("454 4.7.0 TLS is not available now")
CLIENT_LEFT = _reply("451 4.4.2 You left before the message was passed on")
DOWNSTREAM_UNREACHABLE = _reply("451 4.4.1 Cannot reach the next server, try again later")
DOWNSTREAM_LOST = _reply("451 4.4.2 Lost the next server, try again later")
DOWNSTREAM_UNUSABLE = _reply("451 4.3.0 The next server refuses its service, try again later")
DOWNSTREAM_INSECURE = _reply("451 4.7.5 No TLS with the next server, try again later")

MAILBOX_UNKNOWN = _reply("550 5.1.1 No such mailbox here")
MAILBOX_BLOCKED = _reply("550 5.7.1 This address takes no mail")
RELAYING_DENIED = _reply("550 5.7.1 Mail for that domain is not taken here")
SRS_INVALID = _reply("550 5.7.1 This address leads back to nobody, or does no longer")
LIST_UNUSABLE = _reply("550 5.2.4 The mailing list has nobody who could get this")
COPY_FAILED = _reply("451 4.4.0 Not every copy could be delivered, try again later")
NOTHING_SENT = _reply("451 4.4.0 Another copy was refused, so nothing was sent; try again later")
CLIENT_REFUSED = _reply("550 5.7.1 This server is not for you")
FORWARDING_LOOP = _reply("554 5.4.6 A forwarding loop")

# Codes that are about the dialogue between two servers, not about a sender, a recipient or a message
# (RFC 5321 section 4.2.2, RFC 7504, RFC 3207, RFC 4954).
_ABOUT_THE_DIALOGUE = frozenset({500, 502, 503, 504, 521, 530, 535, 538})


def passed_on(reply: Reply) -> Reply:
    """What the client reads when the downstream said `reply` to MAIL, RCPT, DATA or the end of data.

    The same, unless it is about our session with the downstream: then a 451, so that nothing bounces for it.
    """
    if reply.code == 421:
        return DOWNSTREAM_LOST
    if reply.is_positive or (400 <= reply.code < 600 and reply.code not in _ABOUT_THE_DIALOGUE):
        return reply
    return DOWNSTREAM_UNUSABLE
