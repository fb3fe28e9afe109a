"""One connection to PostgreSQL: how it is opened, what a statement on it returns, and which error comes of what.

To which host of several it goes is in `hosts.py`, the pool that connections live in is `pool.py`; what the rest of
authd uses is `database.py`.
"""

import asyncio
import re
import select
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import aiopg
import psycopg2
import psycopg2.extensions
import psycopg2.extras
from psycopg2 import errorcodes

from authd.deadline import Deadline
from authd.errors import AuthdError, CheckViolation, DatabaseUnavailable, DataError, ForeignKeyViolation, UniqueViolation
from authd.sql.hosts import candidates
from authd.sql.prepared import Prepared

_CLIENT_MARGIN = 5.0  # seconds that the client waits beyond the server's own statement_timeout
_REFUSAL = re.compile(r"authentication failed|role .* does not exist|not permitted to log in|permission denied to set role")
_ENCRYPTION = re.compile(r"\bSSL\b|encryption")  # the server wants it otherwise
_BARE: Mapping[str, Any] = {"timeout": None, "enable_hstore": False, "enable_uuid": False, "enable_json": False}
_LOST_CLASSES = ("08", "53", "57", "58")  # connection, resources, operator intervention, system error

psycopg2.extras.register_uuid()
psycopg2.extensions.register_type(psycopg2.extensions.new_type(
    psycopg2.BINARY.values, "BYTES", lambda value, cursor: None if value is None else bytes(psycopg2.BINARY(value, cursor))))


@dataclass(frozen=True)
class Credentials:
    """Where PostgreSQL is and who we are there. `user` and `password` override what the URL says; `defaults` are
    libpq's parameters that hold where it says nothing.
    """

    url: str = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    defaults: Mapping[str, str] = field(default_factory=dict, repr=False)


class CredentialsRefused(DatabaseUnavailable):
    """PostgreSQL answers, but does not let these credentials in (any more)."""


@dataclass(frozen=True)
class SessionOptions:
    """What every connection is set to before its first statement. Times are in seconds."""

    role: str = ""
    statement_timeout: float = 10.0
    connect_timeout: float = 5.0
    search_path: str = "authd,public"


