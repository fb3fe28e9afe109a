"""Paths and parameters of RFC 5321 section 4.1.2, RFC 3461."""

import pytest

from authd.smtp import grammar
from authd.smtp.grammar import (
    NULL_SENDER,
    GrammarError,
    MailParameters,
    MalformedParameter,
    MalformedPath,
    Path,
    RecipientParameters,
    UnknownParameter,
)

PATHS = [  # as it arrives, what it means, as it is sent on
    ("<ann@example.com>", Path("ann", "example.com"), "ann@example.com"),
    ("<a.b+c=d{e}@X.example>", Path("a.b+c=d{e}", "X.example"), "a.b+c=d{e}@X.example"),
    ('<"ann"@example.com>', Path("ann", "example.com"), "ann@example.com"),
    ('<"a\\n\\"n\\\\"@example.com>', Path('an"n\\', "example.com"), '"an\\"n\\\\"@example.com'),
    ('<"a n@x>"@example.com>', Path("a n@x>", "example.com"), '"a n@x>"@example.com'),
    ('<""@example.com>', Path("", "example.com"), '""@example.com'),
    ('<"a..b"@example.com>', Path("a..b", "example.com"), '"a..b"@example.com'),
    ("<@a.example,@b.example:ann@example.com>", Path("ann", "example.com"), "ann@example.com"),
    ("<ann@[192.0.2.1]>", Path("ann", "[192.0.2.1]"), "ann@[192.0.2.1]"),
    ("<ann@[IPv6:2001:db8::1]>", Path("ann", "[IPv6:2001:db8::1]"), "ann@[IPv6:2001:db8::1]"),
    ("<ann@localhost>", Path("ann", "localhost"), "ann@localhost"),
    ("<ann@my_host.example>", Path("ann", "my_host.example"), "ann@my_host.example"),
    (f"<{'a' * 255}@example.com>", Path("a" * 255, "example.com"), f"{'a' * 255}@example.com"),
]


@pytest.mark.parametrize(("argument", "path", "sent"), PATHS)
def test_paths(argument: str, path: Path, sent: str) -> None:
    assert grammar.parse_mail("FROM:" + argument) == (path, MailParameters())
    assert grammar.parse_recipient("to: " + argument) == (path, RecipientParameters())
    assert str(path) == sent
    assert grammar.parse_mail(f"FROM:<{path}>")[0] == path
    assert not path.is_null


@pytest.mark.parametrize("argument", [
    "", "ann@example.com", "<ann@example.com", "ann@example.com>", "<ann>", "<ann@>", "<@example.com>", "<ann@@example.com>",
    "<a@b@example.com>", "<ann@example..com>", "<ann@.example.com>", "<ann@example.com.>", "<ann@-example.com>",
    "<ann@example-.com>", "<.ann@example.com>", "<ann.@example.com>", "<a..n@example.com>", "<a n@example.com>",
    '<"ann@example.com>', '<ann"@example.com>', '<"a"b@example.com>', '<"a\\"@example.com>', "<ann@[192.0.2]>",
    "<ann@[192.0.2.256]>", "<ann@[IPv6:x]>", "<ann@[2001:db8::1]>", "<ann@[]>", "<<ann@example.com>>", "<ann@example.com>x",
    "<@a.example ann@example.com>", "<@a.example:>", "<ann@example.com> <b@example.com>", f"<{'a' * 256}@example.com>",
    f"<ann@{'a.' * 128}example>", "<ann@ex%ample.com>", "<ann@example.com>\tSIZE=1",
])
def test_what_is_no_path(argument: str) -> None:
    with pytest.raises(GrammarError):
        grammar.parse_mail("FROM:" + argument)
    with pytest.raises(GrammarError):
        grammar.parse_recipient("TO:" + argument)


