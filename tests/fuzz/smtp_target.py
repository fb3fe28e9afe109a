"""Runs a target on many inputs: with atheris, guided by coverage, or without it on random mutations of the seeds.

python -m tests.fuzz.smtp_target TARGET RUNS SEED [--plain]

The last line on standard output is a JSON object: engine, inputs, seconds, longest (of one input, CPU seconds). An input
that fails or takes longer than HANG seconds ends the run with an exit status other than 0 and is printed as bytes.
"""

import argparse
import importlib
import importlib.metadata
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from tests.fuzz import corpus, mutation

HANG = 10


class Watched:
    """A target that counts, measures, and says which input it failed on."""

    def __init__(self, target: Callable[[bytes], None], engine: str) -> None:
        self._target = target
        self._began = time.monotonic()
        self._engine = engine
        self.inputs = 0
        self._longest = 0.0

    def __call__(self, data: bytes) -> None:
        began = time.thread_time()
        try:
            self._target(data)
        except BaseException:
            print(f"failed on {data!r}", flush=True)
            raise
        self._longest = max(self._longest, time.thread_time() - began)
        self.inputs += 1

    def report(self) -> None:
        print(json.dumps({"engine": self._engine, "inputs": self.inputs, "longest": round(self._longest, 6),
                          "seconds": round(time.monotonic() - self._began, 1)}), flush=True)


def plain(target: Callable[[bytes], None], seeds: list[bytes], runs: int, seed: int) -> None:
    """All seeds, and then so many mutations of them that `runs` inputs are reached."""
    watched = Watched(target, "random")
    signal.signal(signal.SIGALRM, _hangs)
    for data in itertools.islice(itertools.chain(seeds, mutation.mutated(seeds, seed)), runs):
        signal.alarm(HANG)
        watched(data)
    signal.alarm(0)
    watched.report()


def _hangs(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"an input takes longer than {HANG} s")


def guided(atheris: Any, name: str, target: Callable[[bytes], None], runs: int, seed: int) -> None:
    """Does not return: libFuzzer ends the process, here after `runs` inputs."""
    watched = Watched(target, f"atheris {importlib.metadata.version('atheris')}")
    with tempfile.TemporaryDirectory(prefix="authd-fuzz-") as folder:
        words = Path(folder, "words")
        words.write_text("".join(f'"{"".join(f"{chr(92)}x{byte:02x}" for byte in word)}"\n' for word in mutation.WORDS))
        found = Path(folder, "found")
        found.mkdir()

        def one(data: bytes) -> None:
            watched(data)
            if watched.inputs == runs:
                watched.report()
                os._exit(0)

        atheris.Setup([sys.argv[0], f"-seed={seed}", f"-timeout={HANG}", f"-max_len={mutation.LONGEST}", f"-dict={words}",
                       "-rss_limit_mb=1000", f"-artifact_prefix={folder}/", "-verbosity=0", str(found),
                       str(corpus.FOLDER / name)], one)
        atheris.Fuzz()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("runs", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--plain", action="store_true", help="do not use atheris")
    given = parser.parse_args(arguments)
    atheris = None if given.plain else _atheris()
    with atheris.instrument_imports(include=["authd"]) if atheris else nullcontext():
        target = importlib.import_module("tests.fuzz.targets").TARGETS[given.target]
    if atheris:
        guided(atheris, given.target, target, given.runs, given.seed)
    else:
        plain(target, corpus.seeds(given.target), given.runs, given.seed)


def _atheris() -> ModuleType | None:
    try:
        return importlib.import_module("atheris")
    except ImportError:
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
