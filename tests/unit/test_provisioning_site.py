"""Site files: what may stand in them, and in which order it is brought about."""

from typing import Any

import pytest

from authd.errors import InvalidInput
from authd.provisioning.accounts import Account
from authd.provisioning.domains import Domain, KeyOrder, KeyOrders
from authd.provisioning.plan import Mode
from authd.provisioning.site import NOUNS, parse_site
from authd.provisioning.state import UNSET, Secret

SITE = """
[[alias]]
address = "alice@example.com"
user = "alice"

[[user]]
identifier = "alice"
fullname = "Alice"
groups = ["staff"]
delivery_mailbox = "alice@example.com"
password_file = "alice.password"

[[group]]
group = "staff"
permissions = "wiki"

[[permissions]]
perm = "wiki"
name = "The wiki"

[[mailinglist]]
list = "all"
addresses = ["bob@example.net"]

[[serviceuser]]
username = "printer"
user = "alice"

[[oauth2]]
name = "Wiki"
redirect_uri = ["https://wiki.example.com/cb"]

[[domain]]
domain = "example.com"
create_key = ["jwt", "dkim"]
"""


def _read(name: str) -> str:
    assert name == "alice.password"
    return "from a file\n"


def test_what_others_refer_to_comes_first() -> None:
    changes = parse_site(SITE, _read)
    assert [change.declared.kind for change in changes] == [
        "domain", "permission", "group", "user", "mailinglist", "alias", "serviceuser", "oauth2", "user"]
    assert {change.mode for change in changes} == {Mode.ENSURE}
    domain, account, mailbox = changes[0].declared, changes[3].declared, changes[-1].declared
    assert isinstance(domain, Domain)
    assert isinstance(account, Account)
    assert isinstance(mailbox, Account)
    keys: Any = domain.keys
    assert keys == KeyOrders((KeyOrder("jwt"), KeyOrder("dkim")))
    assert account.password == Secret("from a file")
    assert (account.groups, account.primary_address, account.is_admin) == (frozenset({"staff"}), UNSET, UNSET)
    assert (mailbox.primary_address, mailbox.full_name) == ("alice@example.com", UNSET)


def test_each_noun_says_what_its_options_hold() -> None:
    assert NOUNS["domain"].types() == {
        "name": str, "create_key": list, "dkim_selector": str, "jwt_algorithm": str, "dkim_algorithm": str,
        "jwt_allow_subdomain_signing": bool, "dkim_allow_subdomain_signing": bool, "redirect_all_email_to": str,
        "catch_all": str, "transactional_email": bool, "srs_domain": str}
    for noun in NOUNS.values():
        assert set(noun.synonyms.values()) <= set(noun.types())


@pytest.mark.parametrize(("text", "expected"), [
    ("not toml", "not TOML"),
    ("[[people]]", "no such noun"),
    ("[user]\nidentifier = 'a'", "write [[user]]"),
    ("user = 3", "write [[user]]"),
    ("[[user]]\nidentifier = 'a'\n[[user]]\nidentifer = 'b'", "user 2: identifer: no such option; did you mean identifier?"),
    ("[[user]]\nfullname = 'A'", "identifier: is missing"),
    ("[[group]]", "name: is missing"),
    ("[[serviceuser]]\nuser = 'a'", "username: is missing"),
    ("[[user]]\nidentifier = 3", "is a text"),
    ("[[user]]\nidentifier = 'a'\nadmin = 'yes'", "is true or false"),
    ("[[user]]\nidentifier = 'a'\ngroup = [1]", "is a list of texts"),
    ("[[user]]\nidentifier = 'a'\nstaff = true\nadmin = true", "is given twice"),
    ("[[user]]\nidentifier = 'a'\npassword_file = 1", "names a file"),
    ("[[domain]]\nname = 'a b'", "domain 1: domain: is not a domain name"),
    ("[[domain]]\nname = 'a.example'\noverwrite = true", "overwrite: no such option"),
])
def test_what_is_wrong_is_named(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_site(text, _read)
    assert expected in str(caught.value)