def test_the_null_sender_is_a_sender_only_and_postmaster_a_recipient_only() -> None:
    assert grammar.parse_mail("FROM:<>") == (NULL_SENDER, MailParameters())
    assert str(NULL_SENDER) == ""
    assert grammar.parse_recipient("TO:<PostMaster>")[0] == Path("PostMaster", "")
    assert str(Path("PostMaster", "")) == "PostMaster"
    assert not Path("PostMaster", "").is_null
    with pytest.raises(MalformedPath):
        grammar.parse_mail("FROM:<postmaster>")
    with pytest.raises(MalformedPath):
        grammar.parse_recipient("TO:<>")
    with pytest.raises(MalformedPath):
        grammar.parse_recipient("FROM:<ann@example.com>")


@pytest.mark.parametrize(("words", "parameters"), [
    ("SIZE=0", MailParameters(size=0)),
    ("size=12345 body=8bitmime", MailParameters(size=12345, body="8BITMIME")),
    (" BODY=7BIT ", MailParameters(body="7BIT")),
    ("RET=full ENVID=QQ314159+2B", MailParameters(ret="FULL", envid="QQ314159+2B")),
])
def test_parameters_of_mail(words: str, parameters: MailParameters) -> None:
    assert grammar.parse_mail(f"FROM:<> {words}") == (NULL_SENDER, parameters)


@pytest.mark.parametrize(("words", "parameters"), [
    ("NOTIFY=never", RecipientParameters(notify="NEVER")),
    ("NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+3Db@example.com",
     RecipientParameters("SUCCESS,FAILURE,DELAY", "rfc822;a+3Db@example.com")),
])
def test_parameters_of_rcpt(words: str, parameters: RecipientParameters) -> None:
    assert grammar.parse_recipient(f"TO:<b@example.com> {words}") == (Path("b", "example.com"), parameters)


@pytest.mark.parametrize("words", ["SIZE", "SIZE=", "SIZE=-1", "SIZE=1e3", "SIZE=" + "9" * 21, "BODY=8BIT", "BODY", "RET=ALL",
                                   "ENVID=a+zz", "ENVID=" + "a" * 101, "SIZE=1 size=1", "=1", "SI_ZE=1", "SIZE=1=1"])
def test_malformed_parameters_of_mail(words: str) -> None:
    with pytest.raises(MalformedParameter):
        grammar.parse_mail(f"FROM:<> {words}")


@pytest.mark.parametrize("words", ["NOTIFY=NEVER,DELAY", "NOTIFY=", "NOTIFY=X", "ORCPT=b@example.com", "ORCPT=rfc822;",
                                   "ORCPT=rfc822;+2b", "ORCPT=rfc822;" + "a" * 500])
def test_malformed_parameters_of_rcpt(words: str) -> None:
    with pytest.raises(MalformedParameter):
        grammar.parse_recipient(f"TO:<b@example.com> {words}")


@pytest.mark.parametrize("words", ["SMTPUTF8", "AUTH=<>", "NOTIFY=NEVER", "MT-PRIORITY=3"])
def test_unknown_parameters(words: str) -> None:
    with pytest.raises(UnknownParameter):
        grammar.parse_mail(f"FROM:<> {words}")


@pytest.mark.parametrize("argument", [b"a\rb", b"a\nb", b"a\0b", b"a\tb", b"a\x7f", b"\xc3\xa4", b"\x1b[2J"])
def test_text_holds_no_control_characters_and_no_eight_bit_bytes(argument: bytes) -> None:
    with pytest.raises(GrammarError):
        grammar.text(argument)


def test_greetings_and_hosts() -> None:
    assert grammar.parse_greeting("mx.example.com and more") == "mx.example.com"
    assert grammar.parse_greeting("_not_(quite)_valid") == "_not_(quite)_valid"
    for argument in ("", " x", "x" * 256):
        with pytest.raises(GrammarError):
            grammar.parse_greeting(argument)
    assert grammar.is_host("mx.example.com") and grammar.is_host("[192.0.2.1]") and grammar.is_host("[IPv6:::1]")
    assert not grammar.is_host("a(b)") and not grammar.is_host("[x]") and not grammar.is_host("")
    assert grammar.is_domain("example.com") and not grammar.is_domain("[192.0.2.1]") and not grammar.is_domain("a..b")
