"""Random bytes and random conversations against the SMTP machines. Seeds are fixed, so that a run can be repeated."""

import random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from authd.smtp import grammar, message, signing_policy
from authd.smtp.grammar import GrammarError, MailParameters, Path, RecipientParameters
from authd.smtp.relay_session import DownstreamError, RelaySession
from authd.smtp.replies import Reply
from authd.smtp.session import Closed, Content, DataStart, EndOfData, Limits, Mail, NeedData, Recipient, Session
from authd.smtp.transparency import dot_encoded

LIMITS = Limits(message_size=3000, recipients=3, command_line=512, bad_commands=20)
LINES = [
    b"EHLO c", b"HELO c", b"LHLO c", b"MAIL FROM:<>", b"MAIL FROM:<a@x.net>", b"mail from:<a@x.net> size=10",
    b"RCPT TO:<b@x.net>", b"RCPT TO:<postmaster>", b"RCPT TO:<c", b"DATA", b"DATA", b"RSET", b"NOOP", b"VRFY x", b"HELP",
    b".", b"..", b".x", b"", b"From: a@x.net", b"\xff\xfe", b"a\0b", b"a\rb", b"x" * 600, b"y" * 3100, b"QUIT", b"STARTTLS",
    b"BDAT 3",
]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r.\r\n", b""]


class Run:
    """Drives a session with answers that depend on the number of the question only, and notes what matters."""

    def __init__(self, answers: int) -> None:
        self.session = Session("mx", LIMITS)
        self.answers = random.Random(answers)
        self.output = b""
        self.noted: list[object] = []
        self.is_closed = False

    def feed(self, data: bytes) -> None:
        self.session.receive(data)
        while True:
            event = self.session.next_event()
            match event:
                case NeedData():
                    break
                case Closed():
                    self.is_closed = True
                    break
                case Mail() | Recipient():
                    self.noted.append(event)
                    self.session.answer(Reply(self.answers.choice([250, 250, 250, 451, 550]), (b"x",)))
                case DataStart():
                    self.noted.append(event)
                    self.noted.append(b"")
                    self.session.answer(Reply(self.answers.choice([354, 354, 354, 451]), (b"x",)))
                case Content():
                    content = self.noted.pop()
                    assert isinstance(content, bytes) and event.data
                    self.noted.append(content + event.data)
                case EndOfData():
                    if event.refusal is not None:
                        self.noted.pop()  # what was handed on of it depends on when its fault was seen
                    self.noted.append(event)
                    self.session.answer(*[Reply(self.answers.choice([250, 451, 554]), (b"x",))] * self.session.answers_expected)
        self.output += self.session.take_output()

    def settled(self) -> list[object]:
        """What was noted, without a message that has not ended."""
        return self.noted[:-1] if self.noted and isinstance(self.noted[-1], bytes) else self.noted


def conversation(chooser: random.Random) -> bytes:
    start = b"EHLO c\r\n" if chooser.random() < 0.7 else b""
    return start + b"".join(chooser.choice(LINES) + chooser.choice(ENDS) for _ in range(chooser.randrange(60)))


@pytest.mark.parametrize("number", range(300))
def test_cuts_never_change_a_conversation(number: int) -> None:
    chooser = random.Random(number)
    data = conversation(chooser)
    whole, in_pieces = Run(number), Run(number)
    whole.feed(data)
    in_pieces.feed(b"")
    at = 0
    while at < len(data):
        size = chooser.choice([1, 1, 2, 3, 5, 40, 600])
        in_pieces.feed(data[at:at + size])
        at += size
    assert in_pieces.output == whole.output and in_pieces.is_closed == whole.is_closed
    assert in_pieces.settled() == whole.settled()
    check(whole)


def check(run: Run) -> None:
    """What holds for every conversation."""
    assert run.output.startswith(b"220 ") and run.output.endswith(b"\r\n")
    for line in run.output[:-2].split(b"\r\n"):
        assert line[:3].isdigit() and line[3:4] in (b" ", b"-") and line.isascii() and b"\n" not in line and b"\r" not in line
    for noted in run.noted:
        if isinstance(noted, bytes):
            assert len(noted) <= LIMITS.message_size and b"\0" not in noted
            assert noted.count(b"\r") == noted.count(b"\n") == noted.count(b"\r\n") or not noted.endswith(b"\r\n")
            wire = b"".join(dot_encoded([noted])) + b".\r\n"
            assert b"\r\n.\r\n" not in wire[:-5]


@seed(11)
@settings(max_examples=300)
@given(st.binary(max_size=3000))
def test_random_bytes_leave_the_session_in_order(data: bytes) -> None:
    run = Run(1)
    run.feed(data)
    assert run.session.waiting_input <= LIMITS.command_line
    check(run)


@seed(12)
@settings(max_examples=500)
@given(st.text(alphabet="<>@:;,.\"\\[]() =aZ0-_+IPv6", max_size=60))
def test_what_the_grammar_accepts_it_writes_so_that_it_accepts_it_again(argument: str) -> None:
    for parse, keyword in ((grammar.parse_mail, "FROM:"), (grammar.parse_recipient, "TO:")):
        try:
            path = parse(f"{keyword}<{argument}>")[0]
        except GrammarError:
            continue
        assert parse(f"{keyword}<{path}>")[0] == path
        assert "<" not in path.domain and ">" not in path.domain and " " not in path.domain


@seed(13)
@settings(max_examples=500)
@given(st.lists(st.sampled_from([b"<", b">", b"@", b",", b"(", b")", b'"', b"\\", b".", b"a", b"example.com", b" ", b"\r\n ",
                                 b"\xe4", b":", b";"]), max_size=25).map(b"".join))
def test_an_author_is_a_domain_or_none(value: bytes) -> None:
    domain = signing_policy.author_domain(value)
    assert domain is None or (grammar.is_domain(domain) and domain == domain.lower() and value.count(b"@") >= 1)


@seed(14)
@settings(max_examples=300)
@given(st.binary(max_size=500))
def test_every_byte_of_a_header_is_in_a_field(header: bytes) -> None:
    assert b"\r\n".join(field.raw for field in message.fields(header)) == header.rstrip(b"\r\n")


@seed(15)
@settings(max_examples=300)
@given(st.lists(st.sampled_from([b"250", b"354", b"421", b"550", b" ", b"-", b"x", b"\r\n", b"\n", b"\0", b"\xff"]),
                max_size=40).map(b"".join), st.integers(1, 20))
def test_a_downstream_can_say_anything(data: bytes, size: int) -> None:
    session = RelaySession("mx")
    session.receive(b"220 x\r\n")
    session.next_reply()
    session.mail(Path("", ""), MailParameters())
    try:
        for at in range(0, len(data), size):
            session.receive(data[at:at + size])
    except DownstreamError:
        assert not session.is_usable
    reply = session.next_reply()
    if reply is not None:
        assert 200 <= reply.code < 600 and b"\r" not in bytes(reply)[:-2].replace(b"\r\n", b"")
        if session.is_idle:
            session.recipient(Path("postmaster", ""), RecipientParameters())
