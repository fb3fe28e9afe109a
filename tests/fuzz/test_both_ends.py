"""Our client's machine against our server's machine: what one says, the other understands, in any pieces."""

import os
import time

from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from authd.smtp.grammar import MailParameters, Path, RecipientParameters
from authd.smtp.relay_session import RelaySession
from authd.smtp.session import DataStart, EndOfData, Event, Limits, Mail, Recipient, Reset, StartTls
from authd.smtp.transparency import dot_encoded
from tests import long_runs
from tests.fuzz.driver import Driver, Setting, pieces

LONG = bool(os.environ.get("AUTHD_TEST_LONG"))
EXAMPLES = 1_500 if LONG else 160
SEED = 22
LIMITS = Limits(message_size=5000, recipients=4, command_line=2048, bad_commands=3)

LOCAL_PARTS = st.sampled_from([
    "a", "A.b", "x+y=z", "!#$%&'*/?^_`{|}~-", "SRS0=h=t=x.net=u", "a b", '"', "\\", ".", "", "a@b>", "q" * 250])
DOMAINS = st.sampled_from(["x.net", "EXAMPLE.org", "[127.0.0.1]", "[IPv6:2001:db8::1]", "a-b._c.example"])
ADDRESSES = st.builds(Path, LOCAL_PARTS, DOMAINS)
XTEXT = st.sampled_from(["a", "+2B+3D", "rfc822;x", "!*,-<>~", "e" * 100])
MAIL_PARAMETERS = st.builds(
    MailParameters, size=st.none() | st.integers(0, LIMITS.message_size), body=st.sampled_from([None, "7BIT", "8BITMIME"]),
    ret=st.sampled_from([None, "FULL", "HDRS"]), envid=st.none() | XTEXT)
RECIPIENT_PARAMETERS = st.builds(
    RecipientParameters, notify=st.sampled_from([None, "NEVER", "SUCCESS", "DELAY,FAILURE", "SUCCESS,FAILURE,DELAY"]),
    orcpt=st.none() | XTEXT.map("rfc822;{}".format))
CONTENT = st.lists(st.sampled_from([b".", b"..", b".x", b"", b"a line", b"\xe4\xf6", b"x" * 99]) | st.binary(max_size=20).map(
    lambda data: data.translate(None, b"\r\n\0")), max_size=15).map(lambda lines: b"".join(line + b"\r\n" for line in lines))
SIZES = st.lists(st.integers(1, 40), max_size=12)


