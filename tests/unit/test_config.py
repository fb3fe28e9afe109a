"""Reading authd.conf and the environment."""

import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from authd.config import Settings, find, load
from authd.config.example import example
from authd.config.values import Downstream, Endpoint, Mapping
from authd.errors import ConfigError
from tests.support import ROOT
from tests.tls import make_authority


def write(folder: Path, text: str) -> Path:
    file = folder / "authd.conf"
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path | None, environ: dict[str, str] | None = None, chosen: Sequence[str] = ()) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(file, environ or {}, chosen)
    return list(error.value.problems)


def test_nothing_configured_gives_the_defaults() -> None:
    settings = load(None, {})
    assert settings.http.listen == Endpoint("127.0.0.1", 8080)
    assert settings.database.embedded == Path.cwd() / "authd-data"


def test_the_example_is_up_to_date_and_names_every_setting() -> None:
    text = (ROOT / "authd.conf.example").read_text(encoding="utf-8")
    assert text == example(), "run: python -m authd.config.example > authd.conf.example"
    for section in fields(Settings):
        defaults: Any = section.default
        for item in fields(defaults):
            assert f"\n#{item.name} = " in text


def test_the_example_with_its_comments_removed_reads_as_the_defaults(tmp_path: Path) -> None:
    lines = [line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in example().splitlines()]
    kept = [line for line in lines if not line.endswith(' = ""')]
    tomllib.loads("\n".join(kept))
    assert load(write(tmp_path, "\n".join(kept)), {}).signer == Settings().signer


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, """
        [http]
        listen = "nowhere"
        lisen = "127.0.0.1:1"
        public_url = "http://auth.example.com"
        [password]
        scheme = "md5"
        threads = 0
        [nonsense]
        [signer]
        mappings = [{ in = "127.0.0.1:1" }]
        """)
    found = problems(file, {"JWT_CERT_DAYS_VALID": "many"})
    assert len(found) == 8
    assert any("http.lisen: no such setting; did you mean listen?" in line for line in found)
    assert any("[nonsense]" in line for line in found)
    assert any("environment: JWT_CERT_DAYS_VALID: 'many'" in line for line in found)
    assert all(str(file) in line or "environment" in line for line in found)


def test_a_secret_is_never_repeated(tmp_path: Path) -> None:
    file = write(tmp_path, '[database]\nurl = "mysql://u:hunter2@db/"\n')
    assert not any("hunter2" in line for line in problems(file))
    assert not any("hunter2" in line for line in problems(None, {"DATABASE_URL": "mysql://u:hunter2@db/"}))
    assert "hunter2" not in repr(load(None, {"DATABASE_URL": "postgresql://u:hunter2@db/"}).database)


@pytest.mark.parametrize(("text", "words"), [
    ("[http", "is not TOML"), ("http = 1", "is not a section"),
    ('[http]\ntls_certificate = "missing.pem"\n', "go together"),
    ('[secrets]\nkey_file = "missing"\n', "cannot be read"),
    ("[http]\nshutdown_grace = 21\n", "20 seconds at most"),
    ('[http]\nlisten = "127.0.0.1:10036"\n', "two listeners"),
    ('[signer]\nmappings = [{ in = "127.0.0.1:1", out = "127.0.0.1:1" }]\n', "deliver to itself"),
    ('[smtp]\ntls_certificate = "missing.pem"\n', "smtp.tls_certificate and smtp.tls_key go together"),
    ('[smtp]\ntls_key = "missing.pem"\n', "cannot be read"),
    ('[smtp]\ndownstream_ca = "missing.pem"\n', "cannot be read"),
    ('[signer]\nmappings = [{ in = "127.0.0.1:1", out = "127.0.0.1:2", tls = "on" }]\n', "one of off, opportunistic, required"),
    ('[forwarder]\nsrs_secrets = ["x"]\nlocal_delivery = "/lmtp"\nlocal_delivery_tls = "required"\n', "knows no TLS"),
    ('[forwarder]\nremote_relay_tls = true\n', "one of off, opportunistic, required"),
    ('[branding]\naccent = "#ffff00"\n', "contrast"),
    ("[http]\nreuse_port = 1\n", "true or false"),
])
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in line for line in problems(write(tmp_path, text)))


