"""hwmap simulate: test images on simulated chips, and on the ideal network beside them."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from rich.markup import escape

from eqprop import FixedPoint
from eqprop.data import ImageSet
from eqprop.errors import InputError
from hwmap.commands.data import images
from hwmap.commands.evaluate import BATCH, check_classes, evaluate_with_progress
from hwmap.commands.results import record
from hwmap.console import print_result, progress, say, table
from mapping import Mapping
from mapping.hardware import DIRECTIONS
from reports.quantities import seconds as in_words
from reports.quantities import si
from sim import Chip
from sim.energy import costs
from sim.events import DIGITAL
from sim.wire_solver import solves

WIRES = "wires"  # folder of a compiled directory that keeps solved wires
MEMORY_GB = 2.0


def run(
    directory: Path,
    data: str,
    data_dir: Path | None,
    chips: int,
    age_s: float,
    samples: int | None,
    sweeps: int | None,
    seed: int,
    memory_gb: float,
    as_json: bool,
) -> None:
    if not 0.0 <= age_s < math.inf:
        raise InputError(f"--age {age_s:g}: expected seconds >= 0")
    if not 0.0 < memory_gb < math.inf:
        raise InputError(f"--memory {memory_gb:g}: expected gigabytes > 0")
    mapping = Mapping.load(directory)
    test = images(data, "test", data_dir, samples, mapping.network.input_shape, str(directory))
    check_classes(mapping.network, test, str(directory))
    ideal = evaluate_with_progress(mapping.network, test, "ideal network").accuracy
    sweeps = sweeps or mapping.target.controller.free_sweeps
    result = simulate(directory, mapping, test, ideal, chips, age_s, sweeps, seed, memory_gb)
    if not as_json:
        print_result(result, couplings_table(result), as_json=False)
    print_result(result, results_table([result]), as_json)


def simulate(
    directory: Path,
    mapping: Mapping,
    test: ImageSet,
    ideal: float,
    chips: int,
    age_s: float,
    sweeps: int,
    seed: int,
    memory_gb: float = MEMORY_GB,
) -> dict[str, Any]:
    """Run ``test`` on ``chips`` chips, record and return the result.

    A chip makes a fixed number of sweeps, as hardware would: read noise and converter steps keep the states
    moving, so there is no tolerance to reach. The residual in the result says by how much.
    """
    start = time.perf_counter()
    chip = made(directory, mapping, seed, chips, age_s)
    fabrication = chip.fabrication
    batch = max(1, min(BATCH, int(memory_gb * 1e9 / chip.bytes_per_image)))
    say(
        f"devices and prepared reads take {chip.memory_bytes / 1e6:,.0f} MB; batches of {batch} images take about "
        f"{batch * chip.bytes_per_image / 1e6:,.0f} MB"
    )
    if fabrication.failed:
        say(f"write-verify gave up on {fabrication.failed:,} of {fabrication.devices:,} devices")
    dynamics = FixedPoint(mapping.network.dynamics.order, sweeps, tolerance=0.0)
    what = f"{chips} chip{'s' if chips > 1 else ''}, {age_name(age_s)}"
    seen = evaluate_with_progress(chip, test, what, dynamics, batch)
    bill = costs(mapping, {name: chip.events(name) for name in (*mapping.chains, DIGITAL)})
    answers = seen.samples * chips
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
        "clipped": {name: [chip.conversions(name, way).share for way in DIRECTIONS] for name in mapping.chains},
        "asymmetry": {name: chip.asymmetry(name) for name in mapping.chains},
        "writes_per_device": fabrication.writes / fabrication.devices,
        "failed_devices": fabrication.failed,
        "memory_bytes": chip.memory_bytes,
        "batch": batch,
        "energy_j": bill.total_j / answers,
        "energy_by_component_j": {part: joule / answers for part, joule in bill.components_j.items()},
        "latency_s": mapping.timing.seconds(clocks_of(mapping, sweeps)),
        "costs": mapping.target.costs.name,
    }
    record(directory, result)
    return result


def clocks_of(mapping: Mapping, sweeps: int) -> int:
    """Of one inference with ``sweeps`` instead of the target's."""
    timing = mapping.timing
    return timing.inference_clocks + (sweeps - mapping.target.controller.free_sweeps) * timing.sweep_clocks("free")


def made(directory: Path, mapping: Mapping, seed: int, chips: int, age_s: float) -> Chip:
    """The chips; a progress bar while wires are solved, which later runs find in the directory."""
    crossbars = solves(mapping.target.wires, mapping.target.read.noise != "off") * mapping.crossbars * chips
    if not crossbars:
        return Chip(mapping, seed=seed, chips=chips, age_s=age_s)
    with progress() as bar:
        task = bar.add_task("solving wires", total=crossbars)
        return Chip(
            mapping,
            seed=seed,
            chips=chips,
            age_s=age_s,
            wire_cache=directory / WIRES,
            on_solved=lambda count: bar.advance(task, count),
        )


def couplings_table(result: dict[str, Any]) -> Any:
    """What converters clipped and how far the two directions differ, a row for each coupling."""
    rows = [
        (name, f"{forward:.2%}", f"{transposed:.2%}", f"{result['asymmetry'][name]:.1e}")
        for name, (forward, transposed) in result["clipped"].items()
    ]
    columns = ["coupling", "clipped forward", "transposed", "asymmetry |W - W^T|/|W|"]
    return table("conversions beyond the ADCs' range, and forward against transposed weights", columns, rows)


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
    shown = table(title, ["age", "chips (mean)", "worst .. best", "ideal", "points", "residual"], rows)
    energies = ", ".join(f"{si(result['energy_j'], 'J', 3)} ({age_name(result['age_s'])})" for result in results)
    most = ", ".join(f"{part} {joule / first['energy_j']:.0%}" for part, joule in largest(first) if joule)
    latency = in_words(first["latency_s"])
    shown.caption = (
        f"an inference takes {latency} and {energies}; most of it {most or '-'}; costs {escape(first['costs'])}"
    )
    return shown


def largest(result: dict[str, Any]) -> list[tuple[str, float]]:
    """The three components that cost most, and their joules."""
    return sorted(result["energy_by_component_j"].items(), key=lambda item: -item[1])[:3]


def age_name(age_s: float) -> str:
    """An age in the largest unit that keeps it readable."""
    if age_s == 0.0:
        return "fresh"
    for unit, seconds in (("day", 86400.0), ("hour", 3600.0)):
        if age_s >= seconds:
            count = age_s / seconds
            return f"{count:.3g} {unit}{'s' if count != 1 else ''} old"
    return f"{age_s:.3g} s old"
