"""A message, a fault, and a client that tries again until every recipient has had a last word: what it read, and what arrived.

What must never happen is asserted here, whatever the fault is: a 250 is one copy for everybody, a 5xx was said by a
downstream and is no copy, and nobody is deferred for ever.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.smtp.forwarding import text
from tests.smtp.support import Sink, connected

DIALECTS = ("SMTP", "LMTP")
_MOST_TRIES = 5
_ORDINALS = {2: "2nd", 3: "3rd"}

Before = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Said:
    """The last word on a recipient: a reply, empty where the connection was lost, and to what it is the answer."""

    step: str
    reply: str

    @property
    def is_final(self) -> bool:
        """Whether the client does not try again."""
        return self.reply.startswith(("2", "5"))

    @property
    def code(self) -> str:
        """The code alone."""
        return self.reply[:3] or "connection lost"


@dataclass(frozen=True)
class Letter:
    """A message. `copies`: for each recipient that is given the addresses that it stands for. `mark`: found in no other."""

    mark: str
    sender: str
    copies: Mapping[str, Sequence[str]]
    size: int = 100

    @property
    def content(self) -> bytes:
        """What is sent after DATA."""
        head = f"From: <{self.sender}>\r\nSubject: {self.mark}\r\n\r\n".encode()
        return head + b"x" * 60 + b"\r\n" + (b"y" * 70 + b"\r\n") * (self.size // 72)


async def nothing(step: str) -> None:
    """What happens before a step, where nothing does."""


async def speak(address: tuple[str, int], dialect: str, letter: Letter, recipients: Sequence[str],
                before: Before = nothing) -> dict[str, Said]:
    """One try. `before` is called with MAIL, RCPT, DATA and end, before the client says that."""
    said: dict[str, Said] = dict.fromkeys(recipients, Said("connection", ""))
    try:
        async with connected(address, greet=f"{'LHLO' if dialect == 'LMTP' else 'EHLO'} client.example.com") as client:
            await before("MAIL")
            reply = await client.command(f"MAIL FROM:<{letter.sender}>")
            if not reply.startswith("250"):
                return dict.fromkeys(recipients, Said("MAIL", reply))
            await before("RCPT")
            for recipient in recipients:
                said[recipient] = Said("RCPT", await client.command(f"RCPT TO:<{recipient}>"))
            taken = [recipient for recipient, answer in said.items() if answer.reply.startswith("250")]
            if not taken:
                return said
            said |= dict.fromkeys(taken, Said("connection", ""))
            await before("DATA")
            assert (await client.command("DATA")).startswith("354")
            await client.write(letter.content)
            await before("end")
            await client.write(b".\r\n")
            if dialect == "LMTP":
                for recipient in taken:
                    said[recipient] = Said("end", await client.reply())
            else:
                said |= dict.fromkeys(taken, Said("end", await client.reply()))
    except ConnectionError:
        pass
    return said


@dataclass
class Trial:
    """A letter on its way to sinks. `refusals`: what a downstream may say for good."""

    letter: Letter
    dialect: str
    sinks: Sequence[Sink]
    refusals: Sequence[str] = ()
    tries: list[dict[str, Said]] = field(default_factory=list)
    last: dict[str, Said] = field(default_factory=dict)
    at_first: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> list[str]:
        """The recipients that the client has to try (again)."""
        return [name for name in self.letter.copies if name not in self.last or not self.last[name].is_final]

    async def attempt(self, address: tuple[str, int], before: Before = nothing) -> None:
        """One try with whoever is left."""
        assert len(self.tries) < _MOST_TRIES, f"{self.letter.mark}: {self.last}"
        self.tries.append(await speak(address, self.dialect, self.letter, self.left, before))
        self.last |= self.tries[-1]
        if len(self.tries) == 1:
            self.at_first = self._arrived()

    def finish(self) -> tuple[str, str, str]:
        """Checks that nothing is lost, doubled or invented; the cells of the table."""
        arrived = self._arrived()
        assert not self.left
        for name, addresses in self.letter.copies.items():
            said, copies = self.last[name], [arrived[address] for address in addresses]
            if said.code.startswith("5"):
                assert said.reply in self.refusals and not any(copies), (self.letter.mark, name, said, arrived)
            elif len(addresses) > 1 and self.refusals:
                assert max(copies) == 1 and sum(copies) >= len(copies) - 1, (self.letter.mark, name, said, arrived)
            else:
                assert copies == [1] * len(addresses), (self.letter.mark, name, said, arrived)
        refused = [name for name in self.letter.copies if self.last[name].code.startswith("5")]
        number = len(self.tries)
        in_the_end = self._described(arrived)
        if refused:
            in_the_end += "; " + _by_code({name: self.last[name].code for name in refused}, "", [*self.letter.copies])
        return _heard(self.tries[0]), self._described(self.at_first), in_the_end + (
            f" ({_ORDINALS.get(number, f'{number}th')} try)" if number > 1 else "")

    def _arrived(self) -> Counter[str]:
        mark = f"Subject: {self.letter.mark}\r\n".encode()
        return Counter(text(recipient) for sink in self.sinks for one in sink.delivered if mark in one.content
                       for recipient in one.recipients)

    def _described(self, arrived: Counter[str]) -> str:
        whole = [name for name, addresses in self.letter.copies.items() if all(arrived[one] for one in addresses)]
        if len(whole) == len(self.letter.copies):
            return "everything"
        part = [f"{_short(name)} without {_names([one for one in addresses if not arrived[one]])}"
                for name, addresses in self.letter.copies.items()
                if name not in whole and any(arrived[one] for one in addresses)]
        return ", ".join([*map(_short, whole), *part]) or "nothing"


def _heard(said: Mapping[str, Said]) -> str:
    """What the client read, step by step; the names are left out where it read the same for all that were left."""
    parts, left = [], [*said]
    for step, suffix in (("connection", ""), ("MAIL", " at MAIL"), ("RCPT", " at RCPT"), ("end", "")):
        codes = {name: said[name].code for name in left if said[name].step == step}
        if codes:
            parts.append(_by_code(codes, suffix, left))
            left = [name for name in left if name not in codes]
    return "; ".join(parts)


def _by_code(codes: Mapping[str, str], suffix: str, everybody: Sequence[str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, code in codes.items():
        groups.setdefault(code, []).append(name)
    return "; ".join(code + suffix + ("" if len(names) == len(everybody) else f" for {_names(names)}")
                     for code, names in groups.items())


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(_short, names))


def _short(address: str) -> str:
    return address.partition("@")[0]
