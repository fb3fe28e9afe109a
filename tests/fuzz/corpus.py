"""The seeds: a folder for each target, a file for each input. An input that ever found a fault is kept here."""

from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def seeds(target: str) -> list[bytes]:
    """The inputs kept for a target, in the order of their names."""
    return [file.read_bytes() for file in sorted((FOLDER / target).iterdir())]