class Connection:
    """A connection in autocommit mode."""

    def __init__(self, connection: Any, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._deadline = Deadline(asyncio.get_running_loop(), self._give_up)
        self._is_late = False
        self._incoming = select.poll()
        self._incoming.register(connection.raw.fileno(), select.POLLIN)
        self._prepared: set[str] = set()
        self._cursor: Any = None  # one for all statements

    @classmethod
    async def open(cls, credentials: Credentials, options: SessionOptions) -> "Connection":
        """Connects to the first host that will have us. Raises CredentialsRefused where one knows us not, else
        DatabaseUnavailable. As with libpq, a refusal ends the search.
        """
        failure: Exception = OSError("there is no host to connect to")
        try:
            async for candidate in candidates(_parameters(credentials, options)):
                if isinstance(candidate, OSError):
                    failure = candidate
                    continue
                for parameters in candidate:
                    try:
                        return cls(await _connect(parameters, options), options.statement_timeout + _CLIENT_MARGIN)
                    except (psycopg2.OperationalError, OSError, TimeoutError) as error:
                        failure = error
                        if _REFUSAL.search(str(error)):
                            raise CredentialsRefused(f"PostgreSQL refuses our credentials: {_first_line(error)}") from error
                        if not _ENCRYPTION.search(str(error)):
                            break
        except (psycopg2.Error, OSError) as error:
            failure = error
        raise DatabaseUnavailable(f"cannot connect to PostgreSQL: {_first_line(failure)}") from failure

    @property
    def usable(self) -> bool:
        """False once the connection is closed, or its other end has said something while it was idle."""
        raw = self._connection.raw
        if raw.closed or raw.isexecuting() or raw.notices:
            return False
        return not self._incoming.poll(0)

    def close(self) -> None:
        """Closes at once; a statement that runs on it fails."""
        self._deadline.stop()
        self._connection.close()

    def _give_up(self) -> None:
        self._is_late = True
        self.close()

    async def run(self, statement: str, parameters: Mapping[str, Any]) -> tuple[list[tuple[Any, ...]], int]:
        """Runs one statement (or several, joined by semicolons) and returns the rows and row count of the last.

        Raises DataError where PostgreSQL refused the data, DatabaseUnavailable where it is gone or too slow.
        """
        cancellations = _cancellations()
        self._deadline.set(self._timeout)
        try:
            if self._cursor is None:
                self._cursor = await self._connection.cursor()
            cursor = self._cursor
            if isinstance(statement, Prepared):
                if statement.name not in self._prepared:
                    await cursor.execute(statement.preparation)
                    self._prepared.add(statement.name)
                statement = statement.call
            await cursor.execute(statement, parameters)
            rows = await cursor.fetchall() if cursor.description else []
            del self._connection.raw.notices[:]
            return rows, cursor.rowcount
        except asyncio.CancelledError:
            if _cancellations() > cancellations:
                raise
            raise DatabaseUnavailable("PostgreSQL gave the statement up after its time limit") from None
        except psycopg2.Error as error:
            if self._is_late:
                raise DatabaseUnavailable("PostgreSQL did not answer in time") from error
            _raise(error)
        finally:
            self._deadline.clear()

    async def notification(self) -> str:
        """Waits for the next NOTIFY on a channel that was listened to and returns its payload."""
        try:
            return str((await self._connection.notifies.get()).payload)
        except psycopg2.Error as error:
            raise DatabaseUnavailable(f"the listening connection ended: {_first_line(error)}") from error


async def _connect(parameters: Mapping[str, Any], options: SessionOptions) -> Any:
    """Without aiopg's time limit, which makes a timer for each statement, and may hide a cancellation."""
    async with asyncio.timeout(options.connect_timeout):
        return await aiopg.connect(**parameters, **_BARE)


def _parameters(credentials: Credentials, options: SessionOptions) -> dict[str, Any]:
    """libpq's parameters: the URL's own, overridden by the credentials, and the options appended to the URL's."""
    parameters: dict[str, Any] = {**credentials.defaults, **psycopg2.extensions.parse_dsn(credentials.url)}
    if credentials.user:
        parameters["user"] = credentials.user
    if credentials.password:
        parameters["password"] = credentials.password
    wanted = {"search_path": options.search_path, "statement_timeout": f"{options.statement_timeout * 1000:.0f}",
              "idle_in_transaction_session_timeout": "60000", "timezone": "UTC", "jit": "off",
              "default_transaction_isolation": "read\\ committed"}
    if options.role:
        wanted["role"] = options.role.replace("\\", "\\\\").replace(" ", "\\ ")
    ours = " ".join(f"-c {name}={value}" for name, value in wanted.items())
    parameters["options"] = f"{parameters.get('options', '')} {ours}".strip()
    parameters.setdefault("application_name", "authd")
    parameters.setdefault("gssencmode", "disable")
    parameters.setdefault("connect_timeout", max(2, round(options.connect_timeout)))
    return parameters


def _raise(error: psycopg2.Error) -> NoReturn:
    constraint = getattr(error.diag, "constraint_name", None) or ""
    known: dict[str, type[DataError]] = {
        errorcodes.UNIQUE_VIOLATION: UniqueViolation, errorcodes.FOREIGN_KEY_VIOLATION: ForeignKeyViolation,
        errorcodes.CHECK_VIOLATION: CheckViolation}
    code = error.pgcode or ""
    if code in known:
        raise known[code](_first_line(error), constraint) from error
    if not code or code[:2] in _LOST_CLASSES or isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        raise DatabaseUnavailable(f"PostgreSQL is not available: {_first_line(error)}") from error
    if code[:2] == "22":
        raise DataError(_first_line(error), constraint) from error
    raise AuthdError(f"PostgreSQL {code}: {_first_line(error)}") from error


def _cancellations() -> int:
    """How often the running task was told to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
