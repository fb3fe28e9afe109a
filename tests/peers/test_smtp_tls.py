"""Independent programs that speak TLS with our mail listeners and downstreams: swaks and OpenSMTPD come to us, and we go to
Dovecot's LMTP.
"""

import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from authd.config.settings import SmtpSettings
from authd.config.values import Downstream
from authd.smtp import grammar
from authd.smtp.grammar import MailParameters, RecipientParameters
from authd.smtp.leg import Leg
from authd.smtp.relay import Relay, Timeouts
from authd.smtp.relay_session import DownstreamError
from authd.smtp.starttls import MailTls
from tests.daemon import free_port
from tests.peers.opensmtpd import opensmtpd
from tests.peers.programs import listens, output, version
from tests.smtp.support import MESSAGE, Keys, Sink, connected, running_signer, running_sink, until
from tests.support import missing, require_program
from tests.tls import Authority, make_authority

SETTINGS = SmtpSettings(hostname="mx.example.com")


def with_certificate(folder: Path) -> tuple[MailTls, Path]:
    """For a listener, and the authority to trust."""
    authority = make_authority(folder)
    settings = dataclasses.replace(SETTINGS, tls_certificate=authority.certificate, tls_key=authority.key)
    return MailTls.load(settings, set()), authority.ca_file


@pytest.mark.peer("Swaks")
@pytest.mark.parametrize(("protocol", "received"), [("ESMTP", b"ESMTPS"), ("LMTP", b"LMTPS")])
async def test_swaks_hands_mail_in_through_tls(protocol: str, received: bytes, tmp_path: Path) -> None:
    tls, ca_file = with_certificate(tmp_path)
    async with running_sink(Sink()) as sink, running_signer(sink, Keys(), tls=lambda: tls) as signer:
        said = await output(require_program("swaks"), "--server", "localhost", "--port", str(signer.address[1]), "--protocol",
                            protocol, "--tls", "--tls-verify", "--tls-ca-path", str(ca_file), "--from", "ann@example.com",
                            "--to", "bob@example.net", "--body", "Hello.")
    print("Swaks", version("Swaks"), "|", *(line.strip() for line in said.splitlines() if "TLS started" in line))
    assert "TLSv1.3" in said
    [message] = sink.delivered
    assert b" with " + received + b" id " in message.content and b"Hello." in message.content


@pytest.mark.peer("OpenSMTPD")
async def test_opensmtpd_uses_tls_where_we_offer_it(tmp_path: Path) -> None:
    tls, _ = with_certificate(tmp_path)
    async with running_sink(Sink()) as sink, running_signer(sink, Keys(), tls=lambda: tls) as signer:
        configuration = (f'listen on 127.0.0.1 port {{port}} hostname mail.example.com\n'
                         f'action "sign" relay host "smtp://127.0.0.1:{signer.address[1]}"\n'
                         'match from any for any action "sign"\n')
        with opensmtpd(configuration, {}) as server:
            async with connected(("127.0.0.1", server.port)) as client:
                assert (await client.send()).startswith("250")
            await until(lambda: len(sink.delivered) == 1, 30)
            print("OpenSMTPD", version("OpenSMTPD"), "|", *(line for line in server.log.splitlines() if "ciphers" in line))
    assert b" with ESMTPS id " in sink.delivered[0].content and MESSAGE.split(b"\r\n\r\n")[1] in sink.delivered[0].content


DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{folder}/mail/%Lu
first_valid_uid = 0
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={folder}/mail/%Lu allow_all_users=yes
}}
service lmtp {{
  inet_listener lmtp {{
    port = {port}
  }}
}}
"""


@pytest.fixture
def dovecot(tmp_path: Path) -> Iterator[tuple[int, Path, Authority]]:
    """Dovecot's LMTP on a port, its folder, and the authority of its certificate."""
    program = require_program("dovecot")
    if os.getuid() != 0:
        missing("Dovecot's LMTP is started as root here")
    folder = Path(tempfile.mkdtemp(prefix="authd-dovecot-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "mail").mkdir()
    os.chown(folder / "mail", 65534, 65534)
    authority, port = make_authority(tmp_path), free_port()
    configured = folder / "dovecot.conf"
    configured.write_text(DOVECOT.format(folder=folder, port=port, certificate=authority.certificate, key=authority.key))
    subprocess.run([program, "-c", configured], check=True, timeout=20)
    try:
        deadline = time.monotonic() + 10
        while not listens(port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port, folder, authority
    finally:
        subprocess.run([require_program("doveadm"), "-c", configured, "stop"], check=False, timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.peer("Dovecot")
async def test_dovecot_gets_mail_by_lmtp_through_required_tls(dovecot: tuple[int, Path, Authority], tmp_path: Path) -> None:
    port, folder, authority = dovecot
    (tmp_path / "other").mkdir()
    trusting = [MailTls.load(dataclasses.replace(SETTINGS, downstream_ca=ca_file), {"required"})
                for ca_file in (authority.ca_file, make_authority(tmp_path / "other").ca_file)]
    target = Downstream("localhost", port, lmtp=True, tls="required")
    good, bad = (Relay(target, "mx.example.com", Timeouts(5, 5, 5), tls) for tls in (lambda: trusting[0], lambda: trusting[1]))
    leg = Leg(good, grammar.Path("ann", "example.com"), MailParameters())
    assert (await leg.mail()).code == 250
    recipients = [(grammar.Path(name, "example.net"), RecipientParameters()) for name in ("bob", "ben")]
    assert [reply.code for reply in await leg.recipients(recipients)] == [250, 250], (folder / "dovecot.log").read_text()
    assert await leg.data() is None
    await leg.content([MESSAGE])
    replies = await leg.end_of_data()
    print("Dovecot", version("Dovecot"), "|", *replies)
    assert [reply.code for reply in replies] == [250, 250]
    leg.give_up()
    await good.close()
    delivered = sorted(folder.glob("mail/*/new/*"))
    assert len(delivered) == 2 and b"Hello Bob." in delivered[0].read_bytes()
    with pytest.raises(DownstreamError, match="certificate verify failed"):
        await Leg(bad, grammar.Path("ann", "example.com"), MailParameters()).mail()
