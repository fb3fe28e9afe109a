"""Runs Postfix out of an unpacked package, with a configuration, a queue and a log of its own. Needs root, and the user
`postfix` and the group `postdrop`, which own its queue and nothing else.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import smtplib
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.mail_role import MailRole
from tests.peers.unpacked import FOLDER, command_environment, unpacked_program
from tests.support import missing

# Where it listens is added by the caller. postlogd and the programs without a port are those of Debian's master.cf.
_MASTER = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_MAIN = """
compatibility_level = 3.7
queue_directory = {folder}/queue
data_directory = {folder}/data
meta_directory = {folder}
daemon_directory = {peers}/usr/lib/postfix/sbin
command_directory = {peers}/usr/sbin
shlib_directory = {peers}/usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
import_environment = MAIL_CONFIG MAIL_LOGTAG LANG=C LD_LIBRARY_PATH
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.com
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
smtp_dns_support_level = disabled
smtp_host_lookup = native
"""


@dataclass
class Postfix:
    """A running Postfix with its files in `folder`."""

    folder: Path
    port: int

    @property
    def log(self) -> str:
        file = self.folder / "log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def client(self) -> smtplib.SMTP:
        """A connection to the first port."""
        return smtplib.SMTP("127.0.0.1", self.port, "client.example", timeout=20)

    def command(self, name: str, *options: str) -> str:
        """What one of its commands says."""
        done = subprocess.run([unpacked_program(name), "-c", str(self.folder), *options], env=command_environment(),
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def queue(self) -> int:
        """How many messages are in its queue."""
        return self.command("postqueue", "-j").count('"queue_id"')

    def flush(self) -> None:
        """Makes it try all that it has at once."""
        self.command("postqueue", "-f")

    async def logs(self, *texts: str, times: int = 1, seconds: float = 30) -> None:
        """Waits until so many lines of its log hold all the texts."""
        deadline = time.monotonic() + seconds
        while sum(all(text in line for text in texts) for line in self.log.splitlines()) < times:
            assert time.monotonic() < deadline, self.log
            await asyncio.sleep(0.05)

    async def is_empty(self, seconds: float = 30) -> None:
        """Waits until its queue is empty."""
        async with asyncio.timeout(seconds):
            while await asyncio.to_thread(self.queue):
                await asyncio.sleep(0.1)


@contextmanager
def postfix(port: int, main: str, *listeners: str, role: MailRole | None = None,
            tables: dict[str, str] | None = None) -> Iterator[Postfix]:
    """Runs Postfix for the block, listening on `port` of 127.0.0.1 and where the `listeners` say, entries of master.cf.

    `main` is added to main.cf. The `tables` are files in its folder, which `{folder}` in `main` stands for; with a `role` they
    are tables of PostgreSQL and end in how to connect.
    """
    master = unpacked_program("../lib/postfix/sbin/master")
    if os.getuid() != 0:
        missing("Postfix starts as root only")
    folder = Path(tempfile.mkdtemp(prefix="authd-postfix-", dir="/tmp"))
    _prepare(folder)
    (folder / "main.cf").write_text((_MAIN + main).replace("{folder}", str(folder)).replace("{peers}", str(FOLDER)))
    (folder / "master.cf").write_text("\n".join([f"127.0.0.1:{port} inet n - n - - smtpd", *listeners, _MASTER]))
    login = f"hosts = {role.host}\ndbname = {role.database}\nuser = {role.name}\npassword = {role.password}\n" if role else ""
    for name, text in (tables or {}).items():
        (folder / name).write_text(login + text)
    server = Postfix(folder, port)
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen([master, "-c", str(folder), "-d"], env=command_environment(), stdin=subprocess.DEVNULL,
                                   stdout=errors, stderr=errors, start_new_session=True)
    try:
        _wait_until_ready(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path) -> None:
    """Makes the folders that `postfix start` would make."""
    try:
        owner, group = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
    except KeyError:
        missing("there is no user postfix, or no group postdrop")
    folder.chmod(0o755)
    (folder / "queue").mkdir(mode=0o755)
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
        (folder / "queue" / name).mkdir(mode=0o700)
        os.chown(folder / "queue" / name, owner, -1)
    for name, mode in (("maildrop", 0o730), ("public", 0o710)):
        (folder / "queue" / name).mkdir()
        (folder / "queue" / name).chmod(mode)
        os.chown(folder / "queue" / name, owner, group)
    (folder / "queue" / "pid").mkdir(mode=0o755)
    (folder / "data").mkdir(mode=0o700)
    os.chown(folder / "data", owner, -1)
    (folder / "dynamicmaps.cf").write_text("pgsql postfix-pgsql.so dict_pgsql_open\n")


def _wait_until_ready(server: Postfix, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        said = (server.folder / "errors").read_text() + server.log
        assert process.poll() is None and time.monotonic() < deadline, said
        with contextlib.suppress(OSError, smtplib.SMTPException), server.client():
            return
        time.sleep(0.05)


@dataclass
class Tap:
    """Where a client may connect instead, and what it wrote: a piece for each read."""

    port: int
    pieces: list[bytes]


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[Tap]:
    """A port that leads to another port of 127.0.0.1 and keeps what is written to it."""
    pieces: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []
    connections: list[asyncio.Future[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.get_running_loop().create_future()
        connections.append(ended)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, far_writer))
        await asyncio.gather(_pass_on(reader, far_writer, pieces), _pass_on(far_reader, writer, []))
        ended.set_result(None)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield Tap(server.sockets[0].getsockname()[1], pieces)
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*connections)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(2**16):
            pieces.append(piece)
            writer.write(piece)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
