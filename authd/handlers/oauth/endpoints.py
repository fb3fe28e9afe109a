"""The endpoints that clients POST a form to: token, introspection, revocation."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from authd.errors import InvalidInput
from authd.handlers.oauth.cors import ScriptableHandler
from authd.oauth.parameters import Parameters, parse
from authd.oauth.service import Answer, OAuth

FORM = "application/x-www-form-urlencoded"


class FormHandler(ScriptableHandler):
    """Reads the form, calls one endpoint of the service, sends its reply."""

    endpoint: ClassVar[Callable[[OAuth, str | None, Parameters, str], Awaitable[Answer]]]

    async def post(self) -> None:
        if self.request.query:
            raise InvalidInput("", "parameters in the address")
        content_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type != FORM and self.request.body:
            raise InvalidInput("", "the body is not a form")
        endpoint = type(self).endpoint
        answer = await endpoint(
            self.services.oauth, self.request.headers.get("Authorization"), parse(self.request.body), self.client_address)
        self.send(answer)

    def send(self, answer: Answer) -> None:
        self.allow_origin(answer.client.allowed_origins if answer.client else ())
        self.set_header("Pragma", "no-cache")
        for name, value in answer.reply.headers.items():
            self.set_header(name, value)
        if answer.reply.body is None:
            self.set_status(answer.reply.status)
            self.finish()
        else:
            self.write_json(answer.reply.status, answer.reply.body)


class TokenHandler(FormHandler):
    endpoint = OAuth.token


class IntrospectionHandler(FormHandler):
    endpoint = OAuth.introspect


class RevocationHandler(FormHandler):
    endpoint = OAuth.revoke
