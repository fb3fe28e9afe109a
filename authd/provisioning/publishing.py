"""Publishes client credentials to Vault's KV store (or OpenBao's), for the hosts that run the clients.

Blocking; for command lines. hvac is imported only here, since most sites publish nothing.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from authd.errors import ConfigError, InvalidInput, Unavailable

DEFAULT_ADDRESS = "https://vault.local:8200/"
TIMEOUT = 10  # seconds


class VaultStore:
    """The KV store of the Vault that VAULT_ADDR names, entered with VAULT_TOKEN, with VAULT_ROLEID and VAULT_SECRETID, or
    with the certificate in VAULT_SSLCERT and VAULT_SSLKEY; VAULT_CA is who signed Vault's own.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        import hvac

        certificate = (environ["VAULT_SSLCERT"], environ["VAULT_SSLKEY"]) if environ.get("VAULT_SSLCERT") else None
        for name in ("VAULT_CA", "VAULT_SSLCERT", "VAULT_SSLKEY"):
            if environ.get(name) and not Path(environ[name]).is_file():
                raise ConfigError([f"environment: {name}: there is no file {environ[name]}"])
        self._client: Any = hvac.Client(
            url=environ.get("VAULT_ADDR") or DEFAULT_ADDRESS, token=environ.get("VAULT_TOKEN") or None, cert=certificate,
            verify=environ.get("VAULT_CA") or True, timeout=TIMEOUT)
        _called(lambda: self._log_in(environ, certificate is not None))

    def _log_in(self, environ: Mapping[str, str], has_certificate: bool) -> None:
        auth = self._client.auth
        if environ.get("VAULT_ROLEID"):
            auth.approle.login(environ["VAULT_ROLEID"], environ.get("VAULT_SECRETID"))
        elif not environ.get("VAULT_TOKEN") and has_certificate:
            auth.cert.login()
        if not self._client.is_authenticated():
            raise ConfigError(["environment: VAULT_TOKEN, or VAULT_ROLEID and VAULT_SECRETID, or VAULT_SSLCERT and "
                               "VAULT_SSLKEY must let us into Vault"])

    def check(self, path: str) -> None:
        """Raises InvalidInput unless `path` lies in a KV store, and Unavailable where Vault does not tell."""
        self._mount(path)

    def write(self, path: str, values: Mapping[str, str]) -> None:
        """Writes a secret, a new version of it where the store keeps versions. `path` begins with the mount's own."""
        mount, rest, version = self._mount(path)
        store = self._client.secrets.kv
        if version == "2":
            _called(lambda: store.v2.create_or_update_secret(path=rest, secret=dict(values), mount_point=mount))
        else:
            _called(lambda: store.v1.create_or_update_secret(path=rest, secret=dict(values), mount_point=mount))

    def _mount(self, path: str) -> tuple[str, str, str]:
        path = path.strip("/")
        answer = _called(lambda: self._client.read(f"sys/internal/ui/mounts/{path}"))
        found = (answer or {}).get("data") or {}
        mount = str(found.get("path", "")).rstrip("/")
        rest = path.removeprefix(mount).strip("/")
        if found.get("type") not in ("kv", "generic") or not rest:
            raise InvalidInput("publish_to_vault", f"{path} is not a path in a KV store of this Vault")
        version = str((found.get("options") or {}).get("version", "1"))
        return mount, rest.removeprefix("data/") if version == "2" else rest, version


def _called(call: Callable[[], Any]) -> Any:
    """The answer of Vault; whatever goes wrong on the way is Unavailable, and its text has no secret in it."""
    import hvac.exceptions
    import requests

    try:
        return call()
    except hvac.exceptions.VaultError as error:
        raise Unavailable(f"Vault refused: {', '.join(error.errors or []) or type(error).__name__}") from None
    except requests.RequestException as error:
        raise Unavailable(f"Vault cannot be reached: {type(error).__name__}") from None
