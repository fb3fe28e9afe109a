"""What no single setting shows: settings that need each other, files that are not there or do not fit together, addresses
used twice.
"""

import os
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from authd.config.settings import Settings
from authd.config.values import Endpoint, is_loopback
from authd.errors import ConfigError
from authd.tls import server_context

Place = Callable[[str], str]  # the name of a setting, as section.name -> where its value was given

_PAIRS = (("http.tls_certificate", "http.tls_key"), ("database.client_certificate", "database.client_key"),
          ("vault.certificate", "vault.key"), ("smtp.tls_certificate", "smtp.tls_key"))
_FILES = ("http.tls_certificate", "http.tls_key", "secrets.key_file", "database.ca", "database.client_certificate",
          "database.client_key", "vault.ca", "vault.certificate", "vault.key", "smtp.tls_certificate", "smtp.tls_key",
          "smtp.downstream_ca")
LONGEST_GRACE = 20


def contradictions(settings: Settings, place: Place, broken: Set[str] = frozenset()) -> list[str]:
    """One sentence for each, beginning with the place of the setting that should change.

    `broken` names the settings that could not be read and have their defaults here: nothing is said of them again.
    """
    return [*_pairs(settings, place, broken), *_files(settings, place), *_certificates(settings, place),
            *_vault(settings, place, broken), *_listeners(settings, place)]


def _value(settings: Settings, name: str) -> Path | None:
    section, _, key = name.partition(".")
    found: Path | None = getattr(getattr(settings, section), key)
    return found


def _pairs(settings: Settings, place: Place, broken: Set[str]) -> Iterator[str]:
    for one, other in _PAIRS:
        has_one, has_other = _value(settings, one) is not None, _value(settings, other) is not None
        if has_one != has_other and not broken & {one, other}:
            given, missing = (one, other) if has_one else (other, one)
            yield f"{place(given)}: {given} and {missing} go together; give both or neither"


def _is_readable(file: Path) -> bool:
    return file.is_file() and os.access(file, os.R_OK)


def _files(settings: Settings, place: Place) -> Iterator[str]:
    for name in _FILES:
        file = _value(settings, name)
        if file is not None and not _is_readable(file):
            yield f"{place(name)}: {str(file)!r} cannot be read; name a file that authd may read"
    folder = settings.smtp.spool_folder
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        yield f"{place('smtp.spool_folder')}: {str(folder)!r} cannot be written to; name a folder that authd may write to"


def _certificates(settings: Settings, place: Place) -> Iterator[str]:
    """The listeners' own: what stands in them, where both files are there."""
    for name in ("http", "smtp"):
        certificate, key = _value(settings, f"{name}.tls_certificate"), _value(settings, f"{name}.tls_key")
        if certificate is None or key is None or not (_is_readable(certificate) and _is_readable(key)):
            continue
        try:
            server_context(certificate, key)
        except ConfigError as error:
            yield from (f"{place(f'{name}.tls_key')}: {problem}" for problem in error.problems)


def _vault(settings: Settings, place: Place, broken: Set[str]) -> Iterator[str]:
    vault = settings.vault
    if broken & {"vault.token", "vault.role_id", "vault.certificate"}:
        return
    if vault.database_path and not (vault.token or vault.role_id or vault.certificate):
        yield (f"{place('vault.database_path')}: {vault.database_path!r} needs a way into Vault; give vault.token, "
               "vault.role_id with vault.secret_id, or vault.certificate with vault.key")
    if vault.secret_id and not vault.role_id:
        yield f"{place('vault.secret_id')}: the value (not shown) is not allowed alone; give vault.role_id too"


def _forwarder(settings: Settings, place: Place, taken: set[Endpoint]) -> Iterator[str]:
    forwarder = settings.forwarder
    if not (forwarder.enabled and forwarder.srs_secrets):
        return
    listen = forwarder.listen
    if listen in taken:
        yield f"{place('forwarder.listen')}: {listen}: two listeners want this address; give each its own"
    taken.add(listen)
    for name in ("local_delivery", "remote_relay", "transactional_relay"):
        target = getattr(forwarder, name)
        if target is not None and (target.host, target.port) == (listen.host, listen.port):
            yield f"{place(f'forwarder.{name}')}: {target} is the forwarder itself; give it another server"
        if target is not None and target.socket and getattr(forwarder, f"{name}_tls") != "off":
            yield (f"{place(f'forwarder.{name}_tls')}: {target} is a Unix socket, which knows no TLS; "
                   "use off, or give the server's HOST:PORT")
    yield from _open(settings, place("forwarder.listen"), listen)


def _open(settings: Settings, where: str, listen: Endpoint) -> Iterator[str]:
    """Nobody builds an open relay by accident, or one that signs for strangers."""
    if not is_loopback(listen.host) and not settings.smtp.allow_clients:
        yield f"{where}: {listen} can be reached from elsewhere; give smtp.allow_clients, the networks that may send through it"


def _listeners(settings: Settings, place: Place) -> Iterator[str]:
    http, mappings = settings.http, settings.signer.mappings if settings.signer.enabled else ()
    if http.shutdown_grace > LONGEST_GRACE:
        yield f"{place('http.shutdown_grace')}: {http.shutdown_grace:g} is not allowed; use {LONGEST_GRACE} seconds at most"
    taken = {http.listen}
    if http.metrics_listen is not None:
        if http.metrics_listen in taken:
            yield f"{place('http.metrics_listen')}: {http.metrics_listen}: two listeners want this address; give each its own"
        taken.add(http.metrics_listen)
    yield from _forwarder(settings, place, taken)
    for mapping in mappings:
        if mapping.listen in taken:
            yield f"{place('signer.mappings')}: {mapping.listen}: two listeners want this address; give each its own"
        taken.add(mapping.listen)
        yield from _open(settings, place("signer.mappings"), mapping.listen)
        if mapping.listen == mapping.target:
            yield f"{place('signer.mappings')}: {mapping.listen} would deliver to itself; change in or out"
