"""EP learned from scratch on simulated chips, by pulses and by writing with verify, against EP on the ideal network.

An mlp 64-64-10 on 1,437 handwritten digits, plain gradient descent, batches of 16, beta 0.3, 15 free and 8 nudged
sweeps, 8-bit DACs and ADCs, 16-bit states, read noise fresh in every read, one chip a seed. The compiled network has
random weights; the chip starts with what its devices made of them. Accuracy on 360 test images, by the chip itself.

Usage: python benchmarks/learning.py [--epochs E] [--seeds S] [NAME ...]
"""

import argparse
import os
import statistics
import time
import warnings
from dataclasses import dataclass

import torch
from descent import accuracy, descend, passes

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from eqprop.data import ImageSet, load
from eqprop.estimators import Symmetric
from sim import Chip
from sim.learning import Learner, Pulsed, Rule, Verified
from sim.pulse_trains import PulseTrains

FREE, NUDGED, BETA, BATCH = 15, 8, 0.3, 16


@dataclass(frozen=True)
class Case:
    """What learns, and how. ``rate`` is that of plain gradient descent."""

    name: str
    settings: tuple[str, ...]
    rule: str
    rate: float = 0.1
    threshold: float = 0.01


CASES = (
    Case("exact devices, verify", ("device=ideal",), "verify"),
    Case("rram-hfo2, verify", ("device=rram-hfo2",), "verify"),
    Case("pcm-gst, verify", ("device=pcm-gst",), "verify"),
    Case("ecram, verify", ("device=ecram",), "verify"),
    Case("ecram, pulses", ("device=ecram",), "pulses"),
    Case("capacitor, pulses", ("device=ideal", "device.update=capacitor"), "pulses"),
    Case("rram (Gong 2022, optimised), pulses", ("device=rram-hfo2", "device.update=reram-array-om"), "pulses"),
)


def network(seed: int) -> EnergyNetwork:
    made = models.mlp([64], channels=1, size=8, classes=10, seed=seed)
    made.dynamics = FixedPoint(max_sweeps=FREE, tolerance=0.0)
    return made


def ideal(train: ImageSet, test: ImageSet, epochs: int, seed: int, rate: float) -> float:
    """Plain gradient descent on the ideal network."""
    made = network(seed)
    descend(made, train, passes(len(train), epochs, seed, BATCH), BETA, NUDGED, rate)
    return accuracy(made, test)


def learn(case: Case, train: ImageSet, test: ImageSet, epochs: int, seed: int) -> tuple[float, Learner]:
    settings = ("cell.pair=middle", "cell.headroom=6", "dac.bits=8", "adc.bits=8", "controller.state_bits=16")
    target = mapping.Target.load("ideal", (128, 128), [*settings, *case.settings])
    compiled = mapping.compile(network(seed), target, train.batch(torch.arange(128))[0])
    chip = Chip(compiled, seed=seed)
    rule: Rule = Verified(case.threshold) if case.rule == "verify" else Pulsed(PulseTrains())
    learner = Learner(chip, rule, Symmetric(BETA, FixedPoint(max_sweeps=NUDGED, tolerance=0.0)), case.rate)
    for indices in passes(len(train), epochs, seed, BATCH):
        learner.step(*train.batch(indices))
    return accuracy(chip, test), learner


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    train, test = load("digits", "train"), load("digits", "test")
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {chosen.epochs} epochs")
    truth = [ideal(train, test, chosen.epochs, seed, 0.1) for seed in range(chosen.seeds)]
    print(f"{'ideal network':40} {shown(truth)}", flush=True)
    for case in CASES:
        if chosen.names and not any(name in case.name for name in chosen.names):
            continue
        start, found = time.perf_counter(), []
        for seed in range(chosen.seeds):
            answered, learner = learn(case, train, test, chosen.epochs, seed)
            found.append(answered)
        devices = learner.devices
        used = (devices.pulses + devices.writes) > 0
        print(
            f"{case.name:40} {shown(found)}  pulses a device {float(devices.pulses[used].float().mean()):.0f} "
            f"(most {int(devices.pulses.max())}), writes {float(devices.writes[used].float().mean()):.1f} "
            f"(most {int(devices.writes.max())}), {time.perf_counter() - start:.0f} s",
            flush=True,
        )


def shown(accuracies: list[float]) -> str:
    each = " ".join(f"{100 * value:.1f}" for value in accuracies)
    return f"{100 * statistics.mean(accuracies):5.1f} % ({each})"


if __name__ == "__main__":
    main()
