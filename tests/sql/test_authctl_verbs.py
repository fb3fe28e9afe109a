"""Every verb of authctl as a script meets it: run twice, with its exit codes and what it prints."""

import json
from pathlib import Path

import pytest

from tests.sql.authctl import Authctl

SITE = """
[[domain]]
name = "d.example"
[[user]]
identifier = "alice"
fullname = "Alice"
delivery_mailbox = "alice@d.example"
[[user]]
identifier = "bob"
fullname = "Bob"
admin = true
[[alias]]
address = "alice@d.example"
user = "alice"
[[alias]]
address = "bob@d.example"
user = "bob"
[[permissions]]
permission = "wiki"
name = "Wiki"
[[group]]
name = "staff"
"""


@pytest.fixture
def authctl(database_url: str, tmp_path: Path) -> Authctl:
    """authctl on a database with a domain, a user with a mailbox, an admin, a permission and a group."""
    ctl = Authctl(database_url, tmp_path)
    ctl.said("apply", "-f", "-", stdin=SITE)
    return ctl


CREATED_AND_UNCHANGED = ("created", "unchanged")
CHANGED_AND_UNCHANGED = ("changed", "unchanged")
REMOVED_AND_UNCHANGED = ("removed", "unchanged")


@pytest.mark.parametrize(("words", "outcomes"), [
    ("domain create new.example --create-key jwt --create-key dkim --dkim-selector s1 --jwt-allow-subdomain-signing"
     " --redirect-all-email-to d.example", CREATED_AND_UNCHANGED),
    ("domain create new.example --catch-all bob@d.example --srs-domain srs.example", CREATED_AND_UNCHANGED),
    ("domain edit d.example --create-key dkim --dkim-algorithm Ed25519 --dkim-allow-subdomain-signing", CHANGED_AND_UNCHANGED),
    ("domain edit d.example --catch-all d.example", CHANGED_AND_UNCHANGED),
    ("domain remove none.example -y", ("unchanged", "unchanged")),
    ("user create carol Carol --password secret --admin", CREATED_AND_UNCHANGED),
    ("user create carol Carol --staff", CREATED_AND_UNCHANGED),
    ("user edit alice@d.example --set-fullname Al --set-staff -y", CHANGED_AND_UNCHANGED),
    ("user edit alice --set-password another --set-time-zone Europe/Berlin --set-language de", CHANGED_AND_UNCHANGED),
    ("user deactivate alice -y", CHANGED_AND_UNCHANGED),
    ("user activate alice -y", ("unchanged", "unchanged")),
    ("user set-delivery-mailbox bob bob@d.example -y", CHANGED_AND_UNCHANGED),
    ("user remove alice@d.example -y", REMOVED_AND_UNCHANGED),
    ("alias create Info@D.example --user bob@d.example --blocked", CREATED_AND_UNCHANGED),
    ("emailalias create --mailprefix info -d d.example -u bob --blacklisted", CREATED_AND_UNCHANGED),
    ("emailalias edit --mailprefix info -d d.example --set-user bob --create-if-missing", CREATED_AND_UNCHANGED),
    ("alias edit bob@d.example --set-user alice --blocked", CHANGED_AND_UNCHANGED),
    ("alias block alice@d.example bob@d.example", CHANGED_AND_UNCHANGED),
    ("emailalias blacklist ALICE@d.example", CHANGED_AND_UNCHANGED),
    ("emailalias unblacklist alice@d.example", ("unchanged", "unchanged")),
    ("alias remove bob@d.example", REMOVED_AND_UNCHANGED),
    ("mailinglist create all a@b.example c@d.example --new-mailfrom all@d.example --owner alice", CREATED_AND_UNCHANGED),
    ("serviceuser create --user alice --username printer --password p --description text --permission wiki",
     CREATED_AND_UNCHANGED),
    ("group create admins", CREATED_AND_UNCHANGED),
    ("group remove staff", REMOVED_AND_UNCHANGED),
    ("permissions create mail --name Mail", CREATED_AND_UNCHANGED),
    ("permissions remove wiki", REMOVED_AND_UNCHANGED),
    ("permissions grant user alice@d.example wiki", CHANGED_AND_UNCHANGED),
    ("permissions grant group staff wiki", CHANGED_AND_UNCHANGED),
    ("permissions grant membership alice staff", CHANGED_AND_UNCHANGED),
    ("permissions revoke user alice wiki", ("unchanged", "unchanged")),
    ("permissions revoke group staff --all", ("unchanged", "unchanged")),
    ("permissions revoke membership alice staff", ("unchanged", "unchanged")),
    ("oauth2 create App --redirect-uri https://app.example/cb --client-type confidential --grant-type authorization-code"
     " --grant-type refresh_token --skip-authorization --skip-pkce --domain d.example --client-id app --client-secret s"
     " --post-logout-redirect-uri https://app.example/bye --allowed-origin https://app.example --auth-method client_secret_post"
     " --backchannel-logout-uri https://app.example/out --id-token-alg EdDSA --access-token jwt --always-refresh"
     " --cas-service https://app.example/cas/", CREATED_AND_UNCHANGED),
    ("oauth2 create App --redirect-uri com.example.app:/cb --client-type public", CREATED_AND_UNCHANGED),
    ("oauth2 create App --grant-type client-credentials", CREATED_AND_UNCHANGED),
])
def test_the_second_time_nothing_changes(authctl: Authctl, words: str, outcomes: tuple[str, str]) -> None:
    assert authctl.twice(*words.split()) == outcomes


