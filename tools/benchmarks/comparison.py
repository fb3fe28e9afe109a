"""How a figure is taken: authd and its bare limit in turn, the median of each."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median

from . import workers
from .host import Host
from .report import Measurement
from .rounds import alternate
from .targets import TARGETS

ROUNDS = 3
HELLO = "hello world of Tornado"


def compared(name: str, ours: Callable[[], float], bare: Callable[[], float], limit_title: str) -> Measurement:
    """The measurement of that name in TARGETS, beside a limit in the same unit."""
    values, limits = alternate(ROUNDS, ours, bare)
    return measured(name, median(values), median(limits), limit_title)


def measured(name: str, value: float, limit: float | None = None, limit_title: str = "") -> Measurement:
    """The measurement of that name in TARGETS."""
    target = TARGETS[name]
    return Measurement(name, target.title, value, target.unit, target.must, limit, limit_title)


@contextmanager
def hello(host: Host) -> Iterator[int]:
    """The port of Tornado's hello world, which runs for the block."""
    port = workers.free_port()
    with hello_process(host, port):
        yield port


def hello_process(host: Host, port: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Tornado's hello world on a port, for a block."""
    return workers.server([sys.executable, "-m", workers.module("references"), "hello", str(port)],
                          host.folder / "hello.log", lambda: workers.accepts(port))
