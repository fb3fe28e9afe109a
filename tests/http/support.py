"""A whole authd for HTTP tests: the services on a real database, accounts to sign in with, and a browser without a window."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from authd.app import build
from authd.config import Settings
from authd.config.settings import HttpSettings, PasswordSettings
from authd.handlers.services import ComponentState, Services
from authd.identity import crypt
from authd.identity.passwords import Hasher
from authd.sql.database import Database

PASSWORD = "correct horse battery"


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        """Moves it forward, by the arguments of a timedelta."""
        self.moment += timedelta(**duration)


@dataclass
class Site:
    """What runs behind the test's server. `components` is what `/health/ready/` finds; tests may change it."""

    services: Services
    database: Database
    hasher: Hasher
    clock: Clock
    components: dict[str, ComponentState]

    async def close(self) -> None:
        """Ends threads and connections."""
        self.hasher.close()
        self.database.close()


def site_settings(base_url: str, **sections: Any) -> Settings:
    """Settings for a server at `base_url`, quick to refuse; `sections` replaces whole sections."""
    settings = Settings(http=HttpSettings(public_url=base_url), password=PasswordSettings(threads=1, refusal_ms=0))
    return replace(settings, **sections)


async def make_site(database: Database, settings: Settings) -> Site:
    """Everything that handlers need, as `app.py` wires it, on a clock of its own."""
    clock = Clock()
    components = {"database": ComponentState("ok"), "keys": ComponentState("ok"), "http": ComponentState("ok")}

    async def readiness() -> Mapping[str, ComponentState]:
        return components

    parts = await build(database, settings, clock, readiness)
    return Site(parts.services, database, parts.hasher, clock, components)


async def add_account(
    database: Database, identifier: str, *, address: str | None = None, password: str | None = PASSWORD,
    full_name: str = "", admin: bool = False, active: bool = True, permissions: Sequence[str] = (),
) -> UUID:
    """An account (with `address` as its primary one), written without any service."""
    row = await database.fetch_one(
        "INSERT INTO account (identifier, full_name, password_hash, is_admin, is_active) "
        "VALUES (%(identifier)s, %(name)s, %(hash)s, %(admin)s, %(active)s) RETURNING uuid",
        {"identifier": identifier, "name": full_name, "hash": quick_hash(password), "admin": admin, "active": active})
    assert row is not None
    uuid: UUID = row[0]
    if address is not None:
        local_part, _, domain = address.partition("@")
        await database.execute("INSERT INTO domain (name) VALUES (%(name)s) ON CONFLICT DO NOTHING", {"name": domain})
        await database.execute(
            "WITH made AS (INSERT INTO alias (local_part, domain_id, account_uuid) "
            "SELECT %(local)s, id, %(uuid)s FROM domain WHERE name = %(domain)s RETURNING id) "
            "UPDATE account SET primary_alias_id = made.id FROM made WHERE uuid = %(uuid)s",
            {"local": local_part, "domain": domain, "uuid": uuid})
    for permission in permissions:
        values = {"uuid": uuid, "name": permission}
        await database.execute("INSERT INTO permission (identifier) VALUES (%(name)s) ON CONFLICT DO NOTHING", values)
        await database.execute(
            "INSERT INTO account_permission SELECT %(uuid)s, id FROM permission WHERE identifier = %(name)s", values)
    return uuid


async def add_service_user(database: Database, account: UUID, username: str, password: str = PASSWORD) -> None:
    """An unlimited service user of an account."""
    await database.execute(
        "INSERT INTO service_user (username, account_uuid, password_hash, generated) "
        "VALUES (%(name)s, %(uuid)s, %(hash)s, true)",
        {"name": username, "uuid": account, "hash": quick_hash(password)})


def quick_hash(password: str | None) -> str | None:
    """A hash that costs nothing to verify."""
    return password if password is None else crypt._crypt(password.encode(), "$6$rounds=1000$authdtests$")


@dataclass
class Browser:
    """Keeps cookies, follows nothing, sends what a browser sends with a form."""

    client: AsyncHTTPClient
    base_url: str
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"Accept": "text/html,*/*;q=0.8"})

    async def get(self, path: str, **headers: str) -> HTTPResponse:
        """`headers` are named with `_` for `-`."""
        return await self.send("GET", path, None, headers)

    async def post(self, path: str, fields: Mapping[str, str], **headers: str) -> HTTPResponse:
        """Sends fields as they are."""
        return await self.send("POST", path, urlencode(fields).encode(), headers)

    async def submit(self, page: HTTPResponse, **fields: str) -> HTTPResponse:
        """Fills in the page's last form and sends it."""
        form = forms(page)[-1]
        return await self.post(form.action, form.hidden | fields, Origin=self.base_url)

    async def sign_in(self, username: str, password: str = PASSWORD, next: str = "", **fields: str) -> HTTPResponse:
        """Through the sign-in page."""
        page = await self.get("/action/login/" + (f"?{urlencode({'next': next})}" if next else ""))
        return await self.submit(page, username=username, password=password, **fields)

    async def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HTTPResponse:
        """One request, its answer whatever the status."""
        sent = HTTPHeaders(self.headers | {name.replace("_", "-"): value for name, value in headers.items()})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None and "Content-Type" not in sent:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        response = await self.client.fetch(HTTPRequest(
            self.base_url + path, method, sent, body, follow_redirects=False, decompress_response=False,
            allow_nonstandard_methods=True), raise_error=False)
        for cookie in response.headers.get_list("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            if value.strip('"'):
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return response


@dataclass(frozen=True)
class PageForm:
    """A form of a page: where it goes and its hidden fields."""

    action: str
    hidden: dict[str, str]


def forms(page: HTTPResponse) -> list[PageForm]:
    """All forms of a page."""
    found = []
    for attributes, content in re.findall(r"<form([^>]*)>(.*?)</form>", text(page), re.DOTALL):
        action = re.search(r'action="([^"]*)"', attributes)
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', content)
        assert action is not None
        found.append(PageForm(unescape(action[1]), {name: unescape(value) for name, value in hidden}))
    return found


def text(response: HTTPResponse) -> str:
    """The body as text."""
    return response.body.decode()


def json_of(response: HTTPResponse) -> Any:
    """The body as JSON, which its type must say."""
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(response.body)
