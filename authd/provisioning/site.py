"""Reads a site file: TOML whose `[[noun]]` tables declare objects with the options of authctl, `-` written as `_`. Pure.

What a table does not name stays as it is; a list that it names is the whole list, and so are the tables within a table:
`[[dockerauth.allow]]` below a `[[dockerauth]]` are all rights in that registry.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from inspect import signature
from typing import Any, get_type_hints

from authd.errors import InvalidInput
from authd.provisioning.accounts import Account, account_options
from authd.provisioning.aliases import alias_options
from authd.provisioning.clients import client_options
from authd.provisioning.domains import domain_options
from authd.provisioning.groups import group_options, permission_options
from authd.provisioning.mailing_lists import mailing_list_options
from authd.provisioning.plan import Change, Mode
from authd.provisioning.registries import registry_options, right_options
from authd.provisioning.service_users import service_user_options
from authd.provisioning.state import UNSET, State

ReadFile = Callable[[str], str]


@dataclass(frozen=True)
class Noun:
    """How the tables of a noun are read. `synonyms` are other names of options, those of positional arguments above all;
    `left_out` are options that belong to edits; `tables` are those options that are lists of tables.
    """

    options: Callable[..., Any]
    synonyms: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    tables: "Mapping[str, Noun]" = field(default_factory=dict)

    def types(self) -> dict[str, type]:
        """The options and what they hold: str, bool, or list (of str, or of tables)."""
        hints = get_type_hints(self.options)
        return {name: _type(hints[name]) for name in signature(self.options).parameters if name not in self.left_out}


# In the order in which they can be made: what others refer to comes first.
NOUNS: Mapping[str, Noun] = {
    "domain": Noun(domain_options, {"domain": "name"}, frozenset({"remove_key", "overwrite"})),
    "permissions": Noun(permission_options, {"perm": "permission", "title": "name"}),
    "group": Noun(group_options, {"group": "name"}),
    "user": Noun(account_options, {"staff": "admin", "full_name": "fullname"}),
    "mailinglist": Noun(mailing_list_options, {"list": "name", "address": "addresses"}, frozenset({"add", "remove"})),
    "alias": Noun(alias_options, {"blacklisted": "blocked"}),
    "serviceuser": Noun(service_user_options),
    "oauth2": Noun(client_options),
    "dockerauth": Noun(registry_options, {"service": "client_id"}, tables={"allow": Noun(right_options)}),
}
NOUN_SYNONYMS = {"emailalias": "alias", "permission": "permissions"}
SECRETS = ("password", "client_secret")


def parse_site(text: str, read_file: ReadFile) -> list[Change]:
    """The changes that bring about what a site file declares, in an order in which they can be made. InvalidInput says
    which table is wrong. `read_file` gives the content of the file that `password_file` or `client_secret_file` names.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("", f"not TOML: {error}") from None
    declared: dict[str, list[State]] = {name: [] for name in NOUNS}
    for heading, tables in document.items():
        noun = NOUN_SYNONYMS.get(heading, heading)
        if noun not in NOUNS:
            raise InvalidInput(heading, f"no such noun; there are {', '.join(NOUNS)}")
        declared[noun] += _objects(heading, NOUNS[noun], tables, read_file)
    return ordered([state for states in declared.values() for state in states])


def ordered(states: list[State]) -> list[Change]:
    """Ensures the states, and gives accounts their delivery mailboxes once the aliases are there."""
    mailboxes = [state for state in states if isinstance(state, Account) and state.primary_address is not UNSET]
    return [Change(replace(state, primary_address=UNSET) if isinstance(state, Account) else state, Mode.ENSURE)
            for state in states] + [
        Change(Account(identifier=state.identifier, primary_address=state.primary_address), Mode.ENSURE)
        for state in mailboxes]


def _objects(heading: str, noun: Noun, tables: Any, read_file: ReadFile) -> list[Any]:
    """What the tables below a heading declare."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidInput(heading, f"write [[{heading}]] above each")
    found = []
    for number, table in enumerate(tables, 1):
        try:
            found.append(_object(heading, noun, table, read_file))
        except InvalidInput as error:
            raise InvalidInput(f"{heading} {number}", str(error)) from None
    return found


def _object(heading: str, noun: Noun, table: dict[str, Any], read_file: ReadFile) -> Any:
    types = noun.types()
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = noun.synonyms.get(key, key)
        if name not in types and name.removesuffix("s") in types and types[name.removesuffix("s")] is list:
            name = name.removesuffix("s")
        if name.removesuffix("_file") in SECRETS and name not in types and name.removesuffix("_file") in types:
            name, value = name.removesuffix("_file"), _content(key, value, read_file)
        if name not in types:
            near = get_close_matches(key, types, 1)
            raise InvalidInput(key, f"no such option; did you mean {near[0]}?" if near else
                               f"no such option; there are {', '.join(types)}")
        if name in values:
            raise InvalidInput(key, "is given twice")
        values[name] = (_objects(f"{heading}.{key}", noun.tables[name], value, read_file) if name in noun.tables
                        else _checked(key, value, types[name]))
    try:
        made = noun.options(**values)
    except TypeError:
        missing = [name for name, parameter in signature(noun.options).parameters.items()
                   if parameter.default is parameter.empty and name not in values]
        raise InvalidInput(missing[0] if missing else "", "is missing") from None
    if isinstance(made, State) and not made.is_named:
        raise InvalidInput(made.name_field, "is missing")
    return made


def _type(hint: Any) -> type:
    members = getattr(hint, "__args__", ())
    return bool if hint is bool or bool in members else str if hint is str or (str in members and not _is_list(hint)) else list


def _is_list(hint: Any) -> bool:
    return getattr(hint, "__origin__", None) is not None and hint.__origin__.__name__ == "Iterable"


def _checked(key: str, value: Any, wanted: type) -> Any:
    if wanted is list:
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(member, str) for member in values):
            return values
        raise InvalidInput(key, "is a list of texts")
    if not isinstance(value, wanted):
        raise InvalidInput(key, "is true or false" if wanted is bool else "is a text")
    return value


def _content(key: str, value: Any, read_file: ReadFile) -> str:
    if not isinstance(value, str):
        raise InvalidInput(key, "names a file")
    return read_file(value).removesuffix("\n")
