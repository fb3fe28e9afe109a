"""`/docker/token/` whatever is asked for by whomever: never a 500, and never more than was asked for and is held."""

import asyncio
import json
import logging
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import jwt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from authd.config import Settings
from authd.config.settings import ThrottleSettings
from tests.http.docker_registry import SERVICE, add_group, add_registry, allow
from tests.http.support import PASSWORD, Site, add_account, add_service_user, site_settings

ALICE, BOB = "alice@example.com", "bob@example.com"

# What everybody holds: (pattern or None for the registry, actions). `public/*` is everybody's.
PUBLIC: list[tuple[str | None, str]] = [("public/*", "pull")]
HELD: dict[str | None, list[tuple[str | None, str]]] = {
    None: PUBLIC,
    ALICE: [*PUBLIC, ("app", "pull push"), ("team/*", "pull")],
    BOB: [*PUBLIC, (None, "pull"), ("app", "delete")],
    "robot": [*PUBLIC, ("app", "pull push"), ("team/*", "pull")],
    "root": [(None, "pull push delete")],
}

ACTIONS = st.lists(st.sampled_from(["pull", "push", "delete", "*", "fly", ""]), max_size=4).map(",".join)
NAMES = st.sampled_from(["app", "team/web", "team", "public/site", "other", "host:5000/app", "catalog", "Upper", "a//b", ""])
KINDS = st.sampled_from(["repository", "registry", "repository(plugin)", "other", "repository(", ""])
SCOPE = st.builds("{}:{}:{}".format, KINDS, NAMES, ACTIONS)
TEXTS = st.text(alphabet="repositygcalup:,*()/ -._\x00é", max_size=40)
ASKED = st.lists(SCOPE, max_size=4).map(" ".join) | st.lists(SCOPE | TEXTS, max_size=3).map(" ".join)


@dataclass(frozen=True)
class Server:
    """Where it listens, and the refresh tokens of whoever has one."""

    port: int
    refresh_tokens: dict[str, str]


@pytest.fixture
def settings(base_url: str) -> Settings:
    """Nobody is throttled."""
    return site_settings(base_url, throttle=ThrottleSettings(account_failures=1000, address_failures=100000))


@pytest.fixture
def server(io_loop: IOLoop, http_server: HTTPServer, http_port: int, site: Site) -> Server:
    async def prepare() -> dict[str, str]:
        registry = await add_registry(site)
        alice = await add_account(site.database, "alice", address=ALICE)
        bob = await add_account(site.database, "bob", address=BOB)
        await add_account(site.database, "root", admin=True)
        await add_service_user(site.database, alice, "robot")
        team = await add_group(site, "team", alice)
        await allow(site, registry, ["pull"], "public/*")
        await allow(site, registry, ["pull", "push"], "app", user=alice)
        await allow(site, registry, ["pull"], "team/*", group=team)
        await allow(site, registry, ["pull"], user=bob)
        await allow(site, registry, ["delete"], "app", user=bob)
        tokens = {}
        for name in filter(None, HELD):
            _, body = await ask(http_port, "GET", [("service", SERVICE), ("offline_token", "true")], name)
            tokens[name] = body["refresh_token"]
        return tokens

    return Server(http_port, io_loop.run_sync(prepare))


async def ask(port: int, method: str, fields: list[tuple[str, str]], username: str | None = None) -> tuple[int, Any]:
    """The status and the JSON of an answer; a POST is sent in chunks."""
    query = urlencode(fields)
    path = "/docker/token/" + (f"?{query}" if method == "GET" else "")
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    if username is not None and method == "GET":
        lines.append(f"Authorization: Basic {b64encode(f'{username}:{PASSWORD}'.encode()).decode()}")
    body = b""
    if method == "POST":
        lines += ["Transfer-Encoding: chunked", "Content-Type: application/x-www-form-urlencoded"]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (query[:7].encode(), query[7:].encode()) if part)
        body += b"0\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert b"application/json" in head, head
    return int(head.split()[1]), json.loads(content)


