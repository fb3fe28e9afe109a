"""Statements that PostgreSQL plans once for each connection instead of at every call.

For the frequent ones that join many tables: planning those takes longer than running them (1.2 ms against 0.2 ms). What they
are is in `queries/`; who runs them is `connection.py`.
"""

import re

_TOKEN = re.compile(r"%%|%\((\w+)\)s")


class Prepared(str):
    """A statement with `%(name)s` parameters, as any other. `preparation` makes it known to a connection under `name`,
    `call` runs it there with the same parameters. In a transaction's first place it runs as it stands.
    """

    __slots__ = ("call", "name", "preparation")

    name: str
    preparation: str
    call: str

    def __new__(cls, statement: str, name: str) -> "Prepared":
        made = super().__new__(cls, statement)
        order: dict[str, int] = {}

        def positional(match: re.Match[str]) -> str:
            return "%" if match[1] is None else f"${order.setdefault(match[1], len(order) + 1)}"

        made.name = name
        made.preparation = f"PREPARE {name} AS {_TOKEN.sub(positional, statement)}"
        made.call = f"EXECUTE {name}" + (f" ({', '.join(f'%({parameter})s' for parameter in order)})" if order else "")
        return made
