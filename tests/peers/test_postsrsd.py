"""postsrsd and authd rewrite the same senders to the same addresses, and reverse each other's."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any

import pytest

from authd.smtp.grammar import Path
from authd.smtp.srs import Srs
from tests.daemon import free_port
from tests.support import require_program

pytestmark = pytest.mark.peer("PostSRSd")

SRS = Srs([b"the first secret", b"the second"])
SENDERS = (
    "joe@a.example", "Joe.X=y@Sub.A.example", "a+b@x.example", "o'brien@x.example", "first-last@x-y.example", "x@y",
    "SRS0=abcd=AA=b.example=joe@f1.example", "SRS0+abcd=AA=b.example=joe@f1.example", "srs0-ab=AA=b.example=joe@f1.example",
    "SRS1=abcd=f0.example==abcd=AA=b.example=joe@f1.example", "SRS1+abcd=f0.example=+abcd=AA=b.example=joe@f1.example",
    "SRS0=garbage@f.example", "SRSx=1@x.example", "srs@x.example", *(f"user{number}@x.example" for number in range(60)))


@dataclass(frozen=True)
class Postsrsd:
    """A running postsrsd, which answers the lookups of a Postfix TCP table."""

    forward_port: int
    reverse_port: int

    def forward(self, address: str) -> str:
        return _lookup(self.forward_port, address)

    def reverse(self, address: str) -> str:
        return _lookup(self.reverse_port, address)


def _lookup(port: int, address: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"get {address}\n".encode())
        code, _, answer = connection.makefile(encoding="ascii").readline().strip().partition(" ")
    assert code == "200", answer
    return answer


@pytest.fixture(scope="module", params=["8=", "4+", "12-"])
def postsrsd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postsrsd]:
    secrets = tmp_path_factory.mktemp("postsrsd") / "secrets"
    secrets.write_text("the first secret\nthe second\n")
    yield from run(secrets, request.param[:-1], request.param[-1])


def run(secrets: File, hash_length: str, separator: str) -> Iterator[Postsrsd]:
    with socket.create_server(("127.0.0.1", free_port())) as held:
        peer = Postsrsd(held.getsockname()[1], free_port())
    process = subprocess.Popen([
        require_program("postsrsd"), f"-s{secrets}", "-dhere.example", f"-a{separator}", f"-n{hash_length}", "-N4", "-4",
        "-l127.0.0.1", f"-f{peer.forward_port}", f"-r{peer.reverse_port}"])
    try:
        for port in (peer.forward_port, peer.reverse_port):
            wait_for(port, process)
        yield peer
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise AssertionError("postsrsd ended")


def parse(address: str) -> Path:
    local_part, _, domain = address.rpartition("@")
    return Path(local_part, domain)


def in_standard_base64(path: Path, hash_length: int) -> str:
    """The address with its hash as postsrsd writes it: shorter, and with + and / for - and _."""
    hashed = path.local_part[5:13].replace("-", "+").replace("_", "/")[:hash_length]
    return f"{path.local_part[:5]}{hashed}{path.local_part[13:]}@{path.domain}"


@pytest.mark.parametrize("sender", SENDERS)
def test_both_rewrite_alike_and_reverse_each_other(postsrsd: Postsrsd, sender: str) -> None:
    now = datetime.now(UTC)
    theirs = parse(postsrsd.forward(sender))
    separator: Any = theirs.local_part[4]
    ours = Srs(SRS.secrets, separator=separator).forward(parse(sender), "here.example", now).sender
    theirs_without_hash, ours_without_hash = (
        (path.local_part[:5], path.local_part[5:].partition("=")[2], path.domain) for path in (theirs, ours))
    assert ours_without_hash == theirs_without_hash
    assert str(SRS.reverse(theirs, now)) == postsrsd.reverse(str(theirs))
    assert postsrsd.reverse(in_standard_base64(ours, 4)) == str(SRS.reverse(ours, now))


def test_the_second_secret_verifies_in_both(postsrsd: Postsrsd) -> None:
    now = datetime.now(UTC)
    ours = Srs([b"the second"]).forward(parse("joe@a.example"), "here.example", now).sender
    assert postsrsd.reverse(in_standard_base64(ours, 4)) == str(SRS.reverse(ours, now)) == "joe@a.example"
