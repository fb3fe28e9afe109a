"""The server's end of an SMTP or LMTP session (RFC 5321, RFC 2033, RFC 2920, RFC 3207): bytes in, events and reply bytes out.

A state machine without sockets and clocks. It answers by itself what needs no decision (greetings, NOOP, mistakes) and
asks for the rest: whoever drives it takes `next_event()` until that is NeedData or Closed, gives `answer()` to every Mail,
Recipient, DataStart, EndOfData and StartTls before it asks for the next, and sends what `take_output()` holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from authd.smtp import grammar, replies
from authd.smtp.grammar import GrammarError, MailParameters, Path, RecipientParameters
from authd.smtp.replies import Reply
from authd.smtp.transparency import DotDecoder


class State(Enum):
    """Where a session is. REFUSED: after a MAIL or DATA that was refused, when pipelined commands may still follow."""

    CONNECTED = auto()
    READY = auto()
    SENDER = auto()
    RECIPIENTS = auto()
    REFUSED = auto()
    CONTENT = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Mail:
    """A transaction begins. Answer: 250, or why not."""

    sender: Path
    parameters: MailParameters


@dataclass(frozen=True, slots=True)
class Recipient:
    """Another recipient. Answer: 250, or why not."""

    path: Path
    parameters: RecipientParameters


@dataclass(frozen=True, slots=True)
class DataStart:
    """The client wants to send the message. Answer: 354, or why not."""


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of the message, dots decoded. No answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class EndOfData:
    """The message is complete. `refusal` is what it must be answered if it cannot be accepted whatever the downstream says.

    Answer: one reply, or in LMTP one for each accepted recipient.
    """

    refusal: Reply | None


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client wants to go on in TLS. Answer: 220, or why not. After a 220 the session knows nothing of what was said and
    received in plain text, and whatever it receives must have come through TLS (RFC 3207 section 4.2).
    """


@dataclass(frozen=True, slots=True)
class Reset:
    """The client gave its transaction up (RSET, or a new greeting). No answer."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing follows: send the output and close. No answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A command was dealt with here. No answer; it only gives whoever drives the machine a pause between two commands."""


@dataclass(frozen=True, slots=True)
class NeedData:
    """Everything that arrived is dealt with."""


Question = Mail | Recipient | DataStart | EndOfData
Event = Question | StartTls | Content | Reset | Answered | Closed | NeedData

