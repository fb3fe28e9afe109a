"""`authctl dockerauth` as a script meets it."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.sql.authctl import Authctl
from tests.support import open_database

SITE = """
[[domain]]
name = "d.example"
create_key = ["jwt"]
jwt_allow_subdomain_signing = true
[[user]]
identifier = "alice"
[[user]]
identifier = "bob"
[[alias]]
address = "alice@d.example"
user = "alice"
[[group]]
name = "staff"
[[dockerauth]]
client_id = "registry.d.example"
name = "Registry"
domain = "d.example"
"""
SERVICE = "registry.d.example"
STORED_TOKEN = """
INSERT INTO docker_refresh_token (token_digest, registry_id, account_uuid, service_user_id, client, created_at, last_used_at)
SELECT sha256('x'), r.id, s.account_uuid, s.id, '', now(), now() FROM docker_registry r, service_user s
"""
CHANGED_AND_UNCHANGED = ("changed", "unchanged")


@pytest.fixture
def authctl(database_url: str, tmp_path: Path) -> Authctl:
    ctl = Authctl(database_url, tmp_path)
    ctl.said("apply", "-f", "-", stdin=SITE)
    return ctl


def rights(authctl: Authctl, service: str = SERVICE) -> list[dict[str, object]]:
    found: list[dict[str, object]] = authctl.json("dockerauth", "registry", "show", "--client-id", service)["rights"]
    return found


def test_a_registry(authctl: Authctl) -> None:
    words = ["--client-id", "r.d.example:5000", "--name", "R", "--domain", "d.example", "--allow-unauthenticated-pull"]
    assert authctl.twice("dockerauth", "registry", "create", *words) == ("created", "unchanged")
    assert authctl.json("dockerauth", "registry", "add", *words)["outcome"] == "unchanged"
    assert authctl.code("dockerauth", "registry", "create", *words, "--allow-unauthenticated-push") == 3
    assert authctl.code("dockerauth", "registry", "create", "--client-id", "x", "--name", "X", "--domain", "no.example") == 1
    assert authctl.code("dockerauth", "registry", "create", "--client-id", "x", "--name", "R", "--domain", "d.example") == 3
    assert authctl.code("dockerauth", "registry", "create", "--client-id", "x", "--name", "X") == 2
    assert authctl.code("domain", "remove", "d.example", "-y") == 3
    assert [item["service"] for item in authctl.json("dockerauth", "registry", "list")] == ["r.d.example:5000", SERVICE]
    edit = ["dockerauth", "registry", "edit", "--client-id", "r.d.example:5000"]
    assert authctl.twice(*edit, "--token-header", "libtrust-kid", "--no-allow-unauthenticated-pull") == CHANGED_AND_UNCHANGED
    assert authctl.code(*edit, "--token-header", "other") == 2
    assert authctl.twice("dockerauth", "registry", "remove", "--name", "R", "-y") == ("removed", "unchanged")
    assert authctl.code("dockerauth", "registry", "show", "--client-id", "r.d.example:5000") == 1
    assert authctl.code("dockerauth", "registry", "show") == 2


def test_several_registries_are_shown(authctl: Authctl) -> None:
    """As the predecessor's options ask for it."""
    authctl.said("dockerauth", "registry", "create", "--client-id", "r.d.example:5000", "--name", "R", "--domain", "d.example")
    show = ("dockerauth", "registry", "show")
    assert authctl.code(*show, "--client-id", "R.D.example:5000") == 1
    assert authctl.json(*show, "--client-id", "R.D.example:5000", "--case-insensitive")["name"] == "R"
    assert authctl.json(*show, "--client-id", ":5000", "--allow-partial")["name"] == "R"
    assert authctl.code(*show, "--client-id", "d.example", "--allow-partial") == 2
    several = ("--client-id", "d.example", "--allow-partial", "--allow-multiple")
    assert [item["service"] for item in authctl.json(*show, *several)] == ["r.d.example:5000", SERVICE]
    assert authctl.said(*show, *several).count("BEGIN CERTIFICATE") == 2
    assert authctl.code(*show, "--client-id", "nothing", "--allow-partial") == 1
    refused = authctl.run(*show, "--name", "R", "--output-private-key")
    assert refused.exit_code == 2
    assert "private keys stay in authd" in refused.output


def test_a_domain_that_lends_its_key(authctl: Authctl) -> None:
    words = ["--client-id", "x", "--name", "X", "--domain", "registry.d.example", "--domain-exact-match"]
    assert authctl.twice("dockerauth", "registry", "create", *words) == ("created", "unchanged")
    assert authctl.json("dockerauth", "registry", "show", "--name", "X")["domain"] == "d.example"


def test_what_show_tells(authctl: Authctl) -> None:
    shown = authctl.json("dockerauth", "registry", "show", "--client-id", SERVICE)
    assert (shown["name"], shown["service"], shown["issuer"]) == ("Registry", SERVICE, "localhost")
    assert shown["realm"] == "http://localhost:8080/docker/token/"
    assert shown["certificate"].startswith("-----BEGIN CERTIFICATE-----\n")
    text = authctl.said("dockerauth", "registry", "show", "--client-id", SERVICE)
    assert "auth:\n  token:\n    realm: http://localhost:8080/docker/token/\n" in text
    assert shown["certificate"] in text


