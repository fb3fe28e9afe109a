"""The server's machine: scripted conversations in every cut, and what no script shows."""

from collections.abc import Iterable, Iterator

import pytest

from authd.smtp.grammar import NULL_SENDER, Path
from authd.smtp.replies import IDLE_TOO_LONG, READY_FOR_TLS, START_INPUT, TLS_UNAVAILABLE, Reply
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
from tests.smtp.conversations import CONVERSATIONS, Conversation

LIMITS = Limits(message_size=65536, recipients=5, command_line=2048, bad_commands=20)
ANSWERS = {Mail: Reply(250, (b"2.1.0 sender taken",)), Recipient: Reply(250, (b"2.1.5 recipient taken",)),
           DataStart: START_INPUT, EndOfData: Reply(250, (b"2.0.0 delivered",))}


class Driver:
    """Says yes to everything, and keeps what was said and what was accepted."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or Session("mx.example.com", LIMITS)
        self.said = b""
        self.delivered: list[bytes] = []
        self.events: list[Event] = []

    def feed(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.session.receive(piece)
            while not isinstance(event := self.session.next_event(), NeedData | Closed):
                self.take(event)
            self.said += self.session.take_output()

    def take(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case DataStart():
                self.delivered.append(b"")
                self.session.answer(START_INPUT)
            case StartTls():
                self.session.answer(READY_FOR_TLS)
            case Content():
                self.delivered[-1] += event.data
            case EndOfData():
                if event.refusal is not None:
                    self.delivered.pop()
                self.session.answer(*[event.refusal or ANSWERS[EndOfData]] * self.session.answers_expected)
            case Mail() | Recipient():
                self.session.answer(ANSWERS[type(event)])


def cuts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at:at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 1_000_000])
@pytest.mark.parametrize("script", CONVERSATIONS, ids=str)
def test_a_conversation_is_the_same_however_its_bytes_arrive(script: Conversation, size: int) -> None:
    driver = Driver()
    driver.feed(cuts(script.client, size))
    assert driver.said.decode("latin-1").split("\r\n") == [*script.server, ""]
    assert driver.delivered == script.delivered


def test_events_carry_what_was_parsed() -> None:
    driver = Driver(Session("mx.example.com", LIMITS, offers_dsn=lambda: True))
    driver.feed([b"EHLO c\r\nMAIL FROM:<> RET=HDRS ENVID=a+2Bb\r\n",
                 b"RCPT TO:<b@example.net> NOTIFY=success,delay ORCPT=rfc822;b@x\r\nRSET\r\nQUIT\r\n"])
    greeted, mail, recipient, reset = driver.events
    assert isinstance(greeted, Answered) and isinstance(reset, Reset)
    assert isinstance(mail, Mail) and mail.sender == NULL_SENDER and mail.sender.is_null
    assert (mail.parameters.ret, mail.parameters.envid) == ("HDRS", "a+2Bb")
    assert isinstance(recipient, Recipient) and recipient.path == Path("b", "example.net")
    assert (recipient.parameters.notify, recipient.parameters.orcpt) == ("SUCCESS,DELAY", "rfc822;b@x")
    assert b"250 DSN\r\n" in driver.said
    assert driver.session.client_name == "c"


def test_refused_commands_do_not_make_their_pipelined_followers_mistakes() -> None:
    session = Session("mx.example.com", LIMITS)
    session.receive(b"EHLO c\r\n" + b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" * 30 + b"NOOP\r\n")
    mails = 0
    while not isinstance(event := session.next_event(), NeedData):
        assert not isinstance(event, Recipient | DataStart | Closed)
        if isinstance(event, Mail):
            mails += 1
            session.answer(Reply(451, (b"4.3.0 not now",)))
    assert mails == 30
    assert session.take_output().endswith(b"503 5.5.1 Bad sequence of commands\r\n250 2.0.0 Ok\r\n")


def test_a_refused_recipient_leaves_the_others() -> None:
    session = Session("mx.example.com", LIMITS)
    session.receive(b"LHLO c\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@x.net>\r\nRCPT TO:<c@x.net>\r\nDATA\r\n.\r\n")
    assert isinstance(session.next_event(), Answered)
    assert isinstance(session.next_event(), Mail)
    session.answer(ANSWERS[Mail])
    for code in (550, 250):
        assert isinstance(session.next_event(), Recipient)
        session.answer(Reply(code, (b"x",)))
    assert isinstance(session.next_event(), DataStart)
    session.answer(START_INPUT)
    assert isinstance(session.next_event(), EndOfData)
    assert session.answers_expected == 1


def test_a_refused_data_ends_the_transaction() -> None:
    session = Session("mx.example.com", LIMITS)
    session.receive(b"EHLO c\r\nMAIL FROM:<a@x.net>\r\nRCPT TO:<b@x.net>\r\nDATA\r\n")
    session.receive(b"RCPT TO:<c@x.net>\r\nMAIL FROM:<a@x.net>\r\n")
    session.next_event()
    for code in (250, 250, 451):
        session.next_event()
        session.answer(Reply(code, (b"x",)))
    assert not session.in_transaction
    assert isinstance(session.next_event(), Answered)
    assert session.take_output().endswith(b"503 5.5.1 Bad sequence of commands\r\n")
    assert isinstance(session.next_event(), Mail)


def test_a_session_can_be_closed_at_any_time() -> None:
    driver = Driver()
    driver.feed([b"EHLO c\r\nMAIL FROM:<a@x.net>\r\n"])
    assert driver.session.in_transaction
    driver.session.close(IDLE_TOO_LONG)
    driver.session.close(IDLE_TOO_LONG)
    driver.session.receive(b"NOOP\r\n")
    assert isinstance(driver.session.next_event(), Closed)
    assert driver.session.take_output() == b"421 4.4.2 Idle for too long\r\n"


def test_a_question_must_be_answered_before_the_next() -> None:
    session = Session("mx.example.com", LIMITS)
    session.receive(b"EHLO c\r\nMAIL FROM:<a@x.net>\r\nNOOP\r\n")
    session.next_event()
    with pytest.raises(RuntimeError):
        session.answer(START_INPUT)
    session.next_event()
    with pytest.raises(RuntimeError):
        session.next_event()
    with pytest.raises(RuntimeError):
        session.answer(ANSWERS[Mail], ANSWERS[Mail])


def test_bare_line_feeds_are_normalised_on_request() -> None:
    driver = Driver(Session("mx.example.com", LIMITS, normalise_bare_lf=True))
    driver.feed(cuts(b"EHLO c\r\nMAIL FROM:<a@x.net>\r\nRCPT TO:<b@x.net>\r\nDATA\r\na\nb\n.\nMAIL\n\r\n.\r\nQUIT\r\n", 2))
    assert driver.delivered == [b"a\r\nb\r\n.\r\nMAIL\r\n\r\n"]


def test_a_command_without_end_takes_no_memory() -> None:
    session = Session("mx.example.com", LIMITS)
    for _ in range(100):
        session.receive(b"x" * 10_000)
        assert isinstance(session.next_event(), NeedData)
        assert session.waiting_input <= LIMITS.command_line


def offering_tls() -> Driver:
    return Driver(Session("mx.example.com", LIMITS, has_tls=True, offers_dsn=lambda: True))


EXTENSIONS = b"250-mx.example.com\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 65536\r\n250-ENHANCEDSTATUSCODES\r\n"


def test_starttls_is_offered_until_there_is_tls() -> None:
    driver = offering_tls()
    driver.feed([b"EHLO c\r\n"])
    assert driver.said.endswith(EXTENSIONS + b"250-DSN\r\n250 STARTTLS\r\n")
    driver.feed([b"STARTTLS\r\n"])
    assert driver.said.endswith(b"220 2.0.0 Ready for TLS\r\n") and driver.session.is_secure
    driver.feed([b"LHLO c\r\n"])
    assert driver.said.endswith(EXTENSIONS + b"250 DSN\r\n")
    assert driver.session.protocol == "LMTPS"


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_starttls_forgets_what_was_said_before(size: int) -> None:
    driver = offering_tls()
    driver.feed(cuts(b"LHLO eve\r\nstarttls\r\n", size))
    assert (driver.session.client_name, driver.session.protocol) == ("", "SMTP")
    driver.said = b""
    driver.feed([b"MAIL FROM:<a@example.com>\r\n", b"STARTTLS\r\n", b"HELO c\r\n", b"MAIL FROM:<a@x.net> RET=FULL\r\n"])
    assert driver.said == (b"503 5.5.1 Bad sequence of commands\r\n" * 2 + b"250 mx.example.com\r\n"
                           b"555 5.5.4 Unknown parameter\r\n")
    assert driver.session.protocol == "SMTP"


@pytest.mark.parametrize("injected", [b"N", b"NOOP\r\n", b"EHLO eve\r\nMAIL FROM:<e@x.net>\r\nRCPT TO:<b@x.net>\r\nDATA\r\nx",
                                      b"x" * 5000])
def test_starttls_discards_what_is_pipelined_behind_it(injected: bytes) -> None:
    driver = offering_tls()
    driver.feed([b"EHLO c\r\nNOOP\r\nSTARTTLS\r\n" + injected])
    assert driver.said.endswith(b"250 2.0.0 Ok\r\n220 2.0.0 Ready for TLS\r\n")
    assert driver.session.waiting_input == 0
    driver.said = b""
    driver.feed([b"OOP\r\nRSET\r\n"])
    assert driver.said == b"500 5.5.2 Unknown command\r\n250 2.0.0 Ok\r\n"
    assert not any(isinstance(event, Mail) for event in driver.events)


def test_starttls_at_the_wrong_time_or_with_an_argument() -> None:
    driver = offering_tls()
    driver.feed([b"STARTTLS\r\nEHLO c\r\nSTARTTLS now\r\nMAIL FROM:<a@x.net>\r\nSTARTTLS\r\nRCPT TO:<b@x.net>\r\n"
                 b"STARTTLS\r\nDATA\r\nSTARTTLS\r\n.\r\n"])
    assert [line[:9] for line in driver.said.split(b"\r\n") if line[3:4] == b" " and line[:3] != b"250"] == [
        b"220 mx.ex", b"503 5.5.1", b"501 5.5.4", b"503 5.5.1", b"503 5.5.1", b"354 End w"]
    assert driver.delivered == [b"STARTTLS\r\n"] and not driver.session.is_secure
    assert driver.session.protocol == "ESMTP"


def test_starttls_that_is_refused_changes_nothing() -> None:
    session = Session("mx.example.com", LIMITS, has_tls=True)
    session.receive(b"EHLO c\r\nSTARTTLS\r\nNOOP\r\n")
    assert isinstance(session.next_event(), Answered)
    assert isinstance(session.next_event(), StartTls)
    session.answer(TLS_UNAVAILABLE)
    assert isinstance(session.next_event(), Answered)
    assert session.take_output().endswith(b"454 4.7.0 TLS is not available now\r\n250 2.0.0 Ok\r\n")
    assert (session.client_name, session.protocol, session.is_secure) == ("c", "ESMTP", False)
