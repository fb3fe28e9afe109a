"""The `checkpassword` program as other software runs it, against a small TLS server that plays authd."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authd.keys.certificate import pem_lines, self_signed
from authd.keys.facts import PrivateKey, PublicKey
from tests.descriptors import with_descriptor_3
from tests.support import ROOT
from tests.tls import Authority, make_authority

PROGRAM = ROOT / "tools" / "checkpassword.py"
KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
NAME = "a@example.com"
Answer = tuple[int, str, bytes]


def public_lines(key: PublicKey = KEY.public_key()) -> list[str]:
    return pem_lines(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "PUBLIC KEY")


def as_json(status: int, value: object) -> Answer:
    return status, "application/json", json.dumps(value).encode()


def token(key: PrivateKey = KEY, alg: str = "RS256", **changes: object) -> Answer:
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": NAME, "canonical_username": "canonical@example.com", "authenticated": True, "authorized": True,
        "scopes": ["imap", "staff"], "nbf": now - 5, "exp": now + 3600, "iss": "localhost", "aud": "net.maurus.authclient"}
    claims |= changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return 200, "application/jwt", jwt.encode(kept, key, alg, headers={"kid": "k1"}).encode()


@dataclass
class Server:
    """Answers every request with `answer` and remembers them."""

    url: str
    authority: Authority
    answer: Answer = field(default_factory=token)
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Program:
    """The program with a key file; `run` returns the exit code, what it printed stands in `output` and `errors`."""

    server: Server
    key_file: Path
    output: str = ""
    errors: str = ""

    def run(self, mode: str, *options: str, stdin: bytes = b"", fd3: bytes | None = None, url: str | None = None,
            trust: bool = True, environment: dict[str, str] | None = None) -> int:
        command = [sys.executable, str(PROGRAM), "-m", mode, "-u", url or self.server.url, "--jwtkey", str(self.key_file)]
        if trust:
            command += ["--ca-file", str(self.server.authority.ca_file)]
        done = subprocess.run(
            with_descriptor_3([*command, *options], fd3), input=stdin, capture_output=True, timeout=20, check=False,
            env=os.environ | (environment or {}))
        self.output, self.errors = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in self.errors
        return done.returncode

    def authext(self, *options: str, name: str = NAME, password: str = "secret", **more: Any) -> int:
        return self.run("authext", *options, stdin=f"{name}\n{password}\n".encode(), **more)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.command, self.path, body))
            status, kind, answer = state.answer
            self.send_response(status)
            for name, value in ({"Content-Type": kind, "Content-Length": str(len(answer))} | state.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that does not trust us is no reason for a traceback."""

        def shutdown_request(self, request: Any) -> None:
            try:
                super().shutdown_request(request)
            except OSError:
                request.close()

    listener = Listener(("127.0.0.1", 0), Handler)
    listener.socket = authority.server_context().wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    state = Server(f"https://localhost:{listener.server_address[1]}", authority)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.fixture
def program(server: Server, tmp_path: Path) -> Program:
    key_file = tmp_path / "jwt.pem"
    key_file.write_text("\n".join(public_lines()) + "\n")
    return Program(server, key_file)


# Answers


def test_the_right_password(program: Program) -> None:
    assert program.authext("-s", "imap", "-s", "staff", password="p: \u00fc\t") == 0
    method, path, body = program.server.requests[0]
    assert (method, path) == ("POST", "/checkpassword/")
    assert json.loads(body) == {"username": NAME, "password": "p: \u00fc\t", "scopes": ["imap", "staff"]}
    assert program.output == program.errors == ""


REFUSED = {"authenticated": False, "authorized": False}