@pytest.mark.parametrize(("words", "expected"), [
    (f"--user alice@d.example --pull {SERVICE}", {"user": "alice", "pattern": None, "actions": ["pull"]}),
    (f"--group staff --pull --push {SERVICE}:team/*", {"group": "staff", "pattern": "team/*", "actions": ["pull", "push"]}),
    (f"--anonymous --pull {SERVICE}:public/app", {"anonymous": True, "pattern": "public/app", "actions": ["pull"]}),
])
def test_rights(authctl: Authctl, words: str, expected: dict[str, object]) -> None:
    assert authctl.twice("dockerauth", "allow", *words.split()) == CHANGED_AND_UNCHANGED
    assert rights(authctl) == [expected]
    assert authctl.twice("dockerauth", "deny", *words.split()) == CHANGED_AND_UNCHANGED
    assert rights(authctl) == []


def test_rights_add_up(authctl: Authctl) -> None:
    for action in ("--pull", "--push", "--delete"):
        authctl.said("dockerauth", "allow", "--user", "bob", action, SERVICE)
    authctl.said("dockerauth", "deny", "--user", "bob", "--push", SERVICE)
    assert rights(authctl) == [{"user": "bob", "pattern": None, "actions": ["delete", "pull"]}]
    assert authctl.twice("dockerauth", "deny", "--user", "bob", SERVICE) == CHANGED_AND_UNCHANGED


def test_anybody_on_the_whole_registry(authctl: Authctl) -> None:
    assert authctl.twice("dockerauth", "allow", "--anonymous", "--pull", SERVICE) == CHANGED_AND_UNCHANGED
    shown = authctl.json("dockerauth", "registry", "show", "--client-id", SERVICE)
    assert (shown["anonymous_pull"], shown["anonymous_push"], shown["rights"]) == (True, False, [])
    assert authctl.twice("dockerauth", "deny", "--anonymous", SERVICE) == CHANGED_AND_UNCHANGED


@pytest.mark.parametrize(("words", "code"), [
    (f"allow --user nobody --pull {SERVICE}", 1), (f"allow --group nobody --pull {SERVICE}", 1),
    ("allow --user bob --pull other.example", 1), (f"allow --user bob {SERVICE}", 2), (f"allow --pull {SERVICE}", 2),
    (f"allow --user bob --group staff --pull {SERVICE}", 2), (f"allow --user bob --pull {SERVICE}:Team/*", 2),
    (f"allow --anonymous --delete {SERVICE}", 2), (f"allow --user bob --pull {SERVICE}:", 2),
])
def test_rights_that_cannot_be(authctl: Authctl, words: str, code: int) -> None:
    assert authctl.code("dockerauth", *words.split()) == code


def test_a_service_with_a_port(authctl: Authctl) -> None:
    for service in (f"{SERVICE}:5000", "host"):
        authctl.said("dockerauth", "registry", "create", "--client-id", service, "--name", service, "--domain", "d.example")
    authctl.said("dockerauth", "allow", "--user", "bob", "--pull", f"{SERVICE}:5000:app")
    authctl.said("dockerauth", "allow", "--user", "bob", "--pull", f"{SERVICE}:app")
    for service in (SERVICE, f"{SERVICE}:5000"):
        assert rights(authctl, service) == [{"user": "bob", "pattern": "app", "actions": ["pull"]}]


def test_a_repository(authctl: Authctl) -> None:
    name = f"{SERVICE}:team/app"
    assert authctl.twice("dockerauth", "repo", "create", name) == ("created", "unchanged")
    authctl.said("dockerauth", "allow", "--user", "bob", "--push", name)
    assert [item["name"] for item in authctl.json("dockerauth", "repo", "list")] == [name]
    assert authctl.json("dockerauth", "repo", "show", name)["rights"] == [
        {"user": "bob", "pattern": "team/app", "actions": ["push"]}]
    assert authctl.json("dockerauth", "registry", "show", "--client-id", SERVICE)["repositories"] == ["team/app"]
    assert authctl.twice("dockerauth", "repo", "remove", name) == ("removed", "unchanged")
    assert rights(authctl) == []
    assert authctl.code("dockerauth", "repo", "create", f"{SERVICE}:Team") == 2
    assert authctl.code("dockerauth", "repo", "create", "other.example:app") == 1


RIGHTS = """
[[dockerauth.allow]]
user = "alice@d.example"
pull = true
push = true
delete = true
[[dockerauth.allow]]
group = "staff"
pattern = "team/*"
pull = true
[[dockerauth.allow]]
group = "staff"
pattern = "team/*"
push = true
[[dockerauth.allow]]
anonymous = true
pattern = "public/*"
pull = true
"""


