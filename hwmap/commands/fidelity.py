"""hwmap simulate --phase nudged: how faithful the chips' EP gradients are."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping as Table
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from eqprop import FixedPoint
from eqprop.errors import InputError
from eqprop.estimators import Symmetric
from hwmap.commands.data import images
from hwmap.commands.evaluate import check_classes
from hwmap.commands.results import record_fidelity
from hwmap.console import print_result, progress, say, table
from mapping import Mapping
from sim import Chip
from sim.fidelity import Fidelity, choose_beta, compared, gradients, static_network

BATCH = 64
BETAS = (0.01, 0.03, 0.1, 0.3)
BITS = (4, 6, 8, 10, 12, 14)
AVERAGES = (1, 4, 16, 64)


def run(
    directory: Path,
    data: str,
    data_dir: Path | None,
    chips: int,
    age_s: float,
    samples: int | None,
    seed: int,
    beta: str,
    as_json: bool,
) -> None:
    """Compare gradients on training images, coupling by coupling, and over beta, converter bits and averaging."""
    start = time.perf_counter()
    mapping = Mapping.load(directory)
    chosen = images(data, "train", data_dir, samples or BATCH, mapping.network.input_shape, str(directory))
    check_classes(mapping.network, chosen, str(directory))
    x, labels = chosen.batch(torch.arange(len(chosen)))
    study = Study(mapping, seed, chips, age_s, x, labels)
    reason = "given"
    if beta == "auto":
        choice = choose_beta(study.chip(mapping, 0), study.estimator(0.1), x, labels)
        strength, reason = choice.beta, choice.reason()
        say(reason)
    else:
        strength = given(beta)
    sweeps = {
        "beta": {str(value): (mapping, value) for value in BETAS},
        "adc_bits": {str(bits): (with_bits(mapping, "adc", bits), strength) for bits in BITS},
        "dac_bits": {str(bits): (with_bits(mapping, "dac", bits), strength) for bits in BITS},
        "average": {str(count): (with_average(mapping, count), strength) for count in AVERAGES},
    }
    if mapping.target.adc.bits is None:
        sweeps.pop("adc_bits")
    if mapping.target.dac.bits is None:
        sweeps.pop("dac_bits")
    with progress() as bar:
        task = bar.add_task("gradients", total=1 + sum(map(len, sweeps.values())))
        by_coupling = study.compare(mapping, strength)
        bar.advance(task)
        against: dict[str, dict[str, dict[str, float | None]]] = {}
        for what, variants in sweeps.items():
            against[what] = {}
            for value, (variant, at) in variants.items():
                against[what][value] = study.compare(variant, at)["all"]
                bar.advance(task)
    result = {
        "fidelity": by_coupling,
        "against": against,
        "beta": strength,
        "beta_reason": reason,
        "samples": len(labels),
        "chips": chips,
        "age_s": age_s,
        "seed": seed,
        "data": chosen.name,
        "target": mapping.target.name,
        "nudges": mapping.target.controller.nudges,
        "seconds": time.perf_counter() - start,
    }
    record_fidelity(directory, result)
    if not as_json:
        print_result(result, sweeps_table(against), as_json=False)
    print_result(result, couplings_table(result), as_json)


class Study:
    """The same images, chips and phases, compared again and again."""

    def __init__(self, mapping: Mapping, seed: int, chips: int, age_s: float, x: Tensor, labels: Tensor) -> None:
        controller = mapping.target.controller
        self.seed, self.chips, self.age_s, self.x, self.labels = seed, chips, age_s, x, labels
        self.free = FixedPoint("coloured", controller.free_sweeps, tolerance=0.0)
        self.nudged = FixedPoint("coloured", controller.nudged_sweeps, tolerance=0.0)
        self.order = controller.nudges

    def estimator(self, beta: float) -> Symmetric:
        return Symmetric(beta, self.nudged, self.order)

    def chip(self, mapping: Mapping, number: int) -> Chip:
        chip = Chip(mapping, self.seed, age_s=self.age_s, first=number)
        chip.dynamics = self.free
        return chip

    def compare(self, mapping: Mapping, beta: float) -> dict[str, dict[str, float | None]]:
        """Means over chips, by coupling and for all weights as one."""
        estimator, x, labels = self.estimator(beta), self.x, self.labels
        ideal = mapping.network
        ideal.dynamics = self.free
        truth = gradients(ideal, estimator, x, labels)
        rows: dict[str, list[tuple[Fidelity, Fidelity]]] = {}
        for number in range(self.chips):
            chip = self.chip(mapping, number)
            measured = gradients(chip, estimator, x, labels)
            own = gradients(static_network(chip), estimator, x, labels)
            to_ideal, to_own = compared(measured, truth), compared(measured, own)
            for name in to_ideal:
                rows.setdefault(name, []).append((to_ideal[name], to_own[name]))
        return {name: means(found) for name, found in rows.items()}


def means(rows: list[tuple[Fidelity, Fidelity]]) -> dict[str, float | None]:
    """Means over chips; null where a gradient was zero."""
    columns = {
        "cosine": [ideal.cosine for ideal, _ in rows],
        "norm_ratio": [ideal.norm_ratio for ideal, _ in rows],
        "cosine_own_weights": [own.cosine for _, own in rows],
        "norm_ratio_own_weights": [own.norm_ratio for _, own in rows],
    }
    found = {name: statistics.mean(values) for name, values in columns.items()}
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def given(beta: str) -> float:
    try:
        value = float(beta)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise InputError(f"--beta {beta}: expected a positive nudging strength or auto")
    return value


def with_bits(mapping: Mapping, kind: Literal["adc", "dac"], bits: int) -> Mapping:
    """Other converters of one kind, in both directions."""
    target = mapping.target
    own = {name: getattr(target, name) for name in (kind, f"transposed_{kind}")}
    changed = {name: each.model_copy(update={"bits": bits}) for name, each in own.items() if each is not None}
    return replace(mapping, target=target.model_copy(update=changed))


def with_average(mapping: Mapping, count: int) -> Mapping:
    target = mapping.target
    return replace(
        mapping, target=target.model_copy(update={"read": target.read.model_copy(update={"average": count})})
    )


COLUMNS = ["cosine to ideal", "norm ratio", "cosine to own weights", "norm ratio"]


def cells(row: Table[str, float | None]) -> list[str]:
    return [
        "-" if value is None else f"{value:.4f}" if "cosine" in name else f"{value:.3g}" for name, value in row.items()
    ]


def couplings_table(result: dict[str, Any]) -> Any:
    title = (
        f"EP gradient of {result['chips']} {result['target']} chip(s), beta {result['beta']:.3g}, order "
        f"{result['nudges']}, {result['samples']} images of {result['data']}, seed {result['seed']}"
    )
    rows = [(name, *cells(row)) for name, row in result["fidelity"].items()]
    return table(title, ["coupling", *COLUMNS], rows)


def sweeps_table(against: dict[str, dict[str, dict[str, float | None]]]) -> Any:
    rows = [(f"{what} {value}", *cells(row)) for what, values in against.items() for value, row in values.items()]
    return table("all weights as one gradient, against", ["", *COLUMNS], rows)