@pytest.mark.parametrize("section", ["http", "smtp"])
def test_a_key_that_does_not_fit_its_certificate_is_refused(tmp_path: Path, section: str) -> None:
    authority = make_authority(tmp_path)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")))
    for key, words in ((authority.ca_key, "mismatch"), (authority.certificate, "PEM"), (encrypted, "is encrypted")):
        file = write(tmp_path, f'[{section}]\ntls_certificate = "server.pem"\ntls_key = "{key.name}"\n')
        [problem] = problems(file)
        assert problem.startswith(f"{file}: {section}.tls_key: {authority.certificate}: cannot be used with the key {key}: ")
        assert words in problem and "PRIVATE" not in problem
    load(write(tmp_path, f'[{section}]\ntls_certificate = "server.pem"\ntls_key = "server.key"\n'), {})


def test_a_missing_file_is_named() -> None:
    assert "/nowhere/authd.conf" in problems(Path("/nowhere/authd.conf"))[0]


def test_any_setting_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://authd@db/authd\n", encoding="utf-8")
    settings = load(write(tmp_path, '[database]\nurl_file = "url"\n'), {})
    assert settings.database.url == "postgresql://authd@db/authd"
    assert "given twice" in problems(write(tmp_path, '[database]\nurl = "postgresql://a"\nurl_file = "url"\n'))[0]
    assert "cannot be read" in problems(write(tmp_path, '[database]\nurl_file = "nowhere"\n'))[0]


def everything() -> list[tuple[str, str, Any]]:
    return [(section.name, item.name, item) for section in fields(Settings) for item in fields(section.default)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("section", "name", "item"), everything())
def test_each_setting_may_stand_in_a_file_or_on_the_command_line(
    section: str, name: str, item: Any, tmp_path: Path,
) -> None:
    """What no setting takes is refused by name in each place, so each place is read; a secret is never shown."""
    setting, nothing = f"{section}.{name}", "\0hunter2"
    (tmp_path / "value").write_text(nothing, encoding="utf-8")
    [in_file] = problems(write(tmp_path, f'[{section}]\n{name}_file = "value"\n'))
    [chosen] = problems(write(tmp_path, ""), chosen=[f"{setting}={nothing}"])
    [chosen_file] = problems(write(tmp_path, ""), chosen=[f"{setting}_file=value"])
    assert in_file.startswith(f"{tmp_path / 'authd.conf'}: {setting}_file: ")
    assert chosen.startswith(f"command line: {setting}: ")
    assert chosen_file.startswith(f"command line: {setting}_file: ")
    for said in (in_file, chosen, chosen_file):
        assert ("hunter2" in said) == (not item.metadata["secret"])
        assert "; use " in said


