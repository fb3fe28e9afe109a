"""Messages signed a second, from a source through the signer to a sink."""

from collections.abc import Iterator
from functools import partial

from .comparison import compared
from .host import Host
from .population import DOMAIN
from .report import Measurement
from .smtp_load import Mail, MailError, measure
from .smtp_sink import arrived

_SIZES = (("signer_4kb", 4 << 10, 1500), ("signer_10kb", 10 << 10, 1500), ("signer_1mb", 1 << 20, 100))


def signer(host: Host) -> Iterator[Measurement]:
    """Each size beside the same mail sent straight to the sink."""
    with host.serving():
        for name, size, count in _SIZES:
            yield compared(name, partial(_signed, host, size, count), partial(_straight, host, size, count),
                           "the same mail without authd")


def _signed(host: Host, size: int, count: int) -> float:
    before = arrived(host.sink_port)
    rate = measure(Mail(host.signer_port, f"benchmark@{DOMAIN}", size, count))
    after = arrived(host.sink_port)
    if after.signed - before.signed != count or after.messages - before.messages != count:
        raise MailError(f"of {count} messages {after.messages - before.messages} arrived, "
                        f"{after.signed - before.signed} of them signed")
    return rate


def _straight(host: Host, size: int, count: int) -> float:
    return measure(Mail(host.sink_port, f"benchmark@{DOMAIN}", size, count))
