"""Reads authd.conf and the environment into `Settings`. Every problem is found in one pass and reported with
where it stands, its value (unless it is secret) and what is allowed.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any

from authd.config.settings import Settings
from authd.config.values import Endpoint
from authd.errors import ConfigError

DEFAULT_PLACES = (Path("authd.conf"), Path("/etc/authd/authd.conf"))


def find(environ: Mapping[str, str]) -> Path | None:
    """The configuration file that counts where none is named: $AUTHD_CONFIG, ./authd.conf, /etc/authd/authd.conf."""
    if named := environ.get("AUTHD_CONFIG"):
        return Path(named)
    return next((place for place in DEFAULT_PLACES if place.is_file()), None)


def load(file: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file (None: defaults) with the environment laid over them. Raises ConfigError with all problems."""
    reading = _Reading(file, environ)
    settings = reading.settings()
    if not reading.problems:
        reading.problems.extend(_contradictions(settings))
    if reading.problems:
        raise ConfigError(reading.problems)
    return settings


class _Reading:
    """One pass over a file and an environment, collecting problems instead of stopping at the first."""

    def __init__(self, file: Path | None, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.problems: list[str] = []
        self.folder = file.resolve().parent if file else Path.cwd()

    def settings(self) -> Settings:
        document = self._document()
        sections = {section.name: section for section in fields(Settings)}
        for name in document.keys() - sections.keys():
            self._unknown(name, f"[{name}]", "section", sections)
        values = {}
        for name, section in sections.items():
            table = document.get(name, {})
            if isinstance(table, dict):
                values[name] = self._section(name, section.default, table)
            else:
                self.problems.append(f"{self.file}: {name} is not a section; write [{name}]")
        return Settings(**values)

    def _document(self) -> dict[str, Any]:
        if self.file is None:
            return {}
        try:
            return tomllib.loads(self.file.read_text(encoding="utf-8"))
        except OSError as error:
            self.problems.append(f"{self.file}: cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self.problems.append(f"{self.file}: is not UTF-8")
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{self.file}: is not TOML: {error}")
        return {}

    def _section(self, name: str, defaults: Any, table: dict[str, Any]) -> Any:
        known = {item.name: item for item in fields(defaults)}
        changes: dict[str, Any] = {}
        for key, value in table.items():
            item = known.get(key)
            if item is None and key.endswith("_file") and (item := known.get(key.removesuffix("_file"))):
                value = self._content(f"{self.file}: {name}.{key}", value)
                if value is None:
                    continue
            if item is None:
                self._unknown(key, f"{name}.{key}", "setting", known)
            elif item.name in changes:
                self.problems.append(f"{self.file}: {name}.{item.name} is given twice, directly and as a file")
            else:
                self._read(changes, item, value, f"{self.file}: {name}.{key}")
        for item in known.values():
            for variable in item.metadata["env"]:
                if self.environ.get(variable):
                    self._read(changes, item, self.environ[variable], f"environment: {variable}")
        if name == "http":
            self._bind(changes, defaults)
        chosen = replace(defaults, **changes)
        return self._absolute(chosen)

    def _read(self, changes: dict[str, Any], item: "Field[Any]", value: Any, place: str) -> None:
        try:
            changes[item.name] = item.metadata["read"](value)
        except ValueError as allowed:
            shown = "the value (not shown)" if item.metadata["secret"] else repr(value)[:120]
            self.problems.append(f"{place}: {shown} is not allowed; use {allowed}")

    def _content(self, place: str, value: Any) -> str | None:
        try:
            return (self.folder / Path(value)).read_text(encoding="utf-8").strip()
        except (OSError, TypeError, UnicodeDecodeError, ValueError):
            self.problems.append(f"{place}: {value!r} cannot be read; name a text file that holds the value")
            return None

    def _bind(self, changes: dict[str, Any], defaults: Any) -> None:
        """The predecessor's BINDIP and BINDPORT, which together are http.listen."""
        listen = changes.get("listen", defaults.listen)
        host, port = self.environ.get("BINDIP") or listen.host, self.environ.get("BINDPORT") or str(listen.port)
        if port.isdecimal() and 0 < int(port) <= 65535:
            changes["listen"] = Endpoint(host, int(port))
        else:
            self.problems.append(f"environment: BINDPORT: {port!r} is not allowed; use a port from 1 to 65535")

    def _absolute(self, section: Any) -> Any:
        paths = {item.name: self.folder / value for item in fields(section)
                 if isinstance(value := getattr(section, item.name), Path)}
        return replace(section, **paths)

    def _unknown(self, name: str, place: str, kind: str, known: Mapping[str, Any]) -> None:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
        self.problems.append(f"{self.file}: {place}: no such {kind}{advice}")


def _contradictions(settings: Settings) -> list[str]:
    """What no single setting shows."""
    http, problems = settings.http, []
    if (http.tls_certificate is None) != (http.tls_key is None):
        problems.append("http.tls_certificate and http.tls_key go together: give both or neither")
    for name, file in (("http.tls_certificate", http.tls_certificate), ("http.tls_key", http.tls_key),
                       ("secrets.key_file", settings.secrets.key_file)):
        if file is not None and not os.access(file, os.R_OK):
            problems.append(f"{name}: {str(file)!r} cannot be read; name a file that authd may read")
    if http.shutdown_grace > 20:
        problems.append(f"http.shutdown_grace: {http.shutdown_grace} is not allowed; use 20 seconds at most")
    inputs = [mapping.listen for mapping in settings.signer.mappings] if settings.signer.enabled else []
    for endpoint in {endpoint for endpoint in [*inputs, http.listen] if [*inputs, http.listen].count(endpoint) > 1}:
        problems.append(f"{endpoint}: two listeners want this address; give each its own")
    for mapping in settings.signer.mappings if settings.signer.enabled else ():
        if mapping.listen == mapping.target:
            problems.append(f"signer.mappings: {mapping.listen} would deliver to itself; change in or out")
    return problems
