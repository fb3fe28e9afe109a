"""authctl srs: there and back, and what leads to nobody."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authd.smtp.grammar import Path as Address
from authd.smtp.srs import Srs
from authd.sql import routing
from tests.sql.authctl import Authctl
from tests.support import open_database

SECRET = 'srs_secrets = ["a secret", "an older one"]\n'


@pytest.fixture
def authctl(database_url: str, tmp_path: Path) -> Authctl:
    made = Authctl(database_url, tmp_path)
    with made.config.open("a") as file:
        file.write(f"[forwarder]\n{SECRET}")
    return made


def test_there_and_back(authctl: Authctl) -> None:
    encoded = authctl.json("srs", "encode", "joe@elsewhere.example", "example.com")
    assert encoded["address"].startswith("SRS0=") and encoded["token"] is None
    assert authctl.json("srs", "decode", encoded["address"]) == {"address": "joe@elsewhere.example"}
    older = Srs([b"an older one"]).forward(Address("kim", "x.example"), "example.com", datetime.now(UTC)).sender
    assert authctl.json("srs", "decode", str(older)) == {"address": "kim@x.example"}


def test_a_sender_with_a_token(authctl: Authctl, database_url: str) -> None:
    long = "x" * 64 + "@elsewhere.example"
    encoded = authctl.json("srs", "encode", long, "example.com")
    assert authctl.code("srs", "decode", encoded["address"]) == 1

    async def remember() -> None:
        now = datetime.now(UTC)
        token = Srs([b"a secret"]).forward(routing.parse(long), "example.com", now).token
        assert token is not None and token.token == encoded["token"]
        async with open_database(database_url) as db:
            await routing.keep_tokens(db, [token], now)

    asyncio.run(remember())
    assert authctl.json("srs", "decode", encoded["address"]) == {"address": long}


@pytest.mark.parametrize("address", ["joe@example.com", "SRS0=aaaa=AA=x.example=joe@example.com", "no address", "a@b@c"])
def test_what_leads_to_nobody(authctl: Authctl, address: str) -> None:
    assert authctl.code("srs", "decode", address) == 2


def test_without_a_secret(database_url: str, tmp_path: Path) -> None:
    assert "srs_secrets" in Authctl(database_url, tmp_path).run("srs", "encode", "a@b.example", "c.example").stderr