def test_the_command_line_wins_over_everything(tmp_path: Path) -> None:
    file = write(tmp_path, '[http]\nlisten = "127.0.0.1:1"\n')
    (tmp_path / "token").write_text("s.secret\n", encoding="utf-8")
    chosen = ["http.listen=127.0.0.1:3", "http.listen=127.0.0.1:4", "signer.enabled=no", "vault.token_file=token",
              "http.trusted_proxies=10.0.0.0/8 ::1", "branding.name=a = b"]
    settings = load(file, {"BINDPORT": "2"}, chosen)
    assert str(settings.http.listen) == "127.0.0.1:4"
    assert [str(network) for network in settings.http.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert (settings.signer.enabled, settings.vault.token, settings.branding.name) == (False, "s.secret", "a = b")


def test_what_cannot_stand_on_the_command_line(tmp_path: Path) -> None:
    chosen = ["http", "listen=1", "htp.listen=127.0.0.1:1", "http.lisen=127.0.0.1:1", "vault.token=hunter2",
              "http.listen=127.0.0.1:1", "http.listen_file=x"]
    said = "\n".join(problems(write(tmp_path, ""), chosen=chosen))
    for words in ("command line: 'http' is not allowed; use SECTION.NAME=VALUE", "command line: 'listen' is not allowed",
                  "command line: [htp]: no such section; did you mean http?", "command line: http.lisen: no such setting",
                  "command line: vault.token: the value (not shown)", "use vault.token_file", "command line: http.listen_file"):
        assert words in said
    assert "hunter2" not in said


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = load(write(tmp_path, '[http]\nlisten = "127.0.0.1:1"\n[signer]\nenabled = true\n'),
                    {"BINDPORT": "9090", "DKIMSIGNER_NETWORK_MAPPING": "127.0.0.1:2525:127.0.0.1:2626, [::1]:25:127.0.0.1:26"})
    assert settings.http.listen == Endpoint("127.0.0.1", 9090)
    assert settings.signer.mappings == (Mapping(Endpoint("127.0.0.1", 2525), Endpoint("127.0.0.1", 2626)),
                                        Mapping(Endpoint("::1", 25), Endpoint("127.0.0.1", 26)))


def test_each_downstream_has_its_own_tls(tmp_path: Path) -> None:
    settings = load(write(tmp_path, """
        [signer]
        mappings = [{ in = "127.0.0.1:1", out = "mx.example.com:25", tls = "required" },
                    { in = "127.0.0.1:2", out = "[::1]:25" }]
        [forwarder]
        remote_relay_tls = "opportunistic"
        """), {})
    assert [mapping.tls for mapping in settings.signer.mappings] == ["required", "off"]
    forwarder = settings.forwarder
    assert (forwarder.local_delivery_tls, forwarder.remote_relay_tls, forwarder.transactional_relay_tls) == (
        "off", "opportunistic", "off")


@pytest.mark.parametrize(("given", "kept"), [
    ("https://auth.example.com/", "https://auth.example.com"), ("https://auth.example.com:443", "https://auth.example.com"),
    ("http://localhost:8080", "http://localhost:8080"), ("http://[::1]:80", "http://[::1]"),
])
def test_the_public_url_is_kept_in_one_form(given: str, kept: str, tmp_path: Path) -> None:
    assert load(write(tmp_path, f'[http]\npublic_url = "{given}"\n'), {}).http.public_url == kept


@pytest.mark.parametrize("url", ["http://auth.example.com", "https://auth.example.com/x", "ftp://localhost",
                                 "https://u@auth.example.com", "https://auth.example.com:x", "auth.example.com"])
def test_a_public_url_that_cannot_be_one(url: str, tmp_path: Path) -> None:
    assert len(problems(write(tmp_path, f'[http]\npublic_url = "{url}"\n'))) == 1


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find({"AUTHD_CONFIG": "/x/authd.conf"}) == Path("/x/authd.conf")
    write(tmp_path, "")
    assert find({}) == Path("authd.conf")


@pytest.mark.parametrize(("text", "expected"), [
    ("127.0.0.1:24", Downstream("127.0.0.1", 24)), ("lmtp://[::1]:24", Downstream("::1", 24, lmtp=True)),
    ("/run/dovecot/lmtp", Downstream(socket="/run/dovecot/lmtp", lmtp=True))])
def test_where_local_delivery_may_be(text: str, expected: Downstream, tmp_path: Path) -> None:
    settings = load(write(tmp_path, f'[forwarder]\nlocal_delivery = "{text}"\n'), {})
    assert settings.forwarder.local_delivery == expected
    assert str(expected) == text


def test_srs_secrets_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("the first, with a comma\n\nthe second\n")
    settings = load(write(tmp_path, '[forwarder]\nsrs_secrets_file = "secrets"\n'), {})
    assert settings.forwarder.srs_secrets == ("the first, with a comma", "the second")
