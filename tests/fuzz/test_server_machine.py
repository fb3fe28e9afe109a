"""The server's machine against the reference, step by step: commands, pipelining, pieces, limits, and every smuggling form."""

import itertools
import os
import time

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from authd.smtp.replies import MALFORMED_LINE_ENDS
from authd.smtp.session import EndOfData, Limits, Mail
from tests import long_runs
from tests.fuzz.driver import Driver, Setting, pieces
from tests.fuzz.reference import Reference
from tests.fuzz.targets import agree, bounded

LONG = bool(os.environ.get("AUTHD_TEST_LONG"))
EXAMPLES = 5_000 if LONG else 150
SEED = 21

# A dot between line ends that are none, or that is not alone between them: RFC 5321 section 2.3.8 and 4.1.1.4.
LINE_ENDS = (b"\r\n", b"\n", b"\r", b"\0", b"\r\0\n", b"\n\r", b"")
SMUGGLING = [before + b"." + after for before, after in itertools.product(LINE_ENDS, LINE_ENDS)
             if (before, after) != (b"\r\n", b"\r\n")] + [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n"]
SECOND = b"MAIL FROM:<evil@x.net>\r\nRCPT TO:<c@x.net>\r\nDATA\r\nsmuggled\r\n"

MAIL_ARGUMENTS = ["FROM:<>", "FROM:<a@x.net>", "from:<a@x.net> size=10", "FROM: <\"a b\"@x.net> BODY=8BITMIME",
                  "FROM:<a@x.net> RET=HDRS ENVID=q", "FROM:<a@x.net> SIZE=301", "FROM:<a@x.net> SIZE=1 SIZE=1",
                  "FROM:<a@x.net> X=1", "FROM:a@x.net", "", "TO:<a@x.net>"]
RECIPIENT_ARGUMENTS = ["TO:<b@x.net>", "TO:<b@x.net>", "TO:<Postmaster>", "TO:<@r:b@[127.0.0.1]>", "TO:<b@x.net> NOTIFY=NEVER",
                       "TO:<b@x.net> ORCPT=rfc822;b", "TO:<>", "TO:<b", "TO:<b@x.net> NOTIFY=NEVER,DELAY"]
CONTENT = [b"a line\r\n", b"\r\n", b".\r\n", b"..\r\n", b".x\r\n", b"x" * 99 + b"\r\n", b"no end", b"\xe4\r\n", b"\n", b"\r",
           b"\0", *SMUGGLING]


class ServerMachine(RuleBasedStateMachine):
    """What the client wants to say waits on `wire`; `arrive` hands some of it to the session, in pieces."""

    @initialize(answers=st.binary(max_size=6), dsn=st.booleans(), normalise=st.booleans(), tls=st.booleans(),
                recipients=st.integers(1, 3), bad_commands=st.sampled_from([2, 4, 50]))
    def begin(self, answers: bytes, dsn: bool, normalise: bool, tls: bool, recipients: int, bad_commands: int) -> None:
        limits = Limits(message_size=300, recipients=recipients, command_line=80, bad_commands=bad_commands)
        self.driver = Driver(Setting(limits, answers, dsn, normalise, tls))
        self.driver.feed(b"")
        self.wire = b""

    @rule(verb=st.sampled_from(["EHLO", "LHLO", "HELO", "ehlo"]), name=st.sampled_from(["c", "[127.0.0.1]", "c d", "", "ä"]))
    def greet(self, verb: str, name: str) -> None:
        self.wire += f"{verb} {name}\r\n".encode("latin-1")

    @rule(argument=st.sampled_from(MAIL_ARGUMENTS))
    def mail(self, argument: str) -> None:
        self.wire += f"MAIL {argument}\r\n".encode()

    @rule(argument=st.sampled_from(RECIPIENT_ARGUMENTS))
    def recipient(self, argument: str) -> None:
        self.wire += f"RCPT {argument}\r\n".encode()

    @rule(lines=st.lists(st.sampled_from(CONTENT), max_size=8), ends=st.booleans())
    def transaction(self, lines: list[bytes], ends: bool) -> None:
        """All of it pipelined, whatever the answers will be."""
        self.wire += b"MAIL FROM:<a@x.net>\r\nRCPT TO:<b@x.net>\r\nDATA\r\n" + b"".join(lines) + (b"\r\n.\r\n" if ends else b"")

    @rule(form=st.sampled_from(SMUGGLING))
    def smuggle(self, form: bytes) -> None:
        self.wire += form + SECOND

    @rule(command=st.sampled_from([b"DATA", b"RSET", b"NOOP", b"VRFY x", b"HELP", b"DATA x", b"RSET ", b"EXPN x", b"STARTTLS",
                                   b"", b"BDAT 3 LAST", b"N\0OP", b"NOOP " + b"x" * 80, b"."]),
          end=st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n"]))
    def other(self, command: bytes, end: bytes) -> None:
        self.wire += command + end

    @rule()
    def leave(self) -> None:
        self.wire += b"QUIT\r\n"

    @rule(data=st.binary(max_size=100))
    def noise(self, data: bytes) -> None:
        self.wire += data

    @rule(keep=st.integers(0, 6), sizes=st.lists(st.integers(1, 90), max_size=20))
    def arrive(self, keep: int, sizes: list[int]) -> None:
        """All that was said but the last few bytes."""
        cut = max(0, len(self.wire) - keep)
        now, self.wire = self.wire[:cut], self.wire[cut:]
        for piece in pieces(now, sizes):
            self.driver.feed(piece)
            bounded(self.driver)
        agree(self.driver.transcript(), Reference(self.driver.setting).read(self.driver.heard), self.driver.setting.limits)

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.arrive(0, [])
            _ran.append(len(self.driver.heard))


_ran: list[int] = []


def test_the_session_does_what_the_reference_does() -> None:
    """`python -m pytest --long` says in docs/long-runs.md how many conversations were held."""
    began = time.monotonic()
    _ran.clear()
    run_state_machine_as_test(seed(SEED)(ServerMachine), settings=settings(
        max_examples=EXAMPLES, stateful_step_count=40, print_blob=True, database=None))
    assert sum(_ran) > 50 * EXAMPLES
    if LONG:
        long_runs.record(long_runs.Row("session machine", "hypothesis", len(_ran), str(SEED), time.monotonic() - began))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("form", SMUGGLING, ids=repr)
def test_a_smuggling_form_never_starts_a_second_message(form: bytes, normalise: bool) -> None:
    """However it is cut. It stays in the message, or spoils it."""
    start = b"EHLO c\r\nMAIL FROM:<a@x.net>\r\nRCPT TO:<b@x.net>\r\nDATA\r\n"
    stream = start + b"first" + form + SECOND + b".\r\nQUIT\r\n"
    setting = Setting(Limits(message_size=3000, recipients=3, command_line=200, bad_commands=12), normalise=normalise)
    for cut in range(len(start), len(stream)):
        driver = Driver(setting)
        for piece in (stream[:cut], stream[cut:]):
            driver.feed(piece)
        seen = driver.transcript()
        assert [event.sender.local_part for event in seen.noted if isinstance(event, Mail)] == ["a"]
        ends = [event for event in seen.noted if isinstance(event, EndOfData)]
        assert len(ends) == 1 and seen.is_closed
        assert ends[0].refusal == (None if is_harmless(form, normalise) else MALFORMED_LINE_ENDS)


def is_harmless(form: bytes, normalise: bool) -> bool:
    """Whether nothing is in it that a message must not hold."""
    left = form.replace(b"\r\n", b"").replace(b"\n" if normalise else b"", b"")
    return not set(left) & set(b"\r\n\0")
