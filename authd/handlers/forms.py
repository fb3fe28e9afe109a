"""What people and programs send in forms and query strings, as text and as one dataclass a form. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authd.errors import InvalidInput

DEFAULT_NEXT = "/"
LONGEST_NEXT = 4096
LONGEST_NAME_SHOWN = 320


def fields(arguments: Mapping[str, Sequence[bytes]]) -> dict[str, str]:
    """The fields of a form or query as text. InvalidInput for what is no UTF-8 and for a field given twice."""
    found = {}
    for name, values in arguments.items():
        if len(values) != 1:
            raise InvalidInput("", "a field is given more than once")
        try:
            found[name] = values[0].decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInput("", "a field is no UTF-8") from None
    return found


@dataclass(frozen=True)
class SignInForm:
    """The sign-in page's form. `next` is where to go afterwards, checked, or "" for the usual place."""

    username: str
    password: str = field(repr=False)
    remember: bool
    next: str

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> "SignInForm":
        """Missing fields are empty; the password is taken as it is, blanks and all."""
        return cls(
            username=fields.get("username", "").strip(),
            password=fields.get("password", ""),
            remember=fields.get("remember", "") != "",
            next=safe_next(fields.get("next", ""), default=""),
        )

    @property
    def username_shown(self) -> str:
        """The name as the page may repeat it: bounded (escaping is the template's)."""
        return self.username[:LONGEST_NAME_SHOWN]

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the fields that have to be filled and are not."""
        return tuple(name for name in ("username", "password") if not getattr(self, name))


def safe_next(value: str, default: str = DEFAULT_NEXT) -> str:
    """`value` if it is a path of this site (with query), else `default`: never another host, scheme or user info.

    Browsers take `\\` for `/` and drop tabs and newlines, so neither may appear; `//host` and `///host` are other hosts.
    """
    if not value.startswith("/") or value.startswith("//") or len(value) > LONGEST_NEXT:
        return default
    if "\\" in value or not value.isascii() or any(character <= " " or character == "\x7f" for character in value):
        return default
    try:
        parts = urlsplit(value)
    except ValueError:
        return default
    return default if parts.scheme or parts.netloc else value
