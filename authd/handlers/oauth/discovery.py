"""What anybody may know: the metadata of the issuer, its public keys, and WebFinger."""

import functools
import json

from authd.handlers.oauth.cors import ScriptableHandler
from authd.oauth import metadata

_PUBLIC = "public, max-age=300"


@functools.cache
def _document(issuer: str) -> bytes:
    return json.dumps(metadata.discovery(issuer), indent=1).encode()


class DiscoveryHandler(ScriptableHandler):
    """The same document at the three places where clients look for it."""

    readable_by_all = True

    async def get(self) -> None:
        self.allow_origin()
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", _PUBLIC)
        self.finish(_document(self.services.oauth.issuer.name))


class JwksHandler(ScriptableHandler):
    """Every published signing key, rendered once for as long as none changes."""

    readable_by_all = True

    async def get(self) -> None:
        published = await self.services.keys.published()
        self.allow_origin()
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", _PUBLIC)
        self.set_header("ETag", published.etag)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
        else:
            self.finish(published.body)


class WebfingerHandler(ScriptableHandler):
    """RFC 7033: where the accounts of our domains sign in."""

    readable_by_all = True

    async def get(self) -> None:
        resource = self.get_query_argument("resource", None, strip=False)
        answer = await self.services.oauth.webfinger(resource, self.get_query_arguments("rel"))
        self.allow_origin()
        self.set_header("Content-Type", "application/jrd+json")
        self.finish(json.dumps(answer))
