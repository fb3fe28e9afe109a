"""Who sends the mail of a benchmark and who takes it: smtp-source and smtp-sink of Postfix where they are installed, otherwise
smtp_load.py and smtp_sink.py, which take more of the two cores for themselves.
"""

import os
import re
import shutil
import subprocess
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import smtp_load, smtp_sink, workers
from .smtp_load import Mail, MailError

_UNPACKED = Path(os.environ.get("AUTHD_PEERS", "/opt/authd-peers"))  # where .ci/run has put Postfix
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", f"{_UNPACKED}/usr/sbin"])
_LIBRARIES = {"LD_LIBRARY_PATH": f"{_UNPACKED}/usr/lib/postfix"}
_COUNT = re.compile(rb"mesg=(\d+)")
_LAST_WORDS = 100  # bytes in which smtp-sink's last count stands


class MailLoad(Protocol):
    """A source, and sinks for what it sends."""

    @property
    def title(self) -> str:
        """Whose they are."""

    def sink(self, port: int, folder: Path, *, pipelining: bool) -> AbstractContextManager[object]:
        """Takes mail on that port for a block, one command at a time unless it offers PIPELINING. Its log is in `folder`."""

    def measure(self, mail: Mail) -> float:
        """Sends the mail; messages a second. Raises MailError."""

    def arrived(self, port: int, folder: Path) -> int:
        """How many messages the sink on that port has taken so far."""


def mail_load() -> MailLoad:
    """The best that is installed."""
    source, sink = (shutil.which(name, path=_PATH) for name in ("smtp-source", "smtp-sink"))
    return Ours() if source is None or sink is None else Postfix(source, sink)


@dataclass(frozen=True)
class Postfix:
    """The two programs, which Postfix is measured with itself."""

    source_program: str
    sink_program: str
    title: str = "smtp-source and smtp-sink"

    def sink(self, port: int, folder: Path, *, pipelining: bool) -> AbstractContextManager[object]:
        """As MailLoad says."""
        command = [self.sink_program, "-c", *([] if pipelining else ["-p"]), *(["-u", "nobody"] if os.geteuid() == 0 else [])]
        return workers.server([*command, f"127.0.0.1:{port}", "256"], _log(port, folder), lambda: workers.accepts(port),
                              _LIBRARIES)

    def measure(self, mail: Mail) -> float:
        """As MailLoad says. Recipients other than the first are names that smtp-source makes up."""
        begin = time.perf_counter()
        command = [self.source_program, "-d", "-s", str(mail.sessions), "-m", str(mail.count), "-l", str(mail.size),
                   "-f", mail.sender, "-t", mail.recipients[0]]
        if len(mail.recipients) > 1:
            command += ["-r", str(len(mail.recipients))]
        done = subprocess.run([*command, f"127.0.0.1:{mail.port}"], check=False, capture_output=True, text=True,
                              env={**os.environ, **_LIBRARIES})
        if done.returncode != 0:
            raise MailError(done.stderr.strip())
        return mail.count / (time.perf_counter() - begin)

    def arrived(self, port: int, folder: Path) -> int:
        """As MailLoad says."""
        counts = _COUNT.findall(_log(port, folder).read_bytes()[-_LAST_WORDS:])
        return int(counts[-1]) if counts else 0


@dataclass(frozen=True)
class Ours:
    """The source and the sink of this package."""

    title: str = "the benchmarks' own source and sink"

    def sink(self, port: int, folder: Path, *, pipelining: bool) -> AbstractContextManager[object]:
        """As MailLoad says."""
        return smtp_sink.running(port, _log(port, folder), pipelining=pipelining)

    def measure(self, mail: Mail) -> float:
        """As MailLoad says."""
        return smtp_load.measure(mail)

    def arrived(self, port: int, folder: Path) -> int:
        """As MailLoad says."""
        return smtp_sink.arrived(port)


def _log(port: int, folder: Path) -> Path:
    return folder / f"sink-{port}.log"
