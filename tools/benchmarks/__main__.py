"""The command line of `tools/bench`."""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from . import docker, footprint, forwarder, large, oauth, report, signer, web
from .host import Host, benchmark_host
from .http_load import LoadError
from .report import Measurement
from .smtp_load import MailError
from .workers import WorkerFailed

_IDLE = 0.5  # load average up to which figures mean something
_PEOPLE = 384  # who have not signed in yet, enough for every round of logins

SUBJECTS: dict[str, Callable[[Host], Iterator[Measurement]]] = {
    "memory": footprint.memory,
    "start": footprint.start,
    "getkey": web.getkey,
    "checkpassword": web.checkpassword,
    "login": web.login,
    "health": web.health,
    "signer": signer.signer,
    "forwarder": forwarder.forwarder,
    "slow": forwarder.slow,
    "large": large.large,
    "crowd": forwarder.crowd,
    "oauth": oauth.oauth,
    "docker": docker.docker,
}


GROUPS = {"all": (*SUBJECTS,), "mail": ("signer", "forwarder", "slow", "large", "crowd")}


def main() -> int:
    """0: measured, and everything holds; 1: something does not; 3: it could not be measured."""
    options = _parser().parse_args()
    wanted = {name for subject in options.subjects for name in GROUPS.get(subject, (subject,))}
    names = [name for name in SUBJECTS if name in wanted]
    measurements: list[Measurement] = []
    if (load := os.getloadavg()[0]) > _IDLE:
        print(f"the machine is busy (load {load:.1f}): rates will be too low", file=sys.stderr)
    try:
        with benchmark_host(_PEOPLE) as host:
            for name in names:
                for one in SUBJECTS[name](host):
                    measurements.append(one)
                    print(f"{one.title}: {one.value:,.4g} {one.unit}", file=sys.stderr, flush=True)
    except (LoadError, MailError, WorkerFailed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    print(report.as_json(measurements) if options.json else report.as_table(measurements))
    if options.page is not None:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(report.as_page(measurements, _machine()), encoding="utf-8")
    return 0 if all(one.holds for one in measurements) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description="Measures authd beside the bare limits of this machine. Takes 6 minutes for all.")
    parser.add_argument("subjects", nargs="*", default=["all"], choices=[*GROUPS, *SUBJECTS], metavar="SUBJECT",
                        help=f"all (the default), mail (what is about mail), {', '.join(SUBJECTS)}")
    parser.add_argument("--json", action="store_true", help="print {name, value, unit, must, limit, ratio, holds} of each")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write the manual's page of benchmarks there")
    return parser


def _machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
