"""Verification of a compiled model's controller: cocotb benches of its blocks, its bus and its whole EP steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hw.clocks import contrast_clocks
from hw.config import ControllerConfig
from hw.controller import Controller
from hw.emit import rtlil, verilog
from hw.link import link
from mapping import Mapping
from tb.benches.top import Top
from tb.runner import Simulator, Tested, run, waveform

# Of the contrasts of a step that cocotb sees, at some ten thousand a second; larger ones are left to the fast loop.
MOST_CONTRAST_CLOCKS = 150_000

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

    tested: dict[Simulator, list[Tested]]
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)
    waves: Path | None = None


def verify(
    directory: Path,
    simulators: Sequence[Simulator],
    build: Path,
    *,
    samples: int,
    sweeps: tuple[int, int],
    seed: int,
    waves: bool = False,
    on_bench: Callable[[str], Any] = print,
) -> Verified:
    """Build and run every bench on every simulator.

    Args:
        directory: of the compiled model.
        build: folder for Verilog and simulations; what has not changed is not built again.
        samples, sweeps: EP steps, and sweeps of their free and nudged phases.
        on_bench: called with what runs next.

    Raises:
        InputError: if a simulator cannot be used or cannot build the circuit.
        ValueError: if the mapping has no controller.
    """
    build.mkdir(parents=True, exist_ok=True)
    mapping = Mapping.load(directory)
    config = ControllerConfig.from_mapping(mapping)
    blocks, whole = build / "blocks.v", build / "controller.v"
    on_bench("writing Verilog")
    blocks.write_text(verilog(rtlil(Top(), "top"), "top"))
    whole.write_text(verilog(rtlil(Controller(config), "controller"), "controller"))
    coverage = build / "coverage.json"
    settings = {
        "HWMAP_DIRECTORY": str(directory.resolve()),
        "HWMAP_SAMPLES": str(samples),
        "HWMAP_SWEEPS": ",".join(map(str, sweeps)),
        "HWMAP_SEED": str(seed),
        "HWMAP_GRADIENTS": str(int(contrast_clocks(link(mapping)) <= MOST_CONTRAST_CLOCKS)),
        "HWMAP_COVERAGE": str(coverage.resolve()),
    }
    tested: dict[Simulator, list[Tested]] = {}
    recorded = None
    for simulator in simulators:
        on_bench(f"{simulator}: single blocks and the bus")
        tested[simulator] = run(blocks, "top", BLOCKS, simulator, build / f"blocks-{simulator}")
        on_bench(f"{simulator}: {samples} EP steps of {sweeps[0]} + {sweeps[1]} sweeps, aborts and faults of ADCs")
        folder = build / f"controller-{simulator}"
        tested[simulator] += run(whole, "controller", WHOLE, simulator, folder, settings=settings, waves=waves)
        recorded = waveform(simulator, "controller", folder) if waves else None
    return Verified(tested, json.loads(coverage.read_text()) if coverage.is_file() else {}, recorded)
