"""The authd that is measured: the real daemon on an embedded PostgreSQL in a temporary folder, with a mail sink behind it."""

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import workers


class Host:
    """A provisioned host. `serving` runs its daemon for a block."""

    def __init__(self, folder: Path, people: int, settings: str) -> None:
        self.folder = folder
        self.config = folder / "authd.conf"
        self.http_port, self.signer_port, self.sink_port = (workers.free_port() for _ in range(3))
        self.config.write_text(f"""\
[http]
listen = "127.0.0.1:{self.http_port}"
public_url = "http://localhost:{self.http_port}"
trusted_proxies = ["127.0.0.0/8"]

[database]
embedded = "."

[signer]
mappings = [{{ in = "127.0.0.1:{self.signer_port}", out = "127.0.0.1:{self.sink_port}" }}]
{settings}""", encoding="utf-8")
        site: dict[str, Any] = json.loads(workers.answer("population", "site", str(self.config), str(people)))
        self.people: list[str] = site["people"]
        self.client_id: str = site["client_id"]
        self.client_secret: str = site["client_secret"]

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon, ready, for the block."""
        command = [sys.executable, "-m", "authd", "serve", "-c", str(self.config)]
        with workers.server(command, self.folder / "authd.log", self._is_ready) as process:
            yield process

    def publish_keys(self, count: int) -> None:
        """Adds signing keys, also while the daemon runs."""
        workers.answer("population", "keys", str(self.config), str(count))

    def get(self, path: str) -> http.client.HTTPResponse:
        """What the daemon answers."""
        return workers.ask(self.http_port, "GET", path)

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
        host = Host(folder, people, settings)
        sink = [sys.executable, "-m", workers.module("smtp_sink"), str(host.sink_port)]
        with workers.server(sink, folder / "sink.log", lambda: workers.accepts(host.sink_port)):
            yield host
    finally:
        shutil.rmtree(folder)
