"""What a forwarded copy bears in front, and what the owner of a list reads of members that are refused. Pure: bytes out.

The Received field is message.py's; which copies are forwarded, routing.py's.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote

from authd.smtp.grammar import Path
from authd.smtp.routing import LegKey, MailingList, Refused

_NOT_IN_LIST_ID = re.compile(r"[^A-Za-z0-9.+=_-]")


def header(leg: LegKey, message_id: str, *, has_list_id: bool) -> bytes:
    """The fields that go before the message on this leg; none for mail that is not forwarded.

    `message_id` names this passage in Authd-Forwarded, which keeps the signer from signing the copy. A message that
    `has_list_id` comes from a list already and gets no list's fields of ours (RFC 2919 section 6).
    """
    lines = [f"Delivered-To: {address}" for address in reversed(leg.forwarded_for)]
    if lines:
        lines.append(f"Authd-Forwarded: {message_id}")
    if leg.mailing_list is not None and leg.mailing_list.has_headers and not has_list_id:
        lines += _list_fields(leg.mailing_list)
    return "".join(f"{line}\r\n" for line in lines).encode("ascii", "replace")


def _list_fields(mailing_list: MailingList) -> list[str]:
    """RFC 2919, RFC 2369. No one-click (RFC 8058): docs/decisions/0012-no-one-click.md."""
    fields = ["Precedence: list"]
    if mailing_list.address is not None:
        label = _NOT_IN_LIST_ID.sub("-", mailing_list.address.local_part)
        fields.append(f"List-Id: <{label}.{mailing_list.address.domain}>")
        if mailing_list.owner is not None:
            subject = quote(f"unsubscribe {mailing_list.address}")
            fields.append(f"List-Unsubscribe: <mailto:{quote(str(mailing_list.owner), safe='@')}?subject={subject}>")
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
