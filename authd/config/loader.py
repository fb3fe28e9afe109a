"""Reads authd.conf and the environment into `Settings`. Every problem is found in one pass and reported with
where it stands, its value (unless it is secret) and what is allowed.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
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

_COMMAND_LINE = "command line"
DEFAULT_PLACES = (Path("authd.conf"), Path("/etc/authd/authd.conf"))


def find(environ: Mapping[str, str]) -> Path | None:
    """The configuration file that counts where none is named: $AUTHD_CONFIG, ./authd.conf, /etc/authd/authd.conf."""
    if named := environ.get("AUTHD_CONFIG"):
        return Path(named)
    return next((place for place in DEFAULT_PLACES if place.is_file()), None)


def load(file: Path | None, environ: Mapping[str, str], chosen: Sequence[str] = ()) -> Settings:
    """The settings of a file (None: defaults), with the environment laid over them, and `chosen` over both: what the command
    line says, as SECTION.NAME=VALUE. Raises ConfigError with all problems.
    """
    reading = _Reading(file, environ, chosen)
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
    """One pass over a file, an environment and a command line, collecting problems instead of stopping at the first."""

    def __init__(self, file: Path | None, environ: Mapping[str, str], chosen: Sequence[str]) -> None:
        self.file = file
        self.environ = environ
        self.problems: list[str] = []
        self._chosen = self._tables(chosen)
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
            self._unknown(name, f"{self.file}: [{name}]", "section", sections)
        for name in self._chosen.keys() - sections.keys():
            self._unknown(name, f"{_COMMAND_LINE}: [{name}]", "section", sections)
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
        changes = self._table(name, known, table, str(self.file))
        for item in known.values():
            for variable in item.metadata["env"]:
                self._read_variable(changes, item, name, variable)
        for item in known.values():
            if item.metadata["address_env"]:
                self._read_address(changes, item, name, defaults)
        changes |= self._table(name, known, self._chosen.get(name, {}), _COMMAND_LINE)
        return self._absolute(replace(defaults, **changes))

    def _table(self, section: str, known: "Mapping[str, Field[Any]]", table: Mapping[str, Any], source: str) -> dict[str, Any]:
        """What a section of the file or of the command line says, each setting by its name or as NAME_file."""
        changes: dict[str, Any] = {}
        for key, value in table.items():
            place = f"{source}: {section}.{key}"
            item = known.get(key)
            if item is None and key.endswith("_file") and (item := known.get(key.removesuffix("_file"))):
                value = self._content(place, value)
                if value is None:
                    continue
            elif item is not None and item.metadata["secret"] and source == _COMMAND_LINE:
                self.problems.append(f"{place}: the value (not shown) is not allowed, since everybody on this host can read a "
                                     f"command line; use {section}.{key}_file")
                continue
            if item is None:
                self._unknown(key, place, "setting", known)
            elif item.name in changes:
                self.problems.append(f"{source}: {section}.{item.name} is given twice, directly and as a file")
            else:
                self._read(changes, item, value, section, place)
        return changes

    def _tables(self, chosen: Sequence[str]) -> dict[str, dict[str, str]]:
        """Of several values for a setting the last one counts."""
        tables: dict[str, dict[str, str]] = {}
        for text in chosen:
            name, equals, value = text.partition("=")
            section, dot, key = name.partition(".")
            if section and dot and key and equals:
                tables.setdefault(section, {})[key] = value
            else:
                self.problems.append(f"{_COMMAND_LINE}: {name!r} is not allowed; use SECTION.NAME=VALUE")
        return tables

    def _read_variable(self, changes: dict[str, Any], item: "Field[Any]", section: str, variable: str) -> None:
        place, value = self._variable(variable)
        if value is not None:
            self._read(changes, item, value, section, place)

    def _variable(self, name: str) -> tuple[str, str | None]:
        """Where a variable stands, and its value: NAME, or NAME_FILE with the path of a file that holds it. An empty one is
        not set.
        """
        value, file = self.environ.get(name), self.environ.get(f"{name}_FILE")
        if file and value:
            self.problems.append(f"environment: {name} is given twice, directly and as {name}_FILE; remove one")
            return f"environment: {name}", None
        if file:
            place = f"environment: {name}_FILE"
            return place, self._content(place, file)
        return f"environment: {name}", value or None

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
        (host_place, host), (port_place, port) = self._variable(host_name), self._variable(port_name)
        if not host and not port:
            return
        place = host_place if host else port_place
        before = changes.get(item.name, getattr(defaults, item.name)) or Endpoint("127.0.0.1", 0)
        host, port = host or before.host, port or str(before.port)
        if port.isdecimal() and 0 < int(port) <= LARGEST_PORT:
            self._read(changes, item, str(Endpoint(host, int(port))), section, place)
        else:
            self.problems.append(f"{port_place}: {port!r} is not allowed; use a port from 1 to {LARGEST_PORT}")

    def _absolute(self, section: Any) -> Any:
        paths = {item.name: self.folder / value for item in fields(section)
                 if isinstance(value := getattr(section, item.name), Path)}
        return replace(section, **paths)

    def _unknown(self, name: str, place: str, kind: str, known: Mapping[str, Any]) -> None:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"
        self.problems.append(f"{place}: no such {kind}{advice}")

