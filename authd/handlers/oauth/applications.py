"""`/account/applications/`: which applications have access to somebody's account, and taking it back."""

from authd.handlers.base import Handler, signed_in
from authd.oauth.scopes import TITLES


class ApplicationsHandler(Handler):
    """GET lists them, POST withdraws one."""

    @signed_in
    async def get(self) -> None:
        assert self.current_session is not None
        applications = await self.services.oauth.applications(self.current_session.account.uuid)
        self.render_page("oauth/applications.html", applications=applications, titles=TITLES,
                         withdrawn="withdrawn" in self.query)

    @signed_in
    async def post(self) -> None:
        assert self.current_session is not None
        await self.services.oauth.withdraw(
            self.current_session.account, self.form.get("client_id", ""), self.client_address)
        self.see_other("/account/applications/?withdrawn=yes")
