"""The page of somebody who is signed in."""

from authd.handlers.base import Handler, signed_in


class HomeHandler(Handler):
    """Who you are here."""

    @signed_in
    async def get(self) -> None:
        self.render_page("home.html")
