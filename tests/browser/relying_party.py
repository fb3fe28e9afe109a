"""An application that signs people in through authd: Authlib's client, joserfc for the id_token, a server on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet


class RelyingParty:
    """`/login` sends the browser to authd, `/cb` takes the code, exchanges it with PKCE, verifies and shows what it got."""

    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self.metadata: dict[str, Any] = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
        self.credentials = (client_id, client_secret)
        self.base_url = ""
        self.wanted: dict[str, str] = {}
        self.pending: dict[str, tuple[str, str]] = {}
        self.tokens: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}

    @property
    def callback(self) -> str:
        return f"{self.base_url}/cb"

    def begin(self) -> str:
        """The address of the authorization request, with fresh state, nonce and verifier."""
        state, nonce, verifier = generate_token(30), generate_token(30), generate_token(48)
        self.pending[state] = (nonce, verifier)
        session = self._session()
        url: str = session.create_authorization_url(
            self.metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier, **self.wanted)[0]
        return url

    def finish(self, parameters: dict[str, str]) -> str:
        """Takes the answer; the text of the page."""
        if "error" in parameters:
            return f"Error: {parameters['error']}"
        assert parameters["iss"] == self.metadata["issuer"]
        nonce, verifier = self.pending.pop(parameters["state"])
        session = self._session()
        self.tokens = session.fetch_token(
            self.metadata["token_endpoint"], grant_type="authorization_code", code=parameters["code"], code_verifier=verifier)
        keys = KeySet.import_key_set(requests.get(self.metadata["jwks_uri"], timeout=10).json())
        token = jwt.decode(self.tokens["id_token"], keys, algorithms=["RS256"])
        verified = CodeIDToken(token.claims, token.header, options={
            "iss": {"essential": True, "value": self.metadata["issuer"]},
            "aud": {"essential": True, "value": self.credentials[0]},
        }, params={"nonce": nonce, "client_id": self.credentials[0], "access_token": self.tokens["access_token"]})
        verified.validate()
        self.claims = dict(token.claims)
        self.userinfo = session.get(self.metadata["userinfo_endpoint"]).json()
        return f"Hello {self.userinfo.get('email', self.userinfo['sub'])}"

    def _session(self) -> Any:
        return OAuth2Session(
            *self.credentials, redirect_uri=self.callback, scope="openid email profile offline_access",
            code_challenge_method="S256", token_endpoint_auth_method="client_secret_basic")


@contextmanager
def running(party: RelyingParty) -> Iterator[RelyingParty]:
    """Serves it on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/login":
                self.send_response(302)
                self.send_header("Location", party.begin())
                self.end_headers()
            elif parts.path == "/cb":
                self._show(party.finish(dict(parse_qsl(parts.query))))
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._show(party.finish(dict(parse_qsl(body))))

        def _show(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>App</title><h1>{text}</h1>".encode())

        def log_message(self, format: str, *args: object) -> None:
            """The test's output is no access log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    party.base_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield party
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