def test_rights_of_a_site_file(authctl: Authctl) -> None:
    """All tables below a registry are all rights in it; a registry without any keeps what it has."""
    authctl.said("dockerauth", "allow", "--user", "bob", "--pull", f"{SERVICE}:old")
    for options, code in ((["--check"], 5), (["--dry-run"], 0)):
        assert authctl.code("apply", "-f", "-", *options, stdin=SITE + RIGHTS) == code
        assert [item["user"] for item in rights(authctl)] == ["bob"]
    authctl.said("apply", "-f", "-", stdin=SITE + RIGHTS)
    declared = [
        {"anonymous": True, "pattern": "public/*", "actions": ["pull"]},
        {"group": "staff", "pattern": "team/*", "actions": ["pull", "push"]},
        {"user": "alice", "pattern": None, "actions": ["delete", "pull", "push"]}]
    assert rights(authctl) == declared
    for same in (SITE + RIGHTS, SITE):
        assert authctl.code("apply", "-f", "-", "--check", stdin=same) == 0
    assert authctl.code("apply", "-f", "-", "--check", stdin=SITE + RIGHTS.replace("delete = true", "delete = false")) == 5
    authctl.said("apply", "-f", "-", stdin=SITE + "allow = []\n")
    assert rights(authctl) == []


@pytest.mark.parametrize(("table", "code", "message"), [
    ('user = "nobody"\npull = true', 1, "nobody"), ('group = "nobody"\npull = true', 1, "nobody"),
    ("pull = true", 2, "say who"), ('user = "bob"\nanonymous = true\npull = true', 2, "say who"),
    ('user = "bob"', 2, "say what"), ('user = "bob"\npull = true\npattern = "Team"', 2, "pattern"),
    ('user = "bob"\npull = "yes"', 2, "true or false"), ('user = "bob"\npulls = true', 2, "did you mean pull"),
    ("anonymous = true\npull = true", 2, "allow_unauthenticated_pull"),
    ('anonymous = true\npattern = "a"\ndelete = true', 2, "delete"),
])
def test_rights_of_a_site_file_that_cannot_be(authctl: Authctl, table: str, code: int, message: str) -> None:
    done = authctl.run("apply", "-f", "-", stdin=f"{SITE}[[dockerauth.allow]]\n{table}\n")
    assert (done.exit_code, message in done.stderr) == (code, True), done.output
    assert code == 1 or "dockerauth 1: " in done.stderr
    assert authctl.code("apply", "-f", "-", stdin=f"{SITE}allow = true\n") == 2
    assert rights(authctl) == []


async def test_what_ends_what_docker_login_stored(database_url: str, tmp_path: Path) -> None:
    """The database is asked by itself: authctl runs its own event loop."""
    authctl = Authctl(database_url, tmp_path)

    async def said(*words: str) -> str:
        return await asyncio.to_thread(authctl.said, *words)

    await asyncio.to_thread(authctl.said, "apply", "-f", "-", stdin=SITE)
    await said("user", "set-delivery-mailbox", "alice", "alice@d.example", "-y")
    await said("serviceuser", "create", "--user", "alice", "--username", "robot", "--password", "one")
    async with open_database(database_url) as database:
        for words in (["serviceuser", "edit", "robot", "--set-password", "two"], ["user", "deactivate", "alice", "-y"],
                      ["dockerauth", "sign-out", "--user", "alice"]):
            await database.execute(STORED_TOKEN)
            await said(*words)
            assert await database.fetch_all("SELECT id FROM docker_refresh_token") == []
        await database.execute(STORED_TOKEN)
        assert await said("dockerauth", "sign-out", "--user", "alice", "--dry-run") == "1 ended (dry run, nothing was done)\n"
        assert len(await database.fetch_all("SELECT id FROM docker_refresh_token")) == 1
        sign_out = ["dockerauth", "sign-out", "--user", "alice", "--json"]
        assert json.loads(await said(*sign_out)) == {"outcome": "changed", "dry_run": False, "tokens": 1}
        assert json.loads(await said(*sign_out)) == {"outcome": "unchanged", "dry_run": False, "tokens": 0}
    assert await asyncio.to_thread(authctl.code, "dockerauth", "sign-out", "--user", "nobody") == 1


CHANGES = (
    "registry create --client-id x --name X --domain d.example", f"registry edit --client-id {SERVICE} --set-name Y",
    f"registry remove --client-id {SERVICE} -y", f"repo create {SERVICE}:new", f"repo remove {SERVICE}:old -y",
    f"allow --group staff --pull {SERVICE}", f"deny --user bob {SERVICE}:old")


def test_a_dry_run_of_every_verb(authctl: Authctl) -> None:
    authctl.said("dockerauth", "repo", "create", f"{SERVICE}:old")
    authctl.said("dockerauth", "allow", "--user", "bob", "--pull", f"{SERVICE}:old")
    before = authctl.json("dockerauth", "registry", "list"), authctl.json("dockerauth", "repo", "list")
    for verb in CHANGES:
        done = authctl.json("dockerauth", *verb.split(), "--dry-run")
        assert (done["dry_run"], done["outcome"] != "unchanged") == (True, True), verb
    assert (authctl.json("dockerauth", "registry", "list"), authctl.json("dockerauth", "repo", "list")) == before
