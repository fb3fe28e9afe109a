"""The load generators of `tools/bench`, against small servers: they count right, and do not take errors for speed."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tools.benchmarks import smtp_load, smtp_sink, workers
from tools.benchmarks.http_load import Load, LoadError, get, post, repeat, run
from tools.benchmarks.mail_load import Ours, mail_load
from tools.benchmarks.smtp_load import Mail, MailError, body, head


class _Echo(RequestHandler):
    """Answers with what it was sent."""

    def get(self, status: str) -> None:
        self.set_status(int(status))
        self.set_header("Location", "/next?code=abc")
        if status not in ("204", "304"):
            self.write("x" * 300_000)

    def post(self, status: str) -> None:
        self.set_status(int(status))
        self.write(self.get_body_argument("name"))


class _Close(RequestHandler):
    """Hangs up."""

    def get(self) -> None:
        self.request.connection.stream.close()  # type: ignore[union-attr]


@contextmanager
def _http_server() -> Iterator[int]:
    sockets = bind_sockets(0, "127.0.0.1")
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = HTTPServer(Application([(r"/(\d+)", _Echo), (r"/close", _Close)], log_function=lambda handler: None))
        server.add_sockets(sockets)
        loops.append(asyncio.get_running_loop())
        started.set()
        await stop.wait()
        server.stop()
        await server.close_all_connections()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    try:
        yield sockets[0].getsockname()[1]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def http_port() -> Iterator[int]:
    with _http_server() as port:
        yield port


def test_every_request_is_answered_once_and_bodies_are_kept_whole(http_port: int) -> None:
    requests = [post("/200", {"name": f"{number} ü"}) for number in range(50)]
    outcome = run(Load(http_port, requests, 100, connections=8, keep="body"))
    assert outcome.statuses == {"200": 100}
    assert sorted(body.encode("latin-1").decode() for body in outcome.kept) == sorted([f"{n} ü" for n in range(50)] * 2)
    assert outcome.per_second > 0
    assert 0 < outcome.p99 < 30


def test_large_and_empty_answers_and_locations(http_port: int) -> None:
    outcome = run(Load(http_port, [get("/200"), get("/204"), get("/304"), get("/303")], 8, connections=2,
                       statuses=(200, 204, 303, 304), keep="location"))
    assert outcome.statuses == {"200": 2, "204": 2, "303": 2, "304": 2}
    assert outcome.kept == ["/next?code=abc"] * 8


def test_a_request_beside_is_repeated_and_counted_apart(http_port: int) -> None:
    outcome = run(Load(http_port, [get("/200")], 200, connections=4, beside=get("/200"), interval=0.001))
    assert outcome.statuses == {"200": 200}
    assert outcome.beside_count > 1
    assert outcome.beside_p99 > 0


@pytest.mark.parametrize(("path", "says"), [("/500", "status 500"), ("/close", "closed a connection")])
def test_an_error_ends_the_measurement(http_port: int, path: str, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        run(Load(http_port, [get(path)], 10))


def test_a_request_is_repeated_until_something_else_is_over(http_port: int) -> None:
    turns = iter([False, False, True])
    assert all(0 < latency < 30 for latency in repeat(http_port, get("/200"), 0, lambda: next(turns)))
    assert next(turns, None) is None
    with pytest.raises(LoadError, match="status 500"):
        repeat(http_port, get("/500"), 0, lambda: False)


@pytest.fixture
def port() -> int:
    return workers.free_port()


def test_every_message_goes_from_the_source_to_the_sink(tmp_path: Path, port: int) -> None:
    with smtp_sink.running(port, tmp_path / "log"):
        for size in (4096, 1 << 20):
            assert smtp_load.measure(Mail(port, "a@b.example", size, 30, sessions=7, recipients=("a@x.net", "b@x.net"))) > 0
        assert smtp_sink.arrived(port) == 60


def test_a_slow_sink_takes_its_time_over_every_message_but_over_all_at_once(tmp_path: Path, port: int) -> None:
    with smtp_sink.running(port, tmp_path / "log", seconds=0.5):
        assert 4 < smtp_load.measure(Mail(port, "a@b.example", 4096, 20, sessions=20)) < 40


def test_a_sink_that_offers_pipelining_answers_each_of_many_commands(tmp_path: Path, port: int) -> None:
    with (smtp_sink.running(port, tmp_path / "log", pipelining=True),
          socket.create_connection(("127.0.0.1", port), 10) as client, client.makefile("rb") as lines):
        client.sendall(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.net>\r\nRCPT TO:<b@x.net>\r\nDATA\r\n")
        replies = [lines.readline() for _ in range(10)]
        assert replies[1:6] == [b"250-sink\r\n", b"250-8BITMIME\r\n", b"250-ENHANCEDSTATUSCODES\r\n", b"250-PIPELINING\r\n",
                                b"250 HELP\r\n"]
        assert replies[6:] == [b"250 ok\r\n"] * 3 + [b"354 go on\r\n"]
        client.sendall(b"Subject: x\r\n\r\n.\r\n")
        assert lines.readline() == b"250 2.0.0 taken\r\n"
        assert smtp_sink.arrived(port) == 1


@pytest.mark.parametrize("pipelining", [False, True])
def test_mail_that_is_sent_is_counted_whoever_sends_it(tmp_path: Path, port: int, pipelining: bool) -> None:
    for load in {mail_load(), Ours()}:
        with load.sink(port, tmp_path, pipelining=pipelining):
            assert load.arrived(port, tmp_path) == 0
            for recipients in ("a@x.net",), ("a@x.net", "b@x.net"):
                assert load.measure(Mail(port, "a@b.example", 4096, 30, sessions=7, recipients=recipients)) > 0
            assert load.arrived(port, tmp_path) == 60
        with pytest.raises(MailError):
            load.measure(Mail(port, "a@b.example", 4096, 1))


def test_a_server_that_takes_no_mail_ends_the_measurement() -> None:
    def refuse() -> None:
        with listening.accept()[0] as connection:
            connection.sendall(b"554 5.3.2 not here\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(MailError, match="not here"):
            smtp_load.measure(Mail(listening.getsockname()[1], "a@b.example", 4096, 1))
        thread.join()


@pytest.mark.parametrize("size", [300, 4096, 10_240, 1 << 20])
def test_a_message_has_its_size_and_one_end(size: int) -> None:
    first = head("a@b.example", 1)
    sent = first + body(size - len(first))
    assert 0 <= len(sent) - size < 80
    assert head("a@b.example", 2) != first
    assert len(head("a@b.example", 99_999)) == len(first)
    assert sent.endswith(b"\r\n.\r\n")
    assert sent.count(b"\r\n.") == 1
    assert b"\r" not in sent.replace(b"\r\n", b"")


def test_memory_is_that_of_a_process_and_its_children(tmp_path: Path) -> None:
    child = "import sys; x = bytearray(30 << 20); sys.stdin.read()"
    program = f"import subprocess as s, sys; s.Popen([sys.executable, '-c', {child!r}], stdin=s.PIPE).wait()"
    with workers.server([sys.executable, "-c", program], tmp_path / "log", lambda: True) as process:
        waited = threading.Event()
        while workers.memory(process.pid) < 30:
            waited.wait(0.02)


def test_growth_is_what_the_peak_of_a_process_has_gained(tmp_path: Path) -> None:
    program = "import sys\nfor line in sys.stdin: x = bytearray(int(line) << 20); del x; print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        def take(mebibytes: int) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"%d\n" % mebibytes)
            process.stdin.flush()
            process.stdout.readline()

        take(1)
        assert 25 < workers.growth(process.pid, lambda: take(30)) < 40
        assert workers.growth(process.pid, lambda: take(1)) < 5


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(workers.WorkerFailed, match="no such thing"), \
            workers.server([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "log", lambda: False):
        pass
