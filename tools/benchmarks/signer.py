"""Messages signed a second, from a source through the signer to a sink."""

from collections.abc import Iterator
from functools import partial

from .comparison import compared
from .host import Host
from .population import DOMAIN
from .report import Measurement
from .smtp_load import Mail, MailError

_SIZES = (("signer_4kb", 4 << 10, 1500), ("signer_10kb", 10 << 10, 1500), ("signer_1mb", 1 << 20, 100))


def signer(host: Host) -> Iterator[Measurement]:
    """Each size beside the same mail sent straight to the sink."""
    with host.serving():
        for name, size, count in _SIZES:
            yield compared(name, partial(_signed, host, size, count), partial(_straight, host, size, count),
                           f"the same mail without authd ({host.load.title})")


def _signed(host: Host, size: int, count: int) -> float:
    arrived, signed = host.arrived(host.sink_port), host.counted("authd_signer_signed_total")
    rate = host.load.measure(Mail(host.signer_port, f"benchmark@{DOMAIN}", size, count))
    arrived, signed = host.arrived(host.sink_port) - arrived, host.counted("authd_signer_signed_total") - signed
    if (arrived, signed) != (count, count):
        raise MailError(f"of {count} messages {signed} were signed and {arrived} arrived")
    return rate


def _straight(host: Host, size: int, count: int) -> float:
    return host.load.measure(Mail(host.sink_port, f"benchmark@{DOMAIN}", size, count))
