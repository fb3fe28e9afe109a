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
MOST = 2.3  # times what an interpreter with the same libraries costs: 150 ms where that takes 65
BARE = "import argparse, http.client, json, ssl"


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


def processor_time() -> float:
    """What the processes that were waited for have used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_it_works_without_authd_and_starts_at_once(program: Path) -> None:
    """What a start costs in processor time, beside an interpreter that does nothing, as machines are not equally fast and
    change their pace: the best pair of neighbours counts.
    """
    assert start(program, "--help").returncode == 0
    pairs = []
    for _ in range(STARTS):
        begin = processor_time()
        closed = start(program, "-m", "check", "-u", "https://127.0.0.1:9/", "--jwtkey", "missing.pem")
        between = processor_time()
        assert closed.returncode == 2, closed.stderr
        subprocess.run([sys.executable, "-c", BARE], check=True)
        pairs.append((between - begin, processor_time() - between))
    ours, bare = min(pairs, key=lambda pair: pair[0] / pair[1])
    print(f"checkpassword: {ours * 1000:.0f} ms of processor time from start to a closed port, "
          f"a bare interpreter {bare * 1000:.0f} ms")
    assert ours < MOST * bare
