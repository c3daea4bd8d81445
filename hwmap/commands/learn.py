"""hwmap simulate --learn: EP on the chips themselves, their devices moved by pulses or written anew."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eqprop import FixedPoint
from eqprop.data import ImageSet
from eqprop.errors import InputError
from eqprop.estimators import Symmetric
from eqprop.evaluation import evaluate
from hwmap.commands.data import images
from hwmap.commands.evaluate import check_classes
from hwmap.commands.results import record_learning
from hwmap.console import print_result, progress, say, table
from hwmap.user_values import values_from
from mapping import Mapping
from sim import Chip
from sim.learning import Learner, Pulsed, Rule, Verified
from sim.learning.registers import RegisterTrains
from sim.pulse_trains import PulseTrains

UPDATES = ("pulses", "verify")
TRAINS = ("stochastic", "deterministic", "registers")
POINTS = 8  # of the curve


@dataclass(frozen=True)
class Request:
    """What to learn, and how; see ``hwmap simulate --help``."""

    directory: Path
    data: str
    data_dir: Path | None
    chips: int
    age_s: float
    samples: int | None
    seed: int
    steps: int
    update: str
    trains: str
    rate: float
    beta: float
    batch: int
    threshold: float
    labelled: int | None


def run(request: Request, as_json: bool) -> None:
    start = time.perf_counter()
    for option, value, allowed in (("--update", request.update, UPDATES), ("--trains", request.trains, TRAINS)):
        if value not in allowed:
            raise InputError(f"{option} {value}: expected one of {', '.join(allowed)}")
    mapping = Mapping.load(request.directory)
    shape, where = mapping.network.input_shape, str(request.directory)
    learned = images(request.data, "train", request.data_dir, request.labelled, shape, where)
    test = images(request.data, "test", request.data_dir, request.samples, shape, where)
    check_classes(mapping.network, test, where)
    controller = mapping.target.controller
    free = FixedPoint("coloured", controller.free_sweeps, tolerance=0.0)
    mapping.network.dynamics = free
    ideal = evaluate(mapping.network, test).accuracy
    chips = []
    with progress("accuracy") as bar:
        task = bar.add_task("learning", total=request.chips * request.steps, accuracy="")
        for number in range(request.chips):
            chips.append(learn(request, mapping, number, learned, test, free, lambda seen: bar.update(task, **seen)))
    result = {
        "accuracy": statistics.mean(chip["after"] for chip in chips),
        "accuracy_before": statistics.mean(chip["before"] for chip in chips),
        "accuracy_per_chip": [chip["after"] for chip in chips],
        "accuracy_ideal": ideal,
        "per_chip": chips,
        "samples": len(test),
        "labelled": len(learned),
        "chips": request.chips,
        "age_s": request.age_s,
        "seed": request.seed,
        "steps": request.steps,
        "batch": request.batch,
        "update": request.update,
        "trains": request.trains,
        "rate": request.rate,
        "beta": request.beta,
        "threshold": request.threshold if request.update == "verify" else None,
        "data": test.name,
        "target": mapping.target.name,
        "seconds": time.perf_counter() - start,
    }
    record_learning(request.directory, result)
    print_result(result, results_table(result), as_json)


def learn(
    request: Request, mapping: Mapping, number: int, learned: ImageSet, test: ImageSet, free: FixedPoint, on_step: Any
) -> dict[str, Any]:
    """Let one chip learn; what it answered on the way, and what its devices went through."""
    chip = Chip(mapping, request.seed, age_s=request.age_s, first=number)
    chip.dynamics = free
    rule: Rule
    with values_from("--trains, --threshold"):
        rule = Verified(request.threshold)
        if request.update == "pulses":
            rule = pulsed(mapping, request.trains)
    nudged = FixedPoint("coloured", mapping.target.controller.nudged_sweeps, tolerance=0.0)
    with values_from("--beta, --update"):
        estimator = Symmetric(request.beta, nudged, mapping.target.controller.nudges)
        learner = Learner(chip, rule, estimator, request.rate)
    before = evaluate(chip, test).accuracy
    curve = [(0, before)]
    order = torch.Generator().manual_seed(request.seed)
    batches = shuffled(len(learned), request.batch, order)
    every = max(1, request.steps // POINTS)
    for step in range(1, request.steps + 1):
        x, labels = learned.batch(next(batches))
        with values_from(str(request.directory)):
            seen = learner.step(x, labels)
        if not math.isfinite(seen.loss):
            say(f"chip {number}: the loss is no longer finite after {step} steps: stopped")
            break
        if step % every == 0 or step == request.steps:
            curve.append((step, evaluate(chip, test).accuracy))
        on_step({"advance": 1, "accuracy": f"{curve[-1][1]:.2%}"})
    devices = learner.devices
    return {
        "before": before,
        "after": curve[-1][1],
        "curve": curve,
        "pulses_per_device": float(devices.pulses.float().mean()),
        "most_pulses": int(devices.pulses.max()),
        "writes_per_device": float(devices.writes.float().mean()),
        "most_writes": int(devices.writes.max()),
        "write_attempts": devices.attempts,
        "failed_writes": devices.failed,
        "saturated_lines": rule.saturation.share if isinstance(rule, Pulsed) else None,
    }


def pulsed(mapping: Mapping, trains: str) -> Pulsed:
    """The controller draws from registers, and multiplies the states of both phases, not their differences."""
    slots = mapping.target.pulses.train
    if trains == "registers":
        return Pulsed(RegisterTrains(slots, lanes=mapping.target.controller.lanes), "states")
    return Pulsed(PulseTrains(slots, trains))  # type: ignore[arg-type]


def shuffled(count: int, batch: int, generator: torch.Generator) -> Any:
    """Index batches, pass after pass, each in another order."""
    while True:
        yield from torch.randperm(count, generator=generator).split(batch)


def results_table(result: dict[str, Any]) -> Any:
    rows = [
        (
            str(number),
            f"{chip['before']:.2%}",
            f"{chip['after']:.2%}",
            f"{chip['pulses_per_device']:.1f} ({chip['most_pulses']})",
            f"{chip['writes_per_device']:.2f} ({chip['most_writes']})",
        )
        for number, chip in enumerate(result["per_chip"])
    ]
    title = (
        f"{result['steps']} steps of {result['batch']} images on {result['target']} chips by {result['update']}, beta "
        f"{result['beta']:g}, rate {result['rate']:g}; the network that was compiled {result['accuracy_ideal']:.2%}, "
        f"seed {result['seed']}"
    )
    columns = ["chip", "before", "after", "pulses a device (most)", "writes a device (most)"]
    return table(title, columns, rows)
