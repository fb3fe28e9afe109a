"""Drives the server's machine with scripted answers, and notes what it did as a Transcript. Nothing here judges."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from authd.smtp.replies import Reply
from authd.smtp.session import (
    Answered,
    Closed,
    Content,
    DataStart,
    EndOfData,
    Event,
    Limits,
    Mail,
    NeedData,
    Recipient,
    Reset,
    Session,
    StartTls,
)

CODES: dict[type[Event], list[int]] = {
    Mail: [250, 250, 250, 250, 250, 451, 550], Recipient: [250, 250, 250, 250, 452, 550],
    DataStart: [354, 354, 354, 354, 451, 554], EndOfData: [250, 250, 451, 554],
    StartTls: [220, 220, 454],
}


@dataclass(frozen=True)
class Setting:
    """How a session is set up. `answers`: from it follows what the next server says to the n-th question; empty: always yes."""

    limits: Limits
    answers: bytes = b""
    offers_dsn: bool = False
    normalise: bool = False
    has_tls: bool = False

    def session(self) -> Session:
        return Session("mx", self.limits, offers_dsn=lambda: self.offers_dsn, normalise_bare_lf=self.normalise,
                       has_tls=self.has_tls)

    def code(self, question: type[Event], number: int) -> int:
        """The code that the question of that number (from 0, each verdict counted) is answered."""
        codes = CODES[question]
        return codes[self.answers[number % len(self.answers)] % len(codes)] if self.answers else codes[0]


@dataclass
class Transcript:
    """What a session did. `noted`: its events in order, but Content; `messages`: one for each 354, the last may be open."""

    codes: list[int] = field(default_factory=list)
    noted: list[Event] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    is_open: bool = False
    is_closed: bool = False


class Driver:
    """A session, and whoever would drive it in the daemon. `heard`: what arrived, without what STARTTLS must drop."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.session = setting.session()
        self.seen = Transcript()
        self.output = b""
        self.heard = b""
        self.events = 0
        self._questions = 0
        self._received = 0

    def feed(self, data: bytes) -> None:
        self.heard += data
        self._received += len(data)
        self.session.receive(data)
        while not isinstance(event := self.session.next_event(), NeedData | Closed):
            self.events += 1
            assert self.events <= 2 * self._received, "events without bytes: the machine does not advance"
            self._take(event)
        self.seen.is_closed = isinstance(event, Closed)
        self.output += self.session.take_output()

    def _take(self, event: Event) -> None:
        seen = self.seen
        match event:
            case Answered():
                return
            case Content():
                assert event.data and seen.is_open
                seen.messages[-1] += event.data
                return
            case Reset():
                pass
            case Mail() | Recipient() | DataStart():
                code = self._code(type(event))
                if code == 354:
                    seen.messages.append(b"")
                    seen.is_open = True
                self.session.answer(Reply(code, (b"x",)))
            case EndOfData():
                seen.is_open = False
                expected = self.session.answers_expected
                self.session.answer(*[event.refusal or Reply(self._code(EndOfData), (b"x",)) for _ in range(expected)])
            case StartTls():
                code = self._code(StartTls)
                if code == 220:
                    self.heard = self.heard[:len(self.heard) - self.session.waiting_input]
                self.session.answer(Reply(code, (b"x",)))
            case _:
                raise AssertionError(f"an event that the fuzzer does not know: {event}")
        seen.noted.append(event)

    def _code(self, question: type[Event]) -> int:
        self._questions += 1
        return self.setting.code(question, self._questions - 1)

    def transcript(self) -> Transcript:
        """What was seen, with the replies that were sent read back from the bytes."""
        self.seen.codes = list(reply_codes(self.output))
        return self.seen


def reply_codes(output: bytes) -> Iterator[int]:
    """The codes of whole replies. Asserts that each line is one (RFC 5321 section 4.2)."""
    assert output.endswith(b"\r\n")
    code = b""
    for line in output[:-2].split(b"\r\n"):
        assert line[:3].isdigit() and line[3:4] in (b" ", b"-") and line.isascii() and b"\n" not in line and b"\r" not in line
        assert code in (b"", line[:3])
        code = line[:3]
        if line[3:4] == b" ":
            yield int(code)
            code = b""
    assert not code


def pieces(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The data cut into pieces of those sizes; what is left over is the last piece."""
    at = 0
    for size in sizes:
        if at >= len(data):
            return
        yield data[at:at + size]
        at += size
    if at < len(data):
        yield data[at:]
