"""What the mail side asks the database on its own account."""

from authd.sql.database import Database
from authd.sql.queries import load

_QUERIES = load("smtp")


class ListSenders:
    """Which addresses are senders of mailing lists (`new_mailfrom`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_list_sender(self, address: str) -> bool:
        """Whether it is the new_mailfrom of a list, without regard to case."""
        return await self._database.fetch_one(_QUERIES["list_sender"], {"address": address}) is not None