def test_verbs_of_a_mailing_list(authctl: Authctl) -> None:
    authctl.said("mailinglist", "create", "all", "a@b.example")
    assert authctl.twice("mailinglist", "add-address", "-m", "all", "C@d.example", "e@f.example") == CHANGED_AND_UNCHANGED
    assert authctl.twice("mailinglist", "remove-address", "-m", "all", "c@D.example") == CHANGED_AND_UNCHANGED
    assert authctl.json("mailinglist", "show", "ALL")["members"] == ["a@b.example", "e@f.example"]
    authctl.said("mailinglist", "set-addresses", "-m", "all", "-", stdin="x@y.example\n z@y.example\n")
    assert authctl.json("mailinglist", "show", "all")["members"] == ["x@y.example", "z@y.example"]
    assert authctl.twice("mailinglist", "edit", "all", "--set-new-mailfrom", "all@d.example", "--set-owner",
                         "alice") == CHANGED_AND_UNCHANGED
    authctl.said("mailinglist", "edit", "all", "--set-name", "everybody", "--list-headers")
    authctl.said("alias", "create", "all@d.example", "--mailing-list", "everybody")
    assert [item["name"] for item in authctl.json("mailinglist", "list")] == ["everybody"]
    assert authctl.twice("mailinglist", "remove", "everybody") == REMOVED_AND_UNCHANGED
    assert authctl.code("alias", "show", "all@d.example") == 1
    assert authctl.code("mailinglist", "create", "l", "-", "a@b.example") == 2
    assert authctl.code("mailinglist", "create", "l", "no address") == 2


def test_verbs_of_a_service_user(authctl: Authctl) -> None:
    made = authctl.json("serviceuser", "create", "--user", "alice")
    assert made["outcome"] == "created"
    assert len(made["password"]) >= 22
    name = made["username"]
    assert "password" not in authctl.json("serviceuser", "show", name)
    assert authctl.twice("serviceuser", "edit", name, "--permission", "wiki", "--set-description", "x") == CHANGED_AND_UNCHANGED
    assert authctl.json("serviceuser", "list", "-u", "alice@d.example")[0]["permissions"] == ["wiki"]
    assert authctl.json("serviceuser", "list", "-u", "bob") == []
    assert authctl.json("serviceuser", "edit", name, "--unlimited")["limited"] is False
    assert authctl.json("serviceuser", "edit", name, "--new-password")["password"] != made["password"]
    assert authctl.twice("serviceuser", "remove", name) == REMOVED_AND_UNCHANGED
    assert authctl.code("serviceuser", "create", "--user", "alice", "--username", "a@b") == 2


