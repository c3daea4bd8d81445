"""hwmap compile: a model onto crossbars."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from eqprop import checkpoint
from eqprop.errors import InputError
from hwmap.commands.data import images
from hwmap.console import progress, table
from hwmap.user_values import values_from
from mapping import Mapping, Target, compile
from mapping.encoding import devices_per_weight

CALIBRATION_IMAGES = 128


def execute(
    model: Path,
    output: Path | None,
    crossbar: str | None,
    target: str,
    settings: Sequence[str],
    calibrate: str | None,
    data_dir: Path | None,
    activation: str | None,
    packed: bool = True,
    dry_run: bool = False,
) -> tuple[dict[str, Any], Table, Table]:
    """Compile and, unless it is a dry run, write the directory; the result, a table of it, and one of the passes."""
    start = time.perf_counter()
    if output is None and not dry_run:
        raise InputError("-o: no directory: expected one to write to, or --dry-run")
    written = None if dry_run else output
    size = None if crossbar is None else crossbar_size(crossbar)
    hardware = Target.load(target, size, settings)
    with values_from("--activation"):
        network = checkpoint.load(model, activation)
    with progress() as bar:
        data = None
        if calibrate is not None:
            chosen = images(calibrate, "train", data_dir, None, network.input_shape, str(model))
            count = min(CALIBRATION_IMAGES, len(chosen))
            data = chosen.batch(torch.arange(count))[0]
            task = bar.add_task("calibrating", total=count)
        mapping = compile(network, hardware, data, lambda count: bar.advance(task, count), packed)
    if written is not None:
        mapping.save(written)
    done = passes(mapping, calibrate)
    result = {
        "crossbars": mapping.crossbars,
        "tiles": mapping.tiles,
        "utilization": mapping.utilization,
        "weights": mapping.weights,
        "seconds": time.perf_counter() - start,
        "target": hardware.name,
        "directory": None if written is None else str(written),
        "passes": dict(done),
    }
    rows = [
        (
            name,
            f"{matrix.lowering.rows} x {matrix.lowering.columns}",
            matrix.lowering.order,
            str(len(matrix.tiles)),
            f"{matrix.forward_full_scale:.3g}",
            f"{matrix.transposed_full_scale:.3g}",
        )
        for name, matrix in mapping.matrices.items()
    ]
    found = table(
        f"{model} on {mapping.crossbars} crossbars of {hardware.crossbar.rows}x{hardware.crossbar.columns} "
        f"({hardware.name}), {mapping.utilization:.1%} of devices used -> {written or 'nothing written'}",
        ["coupling", "rows x cols", "row order", "tiles", "ADC fwd", "ADC transp."],
        rows,
    )
    if calibrate is None:
        found.caption = "ADC full scales are worst-case bounds; --calibrate SET measures them and wastes fewer codes"
    return result, found, table("what each pass did", ["pass", ""], done)


def passes(mapping: Mapping, calibrate: str | None) -> list[tuple[str, str]]:
    """What each pass of the compiler did, in figures."""
    size, matrices = mapping.target.crossbar, mapping.matrices.values()
    orders = Counter(matrix.lowering.order for matrix in matrices)
    alone = mapping.weights * devices_per_weight(mapping.target.cell) / (mapping.tiles * size.rows * size.columns)
    cell = mapping.target.cell
    devices = f"{devices_per_weight(cell)} device{'s' if devices_per_weight(cell) > 1 else ''} a weight"
    ordered = ", ".join(f"{count} {order}" for order, count in orders.items())
    sources = sorted({matrix.forward_source for matrix in matrices} | {matrix.transposed_source for matrix in matrices})
    reads = sum(len(step.reads) for step in mapping.schedule)
    return [
        ("check", f"{len(mapping.network.layers)} layers, {len(matrices)} couplings, all parameters finite"),
        ("lower", f"{mapping.weights:,} weights; row orders: {ordered}"),
        ("scale", f"{cell.encoding}, levels {cell.levels}, slices {cell.slices}: {devices}"),
        ("calibrate", f"ranges from {calibrate or 'bounds'}; ADCs: {'; '.join(sources)}"),
        ("place", f"{mapping.tiles:,} blocks, {alone:.1%} of devices if each had a crossbar"),
        ("pack", f"{mapping.crossbars:,} crossbars, {mapping.utilization:.1%} of devices"),
        ("encode", f"{mapping.conductances.numel():,} conductances, {mapping.conductances.nbytes / 1e6:,.1f} MB"),
        ("schedule", f"{len(mapping.schedule)} steps and {reads} reads a sweep"),
    ]


def crossbar_size(text: str) -> tuple[int, int]:
    """(rows, columns) of ``ROWSxCOLUMNS``."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < 1:
        raise InputError(f"--crossbar {text}: expected ROWSxCOLUMNS, whole numbers >= 1, as 128x128")
    return int(match[1]), int(match[2])
