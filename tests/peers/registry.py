"""A real docker-registry that takes tokens of a real authd, both over TLS, and the images that its clients move."""

import gzip
import hashlib
import io
import json
import os
import ssl
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.daemon import Daemon, free_port, running_daemon, wait_until_ready
from tests.http.support import PASSWORD
from tests.sql.authctl import Authctl
from tests.support import require_program
from tests.tls import Authority, make_authority

REGISTRY_CONFIGURATION = """
version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}/images
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
  tls:
    certificate: {certificate}
    key: {key}
{auth}
"""
PEOPLE = """
[[domain]]
name = "example.com"
create_key = ["jwt"]
jwt_algorithm = "{algorithm}"
"""


@dataclass(frozen=True)
class Answer:
    """What a client said."""

    code: int
    text: str

    def __bool__(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Site:
    """authd and a registry that believes it."""

    folder: Path
    daemon: Daemon
    authority: Authority
    authctl: Authctl
    service: str
    registry_log: Path

    def add_user(self, name: str) -> str:
        """An account with a password; its login name."""
        self.authctl.said("user", "create", name, name, "--password", PASSWORD)
        self.authctl.said("alias", "create", f"{name}@example.com", "--user", name)
        self.authctl.said("user", "set-delivery-mailbox", name, f"{name}@example.com", "-y")
        return f"{name}@example.com"

    def allow(self, *words: str) -> None:
        """Gives a right; the last word is a pattern, "" for the whole registry."""
        *options, pattern = words
        self.authctl.said("dockerauth", "allow", *options, f"{self.service}:{pattern}" if pattern else self.service)

    def image(self, repository: str, tag: str = "1") -> str:
        return f"docker://{self.service}/{repository}:{tag}"

    def run(self, *command: str, stdin: str = "") -> Answer:
        """A client that trusts the authority, with a home folder of its own."""
        home = self.home(command[0])
        home.mkdir(exist_ok=True)
        variables = {"PATH": os.environ["PATH"], "HOME": str(home), "SSL_CERT_FILE": str(self.authority.ca_file),
                     "XDG_RUNTIME_DIR": str(home), "DOCKER_CONFIG": str(home / "docker")}
        done = subprocess.run([require_program(command[0]), *command[1:]], input=stdin, capture_output=True, text=True,
                              timeout=120, check=False, env=variables)
        return Answer(done.returncode, done.stdout + done.stderr)

    def logged(self, text: str) -> str:
        """The last line of the registry's log that has `text` in it."""
        return [line for line in self.registry_log.read_text(errors="replace").splitlines() if text in line][-1]

    def home(self, program: str) -> Path:
        """The home folder of a client."""
        return self.folder / f"home-{program}"

    def skopeo(self, verb: str, *arguments: str, user: str | None = None) -> Answer:
        """skopeo with the credentials that `login` stored for a user, or with none."""
        return self.run("skopeo", "--insecure-policy", verb, "--authfile", str(self._authfile(user)), *arguments)

    def login(self, user: str, password: str = PASSWORD) -> Answer:
        """`skopeo login`."""
        return self.skopeo("login", "-u", user, "-p", password, self.service, user=user)

    def curl(self, token: str, url: str, *options: str) -> Answer:
        """A request with a token."""
        return self.run("curl", "-s", "--cacert", str(self.authority.ca_file), "-H", f"Authorization: Bearer {token}",
                        *options, url)

    def token(self, **fields: str) -> tuple[int, Any]:
        """POST /docker/token/."""
        body = urlencode({"service": self.service, "client_id": "t", **fields})
        request = urllib.request.Request(
            f"https://localhost:{self.daemon.port}/docker/token/", body.encode(), {
                "Content-Type": "application/x-www-form-urlencoded"})
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def _authfile(self, user: str | None) -> Path:
        file = self.folder / f"auth-{user}.json"
        if not file.exists():
            file.write_text("{}", encoding="utf-8")
        return file


@contextmanager
def running_site(folder: Path, database_url: str, algorithm: str = "RSA-2048") -> Iterator[Site]:
    """Both, until the block ends; tokens are signed by a key of that algorithm."""
    program = require_program("docker-registry")
    authority = make_authority(folder)
    port = free_port()
    text = (f'[http]\npublic_url = "https://localhost:{port}"\ntls_certificate = "{authority.certificate}"\n'
            f'tls_key = "{authority.key}"\n[password]\nscheme = "sha512crypt"\n'
            "[throttle]\naddress_failures = 1000\n")
    with running_daemon(folder, database_url, text, port=port, ready=False) as daemon:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(authority.ca_file))
            wait_until_ready(daemon, f"https://localhost:{port}/health/ready/")
        (folder / "authctl").mkdir()
        authctl = Authctl(database_url, folder / "authctl")
        authctl.config.write_text(f'{text}[database]\nurl = "{database_url}"\n', encoding="utf-8")
        registry_port = free_port()
        service = f"localhost:{registry_port}"
        authctl.said("apply", "-f", "-", stdin=PEOPLE.format(algorithm=algorithm))
        authctl.said("dockerauth", "registry", "create", "--client-id", service, "--name", "Test", "--domain", "example.com")
        shown = authctl.json("dockerauth", "registry", "show", "--client-id", service)
        bundle = folder / "authd.pem"
        bundle.write_text(shown["certificate"], encoding="utf-8")
        configuration = folder / "registry.yml"
        configuration.write_text(REGISTRY_CONFIGURATION.format(
            folder=folder, port=registry_port, certificate=authority.certificate, key=authority.key,
            auth=shown["configuration"].replace("/etc/docker/registry/authd.pem", str(bundle))), encoding="utf-8")
        log_file = folder / "registry.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen([program, "serve", configuration], stdout=log, stderr=log,
                                       env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"})
        try:
            site = Site(folder, daemon, authority, authctl, service, log_file)
            _wait(site, process)
            yield site
        finally:
            process.kill()
            process.wait()


def _wait(site: Site, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=str(site.authority.ca_file))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, site.registry_log.read_text(errors="replace")
        try:
            urllib.request.urlopen(f"https://{site.service}/v2/", timeout=2, context=context)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 401:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(site.registry_log.read_text(errors="replace"))


def make_image(folder: Path, content: bytes = b"hello") -> str:
    """An OCI layout with one image of one layer; its name for skopeo."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("hello")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    plain = layer.getvalue()
    packed = gzip.compress(plain, mtime=0)

    def stored(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    configuration = stored(json.dumps({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}}).encode(), "config.v1+json")
    manifest = stored(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": configuration,
        "layers": [stored(packed, "layer.v1.tar+gzip")]}).encode(), "manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": {"org.opencontainers.image.ref.name": "1"}}]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return f"oci:{folder}:1"
