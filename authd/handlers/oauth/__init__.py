"""The addresses of OAuth2 and OpenID Connect: read the request, call `authd.oauth.service`, answer."""

from collections.abc import Awaitable, Callable
from typing import Any

from authd.handlers.oauth.applications import ApplicationsHandler
from authd.handlers.oauth.authorize import AuthorizeHandler
from authd.handlers.oauth.discovery import DiscoveryHandler, JwksHandler, WebfingerHandler
from authd.handlers.oauth.endpoints import IntrospectionHandler, RevocationHandler, TokenHandler
from authd.handlers.oauth.userinfo import UserinfoHandler
from authd.handlers.services import RequestingApplication
from authd.oauth.authorization_request import origin
from authd.oauth.service import OAuth

__all__ = ["ROUTES", "requesting_application"]

ROUTES: list[tuple[str, type[Any]]] = [
    (r"/o2/authorize/?", AuthorizeHandler),
    (r"/o2/token/?", TokenHandler),
    (r"/o2/introspect/?", IntrospectionHandler),
    (r"/o2/revoke_token/?", RevocationHandler),
    (r"/o2/userinfo/?", UserinfoHandler),
    (r"/o2/\.well-known/openid-configuration/?", DiscoveryHandler),
    (r"/\.well-known/openid-configuration/o2/?", DiscoveryHandler),
    (r"/\.well-known/oauth-authorization-server/o2/?", DiscoveryHandler),
    (r"/o2/\.well-known/jwks\.json", JwksHandler),
    (r"/\.well-known/webfinger/?", WebfingerHandler),
    (r"/account/applications/?", ApplicationsHandler),
]


def requesting_application(oauth: OAuth) -> Callable[[str], Awaitable[RequestingApplication | None]]:
    """Tells the sign-in page which application waits behind a path."""

    async def behind(path: str) -> RequestingApplication | None:
        waiting = await oauth.waiting(path)
        if waiting is None:
            return None
        client, target = waiting
        return RequestingApplication(client.name, origin(target.uri))

    return behind
