"""What tools/quickstart refuses before it does anything."""

import socket
from pathlib import Path

import pytest

from tools import demo_host


def test_an_address_where_somebody_serves_is_refused(tmp_path: Path) -> None:
    """Their /health/ready/ would be taken for ours, and passwords be announced that are not theirs."""
    announcement = tmp_path / "demo.json"
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SystemExit, match=f"--http {address}: somebody listens there already"):
            demo_host.main(["--data", str(tmp_path / "data"), "--http", address, "--json", str(announcement)])
    assert not announcement.exists()
    assert not (tmp_path / "data").exists()
