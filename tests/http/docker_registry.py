"""A registry for HTTP tests: rows written straight into the tables, and its tokens read as a registry reads them."""

from base64 import b64decode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import jwt
from cryptography import x509
from tornado.httpclient import HTTPResponse

from tests.http.auth_domains import add_auth_domain
from tests.http.support import Site, json_of

SERVICE = "registry.example.com"
DOMAIN = "example.com"


async def add_registry(
    site: Site, service: str = SERVICE, *, domain: str = DOMAIN, algorithm: str | None = "RSA-2048", header: str = "x5c",
    anonymous_pull: bool = False, anonymous_push: bool = False,
) -> int:
    """A registry of a domain that signs; its id."""
    await add_auth_domain(site, domain, algorithm)
    row = await site.database.fetch_one(
        "INSERT INTO docker_registry (service, name, domain_id, token_header, anonymous_pull, anonymous_push) "
        "SELECT %(service)s, %(service)s, id, %(header)s, %(pull)s, %(push)s FROM domain WHERE name = %(domain)s RETURNING id",
        {"service": service, "domain": domain, "header": header, "pull": anonymous_pull, "push": anonymous_push})
    assert row is not None
    return int(row[0])


async def allow(site: Site, registry: int, actions: Sequence[str], pattern: str | None = None, *, user: UUID | None = None,
                group: int | None = None) -> None:
    """A right; without a user and a group it is anybody's."""
    await site.database.execute(
        "INSERT INTO docker_right (registry_id, pattern, account_uuid, group_id, actions) "
        "VALUES (%(registry)s, %(pattern)s, %(user)s, %(group)s, %(actions)s)",
        {"registry": registry, "pattern": pattern, "user": user, "group": group, "actions": list(actions)})


async def add_group(site: Site, name: str, *members: UUID) -> int:
    """A group with members; its id."""
    row = await site.database.fetch_one("INSERT INTO account_group (name) VALUES (%(name)s) RETURNING id", {"name": name})
    assert row is not None
    for member in members:
        await site.database.execute(
            "INSERT INTO group_member (group_id, account_uuid) VALUES (%(group)s, %(user)s)", {"group": row[0], "user": member})
    return int(row[0])


def claims_of(answer: HTTPResponse, certificate: bytes | None = None, service: str = SERVICE) -> dict[str, Any]:
    """The claims of an answer's token, verified with a certificate: the one in its header unless another is given."""
    assert answer.code == 200, answer.body
    token = json_of(answer)["access_token"]
    header = jwt.get_unverified_header(token)
    if certificate is None:
        certificate = b64decode(header["x5c"][0])
    key: Any = x509.load_der_x509_certificate(certificate).public_key()
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=[header["alg"]], audience=service, options={"verify_exp": False, "verify_nbf": False,
                                                                            "verify_iat": False})
    return claims


def granted(answer: HTTPResponse) -> dict[str, list[str]]:
    """The actions that a token allows, by the name of the resource."""
    return {entry["name"]: entry["actions"] for entry in claims_of(answer)["access"]}