def test_verbs_of_permissions(authctl: Authctl) -> None:
    authctl.said("permissions", "create", "mail")
    authctl.said("permissions", "grant", "group", "staff", "wiki")
    authctl.said("permissions", "grant", "user", "alice", "mail")
    authctl.said("permissions", "grant", "membership", "alice@d.example", "staff")
    assert authctl.json("permissions", "show", "user", "alice") == {
        "user": "alice", "permissions": ["mail", "wiki"], "direct": ["mail"], "groups": ["staff"]}
    assert authctl.json("permissions", "show", "group", "staff") == {"group": "staff", "permissions": ["wiki"]}
    assert authctl.json("permissions", "show", "membership", "alice") == {"user": "alice", "groups": ["staff"]}
    authctl.said("oauth2", "create", "App", "--client-id", "app", "--grant-type", "client_credentials")
    assert authctl.twice("permissions", "require", "App", "wiki", "mail") == CHANGED_AND_UNCHANGED
    assert authctl.twice("permissions", "drop", "app", "mail") == CHANGED_AND_UNCHANGED
    assert authctl.json("permissions", "show", "application", "app") == {
        "application": "App", "client_id": "app", "permissions": ["wiki"]}
    assert authctl.code("permissions", "remove", "wiki") == 3
    listed = authctl.json("permissions", "list", "--filter-permission", "WIK")
    assert listed == [{"identifier": "wiki", "title": "Wiki", "required_by": ["App"]}]
    authctl.said("permissions", "revoke", "user", "alice", "--all")
    authctl.said("permissions", "revoke", "membership", "alice", "staff")
    assert authctl.json("permissions", "show", "user", "alice")["permissions"] == []
    for words in ("grant user alice nothing", "grant group staff nothing", "grant membership alice staff nowhere"):
        assert authctl.code("permissions", *words.split()) == 1
    for words in ("grant user alice", "grant user", "revoke user alice", "revoke user alice wiki --all", "require app"):
        assert authctl.code("permissions", *words.split()) == 2


def test_verbs_of_a_client(authctl: Authctl) -> None:
    made = authctl.json("oauth2", "create", "App", "--redirect-uri", "https://app.example/cb")
    assert made["outcome"] == "created"
    assert made["client_id"]
    assert made["client_secret"]
    assert made["grant_types"] == ["authorization_code", "refresh_token"]
    again = authctl.json("oauth2", "create", "App", "--redirect-uri", "https://app.example/cb")
    assert (again["outcome"], again["client_id"], "client_secret" in again) == ("unchanged", made["client_id"], False)
    rotated = authctl.json("oauth2", "rotate-secret", made["client_id"], "--overlap", "12h")
    assert rotated["client_secret"] != made["client_secret"]
    assert rotated["secrets"] == 2
    assert authctl.json("oauth2", "rotate-secret", "App", "--overlap", "0", "--client-secret", "chosen")["secrets"] == 1
    edited = authctl.json("oauth2", "edit", "App", "--redirect-uri", "https://app.example/1", "--redirect-uri",
                          "https://app.example/2", "--skip-pkce", "--deactivate")
    assert edited["redirect_uris"] == ["https://app.example/1", "https://app.example/2"]
    assert (edited["pkce_required"], edited["is_active"]) == (False, False)
    assert authctl.json("oauth2", "list", "--search-client-name", "app")[0]["name"] == "App"
    assert authctl.json("oauth2", "list", "--search-client-id", "none") == []
    assert authctl.json("oauth2", "show", made["client_id"])["name"] == "App"
    assert authctl.twice("oauth2", "remove", "App") == REMOVED_AND_UNCHANGED
    published = json.loads(authctl.said("oauth2", "create", "Other", "--grant-type", "client_credentials", "--client-id", "o",
                                        "--publish-to-stdout"))
    assert published.keys() == {"client_id", "client_secret"}


