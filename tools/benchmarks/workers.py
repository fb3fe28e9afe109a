"""Processes that a benchmark starts: servers until they are no longer needed, and short work whose answer is a number."""

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_PORTS = range(20_000, 32_000)  # below those that the system hands out
_READY_WITHIN = 30.0
_STOPPED_WITHIN = 30.0
_NOTHING: Mapping[str, str] = {}
_given: set[int] = set()  # ports that somebody is still to listen on


class WorkerFailed(Exception):
    """A process ended that should run, or did not do what it is for."""


def module(name: str) -> str:
    """The full name of a module of this package, for `python -m`."""
    return f"{__package__}.{name}"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, and that was not given to anybody before."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise WorkerFailed("no port is free")


@contextmanager
def server(command: Sequence[str], log: Path, ready: Callable[[], bool], environment: Mapping[str, str] = _NOTHING,
           ) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server for the block, which begins when `ready` says so. What the server says goes to `log`; `environment` adds
    to ours.
    """
    with open(log, "ab") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                   env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + _READY_WITHIN
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise WorkerFailed(f"{' '.join(command)} does not serve: {_tail(log)}")
            time.sleep(0.01)
        yield process
        if process.poll() is not None:
            raise WorkerFailed(f"{' '.join(command)} ended by itself: {_tail(log)}")
    finally:
        stop(process)


def accepts(port: int) -> bool:
    """Whether somebody listens on that port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    """Returns once `holds` does. Raises WorkerFailed, saying `otherwise`, after half a minute."""
    deadline = time.monotonic() + _READY_WITHIN
    while not holds():
        if time.monotonic() > deadline:
            raise WorkerFailed(otherwise)
        time.sleep(0.01)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL where that is not enough."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def ask(port: int, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = _NOTHING,
        ) -> http.client.HTTPResponse:
    """One request to 127.0.0.1, on a connection of its own that ends with the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_READY_WITHIN)
    connection.request(method, path, body, {**headers, "Connection": "close"})
    return connection.getresponse()


def answer(*arguments: str, stdin: str = "") -> str:
    """What `python -m MODULE …` of this package prints. The first argument is the module's name."""
    name, *rest = arguments
    done = subprocess.run([sys.executable, "-m", module(name), *rest], cwd=ROOT, input=stdin, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise WorkerFailed(f"{name} {' '.join(rest)}: {done.stderr.strip()}")
    return done.stdout


def memory(pid: int) -> float:
    """MiB (PSS) of a process and all below it."""
    kibibytes = 0
    for each in _family(pid):
        rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        kibibytes += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
    return kibibytes / 1024


def growth(pid: int, work: Callable[[], object]) -> float:
    """MiB by which the largest resident memory of a process during `work` is above what it was before."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = _peak(pid)
    work()
    return _peak(pid) - before


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(one for file in children for child in file.read_text().split() for one in _family(int(child)))]


def _tail(log: Path) -> str:
    return os.linesep.join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
