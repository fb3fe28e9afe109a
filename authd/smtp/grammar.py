"""The grammar of SMTP commands (RFC 5321 section 4.1.2, RFC 3461 section 4): arguments into values, paths back into text.

Which command may come when, and what a mistake is answered, is in session.py.
"""

import ipaddress
import re
from dataclasses import dataclass, field

LONGEST_LOCAL_PART = 255  # RFC 5321 section 4.5.3.1.1 asks for 64 at least; senders of bounces (VERP) use more
LONGEST_DOMAIN = 255      # section 4.5.3.1.2

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DOT_STRING = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"  # with _, which hosts in use have
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[[A-Za-z0-9:.]+\]"
_HOST = rf"(?:{_DOMAIN}|{_LITERAL})"
_ROUTE = rf"@{_DOMAIN}(?:,@{_DOMAIN})*:"
_MAILBOX = rf"(?:{_ROUTE})?({_DOT_STRING}|{_QUOTED})@({_HOST})"

_REVERSE_PATH = re.compile(rf" *<(?:{_MAILBOX})?>(?: +|$)")
_FORWARD_PATH = re.compile(rf" *<(?:{_MAILBOX}|([Pp][Oo][Ss][Tt][Mm][Aa][Ss][Tt][Ee][Rr]))>(?: +|$)")
_PLAIN_LOCAL_PART = re.compile(_DOT_STRING)
_DOMAIN_NAME = re.compile(_DOMAIN)
_HOST_NAME = re.compile(_HOST)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ORIGINAL_RECIPIENT = re.compile(r"[A-Za-z0-9-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_NOTIFY = re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}")
_CONTROL = re.compile(rb"[^ -~]")


class GrammarError(ValueError):
    """An argument that the grammar does not allow."""


class MalformedPath(GrammarError):
    """What should be an address in angle brackets is none."""


class MalformedParameter(GrammarError):
    """A parameter that is known has a value that it cannot have, or stands there twice."""


class UnknownParameter(GrammarError):
    """A parameter of an extension that is not offered."""


@dataclass(frozen=True, slots=True)
class Path:
    """An address of the envelope, without quotes and source route. Both parts empty: the null sender; no domain: postmaster."""

    local_part: str
    domain: str
    _text: str = field(init=False, compare=False, repr=False)
    key: str = field(init=False, compare=False, repr=False)  # the same for all spellings of an address

    def __post_init__(self) -> None:
        text = _written(self.local_part, self.domain)
        object.__setattr__(self, "_text", text)
        object.__setattr__(self, "key", text.lower())

    def __str__(self) -> str:
        """The address as it stands between angle brackets, quoted where that is needed."""
        return self._text

    @property
    def is_null(self) -> bool:
        """Whether it is `<>`, the sender of messages about messages."""
        return not self.domain and not self.local_part


def _written(local_part: str, domain: str) -> str:
    if not domain:
        return local_part
    if not (local_part.isalnum() or _PLAIN_LOCAL_PART.fullmatch(local_part)):
        local_part = '"' + local_part.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{local_part}@{domain}"


