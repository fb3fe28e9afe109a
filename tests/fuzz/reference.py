"""What a session must do with a stream of bytes, written down a second time and in another way: the oracle of the fuzzer.

It reads the whole stream at once, line by line, and remembers facts instead of states. Arguments it leaves to grammar.py,
which has properties of its own.
"""

import re

from authd.smtp import grammar
from authd.smtp.grammar import GrammarError, UnknownParameter
from authd.smtp.replies import MALFORMED_LINE_ENDS, MESSAGE_TOO_BIG
from authd.smtp.session import DataStart, EndOfData, Event, Mail, Recipient, Reset, StartTls
from tests.fuzz.driver import Setting, Transcript

FIXED = {"NOOP": 250, "VRFY": 252, "HELP": 214}


class Reference:
    """`read(stream)` gives the transcript of everything that arrived."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.limits = setting.limits
        self.seen = Transcript(codes=[220])
        self.is_lmtp = self.is_greeted = self.has_sender = self.takes_dsn = self.is_secure = False
        self.is_late = False  # commands may follow that were sent before a refusal could be read
        self.recipients = self.mistakes = self.questions = 0

    def read(self, stream: bytes) -> Transcript:
        while not self.seen.is_closed:
            line, end, stream = stream.partition(b"\n")
            if not end:
                break
            self._line(line + end)
            if self.seen.is_open:
                ended = self._content(stream)
                if ended is None:
                    break
                stream = ended
        return self.seen

    def _reply(self, code: int) -> None:
        self.seen.codes.append(code)

    def _mistake(self, code: int) -> None:
        self.mistakes += 1
        self.seen.is_closed = self.mistakes >= self.limits.bad_commands
        self._reply(421 if self.seen.is_closed else code)

    def _ask(self, question: Event) -> int:
        self.seen.noted.append(question)
        code = self._answer(type(question))
        self._reply(code)
        return code

    def _answer(self, question: type[Event]) -> int:
        self.questions += 1
        return self.setting.code(question, self.questions - 1)

    def _line(self, line: bytes) -> None:
        if len(line) > self.limits.command_line or line[-2:] != b"\r\n":
            self._mistake(500)
        elif re.search(rb"[^\x20-\x7e]", line[:-2]):
            self._mistake(501)
        else:
            verb, _, argument = line[:-2].decode().partition(" ")
            self._command(verb.upper(), argument)

    def _command(self, verb: str, argument: str) -> None:
        if verb in FIXED:
            self._reply(FIXED[verb])
        elif verb in ("HELO", "EHLO", "LHLO"):
            self._greeting(verb, argument)
        elif verb not in ("MAIL", "RCPT", "DATA", "RSET", "QUIT", *["STARTTLS"] * self.setting.has_tls):
            self._mistake(500)
        elif verb == "DATA" and self.has_sender and not self.recipients:
            self._reply(554)
        elif not self._is_timely(verb):
            if self.is_late:
                self._reply(503)
            else:
                self._mistake(503)
        elif verb in ("DATA", "RSET", "QUIT", "STARTTLS") and argument.strip():
            self._mistake(501)
        elif verb == "QUIT":
            self._reply(221)
            self.seen.is_closed = True
        elif verb == "RSET":
            self._reply(250)
            self._give_up()
        elif verb == "DATA":
            self._data()
        elif verb == "STARTTLS":
            self._start_tls()
        else:
            self._envelope(verb, argument)

    def _is_timely(self, verb: str) -> bool:
        match verb:
            case "MAIL":
                return self.is_greeted and not self.has_sender
            case "RCPT":
                return self.has_sender
            case "DATA":
                return self.has_sender and self.recipients > 0
            case "STARTTLS":
                return self.is_greeted and not self.has_sender and not self.is_secure
        return True

    def _greeting(self, verb: str, argument: str) -> None:
        name = argument.split(" ")[0]
        if not 0 < len(name) <= 255:
            self._mistake(501)
            return
        self.is_greeted, self.is_lmtp = True, verb == "LHLO"
        self.takes_dsn = verb != "HELO" and self.setting.offers_dsn
        self._reply(250)
        self._give_up()

    def _give_up(self) -> None:
        if self.has_sender:
            self.seen.noted.append(Reset())
        self.has_sender = False
        self.is_late = False

    def _start_tls(self) -> None:
        """The stream has nothing more of what came in plain text; nothing that was said there counts."""
        if self._ask(StartTls()) == 220:
            self.is_secure = True
            self.is_greeted = self.is_lmtp = self.takes_dsn = self.is_late = False

    def _envelope(self, verb: str, argument: str) -> None:
        is_mail = verb == "MAIL"
        question: Mail | Recipient
        try:
            question = Mail(*grammar.parse_mail(argument)) if is_mail else Recipient(*grammar.parse_recipient(argument))
        except GrammarError as error:
            self.is_late = is_mail
            self._mistake(555 if isinstance(error, UnknownParameter) else 501)
            return
        if isinstance(question, Mail):
            self._mail(question)
        else:
            self._recipient(question)

    def _mail(self, question: Mail) -> None:
        given = question.parameters
        self.is_late = True
        if (given.ret or given.envid) and not self.takes_dsn:
            self._mistake(555)
        elif given.size is not None and given.size > self.limits.message_size:
            self._reply(552)
        elif self._ask(question) == 250:
            self.has_sender, self.recipients, self.is_late = True, 0, False

    def _recipient(self, question: Recipient) -> None:
        if (question.parameters.notify or question.parameters.orcpt) and not self.takes_dsn:
            self._mistake(555)
        elif self.recipients == self.limits.recipients:
            self._reply(452)
        else:
            self.recipients += self._ask(question) == 250

    def _data(self) -> None:
        if self._ask(DataStart()) == 354:
            self.seen.is_open = True
            self.seen.messages.append(b"")
        else:
            self.has_sender, self.is_late = False, True

    def _content(self, stream: bytes) -> bytes | None:
        """Puts a message down. Returns what follows it, or None where it has not ended."""
        lines = stream.split(b"\r\n")
        has_ended = b"." in lines[:-1]  # what follows the last CR LF is no line yet
        end = lines.index(b".") if has_ended else len(lines)
        rest = b"\r\n".join(lines[end + 1:])
        lines = [*lines[:end], b""] if has_ended else lines
        content = b"\r\n".join(line.removeprefix(b".") for line in lines)
        if self.setting.normalise:
            content = re.sub(rb"(?<!\r)\n", b"\r\n", content)
        self.seen.messages[-1] = content
        if not has_ended:
            return None
        self.seen.is_open = self.has_sender = False
        refusal = None
        if any(byte in line for line in content.split(b"\r\n") for byte in (b"\r", b"\n", b"\0")):
            refusal = MALFORMED_LINE_ENDS
        elif len(content) > self.limits.message_size:
            refusal = MESSAGE_TOO_BIG
        self.seen.noted.append(EndOfData(refusal))
        for _ in range(self.recipients if self.is_lmtp else 1):
            self._reply(refusal.code if refusal else self._answer(EndOfData))
        return rest