CLIENTS_THAT_CANNOT_BE = [
    "--redirect-uri http://app.example/cb", "--redirect-uri https://u@app.example/", "--redirect-uri javascript:alert(1)",
    "--redirect-uri https://app.example/#x", "--redirect-uri https://app.example/?code=1", "",
    "--redirect-uri https://app.example/cb --grant-type implicit", "--grant-type client_credentials --client-type public",
    "--grant-type client_credentials --client-type secret", "--grant-type client_credentials --allowed-origin *",
    "--grant-type client_credentials --cas-service http://app.example/", "--grant-type client_credentials --auth-method magic",
    "--grant-type client_credentials --auth-method private_key_jwt",
    "--grant-type client_credentials --auth-method none", "--grant-type client_credentials --publish-to-consulkv x",
]


def test_a_client_that_cannot_be_is_a_usage_error(authctl: Authctl) -> None:
    codes = {words: authctl.code("oauth2", "create", "App", *words.split()) for words in CLIENTS_THAT_CANNOT_BE}
    assert codes == dict.fromkeys(CLIENTS_THAT_CANNOT_BE, 2)
    assert authctl.json("oauth2", "list") == []


def test_public_keys_and_their_records(authctl: Authctl, tmp_path: Path) -> None:
    assert authctl.code("domain", "pubkey", "d.example") == 1
    assert authctl.code("domain", "pubkey", "none.example") == 1
    pem = authctl.said("domain", "pubkey", "d.example", "--create-key")
    assert pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert authctl.said("domain", "pubkey", "d.example", "--key", "jwt", "--create-key") == pem
    authctl.said("domain", "pubkey", "d.example", "-o", str(tmp_path / "key.pem"))
    assert (tmp_path / "key.pem").read_text() == pem
    authctl.said("domain", "edit", "d.example", "--create-key", "dkim", "--dkim-selector", "s1")
    record = authctl.said("domain", "pubkey", "d.example", "--format", "dkimdns")
    assert record.startswith('s1._domainkey.d.example. IN TXT ( "v=DKIM1; k=rsa; p=')
    assert authctl.json("domain", "pubkey", "d.example", "--key", "dkim")["selector"] == "s1"
    assert [(item["name"], item["type"]) for item in authctl.json("domain", "dns", "d.example")] == [
        ("s1._domainkey.d.example", "TXT"), ("d.example", "TXT"), ("_dmarc.d.example", "TXT")]
    assert authctl.code("domain", "pubkey", "d.example", "--key", "jwt", "--format", "dkimdns") == 2
    keys = authctl.json("key", "list", "d.example")
    assert [(item["purpose"], item["selector"]) for item in keys] == [("jwt", None), ("dkim", "s1")]
    assert authctl.json("key", "rotate", "d.example", "jwt", "--algorithm", "RSA-2048")["outcome"] == "changed"
    assert authctl.said("domain", "pubkey", "d.example") != pem
    authctl.said("domain", "edit", "d.example", "--remove-key", "jwt")
    assert authctl.code("domain", "pubkey", "d.example") == 1


