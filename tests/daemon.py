"""A real `authd serve` in a process of its own, for tests that need signals, TLS, or somebody else's client."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

_READY_WITHIN = 20.0


@dataclass
class Daemon:
    """A running daemon. `log` holds what it wrote so far."""

    process: subprocess.Popen[bytes]
    port: int
    config: Path
    log_file: Path

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def stop(self, number: int = signal.SIGTERM, within: float = 25.0) -> int:
        """Signals it and returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(within)


def free_port() -> int:
    """A port on loopback below the ephemeral range that nobody listens on just now."""
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def free_ports(number: int) -> list[int]:
    """So many different ones."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", free_port()))) for _ in range(number)]
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running_daemon(folder: Path, database_url: str, text: str = "", *, port: int | None = None,
                   environ: Mapping[str, str] | None = None, ready: bool = True) -> Iterator[Daemon]:
    """authd on a database, with `text` (TOML; a section [http] of it begins with `[http]` as the first line) laid over a
    configuration that listens on a free port and signs nothing. Ends when the block does.
    """
    number = port or free_port()
    listen = f'listen = "127.0.0.1:{number}"\n'
    if "public_url" not in text:
        listen += f'public_url = "http://localhost:{number}"\n'
    text = text.replace("[http]\n", f"[http]\n{listen}", 1) if "[http]\n" in text else f"[http]\n{listen}\n{text}"
    if "[signer]" not in text:
        text += "\n[signer]\nenabled = false\n"
    config = folder / "authd.conf"
    config.write_text(text, encoding="utf-8")
    with served(["-c", str(config)], number, config, Path(__file__).parent.parent, ready=ready,
                environ={"DATABASE_URL": database_url, **(environ or {})}) as daemon:
        yield daemon


@contextmanager
def served(options: Sequence[str], port: int, config: Path, folder: Path, *, environ: Mapping[str, str],
           ready: bool = True) -> Iterator[Daemon]:
    """`authd serve` with these options in a folder, with no other variables; its log is written beside `config`. Ends when the
    block does.
    """
    log_file = config.parent / "authd.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "authd", "serve", *options], stderr=log, stdout=log, cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONWARNINGS": "default", **environ})
    daemon = Daemon(process, port, config, log_file)
    try:
        if ready:
            wait_until_ready(daemon)
        yield daemon
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_until_ready(daemon: Daemon, url: str | None = None) -> None:
    """Returns once /health/ready/ says so."""
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        assert daemon.process.poll() is None, daemon.log
        try:
            with urllib.request.urlopen(url or f"{daemon.base_url}/health/ready/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise AssertionError(f"not ready: {daemon.log}")
