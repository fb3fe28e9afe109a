"""The client's machine."""

import pytest

from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.relay_session import LONGEST_REPLY, DownstreamError, RelaySession
from authd.smtp.replies import Reply

ANN, BOB = Path("ann", "example.com"), Path("b o", "example.net")
MAIL_PARAMETERS = MailParameters(10, "8BITMIME", "HDRS", "x")
RECIPIENT_PARAMETERS = RecipientParameters("NEVER", "rfc822;b@x")


def greeted(*keywords: bytes) -> RelaySession:
    session = RelaySession("mx.example.com")
    session.receive(b"220 sink\r\n")
    assert session.next_reply() == Reply(220, (b"sink",))
    assert session.ehlo() == b"EHLO mx.example.com\r\n"
    session.receive(b"".join(b"250-%b\r\n" % word for word in (b"sink", *keywords)) + b"250 HELP\r\n")
    assert session.next_reply() is not None
    return session


def state(session: RelaySession) -> tuple[bool, bool]:
    return session.in_transaction, session.is_idle


def test_a_transaction() -> None:
    session = greeted()
    assert session.mail(ANN, MAIL_PARAMETERS) == b"MAIL FROM:<ann@example.com>\r\n"
    assert state(session) == (True, False)
    session.receive(b"250 2.1.0 ok\r\n")
    assert session.next_reply() == Reply(250, (b"2.1.0 ok",))
    assert state(session) == (True, True)
    assert session.recipient(BOB, RECIPIENT_PARAMETERS) == b'RCPT TO:<"b o"@example.net>\r\n'
    session.receive(b"25")
    assert session.next_reply() is None
    session.receive(b"0\r\n")
    assert session.next_reply() == Reply(250, (b"",))
    assert session.data() == b"DATA\r\n"
    session.receive(b"354 go\r\n")
    assert session.next_reply() == Reply(354, (b"go",))
    assert state(session) == (True, False)
    assert session.end_of_data() == b".\r\n"
    session.receive(b"250-a\r\n250 b\r\n")
    assert session.next_reply() == Reply(250, (b"a", b"b"))
    assert state(session) == (False, True)


def test_only_offered_parameters_are_sent() -> None:
    session = greeted(b"size 100", b"8BITMIME")
    assert session.mail(ANN, MAIL_PARAMETERS) == b"MAIL FROM:<ann@example.com> SIZE=10 BODY=8BITMIME\r\n"
    session = greeted(b"DSN")
    assert session.mail(Path("", ""), MAIL_PARAMETERS) == b"MAIL FROM:<> RET=HDRS ENVID=x\r\n"
    session.receive(b"250 ok\r\n")
    assert session.recipient(BOB, RECIPIENT_PARAMETERS) == b'RCPT TO:<"b o"@example.net> NOTIFY=NEVER ORCPT=rfc822;b@x\r\n'


def test_one_command_at_a_time_unless_pipelining_is_offered() -> None:
    session = greeted()
    session.mail(ANN, MailParameters())
    with pytest.raises(RuntimeError):
        session.recipient(BOB, RecipientParameters())
    session = greeted(b"PIPELINING")
    session.mail(ANN, MailParameters())
    session.recipient(BOB, RecipientParameters())
    session.data()
    session.receive(b"250 a\r\n550 b\r\n354 c\r\n")
    assert [session.next_reply(), session.next_reply(), session.next_reply(), session.next_reply()] == [
        Reply(250, (b"a",)), Reply(550, (b"b",)), Reply(354, (b"c",)), None]
    with pytest.raises(RuntimeError):
        session.reset()


@pytest.mark.parametrize("keywords", [[], [b"PIPELINING"]])
def test_an_envelope_is_sent_at_once_or_command_by_command(keywords: list[bytes]) -> None:
    session = greeted(*keywords)
    commands = [b"MAIL FROM:<ann@example.com>\r\n", b'RCPT TO:<"b o"@example.net>\r\n', b"RCPT TO:<ann@example.com>\r\n"]
    sent = [session.envelope((ANN, MailParameters()), [(BOB, RecipientParameters()), (ANN, RecipientParameters())])]
    assert not session.is_idle and session.in_transaction
    for line in b"250 a\r\n", b"550 b\r\n", b"250 c\r\n":
        session.receive(line[:5])
        sent.append(session.next_command())
        session.receive(line[5:])
        sent.append(session.next_command())
    assert b"".join(sent) == b"".join(commands)
    assert sent[0] == (b"".join(commands) if keywords else commands[0])
    assert [session.next_reply(), session.next_reply(), session.next_reply(), session.next_reply()] == [
        Reply(250, (b"a",)), Reply(550, (b"b",)), Reply(250, (b"c",)), None]
    assert session.is_idle


