"""hwmap compile: a model onto crossbars."""

from __future__ import annotations

import re
import time
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
from mapping import Target, compile

CALIBRATION_IMAGES = 128


def execute(
    model: Path,
    output: Path,
    crossbar: str | None,
    target: str,
    settings: Sequence[str],
    calibrate: str | None,
    data_dir: Path | None,
    activation: str | None,
    packed: bool = True,
) -> tuple[dict[str, Any], Table]:
    """Compile and write the directory; the result and a table of it."""
    start = time.perf_counter()
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
    mapping.save(output)
    result = {
        "crossbars": mapping.crossbars,
        "tiles": mapping.tiles,
        "utilization": mapping.utilization,
        "weights": mapping.weights,
        "seconds": time.perf_counter() - start,
        "target": hardware.name,
        "directory": str(output),
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
        f"({hardware.name}), {mapping.utilization:.1%} of devices used -> {output}",
        ["coupling", "rows x cols", "row order", "tiles", "ADC fwd", "ADC transp."],
        rows,
    )
    if calibrate is None:
        found.caption = "ADC full scales are worst-case bounds; --calibrate SET measures them and wastes fewer codes"
    return result, found


def crossbar_size(text: str) -> tuple[int, int]:
    """(rows, columns) of ``ROWSxCOLUMNS``."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < 1:
        raise InputError(f"--crossbar {text}: expected ROWSxCOLUMNS, whole numbers >= 1, as 128x128")
    return int(match[1]), int(match[2])
