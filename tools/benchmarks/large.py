"""What messages of 50 MiB do to the daemon while the signer has them: its memory, and how soon `/health/` answers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from . import workers
from .comparison import ROUNDS, hello, measured
from .host import Host
from .http_load import get, repeat
from .population import DOMAIN
from .report import Measurement
from .rounds import alternate, percentile
from .smtp_load import Mail, measure

_SIZE = 50_000_000  # below the limit of 50 MiB, with room for what is put before it
_COUNT = 3
_INTERVAL = 0.002


def large(host: Host) -> Iterator[Measurement]:
    """One message after the other; the bare limit is the same mail straight to the sink while hello world answers."""
    with host.serving() as daemon, hello(host) as bare_port:
        _health_p99(host.http_port, "/health/", host.signer_port, 100_000)
        growths: list[float] = []

        def ours() -> float:
            p99: list[float] = []
            growths.append(workers.growth(
                daemon.pid, lambda: p99.append(_health_p99(host.http_port, "/health/", host.signer_port, _SIZE))))
            return p99[0]

        values, limits = alternate(ROUNDS, ours, lambda: _health_p99(bare_port, "/", host.sink_port, _SIZE))
        yield measured("large_growth", max(growths))
        yield measured("large_health_p99", median(values), median(limits), "hello world beside the same mail without authd")


def _health_p99(http_port: int, path: str, mail_port: int, size: int) -> float:
    """Milliseconds."""
    mail = Mail(mail_port, f"benchmark@{DOMAIN}", size, _COUNT, sessions=1)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(measure, mail)
        latencies = repeat(http_port, get(path), _INTERVAL, sent.done)
        sent.result()
    return 1000 * percentile(latencies, 0.99)
