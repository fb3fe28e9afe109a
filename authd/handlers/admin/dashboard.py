"""The first page of administration: how the parts of the daemon are."""

from authd.errors import Denied
from authd.handlers.base import Handler, signed_in


class DashboardHandler(Handler):
    """The state of every component, with what only administrators may read of it."""

    @signed_in
    async def get(self) -> None:
        if self.current_session is None or not self.current_session.account.is_admin:
            raise Denied("not an administrator")
        self.render_page("admin/dashboard.html", components=await self.services.readiness())
