"""Files that pages refer to, under names that change with their content, so that browsers may keep them for ever."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from authd.config.settings import BrandingSettings
from authd.handlers.accent import accent_rules

STYLE_SHEET = "style.css"
_PREFIX = "/static/"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One file as it is served."""

    content_type: str
    content: bytes


class Assets:
    """All files by the name in their URL; `url` finds the URL of a file by its plain name."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._urls: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        for name, content in contents.items():
            stem, _, suffix = name.rpartition(".")
            hashed = f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
            self._urls[name] = _PREFIX + hashed
            self._assets[hashed] = Asset(_TYPES[suffix], content)

    @classmethod
    def load(cls, branding: BrandingSettings) -> "Assets":
        """The packaged files. The style sheet is generated: the site's accent colour goes behind the written rules,
        so that one request brings all styles.
        """
        contents = {entry.name: entry.read_bytes() for entry in files("authd").joinpath("static").iterdir()
                    if entry.name.rpartition(".")[2] in _TYPES}
        contents[STYLE_SHEET] += accent_rules(branding.accent).encode()
        return cls(contents)

    def url(self, name: str) -> str:
        """The path of a file's URL. KeyError for a file that is not there."""
        return self._urls[name]

    def find(self, hashed_name: str) -> Asset | None:
        """The file behind the last part of a URL."""
        return self._assets.get(hashed_name)
