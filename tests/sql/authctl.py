"""Runs authctl's verbs in this process, against the database of a test."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tools.authctl import main


class Authctl:
    """authctl with the configuration of a test. Nobody is at the terminal."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.config = folder / "authd.conf"
        self.config.write_text(
            f'[database]\nurl = "{database_url}"\n[password]\nscheme = "sha512crypt"\n', encoding="utf-8")

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """The outcome of `authctl ARGUMENTS`; an exception that authctl should have reported fails the test."""
        result = CliRunner().invoke(main, ["-c", str(self.config), *arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def code(self, *arguments: str, stdin: str | None = None) -> int:
        """The exit code alone."""
        return self.run(*arguments, stdin=stdin).exit_code

    def said(self, *arguments: str, stdin: str | None = None) -> str:
        """What a verb that succeeds prints."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """What a verb that succeeds prints with --json."""
        return json.loads(self.said(*arguments, "--json"))

    def twice(self, *arguments: str) -> tuple[str, str]:
        """The outcomes of a verb that is run twice."""
        first, second = (self.json(*arguments) for _ in range(2))
        return _outcome(first), _outcome(second)


def _outcome(printed: Any) -> str:
    found = {item["outcome"] for item in (printed if isinstance(printed, list) else [printed])}
    assert len(found) == 1
    return str(found.pop())