@pytest.mark.parametrize(("answer", "code"), [
    (as_json(401, REFUSED), 1),
    (as_json(403, {"authenticated": True, "authorized": False, "missing": ["imap"]}), 1),
    (as_json(400, {"error": "Not a valid authorization domain"}), 1),
    (as_json(421, {"error": "misdirected_request"}), 1),
    (as_json(400, {"error": "HTTPS is required"}), 2),
    (as_json(403, {"error": "forbidden"}), 2),
    (as_json(429, {"error": "throttled"}), 2),
    (as_json(503, {"error": "temporarily_unavailable"}), 2),
    (as_json(500, {"error": "internal_error"}), 2),
    (as_json(404, {"error": "not_found"}), 2),
    (as_json(200, {"authenticated": True, "authorized": True}), 2),
    ((404, "text/html", b"<h1>no</h1>"), 2),
    ((401, "text/html", b"<h1>no</h1>"), 1),
    ((200, "text/html", token()[2]), 2),
    ((200, "application/jwt", b""), 1),
    ((200, "application/jwt", b"a.b.c"), 1),
    ((200, "application/jwt", b"x" * (1024 * 1024 + 1)), 2),
    (as_json(503, []), 2),
])
def test_what_an_answer_means(program: Program, answer: Answer, code: int) -> None:
    program.server.answer = answer
    assert program.authext() == code
    assert program.errors.startswith("checkpassword: ")


def test_a_redirect_is_not_followed(program: Program) -> None:
    program.server.answer = as_json(307, {})
    program.server.headers = {"Location": program.server.url + "/elsewhere"}
    assert program.authext() == 2
    assert len(program.server.requests) == 1


def unsigned() -> Answer:
    payload = token()[2].split(b".")[1]
    none = jwt.encode({}, "", "none").encode().partition(b".")[0]
    return 200, "application/jwt", b".".join((none, payload, b""))


def symmetric() -> Answer:
    """A token "signed" with the public key as an HMAC secret."""
    hmac_key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}')
    payload = token()[2].split(b".")[1]
    secret = ("\n".join(public_lines()) + "\n").encode()
    signature = jwt.utils.base64url_encode(hmac_key.sign(head + b"." + payload, secret))
    return 200, "application/jwt", b".".join((head, payload, signature))


@pytest.mark.parametrize("make", [
    lambda: token(OTHER_KEY), lambda: token(KEY, "RS512"), lambda: token(KEY, "PS256"),
    lambda: token(ec.generate_private_key(ec.SECP256R1()), "ES256"), unsigned, symmetric,
    lambda: token(aud="other"), lambda: token(aud=None), lambda: token(iss="example.com"), lambda: token(iss=None),
    lambda: token(iss="host"), lambda: token(iss=""), lambda: token(exp=int(time.time()) - 60), lambda: token(exp=None),
    lambda: token(nbf=int(time.time()) + 60), lambda: token(sub="b@example.com"), lambda: token(sub=None),
    lambda: token(authenticated=False), lambda: token(authorized=False), lambda: token(authenticated=1),
    lambda: token(authenticated=None)])
def test_answers_that_cannot_be_trusted(program: Program, make: Callable[[], Answer]) -> None:
    program.server.answer = make()
    assert program.authext() == 1


def test_a_scope_that_the_token_lacks(program: Program) -> None:
    assert program.authext("-s", "imap", "-s", "docker") == 1
    program.server.answer = token(scopes="imap docker")
    assert program.authext("-s", "imap") == 2


def test_the_issuer_is_the_domain_or_its_parent(program: Program) -> None:
    program.server.answer = token(iss="example.com")
    assert program.authext("--domain", "example.com") == 0
    assert program.authext("--domain", "Sub.Example.COM.") == 0
    assert program.authext("--domain", "badexample.com") == 1
    assert program.authext("--domain", "com") == 1


# Connections


def test_a_closed_port(program: Program) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert program.authext(url=f"https://localhost:{port}") == 2
    assert program.authext("--djb-exit-codes", url=f"https://localhost:{port}") == 111
    assert program.run("check", url=f"https://localhost:{port}") == 2