@pytest.mark.parametrize(("replies", "sent"), [([b"550 no\r\n"], 1), ([b"250 ok\r\n", b"421 bye\r\n"], 2)])
def test_nothing_follows_a_refused_sender_and_a_421(replies: list[bytes], sent: int) -> None:
    session = greeted()
    commands = [session.envelope((ANN, MailParameters()), [(BOB, RecipientParameters())] * 3)]
    for reply in replies:
        session.receive(reply)
        commands.append(session.next_command())
    assert len([*filter(None, commands)]) == sent


def test_a_refusal_before_the_end_of_data_is_a_reply() -> None:
    session = greeted()
    session.data()
    session.receive(b"354 go\r\n")
    session.next_reply()
    session.receive(b"552 enough\r\n")
    assert session.next_reply() == Reply(552, (b"enough",))
    assert not session.is_usable and not session.is_idle


def test_content_ends_only_where_it_began() -> None:
    with pytest.raises(RuntimeError):
        greeted().end_of_data()


@pytest.mark.parametrize("line", [b"hello\r\n", b"\r\n", b"25 x\r\n", b"2500 x\r\n", b"999 x\r\n", b"150 x\r\n", b"250_x\r\n",
                                  b"250-a\r\n251 b\r\n", b"\xff\xff\xff\r\n", b"x" * (LONGEST_REPLY + 1),
                                  b"250-x\r\n" * (LONGEST_REPLY // 5 + 1)])
def test_what_is_no_reply(line: bytes) -> None:
    session = greeted()
    session.mail(ANN, MailParameters())
    with pytest.raises(DownstreamError) as caught:
        session.receive(line)
    assert caught.value.reply.code == 451 and not session.is_usable


@pytest.mark.parametrize("line", [b"250 again\r\n", b"421 idle\r\n"])
def test_a_reply_to_nothing(line: bytes) -> None:
    session = greeted()
    with pytest.raises(DownstreamError):
        session.receive(line)
    assert not session.is_usable


def test_a_positive_reply_in_place_of_the_go_ahead_is_not_taken_for_a_delivery() -> None:
    session = greeted()
    session.data()
    with pytest.raises(DownstreamError):
        session.receive(b"250 delivered, surely\r\n")


def test_the_text_of_a_reply_cannot_break_out_of_its_line() -> None:
    session = greeted()
    session.mail(ANN, MailParameters())
    session.receive(b"550 a\rb\0c\x1b[2J\td\r\n")
    assert session.next_reply() == Reply(550, (b"a?b?c?[2J\td",))


def test_421_is_the_last_reply() -> None:
    session = greeted()
    session.mail(ANN, MailParameters())
    session.receive(b"421 going down\r\n")
    assert session.next_reply() == Reply(421, (b"going down",))
    assert not session.is_usable


def test_starttls_forgets_the_extensions() -> None:
    session = greeted(b"STARTTLS", b"PIPELINING", b"DSN")
    assert session.starttls() == b"STARTTLS\r\n"
    assert state(session) == (False, False)
    for byte in b"220 2.0.0 go\r\n":
        session.receive(bytes([byte]))
    assert session.next_reply() == Reply(220, (b"2.0.0 go",))
    assert state(session) == (False, False)
    with pytest.raises(RuntimeError):
        session.mail(ANN, MAIL_PARAMETERS)
    session.secured()
    assert (session.is_idle, session.extensions) == (True, frozenset())
    assert session.ehlo() == b"EHLO mx.example.com\r\n"
    session.receive(b"250-sink\r\n250 8BITMIME\r\n")
    assert session.extensions == {"8BITMIME"}


@pytest.mark.parametrize("injected", [b"2", b"250 DSN\r\n", b"250-x\r\n", b"\n", b"\r\n", b"\x16\x03\x01"])
@pytest.mark.parametrize("together", [True, False])
def test_plain_text_behind_the_go_ahead_for_tls_is_an_error(injected: bytes, together: bool) -> None:
    session = greeted(b"STARTTLS")
    session.starttls()
    if not together:
        session.receive(b"220 go\r\n")
    with pytest.raises(DownstreamError):
        session.receive(injected if not together else b"220 go\r\n" + injected)
    assert not session.is_usable


def test_a_refused_starttls_leaves_the_session_as_it_was() -> None:
    session = greeted(b"STARTTLS", b"DSN")
    session.starttls()
    session.receive(b"454 not now\r\n")
    assert session.next_reply() == Reply(454, (b"not now",))
    assert session.is_idle and session.extensions == {"STARTTLS", "DSN", "HELP"}
    session.starttls()
    session.receive(b"421 bye\r\n")
    assert not session.is_usable


@pytest.mark.parametrize("line", [b"250 fine\r\n", b"221 bye\r\n", b"354 go\r\n"])
def test_starttls_is_answered_220_or_refused(line: bytes) -> None:
    session = greeted(b"STARTTLS")
    session.starttls()
    with pytest.raises(DownstreamError):
        session.receive(line)
