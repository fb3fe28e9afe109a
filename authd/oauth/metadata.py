"""What we tell clients about ourselves: OpenID Connect Discovery 1.0, RFC 8414, RFC 9207; and WebFinger (RFC 7033).

Only what works is named: no `plain`, no implicit, no password.
"""

from collections.abc import Sequence
from typing import Any

from authd.errors import InvalidInput
from authd.oauth import claims, scopes
from authd.oauth.authorization_request import RESPONSE_MODES
from authd.oauth.server import GRANT_TYPES

SECRET_METHODS = ("client_secret_basic", "client_secret_post")
ISSUER_RELATION = "http://openid.net/specs/connect/1.0/issuer"
LANGUAGES = ("en", "de")


def issuer_of(public_url: str) -> str:
    """The issuer identifier, always the same string, whatever the request's Host says."""
    return f"{public_url}/o2"


def discovery(issuer: str) -> dict[str, Any]:
    """One document for both places of RFC 8414 and that of OpenID Connect Discovery."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize/",
        "token_endpoint": f"{issuer}/token/",
        "revocation_endpoint": f"{issuer}/revoke_token/",
        "introspection_endpoint": f"{issuer}/introspect/",
        "userinfo_endpoint": f"{issuer}/userinfo/",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(scopes.TITLES),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(GRANT_TYPES),
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "token_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "revocation_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "introspection_endpoint_auth_methods_supported": list(SECRET_METHODS),
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": list(claims.SUPPORTED),
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "acr_values_supported": ["1"],
        "ui_locales_supported": list(LANGUAGES),
    }


def asked_domain(resource: str | None) -> str:
    """The domain in an `acct:` (or bare) account name of a WebFinger query. InvalidInput for anything else."""
    text = (resource or "").removeprefix("acct:")
    local_part, at, domain = text.rpartition("@")
    if not (local_part and at and domain) or set(text) & set(":/"):
        raise InvalidInput("resource", "not the name of an account")
    return domain.lower()


def webfinger(resource: str, issuer: str, relations: Sequence[str]) -> dict[str, Any]:
    """The answer for an account of one of our domains. Whether that account exists is not told."""
    wanted = not relations or ISSUER_RELATION in relations
    return {"subject": resource, "links": [{"rel": ISSUER_RELATION, "href": issuer}] if wanted else []}
