"""Every target on all its seeds and a fixed number of inputs; with --long on more than a million."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypedDict

import pytest

from tests import long_runs
from tests.fuzz import corpus, mutation
from tests.fuzz.targets import TARGETS
from tests.support import ROOT

LONG = bool(os.environ.get("AUTHD_TEST_LONG"))
SHARE = {"session": 4000, "commands": 5000, "downstream": 2000, "transparency": 2000, "header": 1500, "srs": 2000,
         "scopes": 2000}
AT_ONCE = 2  # processes


@dataclass(frozen=True)
class Job:
    """A target on so many inputs, in a process of its own. `row`: how docs/long-runs.md names it."""

    row: str
    target: str
    inputs: int
    seed: int
    is_plain: bool = False


class Report(TypedDict):
    """The last line that smtp_target.py writes."""

    engine: str
    inputs: int
    longest: float
    seconds: float


# The longest first, so that both processes end at about the same time.
JOBS = (
    Job("session machine", "session", 1_000_000, 2, is_plain=True), Job("session machine", "session", 60_000, 1),
    Job("grammar of commands", "commands", 500_000, 3), Job("grammar of commands", "commands", 600_000, 4, is_plain=True),
    Job("replies of a downstream", "downstream", 50_000, 5), Job("dots and line ends", "transparency", 50_000, 6),
    Job("header and author", "header", 50_000, 7), Job("SRS", "srs", 50_000, 8),
    Job("scopes of a registry", "scopes", 50_000, 9),
)


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_passes(name: str) -> None:
    for data in corpus.seeds(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_fixed_share_passes(name: str) -> None:
    """A failure names its input; put it into tests/fuzz/corpus."""
    for data in islice(mutation.mutated(corpus.seeds(name), seed=1), SHARE[name]):
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name} fails on {data!r}") from error


def test_a_run_fails_where_an_input_fails() -> None:
    broken = ("from tests.fuzz import smtp_target, targets; targets.TARGETS['srs'] = lambda data: 1 // (len(data) % 7);"
              "smtp_target.main(['srs', '1000', '1', '--plain'])")
    done = subprocess.run([sys.executable, "-c", broken], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "failed on b" in done.stdout and "ZeroDivisionError" in done.stderr


def test_a_million_inputs() -> None:
    """As many as JOBS says with --long, else a thousandth of it."""
    jobs = JOBS if LONG else [replace(job, inputs=job.inputs // 1000) for job in JOBS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reports = list(pool.map(run, jobs))
    for job, report in zip(jobs, reports, strict=True):
        assert report["inputs"] == job.inputs
        if LONG:
            long_runs.record(long_runs.Row(job.row, report["engine"], job.inputs, str(job.seed), report["seconds"],
                                           f"{report['longest'] * 1000:.1f}"))


def run(job: Job) -> Report:
    """Runs a job to its end. AssertionError with its output where it failed."""
    command = [sys.executable, "-m", "tests.fuzz.smtp_target", job.target, str(job.inputs), str(job.seed)]
    command += ["--plain"] if job.is_plain else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"PYTHONHASHSEED": "0"})
    assert done.returncode == 0, f"{job}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    report: Report = json.loads(done.stdout.splitlines()[-1])
    return report
