"""The `.venv` of a checkout, for tools/quickstart and tools/test.

Only the standard library: it runs before anything is installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
OLDEST_PYTHON = (3, 11)


def ensure(extras: str) -> Path:
    """Makes or completes `.venv` with authd and the named extras ("embedded,test"), at the locked versions.

    Returns the folder of its programs. Does nothing where that was done before.
    """
    _run_on_a_new_enough_python()
    programs = VENV / "bin"
    stamp = VENV / f"installed-{extras.replace(',', '-')}"
    wanted = hashlib.sha256((ROOT / "setup.py").read_bytes() + LOCK.read_bytes() + os.fsencode(ROOT)).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return programs
    print(f"installing authd into {VENV} …", file=sys.stderr, flush=True)
    if not (programs / "python").exists():
        _make_venv()
    _install([str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
              "--constraint", str(LOCK), "--editable", f"{ROOT}[{extras}]"])
    stamp.write_text(wanted)
    return programs


def _run_on_a_new_enough_python() -> None:
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in range(19, OLDEST_PYTHON[1] - 1, -1):
        if found := shutil.which(f"python3.{minor}"):
            os.execv(found, [found, *sys.argv])  # noqa: S606
    _give_up("authd needs Python 3.11 or newer; this is " + sys.version.split()[0])


def _make_venv() -> None:
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False, capture_output=True, text=True)
    if made.returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if "ensurepip" in made.stdout + made.stderr:
        _give_up("this Python cannot make virtual environments; on Debian: apt install python3-venv")
    _give_up(f"cannot make {VENV}: {(made.stderr or made.stdout).strip()}")


def _install(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        _give_up("the installation failed, see above; nothing else was changed")


def _give_up(why: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: {why}", file=sys.stderr)
    sys.exit(1)