def test_a_certificate_that_nobody_vouches_for(program: Program) -> None:
    assert program.authext(trust=False) == 2
    assert "CERTIFICATE_VERIFY_FAILED" in program.errors
    assert program.authext("--no-ssl-validate", trust=False) == 0
    assert program.authext("--ca-file", "/nonexistent", trust=False) == 2


def test_a_name_that_the_certificate_does_not_hold(program: Program) -> None:
    port = program.server.url.rpartition(":")[2]
    assert program.authext(url=f"https://127.0.0.2:{port}", trust=True) == 2


def test_what_is_no_tls_and_what_is_no_http(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                connection.recv(1000)
                connection.sendall(b"220 smtp\r\n")
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        assert program.authext(url=f"https://127.0.0.1:{port}") == 2
        assert program.authext(url=f"http://127.0.0.1:{port}") == 2
        thread.join()


def test_a_silent_server(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert program.authext("--timeout", "0.2", url=f"https://127.0.0.1:{listener.getsockname()[1]}") == 2


# Keys


def test_init_writes_the_key_once(program: Program, tmp_path: Path) -> None:
    program.key_file = tmp_path / "new.pem"
    program.server.answer = as_json(200, {"public_key_pem": public_lines()})
    assert program.run("init") == 0
    assert program.server.requests == [("GET", "/getkey/?format=pubkey", b"")]
    assert program.key_file.read_text() == "\n".join(public_lines()) + "\n"
    assert stat.S_IMODE(program.key_file.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jwt.pem", "new.pem"]

    program.key_file.write_text("something of yours")
    assert program.run("init") == 0
    assert program.key_file.read_text() == "something of yours"
    assert len(program.server.requests) == 1


def test_init_to_standard_output_for_another_domain(program: Program) -> None:
    program.server.answer = as_json(200, {"public_key_pem": public_lines()})
    program.key_file = Path("-")
    assert program.run("init", "--domain", "Example.com") == 0
    assert program.output == "\n".join(public_lines()) + "\n"
    assert program.server.requests[0][1] == "/getkey/?format=pubkey&domain=example.com"


def test_init_with_a_certificate(program: Program, tmp_path: Path) -> None:
    program.key_file = tmp_path / "cert.pem"
    lines = pem_lines(self_signed(KEY, "localhost", datetime.now(UTC), 30), "CERTIFICATE")
    program.server.answer = as_json(200, {"cert": lines})
    assert program.run("init", "-f", "cert") == 0
    assert program.server.requests[0][1] == "/getkey/?format=cert"
    program.server.answer = token()
    assert program.authext() == 0


@pytest.mark.parametrize("value", [
    {}, {"public_key_pem": "x"}, {"public_key_pem": ["x"]}, {"public_key_pem": [1]}, {"public_key_pem": []},
    {"public_key_pem": public_lines(ec.generate_private_key(ec.SECP256R1()).public_key())}, [], None])
def test_init_with_an_answer_that_is_no_key(program: Program, tmp_path: Path, value: object) -> None:
    program.key_file = tmp_path / "new.pem"
    program.server.answer = as_json(200, value)
    assert program.run("init") == 2
    assert not program.key_file.exists()


@pytest.mark.parametrize("error", ["Not a valid authorization domain", "Domain is not JWT enabled"])
@pytest.mark.parametrize("mode", ["init", "check"])
def test_a_domain_without_a_key(program: Program, tmp_path: Path, mode: str, error: str) -> None:
    program.key_file = tmp_path / "new.pem"
    program.server.answer = as_json(404, {"error": error})
    assert program.run(mode) == 1
    assert error in program.errors
    assert not program.key_file.exists()


def test_init_where_it_cannot_write(program: Program, tmp_path: Path) -> None:
    program.key_file = tmp_path / "missing" / "new.pem"
    program.server.answer = as_json(200, {"public_key_pem": public_lines()})
    assert program.run("init") == 3


def test_check_changes_nothing(program: Program, tmp_path: Path) -> None:
    program.server.answer = as_json(200, {"public_key_pem": public_lines()})
    assert program.run("check") == 0
    program.key_file.write_text("\n".join(public_lines(OTHER_KEY.public_key())))
    assert program.run("check") == 1
    program.key_file.write_text("nonsense")
    assert program.run("check") == 2
    program.key_file = tmp_path / "missing.pem"
    assert program.run("check") == 0
    assert not program.key_file.exists()


@pytest.mark.parametrize("content", [None, "", "nonsense", "\n".join(public_lines()).replace("M", "!"),
                                     "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                     "\n".join(public_lines(ec.generate_private_key(ec.SECP256R1()).public_key()))])
def test_a_key_file_that_is_none(program: Program, content: str | None) -> None:
    program.key_file.unlink()
    if content is not None:
        program.key_file.write_text(content)
    assert program.authext() == 2
    assert program.server.requests == []


# Modes


def test_groups_any_of_which_suffices(program: Program) -> None:
    program.server.answer = token(authenticated=False)
    assert program.run("authextgroup", stdin=f"{NAME}\nadmins staff\n".encode()) == 0
    assert json.loads(program.server.requests[0][2]) == {"username": NAME, "scopes": []}
    assert program.run("authextgroup", stdin=f"{NAME}\nadmins others\n".encode()) == 1
    assert program.run("authextgroup", "-s", "imap", stdin=f"{NAME}\nstaff\n".encode()) == 0
    assert program.run("authextgroup", "-s", "docker", stdin=f"{NAME}\nstaff\n".encode()) == 1
    assert program.run("authextgroup", stdin=f"{NAME}\n\n".encode()) == 1


def test_the_program_is_started_for_the_user(program: Program) -> None:
    show = ["sh", "-c", 'echo "$USER|${HOME-none}|${SHELL-none}|${AUTHORIZED-none}|$1"', "sh", "--flag"]
    code = program.run("checkpassword", *show, fd3=f"{NAME}\0secret\0Y123\0".encode(),
                       environment={"HOME": "/root", "SHELL": "/bin/sh"})
    assert (code, program.output) == (0, "canonical@example.com|none|none|none|--flag\n")
    assert json.loads(program.server.requests[0][2]) == {"username": NAME, "password": "secret", "scopes": []}


def test_dovecot_s_userdb_looks_a_name_up(program: Program) -> None:
    asked = {"AUTHORIZED": "1"}
    program.server.answer = token(authenticated=False)
    assert program.run("checkpassword", "sh", "-c", 'echo "$AUTHORIZED"', fd3=f"{NAME}\0\0\0".encode(), environment=asked) == 0
    assert program.output == "2\n"
    assert json.loads(program.server.requests[0][2]) == {"username": NAME, "scopes": []}
    program.server.answer = as_json(401, REFUSED)
    assert program.run("checkpassword", "true", fd3=f"{NAME}\0\0".encode(), environment=asked) == 3


def test_a_password_is_verified_whatever_the_environment_says(program: Program) -> None:
    program.server.answer = token(authenticated=False)
    assert program.run("checkpassword", "true", fd3=f"{NAME}\0wrong\0".encode(), environment={"AUTHORIZED": "1"}) == 1
    assert json.loads(program.server.requests[0][2])["password"] == "wrong"
    for value in ({}, {"AUTHORIZED": "2"}, {"AUTHORIZED": ""}):
        assert program.run("checkpassword", "true", fd3=f"{NAME}\0\0".encode(), environment=value) == 1


def test_the_program_s_exit_code_is_ours_and_a_wrong_password_starts_none(program: Program, tmp_path: Path) -> None:
    data = f"{NAME}\0secret\0".encode()
    assert program.run("checkpassword", "sh", "-c", "exit 7", fd3=data) == 7
    assert program.run("checkpassword", "--", "true", fd3=data) == 0
    assert program.run("checkpassword", fd3=data) == 0
    assert program.run("checkpassword", str(tmp_path / "missing"), fd3=data) == 3
    program.server.answer = as_json(401, REFUSED)
    assert program.run("checkpassword", "touch", str(tmp_path / "started"), fd3=data) == 1
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(("data", "code"), [
    (None, 3), (b"", 3), (b"a", 3), (b"a\0secret", 3), (b"\0secret\0", 1), (b"a\0" + b"x" * 511 + b"\0", 1),
    (b"\xff\0secret\0", 1), (b"a\0\xff\0", 1)])
def test_input_on_descriptor_3_that_cannot_be_right(program: Program, data: bytes | None, code: int) -> None:
    assert program.run("checkpassword", "true", fd3=data) == code
    assert program.server.requests == []


def test_512_bytes_on_descriptor_3(program: Program) -> None:
    password = "x" * (512 - len(NAME) - 2)
    assert program.run("checkpassword", fd3=f"{NAME}\0{password}\0".encode()) == 0


@pytest.mark.parametrize(("data", "code"), [
    (b"", 3), (b"a", 3), (b"a\n", 3), (b"\nx\n", 1), (b"\xff\nx\n", 1), (b"a\0b\nx\n", 1)])
def test_input_lines_that_cannot_be_right(program: Program, data: bytes, code: int) -> None:
    assert program.run("authext", stdin=data) == code
    assert program.server.requests == []


def test_a_password_keeps_all_but_its_line_end(program: Program) -> None:
    assert program.run("authext", stdin=f"{NAME}\n pass word \r".encode()) == 0
    assert json.loads(program.server.requests[0][2])["password"] == " pass word \r"


# The command line


@pytest.mark.parametrize(("path", "asked"), [
    ("", "/checkpassword/"), ("/", "/checkpassword/"), ("/checkpassword", "/checkpassword/"),
    ("/checkpassword/", "/checkpassword/"), ("/getkey/", "/checkpassword/"), ("/sub/", "/sub/checkpassword/")])
def test_the_url_is_completed(program: Program, path: str, asked: str) -> None:
    assert program.authext(url=program.server.url + path) == 0
    assert program.server.requests[0][1] == asked


@pytest.mark.parametrize("options", [
    ["-m", "authext", "-u", "https://localhost"], ["-m", "nonsense", "-u", "https://localhost", "--jwtkey", "x"],
    ["-m", "authext", "-u", "http://example.com", "--jwtkey", "x"], ["-m", "authext", "-u", "ftp://localhost", "--jwtkey", "x"],
    ["-m", "authext", "-u", "https://u:p@localhost", "--jwtkey", "x"], ["-m", "authext", "-u", "https://[", "--jwtkey", "x"],
    ["-m", "authext", "-u", "https://localhost:99999", "--jwtkey", "x"], ["-m", "authext", "-u", "localhost", "--jwtkey", "x"],
    ["-m", "authext", "-u", "https://localhost", "--jwtkey", "-"], ["-m", "authext", "--jwtkey", "x"],
    ["-m", "authext", "-u", "https://localhost", "--jwtkey", "x", "--timeout", "0"],
    ["-m", "authext", "-u", "https://localhost", "--jwtkey", "x", "--ca-file", "y", "--no-ssl-validate"]])
def test_a_wrong_command_line(options: list[str]) -> None:
    done = subprocess.run([sys.executable, str(PROGRAM), *options], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


def test_it_needs_nothing_of_authd_and_starts_quickly() -> None:
    """PyJWT, ssl and http.client are imported where they are used, not at start."""
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import checkpassword; unwanted = ('authd', 'tornado', 'jwt', "
            "'cryptography', 'ssl', 'http.client'); print([name for name in unwanted if name in sys.modules])")
    done = subprocess.run([sys.executable, "-S", "-c", code, str(PROGRAM.parent)], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
