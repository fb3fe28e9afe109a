"""An HTTP load generator: a fixed number of requests over keep-alive connections, each waiting for its answer.

Small on purpose: it must use far less processor time for a request than any server under test. `measure` runs it in a
process of its own, `run` in this one. It reads no chunked answers and opens no second connection where one is closed.
"""

import json
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from .rounds import percentile
from .workers import ROOT, module

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SILENCE = 30.0
_CHUNK = 1 << 18


class LoadError(Exception):
    """The server answered what nobody measures: an error, a closed connection, silence."""


@dataclass(frozen=True)
class Load:
    """What to send to 127.0.0.1:`port`: whole requests as text (Latin-1), `count` in all, from the first again after the last.

    Any status but `statuses` ends the measurement. `keep` "body" or the name of a header: what each answer has of it
    is handed back. `beside` is one more request, repeated on a connection of its own every `interval` seconds for as long
    as the others take.
    """

    port: int
    requests: Sequence[str]
    count: int
    connections: int = 32
    statuses: Sequence[int] = (200,)
    keep: str = ""
    beside: str = ""
    interval: float = 0.005


@dataclass(frozen=True)
class Outcome:
    """Answers a second, their 99th percentile in seconds, how often each status came, what was kept (in no order), and
    the 99th percentile and number of the answers to `beside`.
    """

    per_second: float
    p99: float
    statuses: dict[str, int]
    kept: list[str]
    beside_p99: float = 0.0
    beside_count: int = 0


def get(path: str, host: str = "localhost", **headers: str) -> str:
    """A GET request; header names are written with `_` for `-`."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *_lines(headers)]
    return "\r\n".join(lines) + "\r\n\r\n"


def post(path: str, fields: dict[str, str], host: str = "localhost", **headers: str) -> str:
    """A POST request with form fields."""
    body = urlencode(fields)
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/x-www-form-urlencoded",
             f"Content-Length: {len(body)}", *_lines(headers)]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def measure(load: Load) -> Outcome:
    """Runs the load from a process of its own. Raises LoadError."""
    done = subprocess.run([sys.executable, "-m", module("http_load")], input=json.dumps(asdict(load)), text=True, check=False,
                          capture_output=True, cwd=ROOT)
    if done.returncode != 0:
        raise LoadError(done.stderr.strip())
    return Outcome(**json.loads(done.stdout))


def run(load: Load) -> Outcome:
    """Runs the load in this process, which does nothing else meanwhile. Raises LoadError."""
    return _Run(load).go()


def repeat(port: int, request: str, interval: float, until: Callable[[], bool]) -> Sequence[float]:
    """Sends the request from this process every `interval` seconds until something else is over. How long each answer took,
    in seconds. Raises LoadError.
    """
    connection = _Connection(port)
    latencies: list[float] = []
    try:
        while not until():
            connection.send(request.encode("latin-1"))
            while not connection.read():
                pass
            latencies.append(time.perf_counter() - connection.sent_at)
            if connection.status != 200:
                raise LoadError(f"status {connection.status}: {connection.text()[:1000]}")
            time.sleep(interval)
    finally:
        connection.socket.close()
    return latencies


class _Run:
    """One load: its connections and what they have brought so far."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._selector = selectors.DefaultSelector()
        self._waiting = self._requests()
        self._latencies: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._kept: list[str] = []
        self._beside = _Connection(load.port) if load.beside else None
        self._beside_latencies: list[float] = []
        self._beside_due = 0.0

    def _requests(self) -> Iterator[bytes]:
        encoded = [request.encode("latin-1") for request in self._load.requests]
        for number in range(self._load.count):
            yield encoded[number % len(encoded)]

    def go(self) -> Outcome:
        connections = [_Connection(self._load.port) for _ in range(min(self._load.connections, self._load.count))]
        opened = [*connections, *([self._beside] if self._beside else [])]
        try:
            for one in opened:
                self._selector.register(one.socket, selectors.EVENT_READ, one)
            begin = time.perf_counter()
            for one in connections:
                one.send(next(self._waiting))
            while len(self._latencies) < self._load.count:
                self._turn()
            elapsed = time.perf_counter() - begin
        finally:
            self._selector.close()
            for one in opened:
                one.socket.close()
        return Outcome(
            self._load.count / elapsed, percentile(self._latencies, 0.99), dict(self._statuses), self._kept,
            percentile(self._beside_latencies, 0.99) if self._beside_latencies else 0.0, len(self._beside_latencies))

    def _turn(self) -> None:
        patience = _SILENCE
        if self._beside is not None and not self._beside.waiting:
            patience = self._beside_due - time.perf_counter()
            if patience <= 0:
                self._beside.send(self._load.beside.encode("latin-1"))
                patience = _SILENCE
        ready = self._selector.select(patience)
        if not ready and patience == _SILENCE:
            raise LoadError(f"no answer within {_SILENCE:.0f} s")
        for key, _ in ready:
            connection: _Connection = key.data
            if connection.read():
                self._answered(connection)

    def _answered(self, connection: "_Connection") -> None:
        now = time.perf_counter()
        latency, status = now - connection.sent_at, connection.status
        if connection is self._beside:
            if status != 200:
                raise LoadError(f"the request beside was answered {status}")
            self._beside_latencies.append(latency)
            self._beside_due = now + self._load.interval
            return
        if status not in self._load.statuses:
            raise LoadError(f"status {status}: {connection.text()[:1000]}")
        self._latencies.append(latency)
        self._statuses[str(status)] += 1
        if self._load.keep:
            self._kept.append(connection.body() if self._load.keep == "body" else connection.header(self._load.keep))
        request = next(self._waiting, None)
        if request is not None:
            connection.send(request)


class _Connection:
    """One keep-alive connection and the answer that is arriving on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.status = 0
        self.waiting = False
        self._answer = bytearray()
        self._head = 0
        self._whole = 0

    def send(self, request: bytes) -> None:
        self._answer = bytearray()
        self._head = self._whole = 0
        self.waiting = True
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def read(self) -> bool:
        """Takes what has arrived; whether the answer is complete."""
        data = self.socket.recv(_CHUNK)
        if not data or not self.waiting:
            raise LoadError("the server closed a connection" if not data else "an answer came unasked")
        self._answer += data
        if not self._head:
            end = self._answer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._head = end + 4
            self.status = int(self._answer[9:12])
            length = _LENGTH.search(self._answer, 0, end)
            if length is None and self.status not in (204, 304):
                raise LoadError(f"an answer without Content-Length: {self.text()[:1000]}")
            self._whole = self._head + (int(length[1]) if length and self.status != 304 else 0)
        self.waiting = len(self._answer) < self._whole
        return not self.waiting

    def text(self) -> str:
        return self._answer.decode("latin-1")

    def body(self) -> str:
        return self._answer[self._head:].decode("latin-1")

    def header(self, name: str) -> str:
        """Its value, "" where the answer has none of that name."""
        found = re.search(rb"\r\n%s: *([^\r]+)" % name.encode(), self._answer[:self._head], re.IGNORECASE)
        return found[1].decode("latin-1") if found else ""


def _lines(headers: dict[str, str]) -> list[str]:
    return [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(run(Load(**json.load(sys.stdin))))))
    except (LoadError, OSError) as error:
        sys.exit(str(error))
