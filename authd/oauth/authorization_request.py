"""Whether an authorization request is one that can be answered, and where the answer goes.

RFC 6749 section 4.1.1, RFC 7636, RFC 9207, OpenID Connect Core section 3.1.2. oauthlib checks what it knows of; what it lacks
(`plain` is its default challenge method, other response modes, request objects) is checked beside it. Who is signed in and what
they allow does not matter here: that is `authorization`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749 import errors as oauth_errors
from oauthlib.oauth2.rfc6749.endpoints import AuthorizationEndpoint
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant
from oauthlib.openid.connect.core import exceptions as openid_errors

from authd.errors import InvalidInput
from authd.oauth import claims, scopes
from authd.oauth.facts import Client
from authd.oauth.parameters import Parameters
from authd.oauth.redirect_uris import LONGEST, find_redirect_uri

RESPONSE_MODES = ("query", "fragment", "form_post")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # the base64url of a SHA-256 digest
_SECONDS = re.compile(r"[0-9]{1,12}")
_NOT_SUPPORTED = {
    "request": openid_errors.RequestNotSupported, "request_uri": openid_errors.RequestURINotSupported,
    "registration": openid_errors.RegistrationNotSupported,
}
_SHOWN_TO_OAUTHLIB = ("client_id", "redirect_uri", "response_type", "state", "code_challenge", "code_challenge_method")


class Unanswerable(Exception):
    """The client or its redirect URI is not known, so that nobody may be sent anywhere (RFC 6749 section 4.1.2.1)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer for the client, which goes through the browser to one of its registered URIs."""

    uri: str
    mode: str
    parameters: tuple[tuple[str, str], ...]

    @property
    def location(self) -> str:
        """The URI with the answer in its query or fragment. Not for form_post."""
        answer = urlencode(self.parameters)
        if self.mode == "fragment":
            return f"{self.uri}#{answer}"
        return f"{self.uri}{'&' if '?' in self.uri else '?'}{answer}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the answer to a request goes, and what it must carry."""

    uri: str
    uri_given: bool
    mode: Literal["query", "fragment", "form_post"]
    state: str | None
    issuer: str

    def answer(self, *parameters: tuple[str, str]) -> Redirect:
        """An answer with `state` and `iss` (RFC 9207)."""
        state = () if self.state is None else (("state", self.state),)
        return Redirect(self.uri, self.mode, (*parameters, *state, ("iss", self.issuer)))

    def error(self, name: str, description: str = "") -> Redirect:
        details = (("error_description", description),) if description else ()
        return self.answer(("error", name), *details)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a well-formed request asks for."""

    client: Client
    scopes: tuple[str, ...]
    code_challenge: str | None
    nonce: str | None
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str | None
    wishes: claims.Wishes


def find_target(client: Client | None, parameters: Parameters, issuer: str) -> Target:
    """Where the answer goes. Unanswerable where the client or the redirect URI is missing, unknown, or sent twice."""
    if parameters.get("client_id") is None:
        raise Unanswerable("The address lacks the name of the application (client_id).")
    if parameters.repeated & {"client_id", "redirect_uri"}:
        raise Unanswerable("The address names the application or its return address more than once.")
    if client is None or not client.is_active:
        raise Unanswerable("The application (client_id) is not known here.")
    given = parameters.get("redirect_uri")
    if given is None:
        if len(client.redirect_uris) != 1 or "openid" in scopes.split(parameters.get("scope")):
            raise Unanswerable("The address lacks the application's return address (redirect_uri).")
    elif len(given) > LONGEST or find_redirect_uri(client.redirect_uris, given, native=client.is_public) is None:
        raise Unanswerable("The return address (redirect_uri) is not one that the application registered.")
    mode = parameters.get("response_mode")
    return Target(
        uri=given or client.redirect_uris[0], uri_given=given is not None,
        mode="form_post" if mode == "form_post" else "fragment" if mode == "fragment" else "query",
        state=None if "state" in parameters.repeated else parameters.get("state"), issuer=issuer)


def read(client: Client, target: Target, parameters: Parameters) -> Asked:
    """What is asked. Raises oauthlib's OAuth2Error, which is to be answered to the target."""
    grant = AuthorizationCodeGrant(_Validator(client, target), pre_auth=[lambda request: _check(parameters)])
    endpoint = AuthorizationEndpoint("code", None, {"code": grant})
    try:
        endpoint.validate_authorization_request("/o2/authorize/", "GET", parameters.only(_SHOWN_TO_OAUTHLIB))
        wishes = claims.parse_wishes(parameters.get("claims"))
    except InvalidInput as error:
        raise oauth_errors.InvalidRequestError(f"The claims parameter is malformed: {error.text}.") from None
    max_age = parameters.get("max_age")
    return Asked(
        client=client, scopes=scopes.split(parameters.get("scope")), code_challenge=parameters.get("code_challenge"),
        nonce=parameters.get("nonce"), prompt=frozenset((parameters.get("prompt") or "").split()),
        max_age=None if max_age is None else int(max_age), login_hint=parameters.get("login_hint"), wishes=wishes)


