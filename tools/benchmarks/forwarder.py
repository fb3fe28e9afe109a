"""Messages forwarded a second: to a list, with few accounts and with many; and what a slow downstream costs."""

from collections.abc import Iterator
from functools import partial
from statistics import median

from .comparison import ROUNDS, compared, measured
from .host import Host, benchmark_host
from .population import LIST, MEMBERS
from .report import Measurement
from .rounds import alternate
from .smtp_load import Mail, MailError, measure
from .smtp_sink import arrived

_SENDER = "benchmark@example.com"
_SIZE, _COUNT = 4 << 10, 1500
_AT_ONCE = 100
_FEW, _MANY = 10, 100_000


def forwarder(host: Host) -> Iterator[Measurement]:
    """Mail to a list of three members, beside the same mail sent to all of them straight: to a server that takes one command
    at a time, and to one that offers PIPELINING.
    """
    for name, port in (("forwarder", host.sink_port), ("forwarder_pipelining", host.pipelining_port)):
        with host.serving(pipelining=port == host.pipelining_port):
            yield compared(name, partial(_forwarded, host, port), partial(_straight, host, port),
                           f"the same mail without authd ({host.load.title})")


def slow(host: Host) -> Iterator[Measurement]:
    """Many sessions, each with one message, to a downstream that takes its time."""
    with host.serving():
        values, limits = alternate(ROUNDS, partial(_slow, host, host.forwarder_port, host.people[0]),
                                   partial(_slow, host, host.slow_port, host.people[0]))
        yield measured("slow_downstream", median(values), median(limits), "the same mail without authd")


def crowd(_: Host) -> Iterator[Measurement]:
    """The list again on two hosts of their own: with a hundred thousand accounts, and with ten."""
    with benchmark_host(_FEW) as small, benchmark_host(_FEW) as large:
        large.add_crowd(_MANY - _FEW)
        with small.serving(), large.serving():
            values, limits = alternate(ROUNDS, partial(_forwarded, large, large.sink_port),
                                       partial(_forwarded, small, small.sink_port))
        share = median(value / limit for value, limit in zip(values, limits, strict=True))
        yield measured("forwarder_crowd", median(values), median(limits), f"the same with {_FEW} accounts")
        yield measured("forwarder_crowd_share", share)


def _forwarded(host: Host, sink_port: int) -> float:
    came, left_out = host.arrived(sink_port), host.counted("authd_forwarder_left_out_total")
    rate = host.load.measure(Mail(host.forwarder_port, _SENDER, _SIZE, _COUNT, recipients=(LIST,)))
    came, left_out = host.arrived(sink_port) - came, host.counted("authd_forwarder_left_out_total") - left_out
    if (came, left_out) != (_COUNT, 0):
        raise MailError(f"of {_COUNT} messages {came} arrived, and {left_out} members were left out")
    return rate


def _straight(host: Host, sink_port: int) -> float:
    return host.load.measure(Mail(sink_port, _SENDER, _SIZE, _COUNT, recipients=MEMBERS))


def _slow(host: Host, port: int, recipient: str) -> float:
    """Seconds for all of it."""
    before = arrived(host.slow_port)
    rate = measure(Mail(port, _SENDER, _SIZE, _AT_ONCE, sessions=_AT_ONCE, recipients=(recipient,)))
    if (came := arrived(host.slow_port) - before) != _AT_ONCE:
        raise MailError(f"of {_AT_ONCE} messages {came} arrived")
    return _AT_ONCE / rate
