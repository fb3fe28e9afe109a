"""What all of authctl has in common: exit codes, errors, dry runs, site files, and starting as a program."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.sql.authctl import Authctl
from tests.support import ROOT
from tools.authctl import main


@pytest.fixture
def authctl(database_url: str, tmp_path: Path) -> Authctl:
    return Authctl(database_url, tmp_path)


EXIT_CODES = {
    1: ["user show nobody", "user edit nobody --set-fullname x", "user activate nobody", "domain show x.example",
        "domain pubkey x.example", "alias create a@x.example --user nobody", "alias block a@x.example",
        "oauth2 rotate-secret x",
        "permissions grant user nobody x", "permissions show application x"],
    2: ["user", "user create only-one", "user no-such-verb", "no-such-noun", "domain create -bad-", "user remove alice",
        "permissions create no+permission", "domain remove x.example", "domain create no_domain?"],
    3: ["user create alice Other"],
    0: ["group create g --json", "user create ALICE Alice", "user remove nobody -y"],
}


def test_exit_codes(authctl: Authctl) -> None:
    authctl.said("user", "create", "alice", "Alice")
    for expected, lines in EXIT_CODES.items():
        assert {line: authctl.code(*line.split()) for line in lines} == dict.fromkeys(lines, expected)


def test_an_error_is_told_in_words_and_as_json(authctl: Authctl) -> None:
    result = authctl.run("user", "show", "nobody", "--json")
    assert json.loads(result.stdout) == {"error": "not_found", "message": "there is no user nobody"}
    assert result.stderr == "main user show: there is no user nobody\n"


def test_a_dry_run_changes_nothing(authctl: Authctl) -> None:
    said = authctl.said("user", "create", "alice", "Alice", "--dry-run")
    assert said == "created user alice (dry run, nothing was done)\n"
    planned = authctl.json("oauth2", "create", "App", "--grant-type", "client_credentials", "--dry-run")
    assert (planned["outcome"], planned["dry_run"], "client_secret" in planned) == ("created", True, False)
    assert authctl.json("user", "list") == authctl.json("oauth2", "list") == []
    assert authctl.code("user", "remove", "alice", "--dry-run") == 0


def test_no_database_is_exit_code_4(tmp_path: Path) -> None:
    authctl = Authctl("postgresql://authd@127.0.0.1:9/authd?connect_timeout=2", tmp_path)
    result = authctl.run("user", "list", "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["error"] == "database_unavailable"
    assert "Traceback" not in result.output


def test_a_database_without_schema_says_what_to_do(empty_database_url: str, tmp_path: Path) -> None:
    result = Authctl(empty_database_url, tmp_path).run("user", "list")
    assert result.exit_code == 4
    assert "run: authd migrate" in result.stderr


def test_a_wrong_configuration_is_exit_code_2(tmp_path: Path) -> None:
    authctl = Authctl("postgresql://x", tmp_path)
    authctl.config.write_text("[database]\nurl = 3\nnonsense = 1\n")
    result = authctl.run("user", "list")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr
    authctl.config.unlink()
    assert authctl.code("user", "list") == 2


SITE = """
[[domain]]
name = "d.example"
create_key = ["dkim"]
dkim_algorithm = "Ed25519"
[[user]]
identifier = "alice"
fullname = "Alice"
password = "a password"
delivery_mailbox = "alice@d.example"
groups = ["staff"]
[[alias]]
address = "alice@d.example"
user = "alice"
[[permissions]]
permission = "wiki"
[[group]]
name = "staff"
permissions = ["wiki"]
[[oauth2]]
name = "App"
grant_type = ["client_credentials"]
required_permissions = ["wiki"]
"""


def test_a_site_file_is_checked_and_applied(authctl: Authctl, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(SITE)
    words = ("apply", "-f", str(file))
    assert authctl.code(*words, "--check") == 5
    assert authctl.json("user", "list") == []
    said = authctl.said(*words)
    assert "created user alice\n" in said
    assert "oauth2 App client_secret: " in said
    assert authctl.code(*words, "--check") == 0
    assert authctl.said(*words) == "unchanged: 7 of 7\n"
    authctl.said("user", "edit", "alice", "--set-fullname", "Alicia")
    checked = authctl.run(*words, "--check", "--json")
    assert checked.exit_code == 5
    assert [item["changes"] for item in json.loads(checked.stdout) if item["changes"]] == [
        {"full_name": {"old": "Alicia", "new": "Alice"}}]
    assert {item["outcome"] for item in authctl.json(*words)} == {"changed", "unchanged"}
    assert authctl.said("apply", "-f", "-", stdin=SITE) == "unchanged: 7 of 7\n"


def test_a_site_file_counts_as_a_whole(authctl: Authctl, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    for text, code in ((SITE.replace('user = "alice"', 'user = "nobody"'), 1), (SITE + "[[user]]\nname = 'x'", 2), ("[[", 2)):
        file.write_text(text)
        assert authctl.code("apply", "-f", str(file)) == code
    file.write_bytes(b"\xff")
    assert authctl.code("apply", "-f", str(file)) == 2
    assert authctl.code("apply", "-f", str(tmp_path / "none.toml")) == 2
    assert authctl.json("domain", "list") == []


@pytest.mark.parametrize("program", [[str(ROOT / "tools" / "user.py")], ["-m", "authd_tools.authctl", "user"]])
def test_each_file_runs_by_itself(authctl: Authctl, program: list[str], tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "AUTHD_CONFIG": str(authctl.config)}
    for expected in ("created user alice\n", "unchanged user alice\n"):
        ran = subprocess.run([sys.executable, *program, "create", "alice", "Alice"], env=environment, cwd=tmp_path,
                             capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, expected, "")


def verbs(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every verb below a command, by its full name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        below = command.get_command(context, word)
        assert below is not None
        yield from verbs(below, f"{name} {word}".strip())


def test_every_verb_that_changes_something_has_a_dry_run() -> None:
    """All but hygiene, which does what the daemon does by itself."""
    without = {name for name, verb in verbs(main, "") if not any("--dry-run" in option.opts for option in verb.params)}
    assert {name for name in without if not {"list", "show"} & {*name.split()}} == {
        "domain dns", "hygiene", "spapi check", "srs decode", "srs encode"}


def test_help_names_every_noun_and_imports_none(authctl: Authctl) -> None:
    said = authctl.said("--help")
    for name in ("domain", "user", "alias", "mailinglist", "serviceuser", "group", "permissions", "oauth2", "key", "session"):
        assert f"  {name} " in said
        assert "Commands:" in authctl.said(name, "--help")
