"""Style sheet and images, which never change under their URL, and the word to robots."""

from tornado.web import HTTPError

from authd.handlers.base import Handler


class StaticHandler(Handler):
    """One file of `assets`."""

    api = True

    async def get(self, name: str) -> None:
        asset = self.services.assets.find(name)
        if asset is None:
            raise HTTPError(404)
        self.set_header("Content-Type", asset.content_type)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.finish(asset.content)


class RobotsHandler(Handler):
    """Nothing here is for search engines."""

    api = True

    async def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("User-agent: *\nDisallow: /\n")
