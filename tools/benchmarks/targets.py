"""What must be reached on two cores with the embedded PostgreSQL on the same machine. Pure data.

A rate must be reached, everything else (times, memory) must not be exceeded.
"""

from dataclasses import dataclass

PER_SECOND, MILLISECONDS, SECONDS, MEBIBYTES = "1/s", "ms", "s", "MiB"


@dataclass(frozen=True)
class Target:
    """One figure: what it is called for people, its unit, and what it must be (None: reported only)."""

    title: str
    unit: str
    must: float | None = None


TARGETS = {
    "getkey": Target("/getkey/", PER_SECOND, 1500),
    "checkpassword": Target("/checkpassword/ without password", PER_SECOND, 700),
    "checkpassword_cached": Target("/checkpassword/ with a password checked before", PER_SECOND, 600),
    "login": Target("first logins, yescrypt, 64 clients", PER_SECOND, 70),
    "health_p99": Target("/health/ p99 while 64 clients sign in", MILLISECONDS, 25),
    "signer_4kb": Target("messages signed, 4 kB, 20 sessions", PER_SECOND, 900),
    "signer_10kb": Target("messages signed, 10 kB, 20 sessions", PER_SECOND, 800),
    "signer_1mb": Target("messages signed, 1 MB, 20 sessions", PER_SECOND, 60),
    "memory": Target("idle memory (PSS, all of authd)", MEBIBYTES, 70),
    "start": Target("start to ready, schema in place", SECONDS, 1.5),
    "docker_refresh": Target("/docker/token/ by refresh token", PER_SECOND, 500),
    "docker_password": Target("/docker/token/ with a password checked before", PER_SECOND),
    "docker_refresh_p99": Target("/docker/token/ by refresh token, p99", MILLISECONDS),
    "docker_password_p99": Target("/docker/token/ with a password checked before, p99", MILLISECONDS),
    "oauth_client_credentials": Target("client credentials, opaque token", PER_SECOND, 700),
    "oauth_code": Target("code exchange with PKCE and id_token", PER_SECOND, 350),
    "oauth_refresh": Target("refresh", PER_SECOND, 350),
    "oauth_introspection": Target("introspection", PER_SECOND, 1000),
    "oauth_jwks_1": Target("jwks.json with 1 key", PER_SECOND, 2000),
    "oauth_jwks_1000": Target("jwks.json with 1,000 keys", PER_SECOND, 2000),
}
