"""TLS of mail in a real daemon: from the configuration to the wire on both sides, and a certificate that is renewed."""

import asyncio
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

from tests.daemon import Daemon, free_port, running_daemon
from tests.smtp.forwarding import JOE, populate
from tests.smtp.support import Sink, connected, running_sink
from tests.smtp.test_forwarder_daemon import other_port
from tests.support import open_database
from tests.tls import Authority, make_authority

DELIVERED = "250 2.0.0 delivered"


def configuration(listen: int, local: Sink, remote: Sink, authority: Authority) -> str:
    return f"""
[smtp]
tls_certificate = "{authority.certificate}"
tls_key = "{authority.key}"
downstream_ca = "{authority.ca_file}"
[forwarder]
listen = "127.0.0.1:{listen}"
local_delivery = "lmtp://localhost:{local.port}"
local_delivery_tls = "required"
remote_relay = "localhost:{remote.port}"
remote_relay_tls = "opportunistic"
srs_secrets = ["a secret"]
"""


async def certificate_shown(port: int, trusted: Authority) -> bytes:
    """The certificate that a client reads which trusts that authority."""
    async with connected(("127.0.0.1", port)) as client:
        assert (await client.command("STARTTLS")).startswith("220")
        await client.start_tls(ssl.create_default_context(cafile=trusted.ca_file))
        found: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert (await client.command("QUIT")).startswith("221")
    return found


async def log_says(daemon: Daemon, condition: Callable[[str], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition(daemon.log):
            assert daemon.process.poll() is None, daemon.log
            await asyncio.sleep(0.01)


async def test_tls_on_both_sides_and_a_certificate_that_is_renewed(database_url: str, tmp_path: Path) -> None:
    async with open_database(database_url) as db:
        await populate(db)
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    old, new = (make_authority(folder) for folder in folders)
    port = free_port()
    local, remote = Sink(lmtp=True, tls=old.server_context()), Sink(tls=new.server_context())
    async with running_sink(local), running_sink(remote):
        configured = configuration(port, local, remote, old)
        with running_daemon(tmp_path, database_url, configured, port=other_port(port)) as daemon:
            async with connected(("127.0.0.1", port)) as client:
                assert (await client.command("STARTTLS")).startswith("220")
                await client.start_tls(ssl.create_default_context(cafile=old.ca_file))
                await client.command("EHLO client.example.com")
                for recipient in ("alice@example.com", "x@gone.example"):
                    assert (await client.send(sender=JOE, recipients=[recipient])).startswith("250")
                assert (await client.command("QUIT")).startswith("221")
            first = await certificate_shown(port, old)
            old.certificate.write_bytes(new.certificate.read_bytes())
            daemon.process.send_signal(signal.SIGHUP)
            await log_says(daemon, lambda log: "not reloaded" in log)
            assert str(old.certificate) in daemon.log
            assert await certificate_shown(port, old) == first
            old.key.write_bytes(new.key.read_bytes())
            daemon.process.send_signal(signal.SIGHUP)
            await log_says(daemon, lambda log: " reloaded" in log.replace("not reloaded", ""))
            assert await certificate_shown(port, new) != first
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.log
    for sink in (local, remote):
        assert [message.content.count(b" with ESMTPS id ") for message in sink.delivered] == [1]
        assert all(command.startswith(b"*") for command in sink.commands if command.lstrip(b"*")[:4] in (b"MAIL", b"RCPT"))
