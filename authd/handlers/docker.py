"""`/docker/token/` and `/v2/`: what registries and their clients ask (docker.md). Who may do what `authd.docker` decides.

Source: distribution, token authentication specification (token, oauth).
"""

from collections.abc import Mapping, Sequence

from authd.docker import scope
from authd.docker.tokens import LONGEST_CLIENT, Credentials, SignInRequired, TokenRequest, UnknownService
from authd.errors import InvalidInput
from authd.handlers import basic, forms
from authd.handlers.base import Handler, Problem
from authd.handlers.errors import problem_of

BASIC_CHALLENGE = 'Basic realm="authd", charset="UTF-8"'

# What registries call an error (distribution, errcode).
_REGISTRY_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS",
                   503: "UNAVAILABLE"}


class RegistryApiHandler(Handler):
    """Errors in the shape of registries, which their clients show, beside our own."""

    api = True

    def write_problem(self, problem: Problem) -> None:
        self.refuse(problem.status, problem.code, problem.text)

    def refuse(self, status: int, code: str, text: str) -> None:
        """Finishes with an error."""
        if status == 401:
            self.set_header("WWW-Authenticate", self.challenge)
        self.write_json(status, {
            "error": code, "error_description": text, "request_id": self.request_id,
            "errors": [{"code": _REGISTRY_CODES.get(status, "UNKNOWN"), "message": text, "detail": None}]})

    @property
    def challenge(self) -> str:
        """How to prove who one is."""
        return BASIC_CHALLENGE


class TokenHandler(RegistryApiHandler):
    """GET with HTTP Basic or anonymously; POST with a password or a refresh token."""

    async def get(self) -> None:
        try:
            request = get_request(
                self.request.headers.get("Authorization", ""), self.request.query_arguments, self.client_address)
            answer = await self.services.docker.issue(request)
        except InvalidInput as error:
            self._refuse_malformed(error)
            return
        except SignInRequired as error:
            self.refuse(401, error.code, "This is not public: sign in first.")
            return
        refresh = {} if answer.refresh_token is None else {"refresh_token": answer.refresh_token}
        self.write_json(200, {
            "token": answer.token, "access_token": answer.token, "expires_in": answer.expires_in,
            "issued_at": answer.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ"), **refresh})

    async def post(self) -> None:
        try:
            request = post_request(self.request.body_arguments, self.client_address)
            answer = await self.services.docker.issue(request)
        except InvalidInput as error:
            self._refuse_malformed(error)
            return
        refresh = {} if answer.refresh_token is None else {"refresh_token": answer.refresh_token}
        self.write_json(200, {
            "access_token": answer.token, "token_type": "Bearer", "scope": answer.scope, "expires_in": answer.expires_in,
            "issued_at": answer.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ"), **refresh})

    def _refuse_malformed(self, error: InvalidInput) -> None:
        """With what is wrong: nobody but the client's author can help."""
        code = "unknown_service" if isinstance(error, UnknownService) else problem_of(error, 400).code
        self.refuse(400, code, str(error))


class VersionHandler(RegistryApiHandler):
    """`docker login` at our own host asks here whether a token is good (distribution, API version check)."""

    _challenge = ""

    @property
    def challenge(self) -> str:
        return self._challenge

    async def get(self) -> None:
        docker = self.services.docker
        registry = await docker.registry_of_host(self.client.host.lower(), self.auth_host)
        if registry is None:
            self.refuse(404, "not_found", "There is no registry here.")
            return
        self.set_header("Docker-Distribution-Api-Version", "registry/2.0")
        self._challenge = f'Bearer realm="{docker.realm}",service="{_quoted(registry.service)}"'
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and await docker.is_valid(registry, token.strip()):
            self.write_json(200, {})
        else:
            self.refuse(401, "unauthorized", "A token of this registry is required.")


def get_request(authorization: str, arguments: Mapping[str, Sequence[bytes]], remote_address: str) -> TokenRequest:
    """What a GET asks for. Only `scope` may be repeated. Raises InvalidInput for everything malformed."""
    scopes, fields = _read(arguments)
    credentials = None
    if authorization:
        if not basic.is_basic(authorization):
            raise InvalidInput("Authorization", "HTTP Basic is required")
        credentials = Credentials(*basic.credentials(authorization))
    return TokenRequest(
        _service(fields), scopes, fields.get("client_id", "")[:LONGEST_CLIENT], remote_address, credentials,
        offline=fields.get("offline_token", "").lower() in ("true", "1"))


def post_request(arguments: Mapping[str, Sequence[bytes]], remote_address: str) -> TokenRequest:
    """What a POST asks for; errors as `get_request`."""
    scopes, fields = _read(arguments)
    credentials = refresh_token = None
    grant_type = fields.get("grant_type")
    if grant_type == "password":
        credentials = Credentials(_required(fields, "username"), _required(fields, "password"))
    elif grant_type == "refresh_token":
        refresh_token = _required(fields, "refresh_token")
    else:
        raise InvalidInput("grant_type", "is password or refresh_token", code="unsupported_grant_type")
    return TokenRequest(
        _service(fields), scopes, fields.get("client_id", "")[:LONGEST_CLIENT], remote_address, credentials, refresh_token,
        offline=fields.get("access_type") == "offline")


def _read(arguments: Mapping[str, Sequence[bytes]]) -> tuple[tuple[scope.Scope, ...], dict[str, str]]:
    """The scopes, and the other fields as text without what PostgreSQL could not hold."""
    fields = forms.fields({name: values for name, values in arguments.items() if name != "scope"})
    if any("\0" in value for name, value in fields.items() if name != "password"):
        raise InvalidInput("", "a field has a NUL in it")
    try:
        texts = [value.decode("ascii") for value in arguments.get("scope", ())]
    except UnicodeDecodeError:
        raise InvalidInput("scope", "is not ASCII") from None
    return scope.parse(texts), fields


def _service(fields: Mapping[str, str]) -> str:
    return _required(fields, "service")


def _required(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise InvalidInput(name, "is missing")
    return value


def _quoted(text: str) -> str:
    """The inside of a quoted-string (RFC 9110 section 5.6.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
