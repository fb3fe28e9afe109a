"""The web side: /getkey/, /checkpassword/, logins, and whether /health/ answers while many log in."""

import re
from collections.abc import Iterator
from statistics import median

from . import workers
from .comparison import HELLO, ROUNDS, compared, hello, measured
from .host import Host
from .http_load import Load, get, measure, post
from .population import DOMAIN, PASSWORD
from .report import Measurement
from .rounds import alternate

_REQUESTS = 3000
_SIGNATURES = 2000
_CLIENTS = 64
_PROXIED = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": DOMAIN}


def getkey(host: Host) -> Iterator[Measurement]:
    """The public key of a domain."""
    request = get(f"/getkey/?domain={DOMAIN}", **_PROXIED)
    with host.serving(), hello(host) as bare_port:
        yield compared("getkey", lambda: _rate(host.http_port, [request]), lambda: _rate(bare_port, [get("/")]), HELLO)


def checkpassword(host: Host) -> Iterator[Measurement]:
    """Without a password, and with one that was checked a moment ago: an RS256 signature each."""
    looked_up = _question(host.people[0])
    checked = _question(host.people[0], PASSWORD)
    limit_title = "RSA-2048 signatures on one core"
    with host.serving():
        yield compared("checkpassword", lambda: _rate(host.http_port, [looked_up]), _signatures, limit_title)
        _rate(host.http_port, [checked], count=1)
        yield compared("checkpassword_cached", lambda: _rate(host.http_port, [checked]), _signatures, limit_title)


def login(host: Host) -> Iterator[Measurement]:
    """Passwords that nobody has checked yet, each of another account."""
    turns = _turns([_question(name, PASSWORD) for name in host.people])
    with host.serving():
        yield compared(
            "login", lambda: _rate(host.http_port, requests := next(turns), count=len(requests), connections=_CLIENTS),
            lambda: float(workers.answer("references", "yescrypt", "100")), "yescrypt hashes on two threads")


def health(host: Host) -> Iterator[Measurement]:
    """`/health/` while people sign in at the page, 64 at once, with passwords that nobody has checked yet."""
    with host.serving(), hello(host) as bare_port:
        turns = _turns(sign_ins(host))
        values, limits = alternate(
            ROUNDS, lambda: _health_p99(host.http_port, next(turns), "/health/"),
            lambda: _health_p99(bare_port, [post("/hash", {})] * (len(host.people) // ROUNDS), "/"))
        yield measured("health_p99", median(values), median(limits), "hello world beside yescrypt on two threads")


def sign_ins(host: Host) -> list[str]:
    """The request with which each of the people sends the sign-in form."""
    with host.get("/action/login/") as page:
        cookie = (page.getheader("Set-Cookie") or "").partition(";")[0]
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.read().decode())
    if token is None:
        raise workers.WorkerFailed("the sign-in page has no form token")
    return [post("/action/login/", {"username": name, "password": PASSWORD, "csrf_token": token[1], "next": ""}, Cookie=cookie)
            for name in host.people]


def _health_p99(port: int, requests: list[str], path: str) -> float:
    """Milliseconds."""
    outcome = measure(Load(port, requests, len(requests), _CLIENTS, statuses=(200, 303), beside=get(path)))
    return 1000 * outcome.beside_p99


def _question(name: str, password: str | None = None) -> str:
    fields = {"username": name} if password is None else {"username": name, "password": password}
    return post("/checkpassword/", fields, **_PROXIED)


def _rate(port: int, requests: list[str], count: int = _REQUESTS, connections: int = 32) -> float:
    return measure(Load(port, requests, count, connections)).per_second


def _signatures() -> float:
    return float(workers.answer("references", "rsa", str(_SIGNATURES)))


def _turns(requests: list[str]) -> Iterator[list[str]]:
    """The requests in as many equal parts as there are rounds."""
    size = len(requests) // ROUNDS
    return (requests[turn * size:(turn + 1) * size] for turn in range(ROUNDS))
