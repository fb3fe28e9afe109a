"""Client credentials published to a real Vault: OpenBao's server, both versions of its KV store."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests

from tests.openbao import program
from tests.sql.authctl import Authctl

pytestmark = pytest.mark.peer("OpenBao")


@pytest.fixture(scope="module")
def vault() -> Iterator[Any]:
    """A client of a running server that has a KV store of version 2 at secret/ and one of version 1 at old/."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen(
        [program(), "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address={address}",
         "-dev-no-store-token"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = hvac.Client(url=f"http://{address}", token="root")
        for _ in range(100):
            try:
                client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
                break
            except (requests.ConnectionError, hvac.exceptions.VaultError):
                assert server.poll() is None
                time.sleep(0.05)
        yield client
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def authctl(vault: Any, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authctl:
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", "root")
    return Authctl(database_url, tmp_path)


CREATE = ("oauth2", "create", "App", "--grant-type", "client_credentials", "--publish-to-vault")


def test_credentials_go_to_either_version_of_the_store(authctl: Authctl, vault: Any) -> None:
    made = authctl.json(*CREATE, "secret/apps/app")
    assert "client_secret" not in made
    stored = vault.secrets.kv.v2.read_secret("apps/app", raise_on_deleted_version=True)["data"]["data"]
    assert stored["client_id"] == made["client_id"]
    assert len(stored["client_secret"]) >= 22
    assert authctl.json(*CREATE, "secret/apps/app")["outcome"] == "unchanged"
    assert authctl.said("oauth2", "rotate-secret", "App", "--publish-to-vault", "secret/data/apps/app") == (
        "changed oauth2 App\n  secret: - -> (secret)\n")
    rotated = vault.secrets.kv.v2.read_secret("apps/app", raise_on_deleted_version=True)["data"]["data"]
    assert rotated["client_secret"] != stored["client_secret"]
    authctl.said("oauth2", "rotate-secret", "App", "--publish-to-vault", "old/app")
    assert vault.secrets.kv.v1.read_secret("app", mount_point="old")["data"].keys() == {"client_id", "client_secret"}


def test_nothing_is_made_that_cannot_be_published(authctl: Authctl, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("nowhere/app", "secret", "sys/health", "cubbyhole/x"):
        assert authctl.code(*CREATE, path) in (2, 4)
    monkeypatch.setenv("VAULT_TOKEN", "wrong")
    assert authctl.code(*CREATE, "secret/app") in (2, 4)
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    result = authctl.run(*CREATE, "secret/app")
    assert (result.exit_code, result.stderr) == (
        4, "main oauth2 create: Vault at http://127.0.0.1:9 cannot be reached: ConnectionError\n")
    monkeypatch.setenv("VAULT_CA", "/nonexistent.pem")
    assert authctl.code(*CREATE, "secret/app") == 2
    monkeypatch.delenv("VAULT_CA")
    assert authctl.json("oauth2", "list") == []


def test_the_configuration_file_says_which_vault(authctl: Authctl, vault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR")
    monkeypatch.delenv("VAULT_TOKEN")
    result = authctl.run(*CREATE, "secret/from-file")
    assert (result.exit_code, "no way into Vault; give vault.token" in result.stderr) == (2, True)
    (authctl.config.parent / "token").write_text("root\n", encoding="utf-8")
    with authctl.config.open("a", encoding="utf-8") as file:
        file.write(f'[vault]\naddress = "{vault.url}"\ntoken_file = "token"\n')
    assert authctl.json(*CREATE, "secret/from-file")["outcome"] == "created"
    stored = vault.secrets.kv.v2.read_secret("from-file", raise_on_deleted_version=True)["data"]["data"]
    assert stored.keys() == {"client_id", "client_secret"}


def test_an_approle_lets_us_in(authctl: Authctl, vault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.sys.enable_auth_method("approle")
    vault.sys.create_or_update_policy("publish", 'path "secret/*" { capabilities = ["create", "update", "read"] }')
    vault.auth.approle.create_or_update_approle("authd", token_policies=["publish"])
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("VAULT_ROLEID", vault.auth.approle.read_role_id("authd")["data"]["role_id"])
    monkeypatch.setenv("VAULT_SECRETID", vault.auth.approle.generate_secret_id("authd")["data"]["secret_id"])
    assert authctl.json(*CREATE, "secret/by-role")["outcome"] == "created"
    assert authctl.code(*CREATE, "old/app") in (2, 4)
