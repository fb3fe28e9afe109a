"""What authd costs when nobody asks anything of it: memory, and time until it is ready."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from . import workers
from .comparison import HELLO, compared, hello_process, measured
from .host import Host
from .report import Measurement

_SETTLED = 2.0  # seconds after which a process is taken for idle


def memory(host: Host) -> Iterator[Measurement]:
    """All processes of authd, without PostgreSQL."""
    with host.serving() as daemon, hello_process(host, workers.free_port()) as bare:
        time.sleep(_SETTLED)
        yield measured("memory", workers.memory(daemon.pid), workers.memory(bare.pid), HELLO)


def start(host: Host) -> Iterator[Measurement]:
    """From the command to the first answer that says ready, with the start of the database, whose schema is in place."""
    yield compared("start", lambda: _seconds(host.serving()), lambda: _seconds(hello_process(host, workers.free_port())), HELLO)


def _seconds(running: AbstractContextManager[object]) -> float:
    begin = time.perf_counter()
    with running:
        return time.perf_counter() - begin