DATA_START, START_TLS, RESET, ANSWERED, CLOSED, NEED_DATA = DataStart(), StartTls(), Reset(), Answered(), Closed(), NeedData()


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes; `command_line` counts the CR LF."""

    message_size: int
    recipients: int
    command_line: int
    bad_commands: int


_GREETED = frozenset({State.READY, State.SENDER, State.RECIPIENTS, State.REFUSED})
_ANYWHERE = _GREETED | {State.CONNECTED}

# Which command may come when; anything else that is known is a bad sequence.
_ALLOWED = MappingProxyType({
    "EHLO": _ANYWHERE, "HELO": _ANYWHERE, "LHLO": _ANYWHERE,
    "MAIL": frozenset({State.READY, State.REFUSED}),
    "RCPT": frozenset({State.SENDER, State.RECIPIENTS}),
    "DATA": frozenset({State.RECIPIENTS}),
    "STARTTLS": frozenset({State.READY, State.REFUSED}),
    "RSET": _ANYWHERE, "NOOP": _ANYWHERE, "VRFY": _ANYWHERE, "HELP": _ANYWHERE, "QUIT": _ANYWHERE,
})

_WITHOUT_ARGUMENT = frozenset({"DATA", "RSET", "QUIT", "STARTTLS"})
_PROBLEMS: MappingProxyType[type[GrammarError], Reply] = MappingProxyType({
    grammar.MalformedParameter: replies.MALFORMED_ARGUMENT, grammar.UnknownParameter: replies.UNKNOWN_PARAMETER})
_PROTOCOL = MappingProxyType({"HELO": "SMTP", "EHLO": "ESMTP", "LHLO": "LMTP"})

# Where a question leads: if answered as hoped, and if not.
_AFTER: MappingProxyType[type[Question | StartTls], tuple[State, State | None]] = MappingProxyType({
    Mail: (State.SENDER, State.REFUSED),
    Recipient: (State.RECIPIENTS, None),
    DataStart: (State.CONTENT, State.REFUSED),
    EndOfData: (State.READY, State.READY),
    StartTls: (State.CONNECTED, None),
})


class Session:
    """One client's session. `offers_dsn` is asked at each EHLO, since that depends on the downstream.

    `has_tls`: there is a certificate, so that STARTTLS is known.
    """

    def __init__(self, hostname: str, limits: Limits, *, offers_dsn: Callable[[], bool] = lambda: False,
                 normalise_bare_lf: bool = False, has_tls: bool = False) -> None:
        self._hostname = hostname
        self._limits = limits
        self._offers_dsn = offers_dsn
        self._normalise = normalise_bare_lf
        self._has_tls = has_tls
        self._state = State.CONNECTED
        self._input = b""
        self._position = 0
        self._output = [bytes(replies.greeting(hostname))]
        self._question: Question | StartTls | None = None
        self._decoder = DotDecoder()
        self._has_ended = False
        self._size = 0
        self._recipients = 0
        self._bad_commands = 0
        self._skips_line = False
        self._takes_dsn = False
        self.client_name = ""
        self.protocol = "SMTP"
        self.is_secure = False

    @property
    def is_closed(self) -> bool:
        """Whether the last reply was said."""
        return self._state is State.CLOSED

    @property
    def in_transaction(self) -> bool:
        """Whether a client that is told to leave now would lose something that it has begun."""
        return self._question is not None or self._state in (State.SENDER, State.RECIPIENTS, State.CONTENT)

    @property
    def waiting_input(self) -> int:
        """How many bytes arrived that were not looked at yet."""
        return len(self._input) - self._position

    def receive(self, data: bytes) -> None:
        """Takes bytes from the client."""
        self._input = self._input[self._position:] + data
        self._position = 0

    def take_output(self) -> bytes:
        """The bytes to send, once."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def close(self, reply: Reply) -> None:
        """Ends the session with a last reply, a 421."""
        if not self.is_closed:
            self._say(reply)
            self._state = State.CLOSED
            self._question = None

    def next_event(self) -> Event:
        """The next thing that happened."""
        if self._question is not None:
            raise RuntimeError("the last event was not answered")
        if self.is_closed:
            return CLOSED
        return self._next_content() if self._state is State.CONTENT else self._next_command()

    def answer(self, *answers: Reply) -> None:
        """Answers the last event: with one reply, or after EndOfData in LMTP with one for each recipient."""
        question, self._question = self._question, None
        if question is None or len(answers) != (self.answers_expected if isinstance(question, EndOfData) else 1):
            raise RuntimeError("no question, or not as many replies as it needs")
        as_hoped, otherwise = _AFTER[type(question)]
        if answers[0].code == 354 if question is DATA_START else answers[0].is_positive:
            self._state = as_hoped
            if question is DATA_START:
                self._decoder, self._size = DotDecoder(normalise=self._normalise), 0
            elif isinstance(question, Recipient):
                self._recipients += 1
            elif question is START_TLS:
                self._begin_anew()
        elif otherwise is not None:
            self._state = otherwise
        for reply in answers:
            self._say(reply)

    @property
    def answers_expected(self) -> int:
        """How many replies the end of data needs: one, or in LMTP one for each recipient (RFC 2033 section 4.2)."""
        return self._recipients if self.protocol in ("LMTP", "LMTPS") else 1

    @property
    def _offers_tls(self) -> bool:
        return self._has_tls and not self.is_secure

    def _begin_anew(self) -> None:
        """Forgets what came in plain text, said and unread: anybody on the way may have put it there."""
        self._input, self._position, self._skips_line = b"", 0, False
        self.client_name, self.protocol, self._takes_dsn = "", "SMTP", False
        self.is_secure = True

    def _say(self, reply: Reply) -> None:
        self._output.append(bytes(reply))

    def _ask(self, question: Question | StartTls) -> Event:
        self._question = question
        return question

    def _answered(self, reply: Reply) -> Event:
        self._say(reply)
        return ANSWERED

    def _bad(self, reply: Reply) -> Event:
        """Answers a mistake, and the last one that is tolerated with a 421."""
        self._bad_commands += 1
        if self._bad_commands < self._limits.bad_commands:
            return self._answered(reply)
        self.close(replies.TOO_MANY_BAD_COMMANDS)
        return CLOSED

    def _next_command(self) -> Event:
        """Cuts off a line and performs it. A line that is too long is dropped as it arrives."""
        end = self._input.find(b"\n", self._position) + 1
        if end == 0:
            if self.waiting_input > self._limits.command_line:
                self._skips_line, self._position = True, len(self._input)
            return NEED_DATA
        line, self._position = self._input[self._position:end], end
        if self._skips_line or len(line) > self._limits.command_line:
            self._skips_line = False
            return self._bad(replies.LINE_TOO_LONG)
        if not line.endswith(b"\r\n"):
            return self._bad(replies.BARE_LINE_END)
        try:
            verb, _, argument = grammar.text(line[:-2]).partition(" ")
        except GrammarError:
            return self._bad(replies.MALFORMED_ARGUMENT)
        return self._command(verb.upper(), argument)

    def _command(self, verb: str, argument: str) -> Event:
        allowed = _ALLOWED.get(verb)
        if allowed is None or (verb == "STARTTLS" and not self._has_tls):
            return self._bad(replies.UNKNOWN_COMMAND)
        if self._state not in allowed or (verb == "STARTTLS" and self.is_secure):
            return self._out_of_sequence(verb)
        if verb in _WITHOUT_ARGUMENT and argument.strip():
            return self._bad(replies.MALFORMED_ARGUMENT)
        match verb:
            case "MAIL":
                return self._mail(argument)
            case "RCPT":
                return self._recipient(argument)
            case "DATA":
                return self._ask(DATA_START)
            case "STARTTLS":
                return self._ask(START_TLS)
            case "RSET":
                self._say(replies.OK)
                return self._give_up()
            case "QUIT":
                self.close(replies.BYE)
                return CLOSED
            case "NOOP":
                return self._answered(replies.OK)
            case "VRFY":
                return self._answered(replies.CANNOT_VERIFY)
            case "HELP":
                return self._answered(replies.help(verb for verb in _ALLOWED if verb != "STARTTLS" or self._offers_tls))
            case _:
                return self._greet(verb, argument)

    def _out_of_sequence(self, verb: str) -> Event:
        """Commands that were sent before the client could know that an earlier one is refused are no mistakes."""
        if verb == "DATA" and self._state is State.SENDER:
            return self._answered(replies.NO_VALID_RECIPIENTS)
        if self._state is State.REFUSED:
            return self._answered(replies.BAD_SEQUENCE)
        return self._bad(replies.BAD_SEQUENCE)

    def _greet(self, verb: str, argument: str) -> Event:
        try:
            self.client_name = grammar.parse_greeting(argument)
        except GrammarError:
            return self._bad(replies.MALFORMED_ARGUMENT)
        self.protocol = _PROTOCOL[verb] + ("S" if self.is_secure and verb != "HELO" else "")  # RFC 3848
        self._takes_dsn = verb != "HELO" and self._offers_dsn()
        if verb == "HELO":
            self._say(replies.hello(self._hostname))
        else:
            keywords = ["PIPELINING", "8BITMIME", f"SIZE {self._limits.message_size}", "ENHANCEDSTATUSCODES"]
            keywords += ["DSN"] * self._takes_dsn + ["STARTTLS"] * self._offers_tls
            self._say(replies.extensions(self._hostname, keywords))
        return self._give_up()

    def _give_up(self) -> Event:
        """Forgets the transaction, if there is one (RFC 5321 sections 4.1.1.5 and 4.1.4)."""
        had_begun = self.in_transaction
        if self.client_name:
            self._state = State.READY
        return RESET if had_begun else ANSWERED

    def _mail(self, argument: str) -> Event:
        try:
            sender, parameters = grammar.parse_mail(argument)
            if not self._takes_dsn and (parameters.ret or parameters.envid):
                raise grammar.UnknownParameter("DSN is not offered")
        except GrammarError as error:
            self._state = State.REFUSED
            return self._bad(_PROBLEMS.get(type(error), replies.MALFORMED_SENDER))
        if parameters.size is not None and parameters.size > self._limits.message_size:
            self._state = State.REFUSED
            return self._answered(replies.MESSAGE_TOO_BIG)
        self._recipients = 0
        return self._ask(Mail(sender, parameters))

    def _recipient(self, argument: str) -> Event:
        try:
            path, parameters = grammar.parse_recipient(argument)
            if not self._takes_dsn and (parameters.notify or parameters.orcpt):
                raise grammar.UnknownParameter("DSN is not offered")
        except GrammarError as error:
            return self._bad(_PROBLEMS.get(type(error), replies.MALFORMED_RECIPIENT))
        if self._recipients >= self._limits.recipients:
            return self._answered(replies.TOO_MANY_RECIPIENTS)
        return self._ask(Recipient(path, parameters))

    def _next_content(self) -> Event:
        """The next piece of content, or its end. What is too big or malformed is read on, but not handed on."""
        if not self._has_ended:
            if not self.waiting_input:
                return NEED_DATA
            content, rest = self._decoder.feed(self._input[self._position:])
            self._input, self._position = rest or b"", 0
            self._has_ended = rest is not None
            self._size += len(content)
            if content and self._refusal() is None:
                return Content(content)
            if not self._has_ended:
                return NEED_DATA
        self._has_ended = False
        return self._ask(EndOfData(self._refusal()))

    def _refusal(self) -> Reply | None:
        if self._decoder.is_malformed:
            return replies.MALFORMED_LINE_ENDS
        return replies.MESSAGE_TOO_BIG if self._size > self._limits.message_size else None
