"""hwmap verify: the controller's testbenches on what hwmap compile wrote."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from eqprop.errors import InputError
from hw.clocks import Times, contrast_clocks, step_clocks
from hwmap.commands.rtl import FOLDER
from hwmap.console import print_result, progress, say, stdout, table
from hwmap.user_values import values_from
from mapping import Mapping
from mapping.program import Opcode
from sim.chip import Chip
from tb.benches.times import TIMES
from tb.benches.transitions import TRANSITIONS
from tb.fast_steps import fast_steps
from tb.loop import FastLoop
from tb.runner import SIMULATORS, Simulator, simulators, why_not
from tb.verify import Verified, verify

FAST = "cxxrtl"  # EP steps in the fast loop
MOST_FAST_CONTRAST_CLOCKS = 5_000_000  # of the contrasts of a step, at some 50,000 a second
MOST_OF_A_FAILURE = 100  # characters in the table; all of it is in the JSON


def run(
    directory: Path,
    simulator: str | None,
    samples: int,
    sweeps: tuple[int, int],
    memories: Path | None,
    waves: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Exit code 1 if a test failed."""
    start = time.perf_counter()
    mapping = Mapping.load(directory)  # refuses what is no compiled directory before anything is built
    if memories is not None and not memories.is_file():
        raise InputError(f"--memories {memories}: expected a Verilog file")
    if simulator not in (None, FAST, *SIMULATORS):
        raise InputError(f"--simulator {simulator}: expected one of {', '.join((*SIMULATORS, FAST))}")
    if simulator == FAST and (memories is not None or waves):
        option = "--waves" if waves else "--memories"
        raise InputError(f"--simulator {FAST} with {option}: expected {' or '.join(SIMULATORS)}")
    with values_from(str(directory)):
        if simulator == FAST:
            found = in_fast_loop(mapping, samples, sweeps, seed)
        else:
            found = verify(
                directory,
                usable(simulator),
                directory / "verify",
                directory / FOLDER,
                samples=samples,
                sweeps=sweeps,
                seed=seed,
                memories=memories,
                waves=waves,
                on_bench=say,
            )
    result = summary(found, samples, sweeps, seed) | {"seconds": time.perf_counter() - start}
    print_result(result, None if as_json else results_table(found), as_json)
    if not as_json:
        if simulator != FAST:
            print_coverage(result["coverage"])
        if found.waves is not None:
            say(f"waveform: {found.waves}")
    if result["failed"]:
        sys.exit(1)


def usable(simulator: str | None) -> list[Simulator]:
    """The simulator asked for, or all that are there.

    Raises:
        InputError: if none is.
    """
    chosen = [one for one in SIMULATORS if simulator in (None, one)]
    found = [one for one in chosen if one in simulators()]
    for one in chosen:
        if one not in found:
            say(f"{one} is left out: {why_not(one)}")
    if not found:
        raise InputError("no simulator: " + "; ".join(f"{one}: {why_not(one)}" for one in chosen))
    return found


def in_fast_loop(mapping: Mapping, samples: int, sweeps: tuple[int, int], seed: int) -> Verified:
    """EP steps alone.

    Raises:
        InputError: without yosys or a C++ compiler.
        ValueError: if the mapping has no controller.
    """
    torch.set_num_threads(1)  # reads of one sample are too small to share
    say("compiling the simulation, unless it is kept from an earlier time")
    loop = FastLoop(mapping, Chip(mapping, seed))
    clocks = step_clocks(loop.linked, Times.of(loop.config).changed(TIMES), *sweeps)
    contrasts = contrast_clocks(loop.linked)
    gradients = contrasts <= MOST_FAST_CONTRAST_CLOCKS
    say(f"{FAST}: {samples} EP steps of {sweeps[0]} + {sweeps[1]} sweeps ({clocks:,} clocks each)")
    say(f"gradients, about {contrasts:,} clocks more each, are {'compared' if gradients else 'left out'}")
    with progress() as bar:
        task = bar.add_task("steps equal", total=samples)
        tested = fast_steps(
            loop, samples, sweeps, seed, gradients=gradients, on_step=lambda number: bar.update(task, completed=number)
        )
    return Verified({FAST: [tested]})


def summary(found: Verified, samples: int, sweeps: tuple[int, int], seed: int) -> dict[str, Any]:
    """Counts, every test, coverage."""
    every = [(simulator, one) for simulator, tested in found.tested.items() for one in tested]
    passed = sum(one.passed for _, one in every)
    return {
        "tests": len(every),
        "passed": passed,
        "failed": len(every) - passed,
        "cycles": sum(one.cycles for _, one in every),
        "simulators": list(found.tested),
        "samples": samples,
        "free_sweeps": sweeps[0],
        "nudged_sweeps": sweeps[1],
        "seed": seed,
        "per_test": [
            {"simulator": simulator, "test": one.name, "cycles": one.cycles, "seconds": one.seconds,
             "failure": one.failure} for simulator, one in every
        ],
        "coverage": found.coverage,
        "waves": None if found.waves is None else str(found.waves),
    }  # fmt: skip


def results_table(found: Verified) -> Table:
    """A row for every test."""
    rows = [
        (
            simulator,
            one.name.removeprefix("tb.benches."),
            "pass" if one.passed else f"FAIL {one.failure[:MOST_OF_A_FAILURE]}",
            f"{one.cycles:,}",
            f"{one.seconds:.1f}",
        )
        for simulator, tested in found.tested.items()
        for one in tested
    ]
    return table("verification", ["simulator", "test", "result", "cycles", "seconds"], rows, text_columns=3)


def print_coverage(coverage: dict[str, dict[str, int]]) -> None:
    """What of the sequencer the EP steps met; what they did not is named."""
    steps = [" -> ".join(step) for step in TRANSITIONS]
    operations = [opcode.name for opcode in Opcode if opcode not in (Opcode.CLEAR, Opcode.POOL, Opcode.ERROR)]
    for kind, expected in (("transitions", steps), ("operations", operations)):
        met = coverage.get(kind, {})
        missing = [one for one in expected if one not in met]
        rest = f"; not met: {', '.join(missing)}" if missing else ""
        stdout.print(f"{kind} of the sequencer: {len(expected) - len(missing)} of {len(expected)}{rest}")
