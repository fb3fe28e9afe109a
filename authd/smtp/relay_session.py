"""The client's end of an SMTP or LMTP session (RFC 5321, RFC 2033, RFC 2920, RFC 3207): commands into bytes, reply bytes
into replies.

A state machine without sockets and clocks. It says what EHLO allows, keeps to one command at a time unless PIPELINING was
offered, and raises DownstreamError when the server breaks the protocol.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial

from authd.errors import Unavailable
from authd.smtp import replies
from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.replies import Reply
from authd.smtp.transparency import END_OF_DATA

LONGEST_REPLY = 65536
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_HARMLESS = bytes(byte if byte == 9 or (byte >= 32 and byte != 127) else ord("?") for byte in range(256))  # no controls


class DownstreamError(Unavailable):
    """The next server cannot be reached, went away, or talks nonsense. `reply` is what that is to a client: a 451.

    `was_lost`: a connection broke that had worked, so that a fresh one may work.
    """

    code = "downstream_unavailable"

    def __init__(self, message: str, reply: Reply = replies.DOWNSTREAM_LOST, *, was_lost: bool = False) -> None:
        super().__init__(message)
        self.was_lost = was_lost
        self.reply = reply


class _Expected(Enum):
    """What a reply that is still to come answers."""

    EHLO = auto()
    STARTTLS = auto()
    MAIL = auto()
    DATA = auto()
    ANYTHING_ELSE = auto()


class RelaySession:
    """One session with a server. Each command returns the bytes to send; its reply comes out of `next_reply`, in order."""

    def __init__(self, hostname: str, *, lmtp: bool = False) -> None:
        self._hostname = hostname
        self._hello = "LHLO" if lmtp else "EHLO"
        self._expected = deque([_Expected.ANYTHING_ELSE])
        self._to_come: deque[Callable[[], bytes]] = deque()
        self._input = b""
        self._lines: list[bytes] = []
        self._lines_size = 0
        self._replies: deque[Reply] = deque()
        self._in_content = False
        self._awaits_tls = False
        self.extensions: frozenset[str] = frozenset()
        self.in_transaction = False
        self.is_usable = True

    def receive(self, data: bytes) -> None:
        """Takes bytes from the server. Raises DownstreamError for what is no reply, or a reply to nothing."""
        lines = (self._input + data).split(b"\n")
        self._input = lines.pop()
        for line in lines:
            self._refuse_plain_text(line)
            self._take_line(line.removesuffix(b"\r"))
        self._refuse_plain_text(self._input)
        if len(self._input) + self._lines_size > LONGEST_REPLY:
            raise self._broken("a reply without end")

    @property
    def is_idle(self) -> bool:
        """Whether a command could be sent, and be of use."""
        return self.is_usable and not (self._expected or self._to_come or self._in_content or self._awaits_tls)

    @property
    def has_reply(self) -> bool:
        """Whether a reply waits to be taken."""
        return bool(self._replies)

    def next_reply(self) -> Reply | None:
        """The reply to the oldest command that has none yet, if it arrived."""
        return self._replies.popleft() if self._replies else None

    def ehlo(self) -> bytes:
        """Greets, and learns the extensions."""
        return self._send(f"{self._hello} {self._hostname}", _Expected.EHLO)

    def helo(self) -> bytes:
        """Greets a server that does not know EHLO."""
        return self._send(f"HELO {self._hostname}")

    def starttls(self) -> bytes:
        """Asks for TLS. After a 220 comes `secured`, and nothing else may; after a refusal the session goes on."""
        return self._send("STARTTLS", _Expected.STARTTLS)

    def secured(self) -> None:
        """What is received from here on came through TLS. The extensions must be learnt again (RFC 3207 section 4.2)."""
        self._awaits_tls = False
        self.extensions = frozenset()

    def envelope(self, sender: tuple[Path, MailParameters] | None,
                 recipients: Iterable[tuple[Path, RecipientParameters]]) -> bytes:
        """Begins a transaction, where there is a sender, and names recipients. To a server that offers PIPELINING all of it
        is sent now, otherwise `next_command` gives the rest.
        """
        if sender is not None:
            self._to_come.append(partial(self.mail, *sender))
        self._to_come.extend(partial(self.recipient, *recipient) for recipient in recipients)
        commands = self.next_command()
        while self._to_come and "PIPELINING" in self.extensions:
            commands += self._to_come.popleft()()
        return commands

    def next_command(self) -> bytes:
        """The next command of the envelope, if there is one and everything before it was answered. None follows a sender who
        is refused, or a 421.
        """
        return b"" if self._expected or not self._to_come else self._to_come.popleft()()

    def mail(self, sender: Path, parameters: MailParameters) -> bytes:
        """Begins a transaction, with those parameters that the server takes."""
        command = f"MAIL FROM:<{sender}>"
        if parameters.size is not None and "SIZE" in self.extensions:
            command += f" SIZE={parameters.size}"
        if parameters.body and "8BITMIME" in self.extensions:
            command += f" BODY={parameters.body}"
        if "DSN" in self.extensions:
            command += f" RET={parameters.ret}" if parameters.ret else ""
            command += f" ENVID={parameters.envid}" if parameters.envid else ""
        self.in_transaction = True
        return self._send(command, _Expected.MAIL)

    def recipient(self, path: Path, parameters: RecipientParameters) -> bytes:
        """Names a recipient, with those parameters that the server takes."""
        command = f"RCPT TO:<{path}>"
        if "DSN" in self.extensions:
            command += f" NOTIFY={parameters.notify}" if parameters.notify else ""
            command += f" ORCPT={parameters.orcpt}" if parameters.orcpt else ""
        return self._send(command)

    def data(self) -> bytes:
        """Asks for the go-ahead (354)."""
        return self._send("DATA", _Expected.DATA)

    def end_of_data(self, verdicts: int = 1) -> bytes:
        """Ends the content, which was sent with its dots encoded. So many replies follow: in LMTP one for each recipient."""
        if not self._in_content:
            raise RuntimeError("there is no content to end")
        self._in_content = self.in_transaction = False
        self._expected.extend([_Expected.ANYTHING_ELSE] * verdicts)
        return END_OF_DATA

    def reset(self) -> bytes:
        """Gives the transaction up."""
        self.in_transaction = False
        return self._send("RSET")

    def quit(self) -> bytes:
        """Says goodbye."""
        self.is_usable = False
        return self._send("QUIT")

    def _send(self, command: str, expected: _Expected = _Expected.ANYTHING_ELSE) -> bytes:
        if self._in_content or self._awaits_tls or (self._expected and "PIPELINING" not in self.extensions):
            raise RuntimeError("a command must wait for its turn")
        self._expected.append(expected)
        return command.encode("ascii") + b"\r\n"

    def _refuse_plain_text(self, data: bytes) -> None:
        """What follows the go-ahead for TLS, and did not come through TLS, is somebody's attack."""
        if self._awaits_tls and data:
            raise self._broken("plain text behind its go-ahead for TLS")

    def _take_line(self, line: bytes) -> None:
        match = _LINE.fullmatch(line)
        if match is None or (self._lines and self._lines[0][:3] != match[1]):
            raise self._broken("a line that is no reply")
        self._lines.append(line)
        self._lines_size += len(line)
        if match[2] != b"-":
            texts = tuple([line[4:].translate(_HARMLESS) for line in self._lines])
            self._lines.clear()
            self._lines_size = 0
            self._take_reply(Reply(int(match[1]), texts))

    def _take_reply(self, reply: Reply) -> None:
        if reply.code == 421:
            self.is_usable = False
            self._to_come.clear()
        if not self._expected:
            self.is_usable = False
            if self._in_content and not reply.is_positive:  # it refuses the message before it has seen all of it
                self._replies.append(reply)
                return
            raise self._broken(f"a reply to nothing: {reply}")
        expected = self._expected.popleft()
        if expected is _Expected.DATA:
            if reply.is_positive:
                raise self._broken(f"neither a go-ahead nor a refusal: {reply}")
            self._in_content = reply.code == 354
        elif expected is _Expected.MAIL and not reply.is_positive:
            self._to_come.clear()
        elif expected is _Expected.STARTTLS and reply.code < 400:
            if reply.code != 220:
                raise self._broken(f"no go-ahead for TLS, and no refusal: {reply}")
            self._awaits_tls = True
        elif expected is _Expected.EHLO and reply.is_positive:
            self.extensions = frozenset(line.decode("latin-1").upper().partition(" ")[0] for line in reply.lines[1:])
        self._replies.append(reply)

    def _broken(self, problem: str) -> DownstreamError:
        self.is_usable = False
        return DownstreamError(f"the next server sent {problem}", replies.DOWNSTREAM_UNUSABLE)
