"""What asymmetry between forward and transposed reads does to EP on a chip, and what corrections bring back.

Gradients: an mlp 64-32-32-10 that has learned digits for 200 steps on the ideal network, 64 digits, beta 0.02, 16-bit
ADCs, float states. ``law`` is plain EP on the noise-free network of two weights a coupling at beta 1e-4 in float64: the
error J^-T - J^-1 alone. All cosines are to that network's exact gradient.

Learning: the same mlp from random weights on the chip, 150 steps of 16 digits, beta 0.3, 15 free and 8 nudged sweeps,
8-bit DACs and ADCs (12-bit with gain mismatch), 16-bit states; accuracy on 360 test digits. One chip a seed.

Usage: python benchmarks/asymmetry.py [--steps N] [--seeds S] [--all] [gradients] [learning]
"""

import argparse
import statistics
import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from descent import accuracy, descend

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from eqprop.data import ImageSet, load
from eqprop.estimators import AdjointFixedPoint, Symmetric
from sim import Chip
from sim.fidelity import Gradients, compared, gradients
from sim.learning import Homeostasis, Learner, Pulsed, Rule, Verified, known_skew, measured_skew
from sim.learning.asymmetry import directed_network

SWEEPS = {"max_sweeps": 60, "tolerance": 0.0}
RECALIBRATE = 10  # steps from one calibration of the skew, or one homeostatic write, to the next
SEPARATE = "cell.feedback=separate"


def network(seed: int) -> EnergyNetwork:
    made = models.mlp([32, 32], channels=1, size=8, classes=10, seed=seed)
    made.dynamics = FixedPoint(max_sweeps=15, tolerance=0.0)
    return made


def batches(count: int, steps: int, seed: int) -> list[torch.Tensor]:
    order = torch.Generator().manual_seed(seed)
    found: list[torch.Tensor] = []
    while len(found) < steps:
        found += [part for part in torch.randperm(count, generator=order).split(16) if len(part) == 16]
    return found[:steps]


def mismatches() -> list[tuple[str, tuple[str, ...]]]:
    adc = ("adc.bits=16", "adc.range=tile")
    found: list[tuple[str, tuple[str, ...]]] = [("none (16-bit ADCs)", adc)]
    for sigma in (0.03, 0.1, 0.3, 1.0):
        found.append(
            (f"gain spread {sigma:g}", (*adc, f"transposed_adc={{bits: 16, range: tile, gain_sigma: {sigma}}}"))
        )
    for lsb in (256, 1024, 4096):
        errors = f"transposed_adc={{bits: 16, range: tile, offset_sigma_lsb: {lsb}}}"
        found.append((f"offset spread {lsb} of 65536 steps", (*adc, errors)))
    for share in (0.01, 0.03, 0.1, 0.2):  # of the window; a weight is the difference of two devices
        noisy = f"device.programming={{model: gaussian, sigma_siemens: {share * 1e-4:g}}}"
        found.append((f"separate, writes off by {share:.0%}", (*adc, SEPARATE, noisy)))
    return found


def show_gradients(train: ImageSet, seeds: int) -> None:
    print(
        f"{'mismatch':34} {'|F-B|/|F|':>9}  {'law all':>8} {'h1_h2':>8}  {'chip':>8} {'h1_h2':>8}  "
        f"{'AsymEP':>8} {'read':>8}"
    )
    rows: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        made = network(seed)
        descend(made, train, batches(len(train), 200, seed), beta=0.3, nudged_sweeps=8, rate=0.1)
        x, labels = train.batch(torch.arange(64))
        made.dynamics = FixedPoint(**SWEEPS)
        for name, settings in mismatches():
            target = mapping.Target.load("ideal", (128, 128), ["cell.headroom=4", *settings])
            chip = Chip(mapping.compile(made, target, x), seed=seed)
            rows.setdefault(name, []).append(of_chip(chip, x, labels, seed))
    for name, found in rows.items():
        mean = [statistics.mean(values) for values in zip(*found, strict=True)]
        print(f"{name:34} {mean[0]:9.3f}  " + "  ".join(f"{a:8.5f} {b:8.5f}" for a, b in pairs(mean[1:])), flush=True)


def pairs(values: list[float]) -> list[tuple[float, float]]:
    return list(zip(values[0::2], values[1::2], strict=True))


