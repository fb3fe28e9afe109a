"""Two real daemons on one database: of 50 requests at once with one code or refresh token, sent to both, one wins."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tests.daemon import Daemon, running_daemon
from tests.fixtures.oauth import CALLBACK, SECRET, VERIFIER, add_client, add_person, add_session, give_code, service
from tests.support import open_database

AT_ONCE = 50
CLIENT = {"client_id": "app", "client_secret": SECRET}


async def given_code(database_url: str) -> str:
    """A code that Alice gave the client `app`."""
    now = datetime.now(UTC)
    async with open_database(database_url) as db:
        await add_client(db, "app")
        session = await add_session(db, await add_person(db, "alice", "alice@example.com"), now)
        return await give_code(service(db, lambda: now), session)


@contextmanager
def two_daemons(folder: Path, database_url: str) -> Iterator[tuple[Daemon, Daemon]]:
    """Both run for the block."""
    for name in ("one", "two"):
        (folder / name).mkdir()
    with running_daemon(folder / "one", database_url) as one, running_daemon(folder / "two", database_url) as two:
        yield one, two


async def send(
    client: AsyncHTTPClient, daemons: Sequence[Daemon], form: dict[str, str], path: str = "token",
) -> list[HTTPResponse]:
    """The same request to each daemon in turn, all at once."""
    return await asyncio.gather(*(client.fetch(
        f"http://127.0.0.1:{daemon.port}/o2/{path}/", method="POST", body=urlencode(CLIENT | form), raise_error=False)
        for daemon in daemons))


def bodies(answers: Sequence[HTTPResponse]) -> list[dict[str, Any]]:
    return [json.loads(answer.body) for answer in answers]


async def test_exactly_one_redemption_and_one_rotation(tmp_path: Path, database_url: str) -> None:
    code = await given_code(database_url)
    with two_daemons(tmp_path, database_url) as (one, two):
        client = SimpleAsyncHTTPClient(force_instance=True, max_clients=AT_ONCE)
        crowd = [one, two] * (AT_ONCE // 2)
        exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}

        (first,) = await send(client, [one], exchange)
        refreshed = bodies(await send(client, crowd, {
            "grant_type": "refresh_token", "refresh_token": json.loads(first.body)["refresh_token"]}))
        assert len({body["refresh_token"] for body in refreshed}) == 1
        assert len({body["access_token"] for body in refreshed}) == AT_ONCE

        again = await send(client, crowd, exchange)
        assert {body["error"] for body in bodies(again)} == {"invalid_grant"}
        told = bodies(await send(client, [two], {"token": refreshed[0]["access_token"]}, "introspect"))
        assert told == [{"active": False}]
        client.close()


async def test_of_50_redemptions_exactly_one_succeeds(tmp_path: Path, database_url: str) -> None:
    code = await given_code(database_url)
    with two_daemons(tmp_path, database_url) as (one, two):
        client = SimpleAsyncHTTPClient(force_instance=True, max_clients=AT_ONCE)
        answers = await send(client, [one, two] * (AT_ONCE // 2), {
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER})
        assert sorted(answer.code for answer in answers) == [200] + [400] * (AT_ONCE - 1)
        (winner,) = (json.loads(answer.body) for answer in answers if answer.code == 200)
        assert bodies(await send(client, [two], {"token": winner["access_token"]}, "introspect")) == [{"active": False}]
        refused = bodies(await send(client, [one], {"grant_type": "refresh_token", "refresh_token": winner["refresh_token"]}))
        assert refused[0]["error"] == "invalid_grant"
        client.close()