def requested(text: str) -> dict[str, set[str]]:
    """What was asked for of each resource, read as simply as can be: the name is between the first and the last colon."""
    found: dict[str, set[str]] = {}
    for word in text.split():
        kind, _, rest = word.partition(":")
        name, _, actions = rest.rpartition(":")
        found.setdefault(f"{kind}:{name}", set()).update(actions.split(","))
    return found


def held(username: str | None, name: str) -> set[str]:
    """The actions on a repository."""
    return {action for pattern, actions in HELD[username] for action in actions.split()
            if pattern is None or re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name)}


def check(username: str | None, text: str, access: list[dict[str, Any]]) -> None:
    """granted ⊆ requested ∩ held."""
    asked = requested(text)
    for entry in access:
        kind = entry["type"] + (f"({entry['class']})" if "class" in entry else "")
        granted = set(entry["actions"])
        wanted = asked.pop(f"{kind}:{entry['name']}")
        assert granted <= wanted or "*" in wanted
        if entry["type"] == "repository":
            expected = held(username, entry["name"])
            assert granted == (expected if "*" in wanted else expected & wanted)
        elif granted:
            assert (kind, entry["name"], granted) == ("registry", "catalog", {"*"})
            assert username in ("root", BOB)
    assert not asked, "every resource has its entry"


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(username=st.sampled_from(list(HELD)), text=ASKED, way=st.sampled_from(["GET", "password", "refresh_token"]))
def test_granted_is_within_requested_and_held(
    io_loop: IOLoop, server: Server, caplog: pytest.LogCaptureFixture, username: str | None, text: str, way: str,
) -> None:
    caplog.clear()
    fields = [("service", SERVICE), ("scope", text)]
    method = "GET" if way == "GET" or username is None else "POST"
    if method == "POST" and username is not None:
        fields += [("grant_type", way), ("client_id", "x")]
        fields += ([("username", username), ("password", PASSWORD)] if way == "password" else
                   [("refresh_token", server.refresh_tokens[username])])
    status, body = io_loop.run_sync(lambda: ask(server.port, method, fields, username))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    if status == 200:
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        check(username, text, claims["access"])
        granted = {f"{entry['type']}:{entry['name']}" for entry in claims["access"] if entry["actions"]}
        assert username is not None or granted
        if method == "POST":
            assert len(body["scope"].split()) == sum(bool(entry["actions"]) for entry in claims["access"])
    else:
        assert status == (401 if username is None and body["error"] == "unauthorized" else 400), body
        assert body["errors"][0]["message"]


@hypothesis_settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(
    st.sampled_from(["scope", "service", "account", "client_id", "offline_token", "grant_type", "username", "password",
                     "refresh_token", "access_type", "x"]),
    st.binary(max_size=20).map(quote_from_bytes) | st.sampled_from(
        [SERVICE, ALICE, PASSWORD, "password", "refresh_token", "%zz", "%ff", "a%00b", "repository%3Afoo", "offline"])),
    max_size=7), posted=st.booleans(),
    authorization=st.sampled_from(["", "Basic", "Basic !", "Basic YQ==", "Basic /zp4", "Bearer x"]))
def test_no_request_is_answered_with_500(
    io_loop: IOLoop, server: Server, caplog: pytest.LogCaptureFixture, pairs: list[tuple[str, str]], posted: bool,
    authorization: str,
) -> None:
    caplog.clear()
    text = "&".join(f"{name}={value}" for name, value in pairs)

    async def send() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"{'POST' if posted else 'GET'} /docker/token/{'' if posted else '?' + text} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if authorization:
            head += f"Authorization: {authorization}\r\n"
        body = text if posted else ""
        head += f"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer.split()[1])

    assert io_loop.run_sync(send) in (200, 400, 401)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
