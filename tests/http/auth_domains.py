"""Auth domains for HTTP tests, and what a proxy in front of them says."""

from authd.sql import keys as key_rows
from tests.http.support import Site

# For Browser.get and .post: HTTPS from a private address through the trusted proxy.
PROXIED = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "auth.example.com", "X_Forwarded_For": "10.1.2.3"}


async def add_auth_domain(site: Site, name: str, algorithm: str | None = "RSA-2048", *, lends: bool = False) -> None:
    """A domain, with a JWT key unless `algorithm` is None."""
    row = await site.database.fetch_one(
        "INSERT INTO domain (name, jwt_subdomains) VALUES (%(name)s, %(lends)s) "
        "ON CONFLICT (name) DO UPDATE SET jwt_subdomains = %(lends)s RETURNING id", {"name": name, "lends": lends})
    assert row is not None
    if algorithm is not None:
        key = await site.services.keys.new_key("jwt", algorithm)
        await key_rows.insert(site.database, key, domain_id=row[0], now=site.clock())
    site.services.keys.forget()
