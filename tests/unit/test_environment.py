"""The environment names of the earlier system, the folders that held them, and what is said of broken configurations."""

from pathlib import Path

import pytest

from authd import cli
from authd.config import Settings, appconfig, load, notices
from authd.config.values import Endpoint, Mapping
from authd.credentials import configured
from authd.errors import ConfigError

SECRET = "hunter2-hunter2"
# What each name sets (as section.setting), a value, and what becomes of it; PEM stands for a file that is there.
PEM = "PEM"
EFFECTS: dict[str, tuple[str, str, str]] = {
    "DATABASE_URL": ("database.url", "postgresql://db/", "postgresql://db/"),
    "DATABASE_NAME": ("database.name", "accounts", "accounts"),
    "DATABASE_USER": ("database.user", "me", "me"),
    "DATABASE_PASSWORD": ("database.password", SECRET, SECRET),
    "DATABASE_PARENTROLE": ("database.parent_role", "owner", "owner"),
    "POSTGRESQL_CA": ("database.ca", PEM, PEM),
    "DB_SSLCERT": ("database.client_certificate", PEM, PEM),
    "DB_SSLKEY": ("database.client_key", PEM, PEM),
    "VAULT_ADDR": ("vault.address", "https://vault:8200", "https://vault:8200"),
    "VAULT_CA": ("vault.ca", PEM, PEM),
    "VAULT_DATABASE_PATH": ("vault.database_path", "database/creds/authd", "database/creds/authd"),
    "VAULT_TOKEN": ("vault.token", SECRET, SECRET),
    "VAULT_ROLEID": ("vault.role_id", "r", "r"),
    "VAULT_SECRETID": ("vault.secret_id", SECRET, SECRET),
    "VAULT_SSLCERT": ("vault.certificate", PEM, PEM),
    "VAULT_SSLKEY": ("vault.key", PEM, PEM),
    "BINDIP": ("http.listen", "127.0.0.9", "127.0.0.9:8080"),
    "BINDPORT": ("http.listen", "8999", "127.0.0.1:8999"),
    "CORS_ORIGIN_WHITELIST": ("http.cors_origins", "https://a.example,https://b.example",
                              "('https://a.example', 'https://b.example')"),
    "DOCKERAUTH_ALLOW_UNCONFIGURED_REPOS": ("docker.allow_unconfigured_repos", "True", "True"),
    "JWT_CERT_DAYS_VALID": ("jwt.cert_days_valid", "10", "10"),
    "SPAPI_DBUSERS": ("spapi.roles", "opensmtpd,dovecot", "('opensmtpd', 'dovecot')"),
    "AUTHSERVER_ENTITY_NAME": ("branding.name", "Example Ltd", "Example Ltd"),
    "DKIMSIGNER_NETWORK_MAPPING": ("signer.mappings", "127.0.0.1:2525:127.0.0.1:2526",
                                   str((Mapping(Endpoint("127.0.0.1", 2525), Endpoint("127.0.0.1", 2526)),))),
    "MAILFORWARDER_INPUT_IP": ("forwarder.listen", "127.0.0.9", "127.0.0.9:10046"),
    "MAILFORWARDER_INPUT_PORT": ("forwarder.listen", "2527", "127.0.0.1:2527"),
    "MAILFORWARDER_LOCALDELIVERY_IP": ("forwarder.local_delivery", "::1", "[::1]:10045"),
    "MAILFORWARDER_LOCALDELIVERY_PORT": ("forwarder.local_delivery", "2528", "127.0.0.1:2528"),
    "MAILFORWARDER_REMOTERELAY_IP": ("forwarder.remote_relay", "relay.example.com", "relay.example.com:10045"),
    "MAILFORWARDER_REMOTERELAY_PORT": ("forwarder.remote_relay", "25", "127.0.0.1:25"),
    "MAILFORWARDER_TRANSACTIONALRELAY_PORT": ("forwarder.transactional_relay", "2529", "127.0.0.1:2529"),
    "MAILFORWARDER_SRS_SECRET": ("forwarder.srs_secrets", SECRET, str((SECRET,))),
}
WITHOUT_USE = {"SECRET_KEY": SECRET, "ALLOWED_HOSTS": "auth.example.com", "USE_X_FORWARDED_HOST": "true",
               "AUTHSERVER_ENTITY_LOGO": "https://example.com/logo.png"}
NEEDS = {"DB_SSLCERT": "DB_SSLKEY", "DB_SSLKEY": "DB_SSLCERT", "VAULT_SSLCERT": "VAULT_SSLKEY", "VAULT_SSLKEY": "VAULT_SSLCERT",
         "VAULT_SECRETID": "VAULT_ROLEID", "VAULT_DATABASE_PATH": "VAULT_TOKEN"}
