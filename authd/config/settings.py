"""Every setting of authd with its default, as frozen dataclasses: a section of authd.conf each.

A field's metadata (see `setting`) carries its description, how a value is read, and the environment names
that set it. How files and the environment are read is in `loader.py`; what a value may look like in `values.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from authd.config import values
from authd.config.values import Downstream, Endpoint, Mapping, Network, TlsPolicy


def setting(read: values.Reader, default: Any, help: str, *, env: tuple[str, ...] = (), address_env: tuple[str, ...] = (),
            secret: bool = False) -> Any:
    """A field of a section: how its value is read, its default, what it is for, and which environment names set it.

    `address_env`: two names, of which one has the host and the other the port.
    """
    return field(default=default, repr=not secret, metadata={
        "read": read, "help": help, "env": env, "address_env": address_env, "secret": secret})


@dataclass(frozen=True)
class HttpSettings:
    """The web listener. Serve TLS here, or plain HTTP on loopback behind a proxy named in trusted_proxies."""

    listen: Endpoint = setting(
        values.endpoint, Endpoint("127.0.0.1", 8080), "address and port", address_env=("BINDIP", "BINDPORT"))
    public_url: str = setting(values.public_url, "http://localhost:8080", "what people type; https unless it is loopback")
    tls_certificate: Path | None = setting(values.path, None, "PEM file with the certificate and its chain")
    tls_key: Path | None = setting(values.path, None, "PEM file with the private key")
    trusted_proxies: tuple[Network, ...] = setting(
        values.networks, (), "networks whose X-Forwarded-For, -Proto and -Host are believed")
    metrics_clients: tuple[Network, ...] = setting(
        values.networks, values.networks(["127.0.0.0/8", "::1"]),
        "networks that may read /metrics, from their own address and not through a proxy")
    metrics_listen: Endpoint | None = setting(
        values.endpoint, None, "address and port of one more listener, for /metrics alone; metrics_clients holds there too")
    reuse_port: bool = setting(values.boolean, False, "let several authd processes share the port")
    max_body: int = setting(values.size, 65536, "largest request body in bytes")
    shutdown_grace: float = setting(values.seconds, 10.0, "seconds that running work gets when authd stops; 20 at most")
    cors_origins: tuple[str, ...] = setting(
        values.strings, (), "origins that may read the OAuth endpoints from scripts", env=("CORS_ORIGIN_WHITELIST",))


@dataclass(frozen=True)
class DatabaseSettings:
    """PostgreSQL: a URL, or its parts, or credentials from Vault; with none of them authd runs its own in `embedded`."""

    url: str = setting(values.database_url, "", "libpq URL, for example postgresql://authd@db/authd?sslmode=verify-full",
                       env=("DATABASE_URL",), secret=True)
    name: str = setting(values.role, "", "database, where the url names none", env=("DATABASE_NAME",))
    user: str = setting(values.role, "", "role to log in as, where the url names none", env=("DATABASE_USER",))
    password: str = setting(values.line, "", "password, where the url has none", env=("DATABASE_PASSWORD",), secret=True)
    ca: Path | None = setting(
        values.path, None, "PEM file with PostgreSQL's authority; sslmode is verify-full then",
        env=("POSTGRESQL_CA",))
    client_certificate: Path | None = setting(
        values.path, None, "PEM file with our certificate for PostgreSQL", env=("DB_SSLCERT",))
    client_key: Path | None = setting(values.path, None, "PEM file with its private key", env=("DB_SSLKEY",))
    embedded: Path = setting(values.path, Path("authd-data"), "folder of the embedded PostgreSQL (without a url)")
    parent_role: str = setting(values.role, "", "role that every connection acts as", env=("DATABASE_PARENTROLE",))
    pool_size: int = setting(values.integer(2, 200), 20, "connections at most")
    statement_timeout: float = setting(values.seconds, 10.0, "seconds after which a statement is given up")
    migrate_on_start: bool | None = setting(
        values.optional_boolean, None, "apply migrations at start (default: with the embedded PostgreSQL only)")

    @property
    def default_address(self) -> Endpoint:
        """Where PostgreSQL is when no URL says so."""
        return Endpoint("postgresql.local" if self.ca else "127.0.0.1", 5432)


@dataclass(frozen=True)
class VaultSettings:
    """Credentials for PostgreSQL from Vault (or OpenBao), entered with a token, an AppRole, or a client certificate."""

    address: str = setting(values.vault_address, "https://vault.local:8200/", "where Vault is", env=("VAULT_ADDR",))
    ca: Path | None = setting(values.path, None, "PEM file with the only authority that Vault's certificate may come from",
                              env=("VAULT_CA",))
    database_path: str = setting(values.vault_path, "", "path of the credentials, for example database/creds/authd",
                                 env=("VAULT_DATABASE_PATH",))
    token: str = setting(values.line, "", "token to enter with", env=("VAULT_TOKEN",), secret=True)
    role_id: str = setting(values.line, "", "AppRole to enter as", env=("VAULT_ROLEID",))
    secret_id: str = setting(values.line, "", "its secret", env=("VAULT_SECRETID",), secret=True)
    certificate: Path | None = setting(values.path, None, "PEM file with our certificate for Vault", env=("VAULT_SSLCERT",))
    key: Path | None = setting(values.path, None, "PEM file with its private key", env=("VAULT_SSLKEY",))


@dataclass(frozen=True)
class SecretsSettings:
    """Encryption of private keys in the database."""

    key_file: Path | None = setting(values.path, None, "file with 32 bytes, raw or base64, that encrypt private keys")


@dataclass(frozen=True)
class PasswordSettings:
    """How passwords are hashed and how much work is admitted."""

    scheme: str = setting(values.choice("yescrypt", "sha512crypt"), "yescrypt", "for new hashes")
    threads: int = setting(values.integer(1, 64), 2, "threads that hash")
    queue: int = setting(values.integer(1, 10000), 256, "checks that may wait; beyond it callers are told to come back")
    cache_seconds: float = setting(values.seconds, 60.0, "how long a successful check is remembered; 0 turns it off")
    refusal_ms: int | None = setting(
        values.optional_milliseconds, None, "milliseconds before a refusal is sent (default: measured, 500 at most)")


@dataclass(frozen=True)
class ThrottleSettings:
    """Failed logins: what is free, and how long the wait grows."""

    account_failures: int = setting(values.integer(1, 1000), 10, "failures of an account that are free")
    address_failures: int = setting(values.integer(1, 100000), 20, "failures from an address that are free")
    window: float = setting(values.seconds, 900.0, "seconds for which a failure counts")
    longest_wait: float = setting(values.seconds, 900.0, "seconds that a wait is at most")
    trusted: tuple[Network, ...] = setting(
        values.networks, (), "networks whose failures do not count against their address")


@dataclass(frozen=True)
class SessionSettings:
    """How long somebody stays signed in."""

    idle: float = setting(values.seconds, 86400.0, "seconds without a request after which a session ends")
    lifetime: float = setting(values.seconds, 1209600.0, "seconds after which a session ends in any case")
    remember_device: float = setting(values.seconds, 31536000.0, "seconds for which a remembered device is known")


@dataclass(frozen=True)
class CheckpasswordSettings:
    """The /checkpassword/ endpoint."""

    lookup_clients: tuple[Network, ...] = setting(
        values.networks,
        values.networks(["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]),
        "networks that may look up a name without its password")


@dataclass(frozen=True)
class JwtSettings:
    """Keys and certificates for JSON web tokens."""

    cert_days_valid: int = setting(values.integer(1, 36500), 3650, "days that an exported certificate is valid",
                                   env=("JWT_CERT_DAYS_VALID",))


@dataclass(frozen=True)
class OauthSettings:
    """Lifetimes of what the OAuth2 endpoints hand out, in seconds."""

    code_seconds: float = setting(values.seconds, 60.0, "an authorization code")
    access_token_seconds: float = setting(values.seconds, 3600.0, "an access token")
    id_token_seconds: float = setting(values.seconds, 3600.0, "an id_token")
    refresh_token_seconds: float = setting(values.seconds, 7776000.0, "a refresh token that is not used")
    refresh_grace_seconds: float = setting(values.seconds, 10.0, "a rotated refresh token, for a client that lost the answer")


@dataclass(frozen=True)
class DockerSettings:
    """Tokens for Docker registries."""

    allow_unconfigured_repos: bool = setting(
        values.boolean, False, "whoever first pushes a repository that no right covers owns it",
        env=("DOCKERAUTH_ALLOW_UNCONFIGURED_REPOS",))
    token_seconds: int = setting(values.integer(60, 86400), 300, "seconds that a registry believes a token")
    refresh_token_seconds: float = setting(values.seconds, 7776000.0, "a refresh token (docker login) that is not used")


@dataclass(frozen=True)
class SmtpSettings:
    """What holds for every SMTP listener and every downstream."""

    hostname: str = setting(values.hostname, "", "our name in greetings and Received (default: the machine's)")
    tls_certificate: Path | None = setting(
        values.path, None, "PEM file with the certificate and its chain; STARTTLS is offered with it")
    tls_key: Path | None = setting(values.path, None, "PEM file with the private key")
    downstream_ca: Path | None = setting(
        values.path, None, "PEM file with the authorities of downstreams where TLS is required (default: the system's)")
    max_message_size: int = setting(values.size, 52428800, "largest message in bytes")
    memory_size: int = setting(
        values.integer(1048576, 2**40), 33554432, "bytes of messages in memory, of all connections; whoever comes then waits")
    spool_size: int = setting(
        values.integer(0, 2**50), 4294967296, "bytes of messages in files: of each message what is beyond 1 MiB")
    spool_folder: Path = setting(values.path, Path("/var/tmp"), "folder of these files, which have no names; not one in memory")
    max_header_size: int = setting(values.size, 1048576, "largest header of a message in bytes")
    max_recipients: int = setting(values.integer(1, 100000), 1000, "recipients of one message")
    max_command_line: int = setting(values.integer(512, 65536), 2048, "bytes of a command with its CRLF")
    max_bad_commands: int = setting(values.integer(1, 1000), 20, "bad commands before the connection is closed")
    max_received: int = setting(values.integer(10, 1000), 100, "Received headers that are taken for a loop beyond")
    idle_timeout: float = setting(values.seconds, 300.0, "seconds without a byte from the client")
    transaction_timeout: float = setting(values.seconds, 900.0, "seconds for a whole transaction")
    max_connections: int = setting(values.integer(1, 100000), 256, "connections in all")
    max_connections_per_address: int = setting(values.integer(1, 100000), 20, "connections of one address")
    allow_clients: tuple[Network, ...] = setting(
        values.networks, (), "networks beside loopback that may send mail through authd; exempt from the limit per address")
    connect_timeout: float = setting(values.seconds, 10.0, "seconds to connect to a downstream")
    reply_timeout: float = setting(values.seconds, 60.0, "seconds for a downstream's reply")
    data_timeout: float = setting(values.seconds, 240.0, "seconds for a downstream's reply to the end of data")
    strict_8bit: bool = setting(
        values.boolean, False, "refuse 8-bit content (554 5.6.3) where the downstream does not offer 8BITMIME")
    normalise_bare_lf: bool = setting(
        values.boolean, False, "turn a bare LF into CRLF instead of refusing the message")


@dataclass(frozen=True)
class SignerSettings:
    """dkimsigner: what arrives at a mapping's input leaves, signed, for its output."""

    enabled: bool = setting(values.boolean, True, "listen at all")
    mappings: tuple[Mapping, ...] = setting(
        values.mappings, (Mapping(Endpoint("127.0.0.1", 10036), Endpoint("127.0.0.1", 10035)),),
        "list of { in = HOST:PORT, out = HOST:PORT, originated = false, tls = off, opportunistic or required }",
        env=("DKIMSIGNER_NETWORK_MAPPING",))
    signature_lifetime: float | None = setting(
        values.optional_seconds, None, "seconds until x= of a signature; none without it")


