"""`/o2/userinfo/`: claims about the person that an access token speaks for."""

import re

from authd.handlers.oauth.cors import ScriptableHandler
from authd.handlers.oauth.endpoints import FORM
from authd.oauth import replies
from authd.oauth.parameters import parse
from authd.oauth.service import Answer

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)  # RFC 6750 section 2.1


class UserinfoHandler(ScriptableHandler):
    """The token comes in the Authorization header, or in the form of a POST; never in the address."""

    async def get(self) -> None:
        await self._answer(None)

    async def post(self) -> None:
        is_form = self.request.headers.get("Content-Type", "").lower().startswith(FORM)
        await self._answer(parse(self.request.body).get("access_token") if is_form else None)

    async def _answer(self, posted: str | None) -> None:
        header = self.request.headers.get("Authorization")
        match = _BEARER.fullmatch(header) if header is not None else None
        if header is None and posted is None:
            answer = Answer(replies.bearer_error(401))
        elif posted is not None and header is not None:
            answer = Answer(replies.bearer_error(400, "invalid_request", "The access token was sent twice."))
        elif header is not None and match is None:
            answer = Answer(replies.bearer_error(401, "invalid_token", "The Authorization header is malformed."))
        else:
            answer = await self.services.oauth.userinfo(match[1] if match else posted or "")
        self.allow_origin(answer.client.allowed_origins if answer.client else ())
        for name, value in answer.reply.headers.items():
            self.set_header(name, value)
        self.write_json(answer.reply.status, answer.reply.body)
