"""What a client asks a registry for: the grammar of scopes, repository names and patterns of them. Pure.

What is granted is decided in `access`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from authd.errors import InvalidInput

PULL, PUSH, DELETE, EVERYTHING = "pull", "push", "delete", "*"
ACTIONS = (PULL, PUSH, DELETE)  # in the order in which they are written
REPOSITORY, REGISTRY, CATALOG = "repository", "registry", "catalog"
MOST_SCOPES = 100
LONGEST_NAME = 255

_KIND = re.compile(r"([a-z0-9]+)(?:\(([a-z0-9]+)\))?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_ANY_NAME = re.compile(rf"[!-~]{{1,{LONGEST_NAME}}}")
_ACTIONS = re.compile(r"(?:[a-z]*|\*)(?:,(?:[a-z]*|\*))*")
_PATTERN = re.compile(r"[a-z0-9._/*-]+")
_HOST_AND_PORT = re.compile(r"^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?:[0-9]{1,5}/")


@dataclass(frozen=True, slots=True)
class Scope:
    """Some actions on one resource. `class_` is the older grammar's `repository(plugin)`, "" where there is none."""

    type: str
    class_: str
    name: str
    actions: frozenset[str]

    @property
    def is_repository(self) -> bool:
        return self.type == REPOSITORY

    @property
    def is_catalog(self) -> bool:
        """Whether it is the list of all repositories."""
        return self.type == REGISTRY and not self.class_ and self.name == CATALOG


def parse(texts: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of a request, each text with any number of them between spaces; what is asked of one resource is united.

    Grammar of distribution's token scope documentation: `type[(class)]:name:action,action`, where the name may contain
    `host:port/`. InvalidInput("scope") for everything else.
    """
    words = [word for text in texts for word in text.split(" ") if word]
    if len(words) > MOST_SCOPES:
        raise InvalidInput("scope", f"more than {MOST_SCOPES} resources")
    found: dict[tuple[str, str, str], frozenset[str]] = {}
    for word in words:
        *resource, actions = _parts(word)
        key = (resource[0], resource[1], resource[2])
        found[key] = found.get(key, frozenset()) | {action for action in actions.split(",") if action}
    return tuple(Scope(*resource, actions) for resource, actions in found.items())


def _parts(word: str) -> tuple[str, str, str, str]:
    kind, first, rest = word.partition(":")
    name, last, actions = rest.rpartition(":")
    matched = _KIND.fullmatch(kind)
    if not first or not last or matched is None or not _ACTIONS.fullmatch(actions):
        raise InvalidInput("scope", "is not type:name:actions")
    valid = _is_resource_name(name) if matched[1] == REPOSITORY else _ANY_NAME.fullmatch(name) is not None
    if not valid:
        raise InvalidInput("scope", "has no valid resource name")
    return matched[1], matched[2] or "", name, actions


def _is_resource_name(name: str) -> bool:
    if is_repository_name(name):
        return True
    host, slash, path = name.partition("/")
    return bool(slash) and len(name) <= LONGEST_NAME and _HOST.fullmatch(host) is not None and is_repository_name(path)


def is_repository_name(name: str) -> bool:
    """Whether a registry can have a repository of that name."""
    return len(name) <= LONGEST_NAME and _PATH.fullmatch(name) is not None


def is_pattern(text: str) -> bool:
    """Whether it is a repository's name or a pattern of names, in which `*` stands for any characters, `/` too. As in what is
    asked for, `host:port/` may stand before it.
    """
    path = _HOST_AND_PORT.sub("", text)
    return len(text) <= LONGEST_NAME and (is_repository_name(path) or ("*" in path and _PATTERN.fullmatch(path) is not None))


def matches(pattern: str, name: str) -> bool:
    """Whether a name is the pattern's."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    if not name.startswith(first):
        return False
    position = len(first)
    for piece in middle:
        position = name.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return len(name) - position >= len(last) and name.endswith(last)


def text(type_: str, class_: str, name: str, actions: Iterable[str]) -> str:
    """A scope as it is written."""
    return f"{type_}{f'({class_})' if class_ else ''}:{name}:{','.join(actions)}"
