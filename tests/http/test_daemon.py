"""The process: starting, stopping, reloading, and what it says when it cannot."""

import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from authd import app
from authd.config import Settings
from authd.embedded import EmbeddedPostgres
from authd.sql.database import Credentials
from tests.daemon import free_port, running_daemon, wait_until_ready
from tests.support import ROOT
from tests.tls import make_authority


def authd(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "authd", *arguments], capture_output=True, text=True, cwd=ROOT,
                          env={"PATH": "/usr/bin:/bin", **environ}, timeout=30)


def test_it_serves_and_stops_on_sigterm(tmp_path: Path, database_url: str) -> None:
    with running_daemon(tmp_path, database_url) as daemon:
        with urllib.request.urlopen(f"{daemon.base_url}/health/") as answer:
            assert answer.status == 200
            assert answer.headers["X-Request-Id"]
        assert daemon.stop(signal.SIGTERM) == 0
        assert "stopped" in daemon.log
        assert "Traceback" not in daemon.log
        assert "Warning" not in daemon.log


def test_a_request_that_runs_when_it_is_stopped_is_answered(tmp_path: Path, database_url: str) -> None:
    with running_daemon(tmp_path, database_url, "[http]\nshutdown_grace = 5\n") as daemon:
        with socket.create_connection(("127.0.0.1", daemon.port)) as client:
            client.sendall(b"POST /checkpassword/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n"
                           b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n")
            daemon.process.send_signal(signal.SIGTERM)
            client.sendall(b"{}")
            client.settimeout(10)
            assert client.recv(100).startswith(b"HTTP/1.1 ")
        assert daemon.process.wait(10) == 0


async def test_a_listener_that_fails_to_stop_does_not_keep_the_rest_from_stopping(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(grace: float) -> None:
        raise OSError(f"not within {grace:g} s")

    stopped: list[str] = []
    daemon = app.Daemon(Settings(), Credentials("postgresql://127.0.0.1/none"), Settings)
    daemon._drains.append(fail)
    daemon._running.callback(stopped.append, "the rest")
    await daemon.stop()
    assert stopped == ["the rest"] and "not within 10 s" in caplog.text


def test_it_reloads_on_sighup_and_survives_a_broken_configuration(tmp_path: Path, database_url: str) -> None:
    with running_daemon(tmp_path, database_url) as daemon:
        good = daemon.config.read_text()
        daemon.config.write_text("[http\n")
        daemon.process.send_signal(signal.SIGHUP)
        while "not reloaded" not in daemon.log:
            wait_until_ready(daemon)
        daemon.config.write_text(good + '\n[log]\nformat = "json"\n')
        daemon.process.send_signal(signal.SIGHUP)
        while '"message": "reloaded"' not in daemon.log:
            wait_until_ready(daemon)


def test_it_waits_for_a_database_that_starts_later(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    folder = postgres.folder / "late"
    late = EmbeddedPostgres(folder)
    with running_daemon(tmp_path, late.url(), "[database]\nmigrate_on_start = true\n", ready=False) as daemon:
        while "waiting for the database" not in daemon.log:
            assert daemon.process.poll() is None
        late.start()
        try:
            wait_until_ready(daemon)
            assert daemon.stop() == 0
        finally:
            late.stop()


def test_it_can_be_stopped_while_it_waits_for_the_database(tmp_path: Path) -> None:
    with running_daemon(tmp_path, "postgresql://authd@/authd?host=/nonexistent", ready=False) as daemon:
        while "waiting for the database" not in daemon.log:
            assert daemon.process.poll() is None
        assert daemon.stop() == 0


def test_an_unmigrated_database_is_refused_with_advice(tmp_path: Path, empty_database_url: str) -> None:
    with running_daemon(tmp_path, empty_database_url, ready=False) as daemon:
        assert daemon.process.wait(10) == 1
        assert "run: authd migrate" in daemon.log


def test_a_port_in_use_is_named(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), running_daemon(tmp_path, database_url, port=port, ready=False) as daemon:
        assert daemon.process.wait(10) == 1
        assert f"127.0.0.1:{port}" in daemon.log
        assert "Address already in use" in daemon.log
        assert "Traceback" not in daemon.log


def test_migrate_and_check_config(tmp_path: Path, empty_database_url: str) -> None:
    first = authd("migrate", DATABASE_URL=empty_database_url)
    assert (first.returncode, first.stdout.splitlines()[0]) == (0, "applied 0001_create_accounts")
    assert authd("migrate", DATABASE_URL=empty_database_url).stdout == "the schema is up to date\n"
    assert authd("check-config", DATABASE_URL=empty_database_url).returncode == 0
    broken = tmp_path / "authd.conf"
    broken.write_text('[http]\nlisten = "x"\n[password]\nscheme = "rot13"\n')
    answer = authd("check-config", "-c", str(broken))
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 2
    assert authd("migrate", DATABASE_URL="postgresql://authd@/authd?host=/nonexistent").returncode == 4
    assert authd("version").stdout.startswith("authd ")


def served_certificate(port: int, ca_file: Path) -> bytes:
    """What a client that trusts `ca_file` is shown."""
    context = ssl.create_default_context(cafile=str(ca_file))
    plain = socket.create_connection(("127.0.0.1", port), 5)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
        certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def test_a_renewed_certificate_is_served_after_sighup_and_a_broken_one_changes_nothing(
    tmp_path: Path, database_url: str,
) -> None:
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    old, new = (make_authority(folder) for folder in folders)
    port = free_port()
    text = (f'[http]\npublic_url = "https://localhost:{port}"\ntls_certificate = "{old.certificate}"\n'
            f'tls_key = "{old.key}"\n')
    with running_daemon(tmp_path, database_url, text, port=port, ready=False) as daemon:
        while "is ready" not in daemon.log:
            assert daemon.process.poll() is None, daemon.log
        first = served_certificate(port, old.ca_file)
        old.certificate.write_bytes(new.certificate.read_bytes())
        daemon.process.send_signal(signal.SIGHUP)
        while "not reloaded" not in daemon.log:
            assert daemon.process.poll() is None, daemon.log
        assert served_certificate(port, old.ca_file) == first
        old.key.write_bytes(new.key.read_bytes())
        daemon.process.send_signal(signal.SIGHUP)
        while " reloaded" not in daemon.log.replace("not reloaded", ""):
            assert daemon.process.poll() is None, daemon.log
        renewed = served_certificate(port, new.ca_file)
        assert renewed != first
        file = tmp_path / "authd.conf"
        file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("tls_")))
        daemon.process.send_signal(signal.SIGHUP)
        while daemon.log.replace("not reloaded", "").count(" reloaded") < 2:
            assert daemon.process.poll() is None, daemon.log
        assert served_certificate(port, new.ca_file) == renewed, "no plain text where browsers come for TLS"
