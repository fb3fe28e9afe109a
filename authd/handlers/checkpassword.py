"""`/checkpassword/`: is this name (and password) right, and what may it do? For software that speaks no OAuth2 (http.md).

Whether a password is right is `identity.accounts`' decision; here the request is read and the answer signed.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt

from authd.errors import InvalidCredentials, InvalidInput, NotFound, PermissionMissing
from authd.handlers import basic
from authd.handlers.base import Handler
from authd.identity.addresses import is_within
from authd.identity.facts import Login, LoginAttempt
from authd.keys.facts import SigningKey

AUDIENCE = "net.maurus.authclient"
CLOCK_DIFFERENCE = 5  # seconds
LIFE = 3600  # seconds
REFUSED = {"authenticated": False, "authorized": False}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a name, with a password to verify (an empty one is one) or None to look the name up only."""

    username: str
    password: str | None = field(repr=False)
    scopes: frozenset[str]


class CheckpasswordHandler(Handler):
    """POST: form, JSON or HTTP Basic; the answer is a JWT, or JSON that says why there is none."""

    api = True

    async def post(self) -> None:
        if not self.is_https:
            self.write_json(400, {"error": "HTTPS is required"})
            return
        try:
            question = read_question(self.request.headers, self.request.body, lambda: self.form)
            key = await self.services.keys.jwt_key(self.auth_host)
        except InvalidInput as error:
            self.write_json(400, {"error": str(error)})
        except NotFound:
            self.write_json(400, {"error": "Not a valid authorization domain"})
        else:
            await self._answer(question, key)

    async def _answer(self, question: Question, key: SigningKey) -> None:
        try:
            login = await self._login(question)
        except InvalidCredentials:
            self.set_header("WWW-Authenticate", 'Basic realm="checkpassword", charset="UTF-8"')
            self.write_json(401, REFUSED)
            return
        except PermissionMissing as error:
            self._deny(question, error.held)
            return
        if not question.scopes <= login.permissions:
            self._deny(question, login.permissions)
            return
        self.set_header("Content-Type", "application/jwt")
        self.finish(signed_answer(question, login, key, self.services.now()))

    def _deny(self, question: Question, held: frozenset[str]) -> None:
        self.write_json(403, {"authenticated": question.password is not None, "authorized": False,
                              "scopes": sorted(held), "missing": sorted(question.scopes - held)})

    async def _login(self, question: Question) -> Login:
        """Who it is; somebody without a primary address is nobody here."""
        login: Login | None
        if question.password is not None:
            asked = min(question.scopes, default=None)
            login = await self.services.accounts.authenticate(LoginAttempt(
                question.username, question.password, self.client_address, "checkpassword", permission=asked))
        elif is_within(self.client_address, self.services.config.checkpassword.lookup_clients):
            login = await self.services.accounts.lookup(question.username)
        else:
            logger.info("lookup refused: %s is not in checkpassword.lookup_clients", self.client_address)
            login = None
        if login is None or login.account.primary_address is None:
            raise InvalidCredentials
        return login


def signed_answer(question: Question, login: Login, key: SigningKey, now: datetime) -> str:
    """The JWT: what is known of the login, signed by the auth domain."""
    seconds = int(now.timestamp())
    claims = {
        "sub": question.username,
        "canonical_username": login.account.primary_address,
        "authenticated": question.password is not None,
        "authorized": question.scopes <= login.permissions,
        "scopes": sorted(login.permissions),
        "nbf": seconds - CLOCK_DIFFERENCE,
        "exp": seconds + LIFE,
        "iss": key.domain,
        "aud": AUDIENCE,
    }
    return jwt.encode(claims, key.private_key, key.jws_algorithm, headers={"kid": key.kid})


def read_question(headers: Mapping[str, str], body: bytes, form: Callable[[], Mapping[str, str]]) -> Question:
    """The question of a request: HTTP Basic where it is given, else a JSON or form body (`form` reads that one).

    Raises InvalidInput for everything malformed. What a password may hold is not checked beyond what no password can be.
    """
    authorization = headers.get("Authorization", "")
    if basic.is_basic(authorization):
        username, password = basic.credentials(authorization)
        return _question(username, password, headers.get("X-Auth-Scopes", "").split(","))
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        fields = _json_object(body)
        return _question(fields.get("username"), fields.get("password"), fields.get("scopes"))
    if kind == "application/x-www-form-urlencoded":
        texts = form()
        return _question(texts.get("username"), texts.get("password"), texts.get("scopes", "").split(","))
    raise InvalidInput("", "HTTP Basic, a form or a JSON object is required")


def _question(username: Any, password: Any, scopes: Any) -> Question:
    if not _is_text(username) or not username:
        raise InvalidInput("username", "a text is required")
    if password is not None and not _is_text(password):
        raise InvalidInput("password", "it must be a text")
    if scopes is None:
        scopes = []
    if not isinstance(scopes, list) or not all(_is_text(scope) for scope in scopes):
        raise InvalidInput("scopes", "it must be a list of texts")
    return Question(username, password, frozenset(scope.strip() for scope in scopes if scope.strip()))


def _is_text(value: Any) -> bool:
    """Whether it is a string that UTF-8 and C can hold: no lone surrogate, no NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidInput("", "the body is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidInput("", "the body is no JSON object")
    return value
