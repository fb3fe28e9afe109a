"""What a plan does, as data. Each noun's module has the effects of its own; here is what they have in common."""

import re
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Effect:
    """Something that a plan wants done, in the transaction of the plan."""


@dataclass(frozen=True)
class Statement(Effect):
    """A statement of queries/provisioning.sql: InsertDomain is `insert_domain`, its fields are the parameters.

    A field that holds a Secret becomes the hash of it before the statement runs; a tuple becomes an array. `now` may be
    used in every statement. Where `changes_one` is set, a statement that did not change exactly one row is a conflict.
    """

    statement: ClassVar[str]
    changes_one: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.statement = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