def test_a_key_is_rotated(authctl: Authctl) -> None:
    assert authctl.code("domain", "rotate-key", "none.example") == authctl.code("domain", "rotate-key", "d.example") == 1
    authctl.said("domain", "edit", "d.example", "--create-key", "dkim", "--dkim-selector", "s1", "--create-key", "jwt")
    rotate = ("domain", "rotate-key", "d.example", "--active-from", "2100-01-02T03:04", "--selector", "s2")
    assert authctl.json(*rotate, "--dry-run")["outcome"] == "changed"
    assert "authctl domain dns d.example" in authctl.said(*rotate, "--algorithm", "RSA-3072")
    assert authctl.twice(*rotate) == authctl.twice("domain", "rotate-key", "d.example") == ("unchanged", "unchanged")
    assert authctl.code(*rotate[:3], "--algorithm", "RSA-2048") == 3
    assert authctl.code(*rotate[:3], "--active-from", "2000-01-01") == 2
    records = [(item["state"], item.get("since")) for item in authctl.json("domain", "dns", "d.example")]
    assert records[:2] == [("active", None), ("next", "2100-01-02T03:04:00+00:00")]
    assert [item["retired_at"] for item in authctl.json("key", "list", "d.example") if item["purpose"] == "dkim"] == [
        "2100-01-02T03:04:00+00:00", None]
    assert authctl.said("domain", "pubkey", "d.example", "--format", "dkimdns").startswith("s1.")
    activate = (*rotate[:3], "--activate")
    assert authctl.twice(*activate) == ("changed", "unchanged")
    assert authctl.said("domain", "pubkey", "d.example", "--format", "dkimdns").startswith("s2.")
    assert [item["state"] for item in authctl.json("domain", "dns", "d.example")] == ["retired", "active", "active", "active"]
    assert "; a retired key: keep it until " in authctl.said("domain", "dns", "d.example")
    assert authctl.code(*rotate[:3], "--selector", "s1") == 3  # verifiers may still know it
    assert authctl.json("domain", "rotate-key", "d.example", "--key", "jwt", "--algorithm", "ES256")["outcome"] == "changed"
    assert authctl.json("domain", "rotate-key", "d.example", "--key", "jwt")["outcome"] == "unchanged"


def test_domains_are_found_by_name_and_by_what_signs_for_them(authctl: Authctl) -> None:
    for words in ("example.org --jwt-allow-subdomain-signing", "sub.example.org", "other.org"):
        authctl.said("domain", "create", *words.split())

    def found(*words: str) -> list[str]:
        return [item["name"] for item in authctl.json("domain", *words)]

    assert found("list") == ["d.example", "example.org", "other.org", "sub.example.org"]
    assert found("search", "EXAMPLE.ORG") == ["example.org", "sub.example.org"]
    assert found("list", "a.sub.example.org", "--include-parent-domain") == ["example.org", "sub.example.org"]
    assert found("list", "a.sub.example.org", "--include-parent-domain", "--require-subdomain-signing") == ["example.org"]
    assert authctl.said("domain", "list", "other", "--format", "list") == "other.org\n"
    assert authctl.code("domain", "remove", "example.org") == 2
    removed = authctl.json("domain", "remove", "example.org", "--remove-multiple", "-y")
    assert [item["name"] for item in removed] == ["example.org", "sub.example.org"]
    assert authctl.said("domain", "edit", "d.example", "--no-redirect").startswith("unchanged")
    assert authctl.code("domain", "edit", "d.example", "--no-redirect", "--catch-all", "other.org") == 2


def test_users_are_listed_and_shown(authctl: Authctl) -> None:
    authctl.said("user", "deactivate", "bob")

    def listed(*words: str) -> list[str]:
        return [item["identifier"] for item in authctl.json("user", "list", *words)]

    assert (listed(), listed("--active"), listed("--inactive")) == (["alice", "bob"], ["alice"], ["bob"])
    assert (listed("-c", "ALICE@"), listed("--admins"), listed("bob@d.example")) == (["alice"], ["bob"], ["bob"])
    shown = authctl.json("user", "show", "alice@d.example")
    assert shown["aliases"] == ["alice@d.example"]
    assert shown["has_password"] is False
    assert authctl.json("user", "show", shown["uuid"]) == shown
    table = authctl.said("user", "list", "-f", "table").splitlines()
    assert table[0].split() == ["identifier", "full", "name", "primary", "address", "is", "admin", "is", "active"]
    assert authctl.code("user", "list", "nobody") == 1


