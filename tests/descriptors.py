"""Running a program with something to read on descriptor 3, as the checkpassword interface has it."""

from collections.abc import Sequence


def with_descriptor_3(command: Sequence[str], data: bytes | None) -> list[str]:
    """The command, with `data` to read on descriptor 3; closed where it is None."""
    if data is None:
        return ["sh", "-c", 'exec "$@" 3<&-', "sh", *command]
    quoted = "".join(f"\\{byte:03o}" for byte in data)
    return ["sh", "-c", 'text=$1; shift; printf "$text" | { exec 3<&0 0</dev/null; exec "$@"; }', "sh", quoted, *command]
