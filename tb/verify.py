"""Verification of a compiled model's controller: cocotb benches of its blocks, its bus and its whole EP steps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hw.clocks import Times, contrast_clocks, step_clocks
from hw.config import ControllerConfig
from hw.controller import Controller
from hw.emit import rtlil, verilog
from hw.files import NAME, RTLIL_FILE, VERILOG_FILE
from hw.link import link
from hw.memory_modules import memory_modules
from mapping import Mapping
from tb.benches.times import TIMES
from tb.benches.top import Top
from tb.runner import Simulator, Tested, run, simulation, waveform

# Of the contrasts of a step that cocotb sees, at some ten thousand a second; larger ones are left to the fast loop.
MOST_CONTRAST_CLOCKS = 150_000
NOTES_S = 1.0  # how often what benches note is looked for

BLOCKS = ["tb.benches.blocks", "tb.benches.bus"]
WHOLE = ["tb.benches.ep_step", "tb.benches.faults"]


@dataclass(frozen=True)
class Verified:
    """What benches found.

    Attributes:
        tested: by simulator.
        coverage: of the EP steps: states, transitions and operations of the sequencer, and how often each was met.
        waves: the waveform, where one was asked for.
    """

    tested: dict[str, list[Tested]]
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)
    waves: Path | None = None


def verify(
    directory: Path,
    simulators: Sequence[Simulator],
    build: Path,
    rtl: Path,
    *,
    samples: int,
    sweeps: tuple[int, int],
    seed: int,
    memories: Path | None = None,
    waves: bool = False,
    on_bench: Callable[[str], Any] = print,
) -> Verified:
    """Build and run every bench on every simulator, as many at once as there are processors.

    Args:
        directory: of the compiled model.
        build: folder for Verilog and simulations; what has not changed is not built again.
        rtl: where ``hwmap rtl`` writes. Verilog made of the same RTLIL as now is taken from there as it is.
        samples, sweeps: EP steps, and sweeps of their free and nudged phases.
        memories: Verilog of the modules of :mod:`hw.memory_modules`; without it memories are inside.
        on_bench: called with what runs next, and with how it went.

    Raises:
        InputError: if a simulator cannot be used or cannot build the circuit.
        ValueError: if the mapping has no controller.
    """
    build.mkdir(parents=True, exist_ok=True)
    mapping = Mapping.load(directory)
    config, linked = ControllerConfig.from_mapping(mapping), link(mapping)
    contrasts = contrast_clocks(linked)
    blocks, whole, notes = build / "blocks.v", build / VERILOG_FILE, build / "notes"
    notes.unlink(missing_ok=True)
    on_bench("writing Verilog")
    blocks.write_text(verilog(rtlil(Top(), "top"), "top"))
    controller = Controller(config, outside=memories is not None)
    text = written(rtl, rtlil(controller, NAME), memory_modules(controller.modules))
    whole.write_text(text if memories is None else f"{text}\n{memories.read_text('utf-8')}")
    settings = {
        "HWMAP_DIRECTORY": str(directory.resolve()),
        "HWMAP_SAMPLES": str(samples),
        "HWMAP_SWEEPS": ",".join(map(str, sweeps)),
        "HWMAP_SEED": str(seed),
        "HWMAP_GRADIENTS": str(int(contrasts <= MOST_CONTRAST_CLOCKS)),
        "HWMAP_NOTES": str(notes.resolve()),
    }
    clocks = step_clocks(linked, Times.of(config).changed(TIMES), *sweeps)
    on_bench(
        f"{', '.join(simulators)}: single blocks, the bus, {samples} EP steps of {sweeps[0]} + {sweeps[1]} sweeps "
        f"({clocks:,} clocks each), aborts and faults of ADCs"
    )
    if contrasts > MOST_CONTRAST_CLOCKS:
        on_bench(f"gradients are left out: about {contrasts:,} clocks more each; --simulator cxxrtl has them")
    tested: dict[str, list[Tested]] = {}
    for one in simulators:
        coverage_of(build, one).unlink(missing_ok=True)
    # A waveform is of one run; without one EP steps and faults are simulated side by side.
    parts = {"": WHOLE} if waves else {module.rpartition(".")[2]: [module] for module in WHOLE}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        built = {
            pool.submit(simulation, whole, NAME, one, folder_of(build, one), waves=waves): one for one in simulators
        }
        runs = {one: [pool.submit(run, blocks, "top", BLOCKS, one, build / f"blocks-{one}")] for one in simulators}
        for job in as_completed(built):
            job.result()
            one = built[job]
            folder, where = folder_of(build, one), {"HWMAP_COVERAGE": str(coverage_of(build, one).resolve())}
            whole_on_it = partial(
                run, whole, NAME, simulator=one, build_dir=folder, settings=settings | where, waves=waves
            )
            runs[one] += [
                pool.submit(whole_on_it, modules=modules, run_dir=folder / part) for part, modules in parts.items()
            ]
        pass_on(notes, [job for jobs in runs.values() for job in jobs], on_bench)
        for one in simulators:
            tested[one] = [test for job in runs[one] for test in job.result()]
            on_bench(f"{one}: {sum(test.passed for test in tested[one])} of {len(tested[one])} tests passed")
    last = simulators[-1]
    seen = coverage_of(build, last)
    return Verified(
        tested,
        json.loads(seen.read_text()) if seen.is_file() else {},
        waveform(last, NAME, folder_of(build, last)) if waves else None,
    )


def pass_on(notes: Path, jobs: Sequence[Future[Any]], on_line: Callable[[str], Any]) -> None:
    """Until all jobs are over, the lines that benches add to a file."""
    passed, running = 0, set(jobs)
    while running:
        _, running = wait(running, NOTES_S)
        lines = notes.read_text("utf-8").splitlines(keepends=True) if notes.is_file() else []
        for line in lines[passed:]:
            if line.endswith("\n"):
                on_line(line.rstrip("\n"))
                passed += 1


def written(rtl: Path, text: str, modules: str) -> str:
    """Verilog of the controller: what ``hwmap rtl`` wrote, if it wrote this RTLIL."""
    files = rtl / RTLIL_FILE, rtl / VERILOG_FILE
    if all(path.is_file() for path in files) and files[0].read_text("utf-8") == text:
        return files[1].read_text("utf-8")
    return verilog(text, NAME, modules)


def folder_of(build: Path, simulator: Simulator) -> Path:
    """Where the whole controller is built and run."""
    return build / f"{NAME}-{simulator}"


def coverage_of(build: Path, simulator: Simulator) -> Path:
    """Where the EP steps leave what they met."""
    return build / f"coverage-{simulator}.json"
