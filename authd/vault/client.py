"""Talks to Vault (or OpenBao): entering it, credentials from its database engine, renewals, other paths. Blocking; hvac is
imported only where Vault is in use. What should be asked when is decided in `lease.py`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from authd.config.settings import VaultSettings
from authd.errors import Unavailable
from authd.vault.lease import Grant

TIMEOUT = 5.0  # seconds for one request


class VaultUnavailable(Unavailable):
    """Vault cannot be reached, is sealed, or fails."""


class VaultDenied(Unavailable):
    """Vault does not let us in, or not to what was asked for."""


class LeaseGone(Unavailable):
    """The lease has ended or was revoked."""


@dataclass(frozen=True)
class Leased:
    """Credentials for PostgreSQL, and for how long they are good."""

    user: str
    password: str = field(repr=False)
    grant: Grant


class VaultClient:
    """One entry into Vault. `clock` is the one that grants are dated by. Errors carry no secret."""

    def __init__(self, settings: VaultSettings, clock: Callable[[], float] = time.monotonic) -> None:
        import hvac
        import requests

        self._settings = settings
        self._clock = clock
        session = requests.Session()
        session.trust_env = False  # neither proxies nor certificate bundles from the environment: the authority is pinned
        session.verify = str(settings.ca) if settings.ca else True
        session.cert = (str(settings.certificate), str(settings.key)) if settings.certificate else None
        self._client: Any = hvac.Client(url=settings.address, token="", timeout=TIMEOUT, session=session)

    def log_in(self) -> Grant:
        """Enters with the AppRole, the token or the certificate, whichever is configured first in this order."""
        settings = self._settings
        if settings.role_id:
            answer = self._ask(lambda: self._client.auth.approle.login(settings.role_id, settings.secret_id or None))
        elif settings.token:
            self._client.token = settings.token
            data = self._ask(self._client.auth.token.lookup_self)["data"]
            return Grant(settings.token, float(data["ttl"]), self._clock(), bool(data.get("renewable")))
        else:
            answer = self._ask(lambda: self._client.adapter.login("/v1/auth/cert/login", use_token=True, json={}))
        auth = answer["auth"]
        return Grant(auth["client_token"], float(auth["lease_duration"]), self._clock(), bool(auth["renewable"]))

    def renew_token(self, token: Grant) -> Grant:
        """Renews the token for as long as it was first granted."""
        auth = self._ask(lambda: self._client.auth.token.renew_self(increment=_increment(token)))["auth"]
        return token.renewed(float(auth["lease_duration"]), self._clock(), bool(auth["renewable"]))

    def read_credentials(self) -> Leased:
        """New credentials from vault.database_path."""
        answer = self.read(self._settings.database_path)
        data = answer.get("data") or {}
        if not data.get("username") or not data.get("password"):
            raise VaultDenied(f"{self._settings.database_path} holds no username and password")
        return Leased(data["username"], data["password"], Grant(
            answer.get("lease_id", ""), float(answer.get("lease_duration", 0)), self._clock(), bool(answer.get("renewable"))))

    def renew_lease(self, leased: Leased) -> Leased:
        """Renews the credentials' lease for as long as it was first granted. Raises LeaseGone where there is none any more."""
        import hvac.exceptions

        try:
            answer = self._ask(lambda: self._client.sys.renew_lease(leased.grant.id, increment=_increment(leased.grant)))
        except VaultDenied as error:
            if isinstance(error.__cause__, (hvac.exceptions.InvalidRequest, hvac.exceptions.InvalidPath)):
                raise LeaseGone(str(error)) from None
            raise
        return replace(leased, grant=leased.grant.renewed(
            float(answer["lease_duration"]), self._clock(), bool(answer["renewable"])))

    def give_back(self, leased: Leased) -> None:
        """Ends the lease where Vault lets us; otherwise it ends by itself."""
        if leased.grant.id:
            try:
                self._ask(lambda: self._client.sys.revoke_lease(leased.grant.id))
            except Unavailable:
                return

    def read(self, path: str) -> dict[str, Any]:
        """What Vault answers for a path; empty where there is nothing."""
        return self._ask(lambda: self._client.read(path)) or {}

    def write(self, path: str, data: Mapping[str, Any]) -> None:
        """Writes to a path."""
        self._ask(lambda: self._client.write_data(path, data=dict(data)))

    def close(self) -> None:
        """Closes the connection to Vault."""
        self._client.adapter.close()

    def _ask(self, call: Callable[[], Any]) -> Any:
        import hvac.exceptions

        refusals = (hvac.exceptions.InvalidRequest, hvac.exceptions.Unauthorized, hvac.exceptions.Forbidden,
                    hvac.exceptions.InvalidPath)
        try:
            return call()
        except refusals as error:
            raise VaultDenied(f"Vault refuses: {_first_error(error)}") from error
        except hvac.exceptions.VaultError as error:
            raise VaultUnavailable(f"Vault fails: {_first_error(error)}") from error
        except OSError as error:  # every error of requests is one
            raise VaultUnavailable(f"Vault at {self._settings.address} cannot be reached: {type(error).__name__}") from error


def _increment(grant: Grant) -> int:
    return round(grant.granted)


def _first_error(error: Any) -> str:
    said = " ".join(str(part) for part in (error.errors or [])[:1]).split()
    return " ".join(said)[:200] or type(error).__name__
