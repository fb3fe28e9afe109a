"""OAuth providers that can be measured: authd, the bare limit, and an independent one (npm oidc-provider)."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from . import workers
from .host import Host
from .http_load import Load, get, measure
from .population import REDIRECT_URI
from .web import sign_ins

VERIFIER = "benchmark-" * 5
_CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
_PEER = Path(__file__).parent / "oidc_provider"


@dataclass(frozen=True)
class Provider(ABC):
    """Where a provider listens and what it calls its endpoints."""

    port: int
    token: str
    introspection: str
    jwks: str
    host: Host

    @abstractmethod
    def codes(self, count: int) -> list[str]:
        """Fresh authorization codes with PKCE and offline_access."""


class Authd(Provider):
    """authd itself, which also makes the codes for whoever works on its database."""

    def codes(self, count: int) -> list[str]:
        """From the authorization endpoint, for somebody who is signed in."""
        path = "/o2/authorize/?" + urlencode({
            "response_type": "code", "client_id": self.host.client_id, "redirect_uri": REDIRECT_URI, "state": "benchmark",
            "scope": "openid offline_access", "code_challenge": _CHALLENGE, "code_challenge_method": "S256"})
        request = get(path, Cookie=_signed_in(self.host))
        outcome = measure(Load(self.host.http_port, [request], count, statuses=(302, 303), keep="location"))
        return [location.partition("code=")[2].partition("&")[0] for location in outcome.kept]


class OidcProvider(Provider):
    """npm oidc-provider, one process, in memory."""

    def codes(self, count: int) -> list[str]:
        """Without a person: its server has an address for that."""
        with workers.ask(self.port, "GET", f"/codes?count={count}&challenge={_CHALLENGE}") as answer:
            codes: list[str] = json.load(answer)
        return codes


def authd(host: Host) -> Provider:
    """The daemon, which serves already."""
    return Authd(host.http_port, "/o2/token/", "/o2/introspect/", "/o2/.well-known/jwks.json", host)


@contextmanager
def bare(host: Host) -> Iterator[Provider]:
    """The bare limit, for the block."""
    port = workers.free_port()
    command = [sys.executable, "-m", workers.module("bare_oauth"), str(port), str(host.config)]
    with workers.server(command, host.folder / "bare.log", lambda: workers.accepts(port)):
        yield Authd(port, "/o2/token/", "/o2/introspect/", "", host)


@contextmanager
def oidc_provider(host: Host) -> Iterator[Provider | None]:
    """npm oidc-provider, for the block; None where there is no node, or npm cannot install it."""
    node = shutil.which("node")
    if node is None or not _installed():
        print("oidc-provider is not measured: it needs node and npm", file=sys.stderr)
        yield None
        return
    port = workers.free_port()
    command = [node, str(_PEER / "server.js"), str(port), host.client_id, host.client_secret, REDIRECT_URI]
    with workers.server(command, host.folder / "oidc_provider.log", lambda: workers.accepts(port)):
        yield OidcProvider(port, "/token", "/token/introspection", "/jwks", host)


def _installed() -> bool:
    if (_PEER / "node_modules").exists():
        return True
    npm = shutil.which("npm")
    return npm is not None and subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=_PEER, check=False,
                                              capture_output=True).returncode == 0


def _signed_in(host: Host) -> str:
    """The cookie of somebody who has just signed in."""
    head, _, body = sign_ins(host)[0].partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    with workers.ask(host.http_port, "POST", "/action/login/", body, headers) as answer:
        cookies = answer.headers.get_all("Set-Cookie") or []
    return next(cookie.partition(";")[0] for cookie in cookies if "session=" in cookie)
