"""What must be reached on two cores with the embedded PostgreSQL on the same machine. Pure data.

A rate or a share of one must be reached, everything else (times, memory) must not be exceeded.
"""

from dataclasses import dataclass

PER_SECOND, MILLISECONDS, SECONDS, MEBIBYTES, TIMES = "1/s", "ms", "s", "MiB", "×"
AT_LEAST = frozenset({PER_SECOND, TIMES})  # of what more is better


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
    "forwarder": Target("forwarded to a list of three, 4 kB, 20 sessions", PER_SECOND, 1200),
    "forwarder_pipelining": Target("the same to a server that offers PIPELINING", PER_SECOND, 1200),
    "slow_downstream": Target("100 messages at once to a downstream that takes 1 s each", SECONDS, 3),
    "large_growth": Target("memory that 50 MiB messages add to the signer", MEBIBYTES, 16),
    "large_health_p99": Target("/health/ p99 while 50 MiB messages are signed", MILLISECONDS, 25),
    "forwarder_crowd": Target("forwarded as above with 100,000 accounts, 300,000 aliases", PER_SECOND),
    "forwarder_crowd_share": Target("share of the rate that is left with them", TIMES, 0.9),
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
