"""The bare limit of OAuth: Tornado handlers that run the statements authd runs and sign once, without deciding anything.

`python -m … bare_oauth PORT CONFIG` serves `/o2/token/` and `/o2/introspect/` on the configured database, which runs already.
It trusts whatever it is sent: only the work that nobody can avoid is left.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from authd import config
from authd.embedded import EmbeddedPostgres
from authd.oauth import tokens
from authd.oauth.effects import Effect, IssueAccessToken, NewAccessToken, NewRefreshToken, RedeemCode, RotateRefreshToken
from authd.oauth.facts import TokenFacts
from authd.sql import oauth as sql
from authd.sql.database import Credentials, Database

_HOUR = timedelta(hours=1)


class _Handler(RequestHandler):
    def initialize(self, database: Database, key: RSAPrivateKey) -> None:
        self.database = database
        self.key = key


class TokenHandler(_Handler):
    """Client credentials, a code, or a refresh token become tokens."""

    async def post(self) -> None:
        now, client_id = datetime.now(UTC), self.get_argument("client_id")
        code, refresh = self.get_argument("code", ""), self.get_argument("refresh_token", "")
        if code:
            facts = await sql.token_facts(self.database, now, client_id, code=tokens.digest(code))
        elif refresh:
            facts = await sql.token_facts(self.database, now, client_id, refresh_token=tokens.digest(refresh))
        else:
            facts = await sql.client_facts(self.database, now, client_id)
        answer: dict[str, Any] = {"access_token": tokens.new_token(), "token_type": "Bearer", "expires_in": 3600}
        if facts.grant is not None:
            answer["refresh_token"] = tokens.new_token()
        await sql.apply(self.database, [_effect(facts, answer, refresh, now)])
        if facts.subject is not None:
            seconds = int(now.timestamp())
            claims = {"iss": "bare", "sub": str(facts.subject.uuid), "aud": "bare", "iat": seconds, "exp": seconds + 3600}
            answer["id_token"] = jwt.encode(claims, self.key, "RS256")
        self.write(answer)


class IntrospectionHandler(_Handler):
    """What is known of a token."""

    async def post(self) -> None:
        token = tokens.digest(self.get_argument("token"))
        facts = await sql.inspection_facts(self.database, datetime.now(UTC), self.get_argument("client_id"), token)
        found = facts.presented.access_token
        self.write({"active": found is not None, "exp": int(found.expires_at.timestamp()) if found else 0})


def _effect(facts: TokenFacts, answer: dict[str, Any], presented: str, now: datetime) -> Effect:
    assert facts.client is not None
    digest = tokens.digest(answer["access_token"])
    if facts.grant is None or facts.subject is None:
        return IssueAccessToken(NewAccessToken(digest, facts.client.id, None, None, (), now, now + _HOUR))
    access = NewAccessToken(digest, facts.client.id, facts.grant.id, facts.subject.uuid, facts.grant.scopes, now, now + _HOUR)
    successor = NewRefreshToken(tokens.digest(answer["refresh_token"]), now + _HOUR)
    if facts.code is not None:
        return RedeemCode(facts.code.digest, access, successor)
    assert facts.refresh_token is not None
    sealed = tokens.seal(answer["refresh_token"], presented)
    return RotateRefreshToken(facts.refresh_token.digest, successor, sealed, access)


async def main(port: int, file: Path) -> None:
    """Serves until the process ends."""
    settings = config.load(file, {}).database
    database = Database(Credentials(EmbeddedPostgres(settings.embedded).url()), pool_size=settings.pool_size)
    parts = {"database": database, "key": generate_private_key(65537, 2048)}
    routes: list[Any] = [(r"/o2/token/", TokenHandler, parts), (r"/o2/introspect/", IntrospectionHandler, parts)]
    HTTPServer(Application(routes, log_function=lambda handler: None)).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