def test_aliases_are_listed_and_renamed(authctl: Authctl) -> None:
    authctl.said("mailinglist", "create", "all")
    authctl.said("alias", "create", "all@d.example", "-m", "all", "--blocked")

    def listed(*words: str) -> list[str]:
        return [item["address"] for item in authctl.json("alias", "list", *words)]

    assert listed() == ["alice@d.example", "all@d.example", "bob@d.example"]
    assert (listed("--blocked"), listed("--not-blacklisted", "-u", "alice"), listed("-m", "all")) == (
        ["all@d.example"], ["alice@d.example"], ["all@d.example"])
    assert (listed("--mailprefix", "BOB"), listed("-d", "none.example"), listed("-c", "al")) == (
        ["bob@d.example"], [], ["alice@d.example", "all@d.example"])
    authctl.said("alias", "edit", "bob@d.example", "--set-mailprefix", "robert")
    assert authctl.json("alias", "show", "--mailprefix", "Robert", "-d", "d.example")["user"] == "bob"
    for words in ("show", "show bob", "create x@d.example", "create x@d.example -u bob -m all", "create x@y@z -u bob"):
        assert authctl.code("alias", *words.split()) == 2
    assert authctl.code("alias", "remove", "alice@d.example") == 3
    assert authctl.code("alias", "block", "alice@d.example", "none@d.example") == 1
    assert authctl.json("alias", "show", "alice@d.example")["blocked"] is False


def test_passwords_come_from_an_option_or_from_standard_input(authctl: Authctl) -> None:
    words = ("user", "create", "carol", "Carol")
    assert authctl.said(*words, "--password-stdin", stdin="from stdin\nignored").startswith("created")
    assert authctl.said(*words, "--password", "from stdin").startswith("unchanged")
    assert authctl.code(*words, "--password", "another") == 3
    assert authctl.code(*words, "--password", "a", "--password-stdin", stdin="a") == 2
    assert authctl.code("user", "edit", "carol", "--set-password", "") == 2
    assert authctl.code("user", "edit", "carol", "--set-password", "x" * 1025) == 2


def test_sessions_are_ended_and_what_expired_is_removed(authctl: Authctl) -> None:
    assert authctl.json("session", "list", "alice") == []
    assert authctl.json("session", "end", "alice@d.example") == {
        "outcome": "unchanged", "dry_run": False, "user": "alice@d.example", "ended": 0}
    assert authctl.said("session", "end", "alice", "--dry-run") == "unchanged (dry run, nothing was done)\n"
    assert authctl.code("session", "list", "nobody") == 1
    assert authctl.json("hygiene") == {"removed": 0}


def test_the_earlier_options_say_which_account_and_alias(authctl: Authctl) -> None:
    authctl.said("domain", "create", "earlier.example")
    for name in ("earlier-one", "earlier-two"):
        authctl.said("user", "create", name, "Earlier")
        authctl.said("alias", "create", f"{name}@earlier.example", "--user", name)
    authctl.said("alias", "block", "--mailprefix", "earlier-one", "-d", "earlier.example")
    assert authctl.json("alias", "show", "earlier-one@earlier.example")["blocked"] is True
    assert authctl.code("alias", "block") == 2
    assert authctl.json("user", "show", "earlier-one")["identifier"] == "earlier-one"
    assert {item["identifier"] for item in authctl.json("user", "show", "-c", "earlier-")} == {"earlier-one", "earlier-two"}
    assert authctl.code("user", "show") == 2


def test_a_leak_ends_a_key_that_still_waits_too(authctl: Authctl) -> None:
    """Such a key signs at no time, so that it cannot be activated later and end before those that sign."""
    authctl.said("domain", "create", "leak.example", "--create-key", "dkim", "--dkim-selector", "s1")
    authctl.said("domain", "rotate-key", "leak.example", "--active-from", "30d", "--selector", "s2")
    authctl.said("key", "rotate", "leak.example", "dkim", "--selector", "s3")
    listed = [item["selector"] for item in authctl.json("key", "list", "leak.example") if item["purpose"] == "dkim"]
    assert listed == ["s3"]
    assert "next" not in [item["state"] for item in authctl.json("domain", "dns", "leak.example")]
    assert authctl.json("domain", "rotate-key", "leak.example", "--activate")["outcome"] == "unchanged"