def of_chip(chip: Chip, x: torch.Tensor, labels: torch.Tensor, seed: int) -> list[float]:
    skew = known_skew(chip)
    twin = directed_network(chip).double()
    exact = {name: coupling.double() for name, coupling in known_skew(chip).items()}

    def found(of: EnergyNetwork, beta: float, dynamics: FixedPoint, images: torch.Tensor = x) -> Gradients:
        return gradients(of, Symmetric(beta, dynamics), images, labels)

    truth = found(twin, 1e-4, AdjointFixedPoint(**SWEEPS, skew=exact), x.double())
    read = measured_skew(chip, 400, torch.Generator().manual_seed(seed))
    law = compared(found(twin, 1e-4, FixedPoint(**SWEEPS), x.double()), truth)
    plain = compared(found(chip, 0.02, FixedPoint(**SWEEPS)), truth)
    cured = [compared(found(chip, 0.02, AdjointFixedPoint(**SWEEPS, skew=of)), truth) for of in (skew, read)]
    apart = skew["h1_h2"].reads.effective_weight().norm()  # type: ignore[union-attr]
    return [
        float(apart / chip.mapped("h1_h2").effective_weight().norm()),
        law["all"].cosine,
        law["h1_h2"].cosine,
        plain["all"].cosine,
        plain["h1_h2"].cosine,
        cured[0]["all"].cosine,
        cured[1]["all"].cosine,
    ]


@dataclass(frozen=True)
class Case:
    """What learns. ``cures``: of none, AsymEP and homeostasis, those that there are."""

    name: str
    settings: tuple[str, ...]
    pulses: bool = False
    cures: tuple[str, ...] = ("none", "AsymEP")


ALL = ("none", "AsymEP", "homeostasis")


def gain(sigma: float) -> tuple[str, ...]:
    return ("adc.bits=12", f"transposed_adc={{bits: 12, gain_sigma: {sigma}}}")


CASES = (
    Case("gain spread 2.0", gain(2.0)),
    Case("same, rram-hfo2 writes", ("device=rram-hfo2",), cures=("none",)),
    Case("separate, rram-hfo2 writes", (SEPARATE, "device=rram-hfo2"), cures=ALL),
)
LONGER = (  # with --all
    Case("same devices, exact writes", (), cures=("none",)),
    Case("gain spread 0.3", gain(0.3)),
    Case("gain spread 1.0", gain(1.0)),
    Case("same, ecram pulses", ("device=ecram",), pulses=True, cures=("none",)),
    Case("separate, ecram pulses", (SEPARATE, "device=ecram"), pulses=True, cures=ALL),
    Case("same, reram-array-om pulses", ("device=rram-hfo2", "device.update=reram-array-om"), True, ("none",)),
    Case("separate, reram-array-om pulses", (SEPARATE, "device=rram-hfo2", "device.update=reram-array-om"), True, ALL),
)


def learn(case: Case, cure: str, train: ImageSet, test: ImageSet, steps: int, seed: int) -> tuple[float, float]:
    """Accuracy, and |F - B| / |F| of the coupling between the hidden layers, after learning."""
    settings = ["cell.pair=middle", "cell.headroom=6", "dac.bits=8", "adc.bits=8", "controller.state_bits=16"]
    target = mapping.Target.load("ideal", (128, 128), [*settings, *case.settings])
    chip = Chip(mapping.compile(network(seed), target, train.batch(torch.arange(128))[0]), seed=seed)
    rule: Rule = Pulsed() if case.pulses else Verified()
    if cure == "homeostasis":
        rule = Homeostasis(rule, every=RECALIBRATE)
    nudged: dict[str, Any] = {"max_sweeps": 8, "tolerance": 0.0}
    learner = Learner(chip, rule, Symmetric(0.3, FixedPoint(**nudged)), 0.1)
    for step, indices in enumerate(batches(len(train), steps, seed)):
        if cure == "AsymEP" and step % RECALIBRATE == 0:
            learner.estimator = Symmetric(0.3, AdjointFixedPoint(**nudged, skew=known_skew(chip)))
        learner.step(*train.batch(indices))
    apart = known_skew(chip)["h1_h2"].reads.effective_weight().norm()  # type: ignore[union-attr]
    return accuracy(chip, test), float(apart / chip.mapped("h1_h2").effective_weight().norm())


def show_learning(train: ImageSet, test: ImageSet, steps: int, seeds: int, cases: tuple[Case, ...]) -> None:
    for case in cases:
        for cure in case.cures:
            start = time.perf_counter()
            found = [learn(case, cure, train, test, steps, seed) for seed in range(seeds)]
            each = " ".join(f"{100 * answered:.1f}" for answered, _ in found)
            mean, apart = (statistics.mean(values) for values in zip(*found, strict=True))
            print(
                f"{case.name:34} {cure:12} {100 * mean:5.1f} % ({each})  |F-B|/|F| {apart:.3f}  "
                f"{time.perf_counter() - start:.0f} s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["gradients", "learning"])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="more learning: beyond three minutes")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    train, test = load("digits", "train"), load("digits", "test")
    print(f"{torch.get_num_threads()} threads, {chosen.seeds} seeds")
    if "gradients" in chosen.parts:
        show_gradients(train, chosen.seeds)
    if "learning" in chosen.parts:
        show_learning(train, test, chosen.steps, chosen.seeds, CASES + LONGER if chosen.all else CASES)


if __name__ == "__main__":
    main()