class BothEnds(RuleBasedStateMachine):
    """The client says what it likes; `expected` is what the server must make of it."""

    @initialize(lmtp=st.booleans(), dsn=st.booleans(), answers=st.just(b"") | st.binary(max_size=6), sizes=SIZES)
    def connect(self, lmtp: bool, dsn: bool, answers: bytes, sizes: list[int]) -> None:
        self.lmtp, self.dsn = lmtp, dsn
        self.client = RelaySession("relay.example", lmtp=lmtp)
        self.server = Driver(Setting(LIMITS, answers, offers_dsn=dsn, has_tls=True))
        self.expected: list[Event] = []
        self.contents: list[bytes] = []
        self.returned = 0
        self.accepted = 0
        self.exchange(b"", sizes)
        assert self.code() == 220
        self.greet(sizes, {"STARTTLS"})

    def greet(self, sizes: list[int], more: set[str]) -> None:
        self.exchange(self.client.ehlo(), sizes)
        assert self.code() == 250
        more |= {"DSN"} if self.dsn else set()
        assert self.client.extensions == {"PIPELINING", "8BITMIME", "SIZE", "ENHANCEDSTATUSCODES"} | more

    def exchange(self, data: bytes, sizes: list[int]) -> None:
        """Carries bytes there, and the replies back."""
        for piece in pieces(data, sizes) if data else [b""]:
            self.server.feed(piece)
        output = self.server.output[self.returned:]
        self.returned += len(output)
        for piece in pieces(output, sizes):
            self.client.receive(piece)

    def code(self) -> int:
        reply = self.client.next_reply()
        assert reply is not None
        return reply.code

    @precondition(lambda self: not self.client.in_transaction)
    @rule(sender=ADDRESSES | st.just(Path("", "")), parameters=MAIL_PARAMETERS, sizes=SIZES,
          recipients=st.lists(st.tuples(ADDRESSES | st.just(Path("postmaster", "")), RECIPIENT_PARAMETERS),
                              min_size=1, max_size=LIMITS.recipients))
    def transaction(self, sender: Path, parameters: MailParameters, sizes: list[int],
                    recipients: list[tuple[Path, RecipientParameters]]) -> None:
        """MAIL and all RCPT in one piece."""
        wire = self.client.mail(sender, parameters) + b"".join(self.client.recipient(*each) for each in recipients)
        if not self.dsn:
            parameters = MailParameters(parameters.size, parameters.body)
            recipients = [(path, RecipientParameters()) for path, _ in recipients]
        self.exchange(wire, sizes)
        self.expected.append(Mail(sender, parameters))
        was_taken = self.code() == 250
        codes = [self.code() for _ in recipients]
        self.accepted = codes.count(250)
        if was_taken:
            self.expected.extend(Recipient(*each) for each in recipients)
        else:
            assert set(codes) == {503}
        if not self.accepted:
            self.reset(sizes, had_begun=was_taken)

    @precondition(lambda self: self.client.in_transaction)
    @rule(content=CONTENT, cuts=SIZES, sizes=SIZES)
    def message(self, content: bytes, cuts: list[int], sizes: list[int]) -> None:
        self.exchange(self.client.data(), sizes)
        self.expected.append(DataStart())
        if self.code() != 354:
            self.reset(sizes, had_begun=False)
            return
        for piece in dot_encoded(pieces(content, cuts)):
            self.exchange(piece, sizes)
        verdicts = self.accepted if self.lmtp else 1
        self.exchange(self.client.end_of_data(verdicts), sizes)
        self.expected.append(EndOfData(None))
        self.contents.append(content)
        assert all(self.code() in (250, 451, 554) for _ in range(verdicts))
        assert self.client.is_idle

    @precondition(lambda self: self.client.in_transaction)
    @rule(sizes=SIZES)
    def give_up(self, sizes: list[int]) -> None:
        self.reset(sizes, had_begun=True)

    @precondition(lambda self: not self.client.in_transaction and "STARTTLS" in self.client.extensions)
    @rule(sizes=SIZES)
    def secure(self, sizes: list[int]) -> None:
        """As TLS itself is not the machines' matter, the bytes go on as they are."""
        self.exchange(self.client.starttls(), sizes)
        self.expected.append(StartTls())
        if self.code() == 220:
            self.client.secured()
            self.greet(sizes, set())

    def reset(self, sizes: list[int], *, had_begun: bool) -> None:
        self.exchange(self.client.reset(), sizes)
        assert self.code() == 250
        if had_begun:
            self.expected.append(Reset())

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        self.exchange(self.client.quit(), [])
        assert self.code() == 221 and self.client.next_reply() is None
        seen = self.server.transcript()
        assert seen.noted == self.expected and seen.messages == self.contents and seen.is_closed
        _ran.append(len(seen.messages))


_ran: list[int] = []


def test_client_and_server_understand_each_other() -> None:
    began = time.monotonic()
    _ran.clear()
    run_state_machine_as_test(seed(SEED)(BothEnds), settings=settings(
        max_examples=EXAMPLES, stateful_step_count=12, print_blob=True, database=None))
    assert sum(_ran) > EXAMPLES / 8  # messages that came through; chance gives 0.2 to 0.6 an example
    if LONG:
        long_runs.record(long_runs.Row("session machine and client machine", "hypothesis", len(_ran), str(SEED),
                                       time.monotonic() - began))