NAMES = (*EFFECTS, *WITHOUT_USE, "MAILFORWARDER_TRANSACTIONALRELAY_IP")


@pytest.fixture
def pem(tmp_path: Path) -> str:
    file = tmp_path / "some.pem"
    file.write_text("a certificate or key")
    return str(file)


def alone(name: str, pem: str) -> dict[str, str]:
    """An environment with one variable, and whichever it cannot be without."""
    names = [name, *([NEEDS[name]] if name in NEEDS else [])]
    return {each: pem if EFFECTS[each][1] == PEM else EFFECTS[each][1] for each in names}


def effect(settings: Settings, name: str) -> str:
    section, _, key = EFFECTS[name][0].partition(".")
    return str(getattr(getattr(settings, section), key))


@pytest.mark.parametrize("name", EFFECTS)
def test_each_name_of_the_earlier_system_takes_effect(name: str, pem: str, tmp_path: Path) -> None:
    expected = EFFECTS[name][2].replace(PEM, pem)
    environ = alone(name, pem)
    settings = load(None, environ)
    assert effect(load(None, {}), name) != expected
    assert effect(settings, name) == expected
    assert SECRET not in repr(settings)
    (tmp_path / "value").write_text(f"{environ.pop(name)}\n", encoding="utf-8")
    assert effect(load(None, environ | {f"{name}_FILE": str(tmp_path / "value")}), name) == expected


def test_all_of_them_at_once(pem: str) -> None:
    environ = {name: value for each in EFFECTS for name, value in alone(each, pem).items()} | WITHOUT_USE
    settings = load(None, environ | {"MAILFORWARDER_TRANSACTIONALRELAY_IP": "bulk.example.com"})
    assert str(settings.forwarder.transactional_relay) == "bulk.example.com:2529"
    assert str(settings.http.listen) == "127.0.0.9:8999"
    assert str(settings.forwarder.local_delivery) == "[::1]:2528"
    assert SECRET not in repr(settings)
    told = notices(environ)
    assert len(told) == len(WITHOUT_USE)
    assert all(any(name in line for line in told) for name in WITHOUT_USE)
    assert SECRET not in "".join(told)


