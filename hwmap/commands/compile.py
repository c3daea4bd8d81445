"""hwmap compile: a model onto crossbars."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from eqprop import EnergyNetwork, checkpoint
from eqprop.errors import InputError
from hwmap.commands.data import images
from hwmap.commands.passes import passes
from hwmap.console import progress, table
from hwmap.user_values import values_from
from mapping import Mapping, Target, compile
from mapping.factors import LOW_RANK_MODES
from reports.quantities import seconds as in_words

CALIBRATION_IMAGES = 128


@dataclass(frozen=True)
class Request:
    """What to compile, and how; see ``hwmap compile --help``."""

    model: Path
    output: Path | None
    crossbar: str | None = None
    target: str = "rram-hfo2"
    settings: list[str] = field(default_factory=list)
    calibrate: str | None = None
    data_dir: Path | None = None
    activation: str | None = None
    pack: str = "on"
    low_rank: str = "auto"
    budget: int | None = None
    seed: int = 0
    dry_run: bool = False


def execute(request: Request) -> tuple[dict[str, Any], Table, Table]:
    """Compile and, unless it is a dry run, write the directory; the result, a table of it, and one of the passes."""
    start = time.perf_counter()
    if request.output is None and not request.dry_run:
        raise InputError("-o: no directory: expected one to write to, or --dry-run")
    for option, value, allowed in (
        ("--pack", request.pack, ("on", "off")),
        ("--low-rank", request.low_rank, LOW_RANK_MODES),
    ):
        if value not in allowed:
            raise InputError(f"{option} {value}: expected one of {', '.join(allowed)}")
    written = None if request.dry_run else request.output
    size = None if request.crossbar is None else crossbar_size(request.crossbar)
    hardware = Target.load(request.target, size, request.settings)
    with values_from("--activation"):
        network = checkpoint.load(request.model, request.activation)
    mapping = mapped(request, network, hardware)
    if written is not None:
        mapping.save(written)
    done = passes(mapping, request.calibrate)
    timing = mapping.timing
    result = {
        "crossbars": mapping.crossbars,
        "tiles": mapping.tiles,
        "utilization": mapping.utilization,
        "weights": mapping.weights,
        "seconds": time.perf_counter() - start,
        "target": hardware.name,
        "directory": None if written is None else str(written),
        "sweep_clocks": timing.sweep_clocks("free"),
        "inference_s": timing.seconds(timing.inference_clocks),
        "ep_step_s": timing.seconds(timing.ep_step_clocks),
        "state_bytes": mapping.memory.bytes,
        "seed": request.seed,
        "passes": dict(done),
    }
    explained = table("what each pass did", ["pass", ""], done, text_columns=2)
    return result, couplings_table(request, mapping, written), explained


def mapped(request: Request, network: EnergyNetwork, hardware: Target) -> Mapping:
    """Compile, with a progress bar while data is relaxed."""
    with progress() as bar:
        data = None
        if request.calibrate is not None:
            source = str(request.model)
            chosen = images(request.calibrate, "train", request.data_dir, None, network.input_shape, source)
            count = min(CALIBRATION_IMAGES, len(chosen))
            data = chosen.batch(torch.arange(count))[0]
            task = bar.add_task("calibrating", total=count)
        return compile(
            network,
            hardware,
            data,
            lambda count: bar.advance(task, count),
            packed=request.pack == "on",
            low_rank=request.low_rank,  # type: ignore[arg-type]  # checked above
            budget=request.budget,
            seed=request.seed,
        )


def couplings_table(request: Request, mapping: Mapping, written: Path | None) -> Table:
    """A row for each matrix."""
    size, timing = mapping.target.crossbar, mapping.timing
    rows = [
        (
            name,
            f"{matrix.lowering.rows} x {matrix.lowering.columns}",
            matrix.lowering.order,
            str(len(matrix.replicas[0].tiles)),
            str(len(matrix.replicas)),
            f"{matrix.forward_full_scale:.3g}",
            f"{matrix.transposed_full_scale:.3g}",
        )
        for name, matrix in mapping.matrices.items()
    ]
    found = table(
        f"{request.model} on {mapping.crossbars} crossbars of {size.rows}x{size.columns} ({mapping.target.name}), "
        f"{mapping.utilization:.1%} of devices used -> {written or 'nothing written'}",
        ["coupling", "rows x cols", "row order", "tiles", "copies", "ADC fwd", "ADC transp."],
        rows,
    )
    found.caption = (
        f"one answer in {in_words(timing.seconds(timing.inference_clocks))}, one EP step in "
        f"{in_words(timing.seconds(timing.ep_step_clocks))} by the target's timings"
    )
    if request.calibrate is None:
        found.caption += "\nADC full scales are worst-case bounds; --calibrate SET measures them and wastes fewer codes"
    return found


def crossbar_size(text: str) -> tuple[int, int]:
    """(rows, columns) of ``ROWSxCOLUMNS``."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < 1:
        raise InputError(f"--crossbar {text}: expected ROWSxCOLUMNS, whole numbers >= 1, as 128x128")
    return int(match[1]), int(match[2])
