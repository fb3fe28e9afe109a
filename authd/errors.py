"""The exceptions of authd. They know no HTTP status and no SMTP code; each protocol maps them in one place.

    AuthdError
    ├── ConfigError            the configuration cannot be used (carries every problem found)
    ├── InvalidInput           something that was sent is malformed
    ├── NotFound               what was asked for does not exist
    ├── Conflict               it exists already, or something else stands in the way
    ├── Denied                 well formed, but not allowed
    │   ├── InvalidCredentials     unknown name, wrong password or inactive account: deliberately one error
    │   ├── Throttled              too many failures; carries the seconds to wait
    │   └── PermissionMissing      carries the permissions that are missing
    ├── DataError              PostgreSQL refused a statement because of the data in it
    │   ├── UniqueViolation
    │   ├── ForeignKeyViolation
    │   └── CheckViolation
    └── Unavailable            a passing condition; the same request may succeed later
        ├── Overloaded             a bounded queue is full
        └── DatabaseUnavailable    PostgreSQL cannot be reached, or did not answer in time

`code` is stable and meant for programs; the message is for the log. What a peer reads is chosen by the protocol.
"""

from collections.abc import Iterable, Sequence


class AuthdError(Exception):
    """Base of everything that authd raises on purpose."""

    code = "internal_error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message or code or self.code)
        if code is not None:
            self.code = code


class ConfigError(AuthdError):
    """The configuration cannot be used. `problems` holds one sentence each, without secrets."""

    code = "configuration"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class InvalidInput(AuthdError):
    """A value from outside is malformed; `field` names it."""

    code = "invalid_request"

    def __init__(self, field: str, message: str, *, code: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message, code=code)
        self.field = field
        self.text = message


class NotFound(AuthdError):
    """What was named does not exist."""

    code = "not_found"


class Conflict(AuthdError):
    """It exists with other values, or something that exists stands in the way."""

    code = "conflict"


class Denied(AuthdError):
    """Well formed, but not allowed."""

    code = "access_denied"


class InvalidCredentials(Denied):
    """Unknown name, wrong password, inactive account: which one it was is nobody's business."""

    code = "invalid_credentials"


class Throttled(Denied):
    """Too many failures. `retry_after` is in whole seconds."""

    code = "throttled"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many failures, wait {retry_after} s")
        self.retry_after = retry_after


class PermissionMissing(Denied):
    """The account lacks permissions; `names` are their identifiers, `held` those that it has."""

    code = "permission_missing"

    def __init__(self, names: Sequence[str], held: Iterable[str] = ()) -> None:
        super().__init__("missing: " + ", ".join(names))
        self.names = tuple(names)
        self.held = frozenset(held)


class DataError(AuthdError):
    """PostgreSQL refused a statement because of the data; `constraint` names the violated one, if any."""

    code = "data"

    def __init__(self, message: str, constraint: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(DataError):
    """A row with this key exists."""


class ForeignKeyViolation(DataError):
    """A row that this one refers to does not exist, or is still referred to."""


class CheckViolation(DataError):
    """A value is outside what its column allows."""


class Unavailable(AuthdError):
    """A passing condition. `retry_after` is in whole seconds."""

    code = "temporarily_unavailable"

    def __init__(self, message: str = "", *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """A bounded queue is full."""

    code = "overloaded"


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, or did not answer in time."""

    code = "database_unavailable"
