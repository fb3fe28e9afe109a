"""What stands between a client's session and the downstreams: the questions that server.py asks, and what errors are to the
client. The answers are in signer.py and forwarder.py.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

from authd.errors import AuthdError
from authd.smtp import replies
from authd.smtp.message import Client
from authd.smtp.relay_session import DownstreamError
from authd.smtp.replies import Reply
from authd.smtp.session import Mail, Recipient
from authd.smtp.spool import Spool

_log = logging.getLogger(__name__)


class Pipeline(Protocol):
    """The transactions of one client, one after another. Whatever it raises is answered 451."""

    @property
    def is_committing(self) -> bool:
        """Whether the downstream may be delivering. Before that a client that leaves ends everything: it will come again."""

    async def mail(self, mail: Mail, client: Client) -> Reply:
        """Begins a transaction."""

    async def recipient(self, recipient: Recipient) -> Reply:
        """Adds a recipient."""

    async def data(self) -> Reply:
        """354, or why the message shall not be sent."""

    async def end_of_data(self, spool: Spool) -> Reply | Sequence[Reply]:
        """The message is complete, and `spool` holds it until `answered` is over. A 250 means that the downstream has it. To
        a client that speaks LMTP one reply for each accepted recipient, or one for all of them.
        """

    def client_left(self) -> None:
        """The client is gone while `is_committing`, and will come again without having heard our answer."""

    async def answered(self, heard: bool) -> None:
        """The reply to the end of data is on its way; not `heard`: the client left before it, and will come again."""

    def give_up(self) -> None:
        """Forgets the transaction, at once and wherever it is."""


def reply_to_error(error: Exception) -> Reply:
    """The one place where errors become replies. The client never reads an error's text."""
    if isinstance(error, DownstreamError):
        _log.warning("downstream: %s", error)
        return error.reply
    if isinstance(error, AuthdError):
        _log.warning("temporarily unavailable: %s", error)
        return replies.UNAVAILABLE
    _log.error("unexpected error", exc_info=error)
    return replies.INTERNAL_ERROR
