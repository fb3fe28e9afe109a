"""What stands before a forwarded copy, and the report to a list's owner."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

from authd.smtp.forwarded import header, refusal_report
from authd.smtp.grammar import Path
from authd.smtp.replies import Reply
from authd.smtp.routing import LegKey, MailingList, Refused, Target

JOE = Path("joe", "elsewhere.example")
OWNER = Path("o'neil+x", "example.com")
TEAM = MailingList(1, "Das Team", (), None, OWNER, Path("team", "example.com"), True)
LEG = LegKey(Target.REMOTE, JOE, (Path("all", "example.com"), Path("odd name", "example.com")), (TEAM,))


def test_mail_that_is_not_forwarded_bears_nothing() -> None:
    assert header(LegKey(Target.LOCAL, JOE), "id1", has_list_id=False) == b""


def test_the_last_address_stands_on_top() -> None:
    assert header(replace(LEG, mailing_lists=()), "id1", has_list_id=False) == (
        b'Delivered-To: "odd name"@example.com\r\nDelivered-To: all@example.com\r\nAuthd-Forwarded: id1\r\n')


def test_the_fields_of_a_list() -> None:
    added = message_from_bytes(header(LEG, "id1", has_list_id=False), policy=policy.SMTP)
    assert added["Precedence"] == "list"
    assert added["List-Id"] == "<team.example.com>"
    assert added["List-Unsubscribe"] == "<mailto:o%27neil%2Bx@example.com?subject=unsubscribe%20team%40example.com>"


def test_a_list_in_a_list_keeps_the_name_of_the_outer_one_and_is_left_by_itself() -> None:
    outer = replace(TEAM, id=2, address=Path("all", "example.com"), owner=Path("boss", "example.com"))
    silent = replace(TEAM, id=3, address=Path("silent", "example.com"), has_headers=False)
    for lists, name, owner in (((outer, TEAM), "all", "o%27neil%2Bx"), ((outer, silent), "all", "boss"),
                               ((silent, TEAM), "team", "o%27neil%2Bx"),
                               ((silent, outer, silent, TEAM), "all", "o%27neil%2Bx")):
        added = message_from_bytes(header(replace(LEG, mailing_lists=lists), "id1", has_list_id=False), policy=policy.SMTP)
        assert added.get_all("List-Id") == [f"<{name}.example.com>"]
        assert len(added.get_all("List-Unsubscribe", [])) == 1
        assert str(added["List-Unsubscribe"]).startswith(f"<mailto:{owner}@")


def test_a_list_without_owner_or_address() -> None:
    for changed, missing in ((replace(TEAM, owner=None), b"List-Unsubscribe"), (replace(TEAM, address=None), b"List-Id"),
                             (replace(TEAM, has_headers=False), b"Precedence")):
        assert missing not in header(replace(LEG, mailing_lists=(changed,)), "id1", has_list_id=False)


def test_mail_of_another_list_keeps_its_own_fields() -> None:
    assert b"List-Id" not in header(LEG, "id1", has_list_id=True)


def test_a_name_cannot_break_out_of_its_line() -> None:
    odd = replace(TEAM, address=Path("<x>:,y", "example.com"))
    assert b"List-Id: <-x---y.example.com>" in header(replace(LEG, mailing_lists=(odd,)), "id1", has_list_id=False)


def test_the_report_to_the_owner() -> None:
    refused = [Refused(Path("bob", "far.example"), Reply(550, (b"5.1.1 no such user",)), TEAM)]
    report = refusal_report(replace(TEAM, name="Größe"), OWNER, refused, hostname="mx.example.com", message_id="id1",
                            now=datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert all(line.endswith(b"\r\n") for line in report.splitlines(keepends=True)) and report.isascii()
    parsed = message_from_bytes(report, policy=policy.SMTP)
    assert (parsed["To"], parsed["Auto-Submitted"]) == ("o'neil+x@example.com", "auto-generated")
    assert parsed["Subject"] == "Members of Größe are refused"
    assert "  bob@far.example\r\n    550 5.1.1 no such user\r\n" in parsed.get_content()
    assert "the mailing list Größe" in parsed.get_content()
