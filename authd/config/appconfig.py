"""The folders of variables that the earlier daemons were started with (envdir): /etc/appconfig/authserver and its two
neighbours. A file's name is a variable, its first line the value. One authd takes the place of all three daemons.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from authd.errors import ConfigError

VARIABLE = "AUTHD_APPCONFIG"
FOLDERS = ("authserver", "dkimsigner", "mailforwarder")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def environment(environ: Mapping[str, str], folder: Path | None = None) -> tuple[Mapping[str, str], list[str]]:
    """`read` for the folder that was named, here or in $AUTHD_APPCONFIG; without one, the environment as it is."""
    named = folder or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    return read(named, environ) if named else (environ, [])


def read(folder: Path, environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment with the variables of the three folders beneath it, and what should be told about differences.

    A variable of the process itself counts before a folder's, authserver's before the other two. The variables may stand
    in a folder or in its subfolder `env`. Raises ConfigError with everything that cannot be read.
    """
    problems: list[str] = []
    found = {name: _variables(folder / name, problems) for name in FOLDERS}
    if not any((folder / name).is_dir() for name in FOLDERS):
        problems.append(f"{folder}: has none of the folders {', '.join(FOLDERS)}; name the folder above them")
    if problems:
        raise ConfigError(problems)
    merged: dict[str, str] = {}
    notices = []
    for owner, variables in found.items():
        for name, value in variables.items():
            if merged.setdefault(name, value) != value:
                winner = next(other for other in FOLDERS if name in found[other])
                notices.append(f"{folder / owner}: {name} differs from {folder / winner}, whose value is used")
    for name in sorted(merged.keys() & environ.keys()):
        if merged[name] != environ[name]:
            notices.append(f"environment: {name} differs from the one in {folder}; the environment's is used")
    return merged | dict(environ), notices


def _variables(folder: Path, problems: list[str]) -> dict[str, str]:
    """An empty file is a variable that is not set, as with envdir; a zero byte stands for a line break."""
    variables = {}
    for place in (folder, folder / "env"):
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            if not _NAME.fullmatch(file.name) or not file.is_file():
                continue
            try:
                first = file.read_text(encoding="utf-8").partition("\n")[0].rstrip(" \t\r").replace("\0", "\n")
            except OSError as error:
                problems.append(f"{file}: cannot be read: {error.strerror}; let authd read it")
            except UnicodeDecodeError:
                problems.append(f"{file}: is not UTF-8; write the value as UTF-8")
            else:
                if first:
                    variables[file.name] = first
    return variables
