"""Finds the SQL of a subject: `queries/SUBJECT.sql`, cut into named statements. Knows nothing of what they mean."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent / "queries"
_HEADING = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


@cache
def load(subject: str) -> Mapping[str, str]:
    """The statements of `queries/SUBJECT.sql` by name. A statement follows its heading `-- name: some_name`;
    parameters are `%(name)s`, a literal per cent sign is `%%`.
    """
    pieces = _HEADING.split((FOLDER / f"{subject}.sql").read_text(encoding="utf-8"))
    names, statements = pieces[1::2], pieces[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{subject}.sql names a statement twice")
    return MappingProxyType({name: statement.strip().rstrip(";") for name, statement in zip(names, statements, strict=True)})
