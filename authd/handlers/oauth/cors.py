"""Which scripts of other origins may read an answer: those of the client it is for, and those that the site trusts."""

from authd.handlers.base import Handler

_REMEMBERED = "600"  # seconds that a browser need not ask again


class ScriptableHandler(Handler):
    """The base of the endpoints that programs call, from a browser too."""

    api = True
    readable_by_all = False

    def allow_origin(self, allowed: tuple[str, ...] = ()) -> None:
        """Lets the asking script read this answer, if its origin is one of `allowed` or of `http.cors_origins`."""
        if self.readable_by_all:
            self.set_header("Access-Control-Allow-Origin", "*")
            return
        self.set_header("Vary", "Origin")
        origin = self.request.headers.get("Origin")
        if origin is not None and (origin in allowed or origin in self.services.config.http.cors_origins):
            self.set_header("Access-Control-Allow-Origin", origin)

    async def options(self) -> None:
        """A preflight request. It does not say for which client it is, so any client's origin will do."""
        origin = self.request.headers.get("Origin", "")
        known = self.readable_by_all or (bool(origin) and await self.services.oauth.allows_origin(origin))
        self.allow_origin((origin,) if known else ())
        self.set_header("Access-Control-Allow-Methods", ", ".join(self.allowed_methods()))
        self.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type")
        self.set_header("Access-Control-Max-Age", _REMEMBERED)
        self.set_status(204)
        self.finish()
