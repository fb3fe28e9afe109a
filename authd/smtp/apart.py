"""Recipients whom a client that speaks SMTP shall bring in a transaction of their own. Pure.

SMTP has one answer to the end of data. Where one recipient was refused for good and another was not, no answer fits both: the
message is deferred, and at its next try such a recipient is not taken beside others (RFC 5321 section 4.5.3.1.10). Alone it
gets its own downstream's answer. See docs/decisions/0009-one-answer-for-several-recipients.md.
"""

MOST = 10_000


class Apart:
    """Pairs of sender and recipient, in any case; the oldest go first where they become too many.

    Nothing is lost with them: the message is deferred once more, and they are known again.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._pairs: dict[tuple[str, str], None] = {}

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return bool(self._pairs) and _key(*pair) in self._pairs

    def add(self, sender: str, recipient: str) -> None:
        """The recipient comes alone from now on, where it is mail from that sender."""
        key = _key(sender, recipient)
        self._pairs.pop(key, None)
        self._pairs[key] = None
        while len(self._pairs) > self._most:
            del self._pairs[next(iter(self._pairs))]

    def discard(self, sender: str, recipient: str) -> None:
        """The recipient has had an answer of its own."""
        self._pairs.pop(_key(sender, recipient), None)


def _key(sender: str, recipient: str) -> tuple[str, str]:
    return sender.lower(), recipient.lower()
