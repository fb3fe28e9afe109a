"""The faults of a downstream (smtp.md section 7) as data. What the listeners make of them is in test_fault_table.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.smtp.support import CLOSE, SILENT

PASSING, LASTING = "450 4.7.1 later", "550 5.7.1 no"
_LARGE = 8_000_000  # more than the systems on both ends keep for a server that does not read


@dataclass(frozen=True)
class Fault:
    """What a downstream does wrong: `orders` are a Sink's faults at the first try, `later` those at each later one.

    `is_away`: nobody listens. `needs_lmtp`: only a downstream that speaks LMTP can do so. `size`: of the message, in bytes.
    """

    name: str
    orders: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    later: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    is_away: bool = False
    needs_lmtp: bool = False
    size: int = 100

    @property
    def is_silent(self) -> bool:
        """Whether the downstream's time runs out."""
        return any(SILENT in order for order in self.orders.values())


def _always(reply: str) -> list[str | None]:
    return [reply] * 100


def _answers(name: str, *steps: str, passing: str = PASSING, lasting: str = LASTING) -> list[Fault]:
    """A 5xx lasts where it is about mail; a server that refuses its service is another day's."""
    found = []
    for reply in (passing, lasting):
        orders = {step: _always(reply) for step in steps}
        found.append(Fault(f"{name} with {reply[:3]}", orders, orders if reply == LASTING and len(steps) == 1 else {}))
    return found


def _closes(command: str) -> list[Fault]:
    return [Fault(f"closes after {command}, once", {command: [CLOSE]}),
            Fault(f"closes after {command}, each time", {command: _always(CLOSE)})]


FAULTS = [
    Fault("refuses connections", is_away=True),
    *_answers("greets", "banner", passing="421 4.3.2 busy", lasting="554 5.3.2 no service"),
    *_answers("answers EHLO or LHLO", "EHLO", "HELO", "LHLO"),
    *_answers("answers MAIL", "MAIL"),
    *_closes("MAIL"),
    *_answers("answers RCPT", "RCPT"),
    *(Fault(f"answers one RCPT of three with {reply[:3]}", {"RCPT": [None, reply]}) for reply in (PASSING, LASTING)),
    *_closes("RCPT"),
    *_answers("answers DATA", "DATA"),
    *_closes("DATA"),
    Fault("closes in the middle of the message", {"content": _always(CLOSE)}, size=_LARGE),
    Fault("closes after the final dot", {"end": _always(CLOSE)}),
    *_answers("answers the final dot", "end"),
    *(Fault(f"answers the final dot with {reply[:3]} for one of three", {"end": [None, reply]}, later, needs_lmtp=True)
      for reply, later in ((PASSING, {}), (LASTING, {"end": [LASTING]}))),
    *(Fault(f"is silent {when}", {step: _always(SILENT) for step in steps}) for when, *steps in (
        ("from the start", "banner"), ("after EHLO or LHLO", "EHLO", "LHLO"), ("after MAIL", "MAIL"), ("after RCPT", "RCPT"),
        ("after DATA", "DATA"))),
    Fault("is silent in the middle of the message", {"content": _always(SILENT)}, size=_LARGE),
    Fault("is silent after the final dot", {"end": _always(SILENT)}),
]
