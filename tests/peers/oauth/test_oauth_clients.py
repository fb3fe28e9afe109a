"""Strict clients of other people complete every flow against a real daemon: npm's openid-client and oauth4webapi."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, running_daemon
from tests.fixtures.oauth import SECRET, add_client
from tests.http.support import PASSWORD, add_account
from tests.support import missing, open_database, require_program

HERE = Path(__file__).parent
CALLBACK = "http://127.0.0.1:9999/callback"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> Iterator[Daemon]:
    """authd with Alice and clients of each kind."""
    async def prepare() -> None:
        async with open_database(module_database_url) as db:
            await add_account(db, "alice", address="alice@example.com", full_name="Alice Example")
            await add_client(db, "confidential", redirect_uris=[CALLBACK])
            await add_client(db, "jwt", redirect_uris=[CALLBACK], access_token_format="jwt", subject_type="pairwise")
            await add_client(db, "elliptic", redirect_uris=[CALLBACK], id_token_alg="ES256", access_token_format="jwt")
            await add_client(db, "edwards", redirect_uris=[CALLBACK], id_token_alg="EdDSA")
            await add_client(db, "native", client_type="public", redirect_uris=["http://127.0.0.1/callback"])

    asyncio.run(prepare())
    with running_daemon(tmp_path_factory.mktemp("daemon"), module_database_url) as daemon:
        yield daemon


def run(script: str, daemon: Daemon, *arguments: str) -> dict[str, Any]:
    node = require_program("node")
    if not (HERE / "node_modules/openid-client").is_dir():
        missing("openid-client is not installed (npm ci in tests/peers/oauth)")
    command = [node, str(HERE / script), f"{daemon.base_url}/o2", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.peer("openid-client")
@pytest.mark.parametrize("method", ["basic", "post"])
@pytest.mark.parametrize("client_id", ["confidential", "jwt", "elliptic"])
def test_openid_client(daemon: Daemon, client_id: str, method: str) -> None:
    report = run("openid_client.mjs", daemon, client_id, SECRET, CALLBACK, "alice@example.com", PASSWORD, method)
    expected = {"email": "alice@example.com", "name": "Alice Example", "before": True, "after": False, "own": client_id,
                "refused": "invalid_grant"}
    assert report == {"oidc": expected, "oauth2": expected}


@pytest.mark.peer("openid-client")
def test_openid_client_as_a_native_application(daemon: Daemon) -> None:
    report = run("openid_client.mjs", daemon, "native", "-", CALLBACK, "alice@example.com", PASSWORD, "none")
    assert report["oidc"] == {"email": "alice@example.com", "name": "Alice Example", "refused": "invalid_grant"}


@pytest.mark.peer("oauth4webapi")
@pytest.mark.parametrize("client_id", ["confidential", "jwt", "elliptic", "edwards"])
def test_oauth4webapi(daemon: Daemon, client_id: str) -> None:
    report = run("oauth4webapi.mjs", daemon, client_id, SECRET, CALLBACK, "alice@example.com", PASSWORD)
    assert report == {"email": "alice@example.com", "before": True, "after": False, "own": "bearer", "wrongSecret": "basic"}