NULL_SENDER = Path("", "")


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What may follow the sender: SIZE (RFC 1870), BODY (RFC 6152), RET and ENVID (RFC 3461)."""

    size: int | None = None
    body: str | None = None
    ret: str | None = None
    envid: str | None = None


@dataclass(frozen=True, slots=True)
class RecipientParameters:
    """What may follow a recipient: NOTIFY and ORCPT (RFC 3461)."""

    notify: str | None = None
    orcpt: str | None = None


NO_MAIL_PARAMETERS = MailParameters()
NO_RECIPIENT_PARAMETERS = RecipientParameters()


def text(argument: bytes) -> str:
    """The argument as text. GrammarError for control characters (CR, LF and NUL among them) and for 8-bit bytes."""
    if _CONTROL.search(argument):
        raise GrammarError("only printable ASCII is allowed")
    return argument.decode("ascii")


def parse_mail(argument: str) -> tuple[Path, MailParameters]:
    """The argument of MAIL: `FROM:<path>` and parameters. Raises the subclasses of GrammarError."""
    path, rest = _parse_path(_after(argument, "FROM:"), _REVERSE_PATH)
    return path, _mail_parameters(rest) if rest else NO_MAIL_PARAMETERS


def parse_recipient(argument: str) -> tuple[Path, RecipientParameters]:
    """The argument of RCPT: `TO:<path>` and parameters. Raises the subclasses of GrammarError."""
    path, rest = _parse_path(_after(argument, "TO:"), _FORWARD_PATH)
    return path, _recipient_parameters(rest) if rest else NO_RECIPIENT_PARAMETERS


def parse_greeting(argument: str) -> str:
    """The name a client gives itself, which need not be a valid one (RFC 5321 section 4.1.4): its first word."""
    name = argument.split(" ")[0]
    if not name or len(name) > LONGEST_DOMAIN:
        raise GrammarError("a greeting needs a name")
    return name


def is_domain(name: str) -> bool:
    """Whether it is a domain name in ASCII."""
    return len(name) <= LONGEST_DOMAIN and _DOMAIN_NAME.fullmatch(name) is not None


def is_host(name: str) -> bool:
    """Whether it is a domain name or an address literal in square brackets."""
    return len(name) <= LONGEST_DOMAIN and _HOST_NAME.fullmatch(name) is not None and _is_literal_or_name(name)


def _after(argument: str, keyword: str) -> str:
    if argument[:len(keyword)].upper() != keyword:
        raise MalformedPath(f"{keyword} is missing")
    return argument[len(keyword):]


def _parse_path(argument: str, pattern: re.Pattern[str]) -> tuple[Path, str]:
    match = pattern.match(argument)
    if match is None:
        raise MalformedPath("not an address in angle brackets")
    local_part, domain = match[1], match[2]
    if local_part is None:
        return (Path(match[3], "") if pattern is _FORWARD_PATH else NULL_SENDER), argument[match.end():]
    if local_part[0] == '"':
        local_part = re.sub(r"\\(.)", r"\1", local_part[1:-1])
    if len(local_part) > LONGEST_LOCAL_PART or len(domain) > LONGEST_DOMAIN or not _is_literal_or_name(domain):
        raise MalformedPath("too long, or not an address literal")
    return Path(local_part, domain), argument[match.end():]


def _is_literal_or_name(host: str) -> bool:
    if host[0] != "[":
        return True
    literal = host[1:-1]
    try:
        if literal[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(literal[5:])
        else:
            ipaddress.IPv4Address(literal)
    except ValueError:
        return False
    return True


def _parameters(argument: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in argument.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or match[1].upper() in found:
            raise MalformedParameter("malformed, or given twice")
        found[match[1].upper()] = match[2]
    return found


def _mail_parameters(argument: str) -> MailParameters:
    size = body = ret = envid = None
    for name, value in _parameters(argument).items():
        value = value or ""
        if name == "SIZE":
            size = int(_valid(value.isdigit() and len(value) <= 20, value))
        elif name == "BODY":
            body = _valid(value.upper() in ("7BIT", "8BITMIME"), value.upper())
        elif name == "RET":
            ret = _valid(value.upper() in ("FULL", "HDRS"), value.upper())
        elif name == "ENVID":
            envid = _valid(0 < len(value) <= 100 and _XTEXT.fullmatch(value) is not None, value)
        else:
            raise UnknownParameter(name)
    return MailParameters(size, body, ret, envid)


def _recipient_parameters(argument: str) -> RecipientParameters:
    notify = orcpt = None
    for name, value in _parameters(argument).items():
        value = value or ""
        if name == "NOTIFY":
            notify = _valid(_NOTIFY.fullmatch(value.upper()) is not None, value.upper())
        elif name == "ORCPT":
            orcpt = _valid(len(value) <= 500 and _ORIGINAL_RECIPIENT.fullmatch(value) is not None, value)
        else:
            raise UnknownParameter(name)
    return RecipientParameters(notify, orcpt)


def _valid(condition: bool, value: str) -> str:
    if not condition:
        raise MalformedParameter("a value that the parameter cannot have")
    return value
