"""Writes authd.conf.example from the settings themselves: `python -m authd.config.example > authd.conf.example`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from authd.config.settings import Settings
from authd.config.values import Downstream, Endpoint, Mapping, Network

_HEAD = """\
# Every setting of authd with its default. Lines that are commented out say what holds without them.
# Any setting may be given as NAME_file, the path of a file that holds its value (systemd credentials,
# Docker secrets). Relative paths begin at the folder of this file. `authd check-config` tells what is wrong.
"""


def example() -> str:
    """The text of authd.conf.example."""
    parts = [_HEAD]
    for section in fields(Settings):
        defaults: Any = section.default
        parts.append(f"\n# {(type(defaults).__doc__ or '').strip()}\n[{section.name}]\n")
        for item in fields(defaults):
            variables = (*item.metadata["env"], *item.metadata["address_env"])
            names = f" (environment: {', '.join(variables)})" if variables else ""
            parts.append(f"# {item.metadata['help']}{names}\n#{item.name} = {_toml(getattr(defaults, item.name))}\n")
    return "".join(parts)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return (f'{{ in = "{value.listen}", out = "{value.target}", originated = {_toml(value.originated)}, '
                f'tls = "{value.tls}" }}')
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (str, Path, Endpoint, Downstream, Network)):
        return f'"{value}"'
    return '""'


if __name__ == "__main__":
    print(example(), end="")