@dataclass(frozen=True)
class ForwarderSettings:
    """mailforwarder: resolves recipients and hands each copy to local delivery or to a relay."""

    enabled: bool = setting(values.boolean, True, "listen at all; without srs_secrets it does not in any case")
    listen: Endpoint = setting(values.endpoint, Endpoint("127.0.0.1", 10046), "address and port",
                               address_env=("MAILFORWARDER_INPUT_IP", "MAILFORWARDER_INPUT_PORT"))
    local_delivery: Downstream = setting(
        values.downstream, Downstream("127.0.0.1", 10045), "HOST:PORT, lmtp://HOST:PORT, or the path of an LMTP socket",
        address_env=("MAILFORWARDER_LOCALDELIVERY_IP", "MAILFORWARDER_LOCALDELIVERY_PORT"))
    local_delivery_tls: TlsPolicy = setting(
        values.tls_policy, "off", "STARTTLS with it: off, opportunistic (where offered; not verified), or required (verified)")
    remote_relay: Downstream = setting(
        values.downstream, Downstream("127.0.0.1", 10045), "HOST:PORT that takes mail for other hosts",
        address_env=("MAILFORWARDER_REMOTERELAY_IP", "MAILFORWARDER_REMOTERELAY_PORT"))
    remote_relay_tls: TlsPolicy = setting(values.tls_policy, "off", "the same for it")
    transactional_relay: Downstream | None = setting(
        values.downstream, None, "HOST:PORT that takes it from senders of domains that may use transactional e-mail",
        address_env=("MAILFORWARDER_TRANSACTIONALRELAY_IP", "MAILFORWARDER_TRANSACTIONALRELAY_PORT"))
    transactional_relay_tls: TlsPolicy = setting(values.tls_policy, "off", "the same for it")
    srs_secrets: tuple[str, ...] = setting(
        values.lines, (), "secrets for rewritten senders; the first signs, all verify (in a file one a line)",
        env=("MAILFORWARDER_SRS_SECRET",), secret=True)
    srs_separator: Literal["=", "+", "-"] = setting(
        values.choice("=", "+", "-"), "=", "what follows SRS0 and SRS1 in a rewritten sender")
    postmaster: str = setting(
        values.mail_address, "", "who gets mail for postmaster where no alias says so (default: the first admin)")
    unknown_local: str = setting(
        values.choice("reject", "pass"), "reject", "mail for an unknown address of ours: 550, or unchanged to local delivery")
    blocked: str = setting(values.choice("reject", "discard"), "reject", "mail for a blocked alias: 550, or taken and dropped")
    rewrite_to_primary: bool = setting(
        values.boolean, False, "hand the primary address to local delivery instead of the alias")
    relay_foreign: bool = setting(values.boolean, True, "relay mail for domains that are not ours")


