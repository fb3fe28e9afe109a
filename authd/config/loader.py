"""Reads authd.conf and the environment into `Settings`. Every problem is found in one pass and reported with
where it stands, its value (unless it is secret) and what is allowed.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any

from authd.config.contradictions import contradictions
from authd.config.settings import Settings
from authd.config.values import LARGEST_PORT, Endpoint
from authd.errors import ConfigError

_WITHOUT_USE = {
    "SECRET_KEY": "authd keeps its secrets in the database",
    "ALLOWED_HOSTS": "authd serves the domains that have a JWT key, and http.public_url",
    "USE_X_FORWARDED_HOST": "authd believes the proxies in http.trusted_proxies",
    "AUTHSERVER_ENTITY_LOGO": "authd's pages show the name of the site",
}  # the earlier system's variables

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
    reading.problems.extend(contradictions(settings, reading.place, reading.broken))
    if reading.problems:
        raise ConfigError(reading.problems)
    return settings


def notices(environ: Mapping[str, str]) -> list[str]:
    """What should be told of an environment although nothing is wrong: variables that authd has no use for."""
    used = {name for section in vars(Settings()).values() for item in fields(section) for name in item.metadata["env"]}
    return [f"environment: {name} has no effect: {why}" for name, why in _WITHOUT_USE.items()
            if environ.get(name) and name not in used]


class _Reading:
    """One pass over a file and an environment, collecting problems instead of stopping at the first."""

    def __init__(self, file: Path | None, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.problems: list[str] = []
        self.broken: set[str] = set()
        self._places: dict[str, str] = {}
        self.folder = file.resolve().parent if file else Path.cwd()

    def place(self, name: str) -> str:
        """Where the setting `name` (section.key) was given."""
        return self._places.get(name, f"{self.file or 'default'}: {name}")

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
                self._read(changes, item, value, name, f"{self.file}: {name}.{key}")
        for item in known.values():
            for variable in item.metadata["env"]:
                self._read_variable(changes, item, name, variable)
        for item in known.values():
            if item.metadata["address_env"]:
                self._read_address(changes, item, name, defaults)
        chosen = replace(defaults, **changes)
        return self._absolute(chosen)

    def _read_variable(self, changes: dict[str, Any], item: "Field[Any]", section: str, variable: str) -> None:
        """NAME, or NAME_FILE with the path of a file that holds the value."""
        value, file = self.environ.get(variable), self.environ.get(f"{variable}_FILE")
        if value and file:
            self.problems.append(f"environment: {variable} is given twice, directly and as {variable}_FILE; remove one")
        elif value:
            self._read(changes, item, value, section, f"environment: {variable}")
        elif file and (content := self._content(f"environment: {variable}_FILE", file)) is not None:
            self._read(changes, item, content, section, f"environment: {variable}_FILE")

    def _read(self, changes: dict[str, Any], item: "Field[Any]", value: Any, section: str, place: str) -> None:
        self._places[f"{section}.{item.name}"] = place
        try:
            changes[item.name] = item.metadata["read"](value)
        except ValueError as allowed:
            self.broken.add(f"{section}.{item.name}")
            shown = "the value (not shown)" if item.metadata["secret"] else repr(value)[:120]
            self.problems.append(f"{place}: {shown} is not allowed; use {allowed}")

    def _content(self, place: str, value: Any) -> str | None:
        try:
            return (self.folder / Path(value)).read_text(encoding="utf-8").strip()
        except (OSError, TypeError, UnicodeDecodeError, ValueError):
            self.problems.append(f"{place}: {value!r} cannot be read; name a text file that holds the value")
            return None

    def _read_address(self, changes: dict[str, Any], item: "Field[Any]", section: str, defaults: Any) -> None:
        """Two variables that together are one address; what one of them does not say stays as it is."""
        host_name, port_name = item.metadata["address_env"]
        host, port = self.environ.get(host_name), self.environ.get(port_name)
        if not host and not port:
            return
        before = changes.get(item.name, getattr(defaults, item.name)) or Endpoint("127.0.0.1", 0)
        host, port = host or before.host, port or str(before.port)
        if port.isdecimal() and 0 < int(port) <= LARGEST_PORT:
            self._read(changes, item, str(Endpoint(host, int(port))), section, f"environment: {host_name}")
        else:
            self.problems.append(f"environment: {port_name}: {port!r} is not allowed; use a port from 1 to {LARGEST_PORT}")

    def _absolute(self, section: Any) -> Any:
        paths = {item.name: self.folder / value for item in fields(section)
                 if isinstance(value := getattr(section, item.name), Path)}
        return replace(section, **paths)

    def _unknown(self, name: str, place: str, kind: str, known: Mapping[str, Any]) -> None:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
        self.problems.append(f"{self.file}: {place}: no such {kind}{advice}")