def origin(uri: str) -> str:
    """The origin of a redirect URI as a Content-Security-Policy names it; for a native scheme, and for an IPv6 address (which
    a policy cannot name), the scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "[" in parts.netloc:
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"


def _check(parameters: Parameters) -> dict[str, Any]:
    """What oauthlib does not check, or takes in a way that we do not want."""
    if parameters.repeated:
        raise oauth_errors.InvalidRequestError("A parameter was sent more than once.")
    for name, error in _NOT_SUPPORTED.items():
        if parameters.get(name) is not None:
            raise error()
    if parameters.get("response_type") not in (None, "code"):
        raise oauth_errors.UnsupportedResponseTypeError()
    if parameters.get("response_mode") not in (None, *RESPONSE_MODES):
        raise oauth_errors.InvalidRequestError("The response_mode is not supported.")
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if (challenge is not None or method is not None) and method != "S256":
        raise oauth_errors.InvalidRequestError("The code_challenge_method must be S256.")
    if (challenge is None) != (method is None) or (challenge is not None and not _CHALLENGE.fullmatch(challenge)):
        raise oauth_errors.InvalidRequestError("The code_challenge is not a SHA-256 digest in base64url.")
    prompt: Sequence[str] = (parameters.get("prompt") or "").split()
    if "none" in prompt and len(prompt) > 1:
        raise oauth_errors.InvalidRequestError("The prompt none excludes all others.")
    max_age = parameters.get("max_age")
    if max_age is not None and not _SECONDS.fullmatch(max_age):
        raise oauth_errors.InvalidRequestError("The max_age is not a number of seconds.")
    return {}


class _Validator(RequestValidator):  # type: ignore[misc]
    """oauthlib's questions about an authorization request. The client and the redirect URI were found before it asks."""

    def __init__(self, client: Client, target: Target) -> None:
        super().__init__()
        self.client = client
        self.target = target

    def validate_client_id(self, client_id: str, request: Any) -> bool:
        request.client = self.client
        return client_id == self.client.client_id

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any) -> bool:
        return redirect_uri == self.target.uri

    def get_default_redirect_uri(self, client_id: str, request: Any) -> str:
        return self.target.uri

    def validate_response_type(self, client_id: str, response_type: str, client: Client, request: Any) -> bool:
        return response_type == "code" and "authorization_code" in client.grant_types

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return self.client.pkce_required

    def get_default_scopes(self, client_id: str, request: Any) -> list[str]:
        return []

    def validate_scopes(self, client_id: str, asked: list[str], client: Client, request: Any) -> bool:
        """Which scopes are given depends on who signs in, so it is decided in `authorization`."""
        return True
