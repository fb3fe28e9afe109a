"""The authd that is measured: the real daemon on an embedded PostgreSQL in a temporary folder, with mail sinks behind it.

One sink takes one command at a time, as OpenSMTPD does, one offers PIPELINING, and one takes a second over each message.
"""

import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import smtp_sink, workers
from .mail_load import MailLoad, mail_load


class Host:
    """A provisioned host. `serving` runs its daemon for a block; `load` sends it mail, and takes mail on two of the ports."""

    def __init__(self, folder: Path, people: int, settings: str, load: MailLoad) -> None:
        self.folder = folder
        self.load = load
        self.config = folder / "authd.conf"
        self.http_port, self.signer_port, self.forwarder_port = (workers.free_port() for _ in range(3))
        self.sink_port, self.pipelining_port, self.slow_port = (workers.free_port() for _ in range(3))
        self.config.write_text(f"""\
[http]
listen = "127.0.0.1:{self.http_port}"
public_url = "http://localhost:{self.http_port}"
trusted_proxies = ["127.0.0.0/8"]

[database]
embedded = "."

[signer]
mappings = [{{ in = "127.0.0.1:{self.signer_port}", out = "127.0.0.1:{self.sink_port}" }}]

[forwarder]
listen = "127.0.0.1:{self.forwarder_port}"
local_delivery = "127.0.0.1:{self.slow_port}"
remote_relay = "127.0.0.1:{self.sink_port}"
srs_secrets = ["a secret of the benchmarks"]
{settings}""", encoding="utf-8")
        site: dict[str, Any] = json.loads(workers.answer("population", "site", str(self.config), str(people)))
        self.people: list[str] = site["people"]
        self.client_id: str = site["client_id"]
        self.client_secret: str = site["client_secret"]

    @contextmanager
    def serving(self, *, pipelining: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, ready, for the block. With `pipelining` what it forwards goes to the sink that offers that."""
        command = [sys.executable, "-m", "authd", "serve", "-c", str(self.config)]
        if pipelining:
            command += ["--set", f"forwarder.remote_relay=127.0.0.1:{self.pipelining_port}"]
        with workers.server(command, self.folder / "authd.log", self._is_ready) as process:
            yield process

    def add_crowd(self, accounts: int) -> None:
        """Adds accounts that nobody signs in to, with three addresses each, while the daemon does not run."""
        workers.answer("population", "crowd", str(self.config), str(accounts))

    def publish_keys(self, count: int) -> None:
        """Adds signing keys, also while the daemon runs."""
        workers.answer("population", "keys", str(self.config), str(count))

    def get(self, path: str) -> http.client.HTTPResponse:
        """What the daemon answers."""
        return workers.ask(self.http_port, "GET", path)

    def arrived(self, sink_port: int) -> int:
        """How many messages the sink on that port has taken."""
        return self.load.arrived(sink_port, self.folder)

    def counted(self, metric: str) -> int:
        """The sum of the counters of that name that the daemon shows."""
        with self.get("/metrics") as answer:
            values = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        return round(sum(map(float, values)))

    def _is_ready(self) -> bool:
        try:
            with self.get("/health/ready/") as answer:
                return answer.status == 200
        except (OSError, http.client.HTTPException):
            return False


@contextmanager
def benchmark_host(people: int, settings: str = "") -> Iterator[Host]:
    """A host where so many people can sign in, for the block; nothing of it is left afterwards. `settings` is appended to
    its configuration.
    """
    folder = Path(tempfile.mkdtemp(prefix="authd-bench-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        host = Host(folder, people, settings, mail_load())
        with (host.load.sink(host.sink_port, folder, pipelining=False),
              host.load.sink(host.pipelining_port, folder, pipelining=True),
              smtp_sink.running(host.slow_port, folder / "slow-sink.log", seconds=1.0)):
            yield host
    finally:
        shutil.rmtree(folder)
