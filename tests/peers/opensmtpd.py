"""Runs OpenSMTPD with a spool of its own: in a mount namespace, since its paths are compiled in. Needs root."""

import contextlib
import os
import shutil
import signal
import smtplib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.daemon import free_port
from tests.support import missing, require_program

# OpenSMTPD makes the rest of its spool by itself.
_SCRIPT = """
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs /var/spool && mount -t tmpfs -o mode=755 tmpfs /run &&
mkdir -m 711 /var/spool/smtpd && exec "$0" -d -f "$1"
"""


@dataclass
class OpenSmtpd:
    """A running smtpd that listens on `port` of 127.0.0.1."""

    port: int
    log_file: Path
    pid: int = 0

    def try_again(self) -> None:
        """Has it try all of its queue now."""
        command = [require_program("nsenter"), "-m", "-t", str(self.pid), "smtpctl", "schedule", "all"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def client(self) -> smtplib.SMTP:
        """A connection to it."""
        return smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=20)

    def wait_for_log(self, text: str, within: float = 20.0) -> None:
        """Returns once the log holds `text`."""
        deadline = time.monotonic() + within
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)


@contextmanager
def opensmtpd(configuration: str, tables: dict[str, str]) -> Iterator[OpenSmtpd]:
    """Runs smtpd for the block. In the configuration `{port}` is where it shall listen, and `{folder}` where the files in
    `tables` are.
    """
    program, unshare = require_program("smtpd"), require_program("unshare")
    if os.getuid() != 0:
        missing("OpenSMTPD starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="authd-smtpd-", dir="/tmp"))
    folder.chmod(0o755)
    server = OpenSmtpd(free_port(), folder / "smtpd.log")
    for name, content in tables.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o644)
    (folder / "smtpd.conf").write_text(configuration.format(port=server.port, folder=folder))
    with server.log_file.open("wb") as log:
        process = subprocess.Popen([unshare, "-m", "sh", "-c", _SCRIPT, program, folder / "smtpd.conf"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_ready(server, process)
        server.pid = process.pid
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(server: OpenSmtpd, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        assert process.poll() is None and time.monotonic() < deadline, server.log
        with contextlib.suppress(OSError, smtplib.SMTPException), server.client():
            return
        time.sleep(0.05)
