"""hwmap report: one self-contained page about a compiled network."""

from __future__ import annotations

from pathlib import Path

import reports
from hwmap.commands.results import COSTS, FIDELITY, FOLDER, LEARNING, recorded
from hwmap.console import print_result, say
from mapping import Mapping

FILE = "report.html"


def run(directory: Path, as_json: bool) -> None:
    path = write(directory, f"hwmap report {directory}")
    say(f"wrote {path}")
    print_result({"report": str(path)}, None, as_json)


def write(directory: Path, command: str) -> Path:
    """Write the report of a compiled directory, with all that is recorded there, and return its path."""
    path = directory / FILE
    reports.write(
        Mapping.load(directory),
        recorded(directory, FOLDER),
        path,
        command,
        gradients=recorded(directory, FIDELITY),
        learning=recorded(directory, LEARNING),
        costs=recorded(directory, COSTS),
    )
    return path
