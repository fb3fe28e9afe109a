"""Independent programs around the signer: swaks hands mail in, dkimpy, OpenDKIM and Mail::DKIM (RSA alone) verify what
comes out, and OpenSMTPD is the neighbour on both sides, as in the documentation."""

import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.daemon import free_port
from tests.fixtures.dkim import records, verified
from tests.peers.opensmtpd import opensmtpd
from tests.peers.programs import output, version
from tests.smtp.support import (
    Delivered,
    Sink,
    connected,
    ed25519_key,
    example_keys,
    rsa_key,
    running_signer,
    running_sink,
    until,
)
from tests.support import require_program

BOTH = rsa_key(), ed25519_key()
HEADER = ("From: =?utf-8?q?=C3=84nn?= <ann@example.com>\nTo: Bob <bob@example.net>,\n\tBen <ben@example.net>\nSubject:  x  y\n"
          "Date: Tue, 24 Nov 2026 12:00:00 +0000\nMessage-ID: <1@example.com>\nMIME-Version: 1.0\nX-Empty:\n")
MESSAGES = {
    "plain": HEADER + "Content-Type: text/plain\n\nHello Bob.\n",
    "white space": HEADER + "\n  a  b\t\tc \n\t\n \n\n.\n..\n.x\n \n\n\n",
    "empty body": HEADER + "\n",
    "eight bits": HEADER + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
                           "\nGr\u00fc\u00dfe \u2013 \u00e4\n",
    "long lines": HEADER + "\n" + "x" * 990 + "\n" + "word " * 190 + "\n",
    "large": HEADER + "\n" + "A line of text, with  white space \n" * 20_000,
}


def now() -> datetime:
    """OpenDKIM looks at its own clock."""
    return datetime.now(UTC)


async def sent_by_swaks(content: str, folder: Path) -> Delivered:
    """The message that reaches the sink when swaks hands it to the signer."""
    file = folder / "message"
    file.write_text(content, encoding="utf-8")
    async with running_sink(Sink()) as sink, running_signer(sink, example_keys(*BOTH), now=now) as signer:
        host, port = signer.address
        said = await output(require_program("swaks"), "--server", host, "--port", str(port), "--from", "ann@example.com",
                            "--to", "bob@example.net,ben@example.net", "--data", f"@{file}")
    print("Swaks", version("Swaks"), "|", next(line for line in said.splitlines() if "250 2.0.0" in line))
    [message] = sink.delivered
    return message


def opendkim_says(content: bytes, folder: Path) -> str:
    """OpenDKIM's verdict on each signature, offline."""
    program = require_program("opendkim")
    (folder / "signed").write_bytes(content)
    zone = "".join(f"{name.decode().rstrip('.')} {value.decode()}\n" for name, value in records(*BOTH).items())
    (folder / "zone").write_text(zone)
    (folder / "opendkim.conf").write_text(
        f"Mode v\nTestDNSData {folder}/zone\nRequireSafeKeys no\nSyslog no\nSocket local:{folder}/socket\n")
    done = subprocess.run([program, "-x", str(folder / "opendkim.conf"), "-vv", "-t", str(folder / "signed")],
                          capture_output=True, text=True, timeout=60, check=True)
    said = done.stdout + done.stderr
    print("OpenDKIM", version("OpenDKIM"), "|", *(line.strip() for line in said.splitlines() if "dkim=" in line))
    return said


def mail_dkim_says(content: bytes, folder: Path) -> list[str]:
    """Mail::DKIM's verdict on each signature that it understands, offline."""
    (folder / "zone").write_text("".join(f"{name.decode().rstrip('.')} {value.decode()}\n"
                                         for name, value in records(*BOTH).items()))
    print("Mail::DKIM", version("Mail::DKIM"))
    done = subprocess.run([require_program("perl"), str(Path(__file__).with_name("mail_dkim.pl")), str(folder / "zone")],
                          input=content, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode().splitlines()
    print(said)
    return said


@pytest.mark.peer("Swaks", "dkimpy", "OpenDKIM", "Mail::DKIM")
@pytest.mark.parametrize("name", MESSAGES)
async def test_what_swaks_sends_verifies(name: str, tmp_path: Path) -> None:
    message = await sent_by_swaks(MESSAGES[name], tmp_path)
    assert message.recipients == [b"<bob@example.net>", b"<ben@example.net>"]
    content = MESSAGES[name].encode().replace(b"\n", b"\r\n")
    assert message.content.rstrip(b"\r\n").endswith(content.rstrip(b"\r\n"))  # swaks has its own idea of the last line end
    print("dkimpy", version("dkimpy"), "|", verified(message.content, *BOTH))
    assert verified(message.content, *BOTH) == [True, True]
    said = opendkim_says(message.content, tmp_path)
    assert "dkim=pass (2048-bit key)" in said and "header.a=rsa-sha256" in said
    assert "dkim=pass header.d=example.com header.i=@example.com header.a=ed25519-sha256" in said
    assert "rsa-sha256 pass" in mail_dkim_says(message.content, tmp_path)


@pytest.mark.peer("Swaks", "OpenDKIM", "Mail::DKIM")
async def test_others_see_a_change(tmp_path: Path) -> None:
    message = await sent_by_swaks(MESSAGES["plain"], tmp_path)
    for changed in (message.content.replace(b"Hello", b"Hullo"), b"Reply-To: eve@example.org\r\n" + message.content):
        said = opendkim_says(changed, tmp_path)
        assert "dkim=pass" not in said and "dkim=fail" in said
        assert not any(line.endswith(" pass") for line in mail_dkim_says(changed, tmp_path))


OPENSMTPD = """
listen on 127.0.0.1 port {{port}} hostname mail.example.com
listen on 127.0.0.1 port {signed} tag SIGNED hostname mail.example.com
action "sign" relay host "smtp://127.0.0.1:{signer}"
action "deliver" relay host "smtp://127.0.0.1:{sink}"
match tag SIGNED from any for any action "deliver"
match from any for any action "sign"
"""


def port_for_signed_mail() -> int:
    """A port that is still free when OpenSMTPD looks for another of its own."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", free_port()))
        holder.listen()
        return free_port()


@pytest.mark.peer("OpenSMTPD", "dkimpy")
async def test_opensmtpd_on_both_sides(tmp_path: Path) -> None:
    contents = [text.encode().replace(b"\n", b"\r\n").replace(b"X-Empty", b"Bcc: eve@example.org\r\nX-Empty")
                for text in MESSAGES.values()]
    signed = port_for_signed_mail()
    async with (running_sink(Sink()) as sink, running_signer(Sink(port=signed), example_keys(*BOTH), now=now) as signer):
        configuration = OPENSMTPD.format(signed=signed, signer=signer.address[1], sink=sink.port)
        with opensmtpd(configuration, {}) as server:
            async with connected(("127.0.0.1", server.port)) as client:
                for content in contents:
                    assert (await client.send(content)).startswith("250")
            await until(lambda: len(sink.delivered) == len(contents), 30)
        counts = signer.counts
    print("OpenSMTPD", version("OpenSMTPD"), "|", counts)
    assert counts.signed == counts.accepted == len(contents)
    for message in sink.delivered:
        assert b"Bcc:" not in message.content
        assert verified(message.content, *BOTH) == [True, True]
