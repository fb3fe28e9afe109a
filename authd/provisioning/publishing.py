"""Publishes client credentials to Vault's KV store (or OpenBao's), for the hosts that run the clients. Blocking; for command
lines. How Vault is entered and asked stands in `vault/client.py`.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from authd.config.settings import VaultSettings
from authd.errors import ConfigError, InvalidInput
from authd.vault.client import VaultClient


class VaultStore:
    """The KV stores of the configured Vault."""

    def __init__(self, client: VaultClient) -> None:
        self._client = client

    def check(self, path: str) -> None:
        """Raises InvalidInput unless `path` lies in a KV store, and Unavailable where Vault does not tell."""
        self._mount(path)

    def write(self, path: str, values: Mapping[str, str]) -> None:
        """Writes a secret, a new version of it where the store keeps versions. `path` begins with the mount's own."""
        mount, rest, version = self._mount(path)
        if version == "2":
            self._client.write(f"{mount}/data/{rest}", {"data": dict(values)})
        else:
            self._client.write(f"{mount}/{rest}", dict(values))

    def _mount(self, path: str) -> tuple[str, str, str]:
        path = path.strip("/")
        found = self._client.read(f"sys/internal/ui/mounts/{path}").get("data") or {}
        mount = str(found.get("path", "")).rstrip("/")
        rest = path.removeprefix(mount).strip("/")
        if found.get("type") not in ("kv", "generic") or not rest:
            raise InvalidInput("publish_to_vault", f"{path} is not a path in a KV store of this Vault")
        version = str((found.get("options") or {}).get("version", "1"))
        return mount, rest.removeprefix("data/") if version == "2" else rest, version


@contextmanager
def entered_store(settings: VaultSettings) -> Iterator[VaultStore]:
    """The stores, for the block. Raises ConfigError where no way into Vault is configured, Unavailable where it fails."""
    if not (settings.token or settings.role_id or settings.certificate):
        raise ConfigError(["vault: there is no way into Vault; give vault.token, vault.role_id with vault.secret_id, or "
                           "vault.certificate with vault.key"])
    with closing(VaultClient(settings)) as client:
        client.log_in()
        yield VaultStore(client)