@dataclass(frozen=True)
class SpapiSettings:
    """The functions in PostgreSQL that OpenSMTPD and Dovecot read accounts through."""

    roles: tuple[str, ...] = setting(
        values.strings, (), "roles of PostgreSQL that `authd migrate` and `authctl spapi install` let execute them",
        env=("SPAPI_DBUSERS",))


@dataclass(frozen=True)
class LogSettings:
    """Log lines go to standard error."""

    level: str = setting(values.choice("debug", "info", "warning", "error"), "info", "least severity that is written")
    format: str = setting(values.choice("text", "json", "cee"), "text", "text, json, or json behind @cee:")


@dataclass(frozen=True)
class BrandingSettings:
    """What people see."""

    name: str = setting(values.text(80), "authd", "name of the site", env=("AUTHSERVER_ENTITY_NAME",))
    accent: str = setting(values.colour, "#1d5fa8", "accent colour, #rrggbb, readable on white (contrast 4.5)")
    footer_links: tuple[str, ...] = setting(values.strings, (), "links in the footer, each \"Text https://…\"")


@dataclass(frozen=True)
class Settings:
    """The whole configuration; `source` names the file it came from."""

    http: HttpSettings = HttpSettings()
    database: DatabaseSettings = DatabaseSettings()
    vault: VaultSettings = VaultSettings()
    secrets: SecretsSettings = SecretsSettings()
    password: PasswordSettings = PasswordSettings()
    throttle: ThrottleSettings = ThrottleSettings()
    session: SessionSettings = SessionSettings()
    checkpassword: CheckpasswordSettings = CheckpasswordSettings()
    jwt: JwtSettings = JwtSettings()
    oauth: OauthSettings = OauthSettings()
    docker: DockerSettings = DockerSettings()
    smtp: SmtpSettings = SmtpSettings()
    signer: SignerSettings = SignerSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    spapi: SpapiSettings = SpapiSettings()
    log: LogSettings = LogSettings()
    branding: BrandingSettings = BrandingSettings()

    @property
    def embedded_database(self) -> bool:
        """Whether authd runs its own PostgreSQL: nothing says where another one is."""
        database = self.database
        return not (database.url or database.name or database.user or self.vault.database_path)