def test_any_variable_may_name_a_file_with_its_value(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s.secret\n")
    assert load(None, {"VAULT_TOKEN_FILE": str(tmp_path / "token")}).vault.token == "s.secret"
    for environ in ({"VAULT_TOKEN_FILE": "/nowhere"}, {"VAULT_TOKEN_FILE": str(tmp_path / "token"), "VAULT_TOKEN": SECRET}):
        with pytest.raises(ConfigError, match="VAULT_TOKEN") as error:
            load(None, environ)
        assert SECRET not in str(error.value)


@pytest.mark.parametrize(("environ", "expected"), [
    ({"DATABASE_NAME": "accounts"}, {"host": "127.0.0.1", "port": "5432", "dbname": "accounts"}),
    ({"DATABASE_USER": "me", "DATABASE_PASSWORD": SECRET},
     {"host": "127.0.0.1", "port": "5432", "dbname": "authd", "user": "me", "password": SECRET}),
    ({"DATABASE_URL": "postgresql://db/x", "DATABASE_USER": "me"}, {"user": "me"}),
    ({"DATABASE_URL": "postgresql://db/x"}, {}),
])
def test_a_database_named_in_parts(environ: dict[str, str], expected: dict[str, str]) -> None:
    settings = load(None, environ)
    assert not settings.embedded_database
    assert dict(configured(settings).defaults) == expected
    assert SECRET not in repr(configured(settings))


def test_a_pinned_authority_means_tls_to_a_verified_host(pem: str) -> None:
    found = configured(load(None, {"POSTGRESQL_CA": pem, "DB_SSLCERT": pem, "DB_SSLKEY": pem, "DATABASE_USER": "me"})).defaults
    assert found == {"host": "postgresql.local", "port": "5432", "dbname": "authd", "user": "me", "sslmode": "verify-full",
                     "sslrootcert": pem, "sslcert": pem, "sslkey": pem}


def test_nothing_configured_is_the_embedded_database() -> None:
    assert load(None, {"VAULT_ADDR": "https://vault:8200", "VAULT_TOKEN": "t"}).embedded_database
    assert not load(None, {"VAULT_DATABASE_PATH": "database/creds/authd", "VAULT_TOKEN": "t"}).embedded_database


def write(folder: Path, **variables: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in variables.items():
        (folder / name).write_bytes(value.encode())


def test_the_folders_of_three_daemons_become_one_environment(tmp_path: Path) -> None:
    write(tmp_path / "authserver" / "env", DATABASE_NAME="accounts\nsecond line", BINDPORT="8999  \n", EMPTY="")
    write(tmp_path / "dkimsigner", DATABASE_NAME=SECRET, DKIMSIGNER_NETWORK_MAPPING="127.0.0.1:1:127.0.0.1:2",
          **{"not-a-name": ""})
    write(tmp_path / "mailforwarder", MAILFORWARDER_INPUT_IP="127.0.0.1", BINDPORT="8999")
    merged, told = appconfig.read(tmp_path, {"PATH": "/bin", "BINDPORT": "9000"})
    assert merged == {"PATH": "/bin", "DATABASE_NAME": "accounts", "BINDPORT": "9000", "MAILFORWARDER_INPUT_IP": "127.0.0.1",
                      "DKIMSIGNER_NETWORK_MAPPING": "127.0.0.1:1:127.0.0.1:2"}
    assert len(told) == 2
    assert f"{tmp_path / 'dkimsigner'}: DATABASE_NAME differs from {tmp_path / 'authserver'}" in told[0]
    assert "BINDPORT" in told[1]
    assert SECRET not in "".join(told)


def test_the_folder_may_be_named_by_a_variable(tmp_path: Path) -> None:
    write(tmp_path / "authserver", DATABASE_NAME="accounts")
    assert appconfig.environment({"AUTHD_APPCONFIG": str(tmp_path)})[0]["DATABASE_NAME"] == "accounts"
    assert appconfig.environment({"A": "b"}) == ({"A": "b"}, [])


def test_folders_that_are_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of the folders"):
        appconfig.read(tmp_path, {})
    (tmp_path / "authserver").mkdir()
    (tmp_path / "authserver" / "DATABASE_NAME").write_bytes(b"\xff")
    (tmp_path / "dkimsigner").mkdir()
    (tmp_path / "dkimsigner" / "BINDIP").write_bytes(b"\xfe")
    with pytest.raises(ConfigError) as error:
        appconfig.read(tmp_path, {})
    assert len(error.value.problems) == 2


def test_check_config_reads_the_folders_and_tells_what_it_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "authserver", DATABASE_NAME="accounts", SECRET_KEY=SECRET, DATABASE_PARENTROLE="owner",
          VAULT_DATABASE_PATH="database/creds/authd", VAULT_TOKEN=SECRET)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["check-config", "--appconfig", str(tmp_path), "--set", "http.metrics_listen=127.0.0.1:9100"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "metrics: also on http://127.0.0.1:9100" in said
    assert "database: PostgreSQL at 127.0.0.1:5432" in said
    assert "credentials: database/creds/authd of the Vault at https://vault.local:8200/" in said
    assert "note: environment: SECRET_KEY has no effect" in said
    assert SECRET not in said


# A configuration, its environment, and what the message must name: the key, the value, and words of what is allowed.
BROKEN: list[tuple[str, dict[str, str], tuple[str, ...]]] = [
    ('[http]\nlisten = "nowhere"\n', {}, ("http.listen", "'nowhere'", "HOST:PORT")),
    ('[http]\nlisten = "127.0.0.1:99999"\n', {}, ("http.listen", "'127.0.0.1:99999'", "1 to 65535")),
    ('[http]\npublic_url = "http://auth.example.com"\n', {}, ("http.public_url", "'http://auth.example.com'", "https://")),
    ("[http]\nreuse_port = 2\n", {}, ("http.reuse_port", "2", "true or false")),
    ("[http]\nshutdown_grace = 21\n", {}, ("http.shutdown_grace", "21", "20 seconds")),
    ('[http]\ntls_certificate = "nowhere.pem"\ntls_key = "KEY"\n', {}, ("http.tls_certificate", "nowhere.pem", "may read")),
    ('[http]\ntls_certificate = "KEY"\n', {}, ("http.tls_certificate", "http.tls_key", "both")),
    ('[http]\ntrusted_proxies = ["10.0.0.1/8"]\n', {}, ("http.trusted_proxies", "10.0.0.1/8", "networks such as")),
    ('[htp]\nlisten = "127.0.0.1:1"\n', {}, ("[htp]", "did you mean http")),
    ("[database]\npool_sise = 3\n", {}, ("database.pool_sise", "did you mean pool_size")),
    ("[database]\npool_size = 1\n", {}, ("database.pool_size", "1", "from 2 to 200")),
    (f'[database]\nurl = "mysql://u:{SECRET}@db/"\n', {}, ("database.url", "not shown", "postgresql://")),
    (f'[database]\nurl = "postgresql://u:{SECRET}@db/x?sslmode=full"\n', {}, ("database.url", "not shown", "verify-full")),
    (f'[database]\nurl = "postgresql://u:{SECRET}@db:port/x"\n', {}, ("database.url", "not shown", "HOST[:PORT]")),
    ('[database]\nurl_file = "nowhere"\n', {}, ("database.url_file", "'nowhere'", "text file")),
    ("", {"DB_SSLCERT": "/nowhere/client.pem"}, ("DB_SSLCERT", "database.client_key", "both")),
    ("", {"VAULT_ADDR": "http://vault.local:8200"}, ("VAULT_ADDR", "'http://vault.local:8200'", "https://HOST")),
    ('[vault]\ndatabase_path = "database/creds/authd"\n', {}, ("vault.database_path", "'database/creds/authd'", "vault.token")),
    ("", {"VAULT_SECRETID": SECRET}, ("VAULT_SECRETID", "not shown", "vault.role_id")),
    ("", {"VAULT_TOKEN": f"{SECRET}\n"}, ("VAULT_TOKEN", "not shown", "line of text")),
    ("", {"VAULT_CA": "/nowhere/ca.pem"}, ("VAULT_CA", "'/nowhere/ca.pem'", "may read")),
    ('[password]\nscheme = "md5"\n', {}, ("password.scheme", "'md5'", "yescrypt")),
    ('[http]\nmetrics_listen = "127.0.0.1:8080"\n', {}, ("http.metrics_listen", "127.0.0.1:8080", "its own")),
    ("", {"BINDPORT_FILE": "/nowhere/port"}, ("BINDPORT_FILE", "'/nowhere/port'", "text file")),
    ("", {"BINDPORT": "http"}, ("BINDPORT", "'http'", "1 to 65535")),
    ("", {"MAILFORWARDER_REMOTERELAY_PORT": "0"}, ("MAILFORWARDER_REMOTERELAY_PORT", "'0'", "1 to 65535")),
    ("", {"MAILFORWARDER_REMOTERELAY_IP": "a b"}, ("MAILFORWARDER_REMOTERELAY_IP", "'a b:10045'", "HOST:PORT")),
    ('[forwarder]\nlocal_delivery = "lmtp://nowhere"\n', {}, ("forwarder.local_delivery", "'lmtp://nowhere'", "lmtp://HOST:PORT")),
    ('[forwarder]\nsrs_secrets = ["s"]\nremote_relay = "127.0.0.1:10046"\n', {},
     ("forwarder.remote_relay", "127.0.0.1:10046", "another server")),
    ('[forwarder]\nsrs_secrets = ["s"]\nlisten = "0.0.0.0:25"\n', {}, ("forwarder.listen", "0.0.0.0:25", "smtp.allow_clients")),
    ('[signer]\nmappings = [{ in = "[::]:25", out = "127.0.0.1:1" }]\n', {},
     ("signer.mappings", "[::]:25", "smtp.allow_clients")),
    ('[forwarder]\nsrs_secrets = ["s"]\nlisten = "127.0.0.1:10036"\n', {}, ("signer.mappings", "127.0.0.1:10036", "its own")),
    ('[forwarder]\npostmaster = "nobody"\n', {}, ("forwarder.postmaster", "'nobody'", "name@example.com")),
    ('[signer]\nmappings = [{ in = "127.0.0.1:1" }]\n', {}, ("signer.mappings", "127.0.0.1:1", "in = ")),
    ('[signer]\nmappings = [{ in = "127.0.0.1:8080", out = "127.0.0.1:1" }]\n', {},
     ("signer.mappings", "127.0.0.1:8080", "its own")),
]


@pytest.mark.parametrize(("text", "environ", "words"), BROKEN)
def test_each_broken_configuration_is_explained(
    text: str, environ: dict[str, str], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "KEY").write_text("a key")
    file = tmp_path / "authd.conf"
    file.write_text(text, encoding="utf-8")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli.main(["check-config", "-c", str(file)])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    first = next(line for line in said.err.splitlines() if words[0] in line)
    assert first.startswith("environment: " if environ else f"{file}: ")
    assert [word for word in words if word not in first] == []
    assert SECRET not in said.err


def test_a_contradiction_is_told_beside_a_broken_value(tmp_path: Path) -> None:
    file = tmp_path / "authd.conf"
    file.write_text('[http]\nlisten = "x"\n[database]\nclient_key = "nowhere"\n[vault]\ntoken = 1\ndatabase_path = "a/b"\n')
    with pytest.raises(ConfigError) as error:
        load(file, {})
    assert len(error.value.problems) == 4
