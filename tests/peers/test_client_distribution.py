"""The checkpassword program installed alone, as somebody does who has an Apache and no authd on the machine."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.peer("pip")

STARTS = 5


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed program, in a folder that holds nothing else of authd."""
    source = tmp_path_factory.mktemp("source")
    subprocess.run(["git", "-C", str(ROOT), "checkout-index", "--prefix", f"{source}/", "--", "tools/client/setup.py",
                    "tools/checkpassword.py", "authd/__init__.py"], check=True)
    target = tmp_path_factory.mktemp("client")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
                    "--target", str(target), str(source / "tools" / "client")], check=True, capture_output=True)
    assert not (target / "authd").exists()
    return target


def start(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(program)}
    return subprocess.run([sys.executable, str(program / "bin" / "checkpassword"), *arguments], env=environment,
                          capture_output=True, text=True, cwd=program)


def test_it_works_without_authd_and_starts_at_once(program: Path) -> None:
    """What a start costs is counted in processor time, which a busy machine does not lengthen."""
    assert start(program, "--help").returncode == 0
    costs = []
    for _ in range(STARTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        closed = start(program, "-m", "check", "-u", "https://127.0.0.1:9/", "--jwtkey", "missing.pem")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert closed.returncode == 2, closed.stderr
    print(f"checkpassword: {min(costs) * 1000:.0f} ms of processor time from start to a closed port")
    assert min(costs) < 0.150
