"""The programs that the peer tests run: their versions, as they say them, and what they say."""

import asyncio
import importlib.metadata
import json
import re
import socket
import subprocess
from functools import cache
from pathlib import Path

from tests.peers.unpacked import command_environment, unpacked_program
from tests.support import missing, require_program

_COMMANDS: dict[str, tuple[str, ...]] = {
    "Apache": ("apache2", "-v"),
    "Buildah": ("buildah", "--version"),
    "Docker CLI": ("docker", "--version"),
    "Docker Registry": ("docker-registry", "--version"),
    "Dovecot": ("dovecot", "--version"),
    "Mail::DKIM": ("perl", "-MMail::DKIM", "-e", "print Mail::DKIM->VERSION"),
    "OpenBao": ("bao", "version"),
    "OpenDKIM": ("opendkim", "-V"),
    "OpenSMTPD": ("smtpd", "-h"),
    "Podman": ("podman", "--version"),
    "PostgreSQL": ("psql", "--version"),
    "PostSRSd": ("postsrsd", "-v"),
    "Skopeo": ("skopeo", "--version"),
    "Swaks": ("swaks", "--version"),
}
_DISTRIBUTIONS = {"dkimpy": "dkimpy", "pip": "pip"}
_NPM = {"oauth4webapi", "openid-client"}


@cache
def version(peer: str) -> str:
    """What the peer says its version is; skips the test, or fails, where it is not installed."""
    if peer in _DISTRIBUTIONS:
        return importlib.metadata.version(_DISTRIBUTIONS[peer])
    if peer in _NPM:
        lock = json.loads((Path(__file__).parent / "oauth" / "package-lock.json").read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{peer}"]["version"])
    if peer == "Postfix":
        command, environment = [unpacked_program("postconf"), "-d", "-h", "mail_version"], command_environment()
    else:
        program, *options = _COMMANDS[peer]
        command, environment = [require_program(program), *options], None
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment)
    if done.returncode and peer == "Mail::DKIM":
        missing("Mail::DKIM is not installed")
    found = re.search(r"\d+(\.\d+)+(p\d+)?|\d{6,}", done.stdout + done.stderr)
    assert found, (peer, done)
    return found[0]


async def output(*command: str) -> str:
    """What a program says; it must succeed."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    text = said.decode("utf-8", "replace")
    assert process.returncode == 0, text
    return text


def listens(port: int) -> bool:
    """Whether somebody does, on 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
