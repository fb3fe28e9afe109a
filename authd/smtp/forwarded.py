"""What a forwarded copy bears in front, and what the owner of a list reads of members that are refused. Pure: bytes out.

The Received field is message.py's; which copies are forwarded, routing.py's.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from urllib.parse import quote

from authd.smtp.grammar import Path
from authd.smtp.routing import LegKey, MailingList, Refused

_NOT_IN_LIST_ID = re.compile(r"[^A-Za-z0-9.+=_-]")


def header(leg: LegKey, message_id: str, *, has_list_id: bool) -> bytes:
    """The fields that go before the message on this leg; none for mail that is not forwarded.

    `message_id` names this passage in Authd-Forwarded, which keeps the signer from signing the copy. A message that
    `has_list_id` comes from a list already and gets no list's fields of ours.
    """
    lines = [f"Delivered-To: {address}" for address in reversed(leg.forwarded_for)]
    if lines:
        lines.append(f"Authd-Forwarded: {message_id}")
    if not has_list_id:
        lines += _list_fields([each for each in leg.mailing_lists if each.has_headers])
    return "".join(f"{line}\r\n" for line in lines).encode("ascii", "replace")


def _list_fields(lists: Sequence[MailingList]) -> list[str]:
    """Of lists in lists, the outermost first. A message keeps the List-Id of the list that it was sent to (RFC 2919), and
    members leave the list that they are in (RFC 2369 section 4). No one-click (RFC 8058):
    docs/decisions/0012-no-one-click.md.
    """
    if not lists:
        return []
    fields = ["Precedence: list"]
    named, joined = lists[0].address, lists[-1]
    if named is not None:
        fields.append(f"List-Id: <{_NOT_IN_LIST_ID.sub('-', named.local_part)}.{named.domain}>")
    if joined.address is not None and joined.owner is not None:
        subject = quote(f"unsubscribe {joined.address}")
        fields.append(f"List-Unsubscribe: <mailto:{quote(str(joined.owner), safe='@')}?subject={subject}>")
    return fields


def refusal_report(mailing_list: MailingList, owner: Path, refused: Iterable[Refused], *, hostname: str, message_id: str,
                   now: datetime) -> bytes:
    """A message to a list's owner about members that get nothing, since their servers refuse it for good."""
    from email.message import EmailMessage  # seldom needed, and large
    from email.policy import SMTP

    report = EmailMessage(SMTP)
    report["From"] = f"postmaster@{owner.domain}"
    report["To"] = str(owner)
    report["Subject"] = f"Members of {mailing_list.name} are refused"
    report["Date"] = now
    report["Message-ID"] = f"<{message_id}@{hostname}>"
    report["Auto-Submitted"] = "auto-generated"
    lines = [f"These members of the mailing list {mailing_list.name} get none of its messages,",
             "as the servers that would take them refuse it for good:", ""]
    for one in refused:
        lines += [f"  {one.address}", f"    {one.reply}", ""]
    lines.append("You are told of each once a day.")
    report.set_content("\n".join(lines) + "\n", cte="quoted-printable")
    return report.as_bytes()
