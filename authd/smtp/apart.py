"""Which recipients a client that speaks SMTP shall bring in different transactions. Pure.

SMTP has one answer to the end of data. Where some recipients were refused for good and others were not, no answer fits all: the
message is deferred, and at its next try the ones are not taken beside the others (RFC 5321 section 4.5.3.1.10). Among
themselves they get their own downstream's answer. See docs/decisions/0009-one-answer-for-several-recipients.md.
"""

import itertools
from collections.abc import Iterable, Mapping

from authd.smtp.replies import Reply

MOST = 10_000
TOGETHER = 0  # the group of all recipients that were never set apart


class Apart:
    """Groups of recipients, for each sender, in any case. The oldest members go first where they become too many.

    Nothing is lost with them: the message is deferred once more, and they are known again.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._groups: dict[tuple[str, str], int] = {}
        self._numbers = itertools.count(TOGETHER + 1)

    def group(self, sender: str, recipient: str) -> int:
        """Recipients of one group may come together."""
        return self._groups.get(_key(sender, recipient), TOGETHER) if self._groups else TOGETHER

    def set_apart(self, sender: str, refused: Mapping[str, Reply]) -> None:
        """Recipients that were refused while others were not: those with the same refusal become a group."""
        numbers = {reply: next(self._numbers) for reply in {*refused.values()}}
        for recipient, reply in refused.items():
            key = _key(sender, recipient)
            self._groups.pop(key, None)
            self._groups[key] = numbers[reply]
        while len(self._groups) > self._most:
            del self._groups[next(iter(self._groups))]

    def discard(self, sender: str, recipients: Iterable[str]) -> None:
        """The recipients have had their answer."""
        for recipient in recipients:
            self._groups.pop(_key(sender, recipient), None)


def _key(sender: str, recipient: str) -> tuple[str, str]:
    return sender.lower(), recipient.lower()
