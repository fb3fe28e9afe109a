"""The environment names of the earlier system, the folders that held them, and what is said of broken configurations."""

from pathlib import Path

import pytest

from authd import cli
from authd.config import appconfig, load, notices
from authd.credentials import configured
from authd.errors import ConfigError

SECRET = "hunter2-hunter2"
NAMES = (
    "DATABASE_URL", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_PARENTROLE", "POSTGRESQL_CA",
    "DB_SSLCERT", "DB_SSLKEY", "VAULT_ADDR", "VAULT_CA", "VAULT_DATABASE_PATH", "VAULT_TOKEN", "VAULT_ROLEID",
    "VAULT_SECRETID", "VAULT_SSLCERT", "VAULT_SSLKEY", "SECRET_KEY", "BINDIP", "BINDPORT", "ALLOWED_HOSTS",
    "USE_X_FORWARDED_HOST", "CORS_ORIGIN_WHITELIST", "JWT_CERT_DAYS_VALID", "SPAPI_DBUSERS", "AUTHSERVER_ENTITY_NAME",
    "AUTHSERVER_ENTITY_LOGO", "DKIMSIGNER_NETWORK_MAPPING", "MAILFORWARDER_INPUT_IP", "MAILFORWARDER_INPUT_PORT",
    "MAILFORWARDER_LOCALDELIVERY_IP", "MAILFORWARDER_LOCALDELIVERY_PORT", "MAILFORWARDER_REMOTERELAY_IP",
    "MAILFORWARDER_REMOTERELAY_PORT", "MAILFORWARDER_TRANSACTIONALRELAY_IP", "MAILFORWARDER_TRANSACTIONALRELAY_PORT",
    "MAILFORWARDER_SRS_SECRET")


@pytest.fixture
def pem(tmp_path: Path) -> str:
    file = tmp_path / "some.pem"
    file.write_text("a certificate or key")
    return str(file)


def environment(pem: str) -> dict[str, str]:
    """Every name, with a value that does."""
    values = {
        "DATABASE_URL": "postgresql://db/", "DATABASE_NAME": "accounts", "DATABASE_USER": "authd", "DATABASE_PASSWORD": SECRET,
        "DATABASE_PARENTROLE": "owner", "VAULT_ADDR": "https://vault:8200", "VAULT_DATABASE_PATH": "database/creds/authd",
        "VAULT_TOKEN": "t", "VAULT_ROLEID": "r", "VAULT_SECRETID": "s", "SECRET_KEY": SECRET, "BINDIP": "127.0.0.1",
        "BINDPORT": "8999", "ALLOWED_HOSTS": "auth.example.com", "USE_X_FORWARDED_HOST": "true",
        "CORS_ORIGIN_WHITELIST": "https://a.example", "JWT_CERT_DAYS_VALID": "10", "SPAPI_DBUSERS": "opensmtpd,dovecot",
        "AUTHSERVER_ENTITY_NAME": "Example", "AUTHSERVER_ENTITY_LOGO": "https://example.com/logo.png",
        "DKIMSIGNER_NETWORK_MAPPING": "127.0.0.1:2525:127.0.0.1:2526",
        "MAILFORWARDER_INPUT_IP": "127.0.0.1", "MAILFORWARDER_INPUT_PORT": "2527", "MAILFORWARDER_LOCALDELIVERY_IP": "::1",
        "MAILFORWARDER_LOCALDELIVERY_PORT": "2528", "MAILFORWARDER_REMOTERELAY_IP": "relay.example.com",
        "MAILFORWARDER_REMOTERELAY_PORT": "25", "MAILFORWARDER_TRANSACTIONALRELAY_IP": "bulk.example.com",
        "MAILFORWARDER_TRANSACTIONALRELAY_PORT": "2529", "MAILFORWARDER_SRS_SECRET": SECRET}
    return {name: values.get(name, pem) for name in NAMES}


def test_every_name_of_the_earlier_system_is_taken(pem: str) -> None:
    environ = environment(pem)
    settings = load(None, environ)
    database, vault = settings.database, settings.vault
    assert (database.name, database.user, database.password, database.parent_role) == ("accounts", "authd", SECRET, "owner")
    files = (database.ca, database.client_certificate, database.client_key, vault.ca, vault.certificate, vault.key)
    assert set(files) == {Path(pem)}
    assert (vault.address, vault.database_path, vault.token, vault.role_id, vault.secret_id) == (
        "https://vault:8200", "database/creds/authd", "t", "r", "s")
    assert settings.spapi.roles == ("opensmtpd", "dovecot")
    forwarder = settings.forwarder
    assert [str(forwarder.listen), str(forwarder.local_delivery), str(forwarder.remote_relay),
            str(forwarder.transactional_relay)] == ["127.0.0.1:2527", "[::1]:2528", "relay.example.com:25",
                                                    "bulk.example.com:2529"]
    assert forwarder.srs_secrets == (SECRET,)
    assert SECRET not in repr(settings)
    told = notices(environ)
    assert len(told) == 4
    assert all(any(name in line for line in told)
               for name in ("SECRET_KEY", "ALLOWED_HOSTS", "USE_X_FORWARDED_HOST", "AUTHSERVER_ENTITY_LOGO"))
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
        cli.main(["check-config", "--appconfig", str(tmp_path)])
    assert ended.value.code == 0
    said = capsys.readouterr().out
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
    ("", {"BINDPORT": "http"}, ("BINDPORT", "'http'", "1 to 65535")),
    ("", {"MAILFORWARDER_REMOTERELAY_PORT": "0"}, ("MAILFORWARDER_REMOTERELAY_PORT", "'0'", "1 to 65535")),
    ("", {"MAILFORWARDER_REMOTERELAY_IP": "a b"}, ("MAILFORWARDER_REMOTERELAY_IP", "'a b:10045'", "HOST:PORT")),
    ('[forwarder]\nlocal_delivery = "lmtp://nowhere"\n', {}, ("forwarder.local_delivery", "'lmtp://nowhere'", "lmtp://HOST:PORT")),
    ('[forwarder]\nsrs_secrets = ["s"]\nremote_relay = "127.0.0.1:10046"\n', {},
     ("forwarder.remote_relay", "127.0.0.1:10046", "another server")),
    ('[forwarder]\nsrs_secrets = ["s"]\nlisten = "0.0.0.0:25"\n', {}, ("forwarder.listen", "0.0.0.0:25", "smtp.allow_clients")),
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
