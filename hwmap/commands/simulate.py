"""hwmap simulate: test images on simulated chips, and on the ideal network beside them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from eqprop import FixedPoint
from eqprop.data import ImageSet
from eqprop.errors import InputError
from hwmap.commands.data import images
from hwmap.commands.evaluate import check_classes, evaluate_with_progress
from hwmap.commands.results import record
from hwmap.console import print_result, table
from mapping import Mapping
from sim import Chip


def run(
    directory: Path,
    data: str,
    data_dir: Path | None,
    chips: int,
    age_s: float,
    samples: int | None,
    sweeps: int,
    seed: int,
    as_json: bool,
) -> None:
    if not 0.0 <= age_s < math.inf:
        raise InputError(f"--age {age_s:g}: expected seconds >= 0")
    mapping = Mapping.load(directory)
    test = images(data, "test", data_dir, samples, mapping.network.input_shape, str(directory))
    check_classes(mapping.network, test, str(directory))
    ideal = evaluate_with_progress(mapping.network, test, "ideal network").accuracy
    result = simulate(directory, mapping, test, ideal, chips, age_s, sweeps, seed)
    print_result(result, results_table([result]), as_json)


def simulate(
    directory: Path, mapping: Mapping, test: ImageSet, ideal: float, chips: int, age_s: float, sweeps: int, seed: int
) -> dict[str, Any]:
    """Run ``test`` on ``chips`` chips, record and return the result.

    A chip makes a fixed number of sweeps, as hardware would: read noise and converter steps keep the states
    moving, so there is no tolerance to reach. The residual in the result says by how much.
    """
    start = time.perf_counter()
    chip = Chip(mapping, seed=seed, chips=chips, age_s=age_s)
    dynamics = FixedPoint(mapping.network.dynamics.order, sweeps, tolerance=0.0)
    what = f"{chips} chip{'s' if chips > 1 else ''}, {age_name(age_s)}"
    seen = evaluate_with_progress(chip, test, what, dynamics)
    result = {
        "accuracy": seen.accuracy,
        "accuracy_per_chip": list(seen.accuracies),
        "accuracy_ideal": ideal,
        "samples": seen.samples,
        "chips": chips,
        "age_s": age_s,
        "seed": seed,
        "residual": seen.residual,
        "sweeps": sweeps,
        "data": test.name,
        "target": mapping.target.name,
        "seconds": time.perf_counter() - start,
    }
    record(directory, result)
    return result


def results_table(results: list[dict[str, Any]]) -> Any:
    """Ideal and mapped accuracy, a row for each age."""
    first = results[0]
    rows = [
        (
            age_name(result["age_s"]),
            f"{result['accuracy']:.2%}",
            f"{min(result['accuracy_per_chip']):.2%} .. {max(result['accuracy_per_chip']):.2%}",
            f"{result['accuracy_ideal']:.2%}",
            f"{100 * (result['accuracy'] - result['accuracy_ideal']):+.2f}",
            f"{result['residual']:.1e}",
        )
        for result in results
    ]
    title = (
        f"{first['chips']} {first['target']} chips, {first['samples']} test images of {first['data']}, "
        f"{first['sweeps']} sweeps, seed {first['seed']}"
    )
    return table(title, ["age", "chips (mean)", "worst .. best", "ideal", "points", "residual"], rows)


def age_name(age_s: float) -> str:
    """An age in the largest unit that keeps it readable."""
    if age_s == 0.0:
        return "fresh"
    for unit, seconds in (("day", 86400.0), ("hour", 3600.0)):
        if age_s >= seconds:
            count = age_s / seconds
            return f"{count:.3g} {unit}{'s' if count != 1 else ''} old"
    return f"{age_s:.3g} s old"
