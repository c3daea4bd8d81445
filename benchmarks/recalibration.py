"""Chips a month old, or with stuck devices, brought back by EP on the chips themselves: five chips each.

An mlp 64-64-10 trained by EP on handwritten digits (ideal devices) is compiled, aged, and learns in place from labelled
images, written with verify, 8-bit converters, 16-bit states, fresh read noise. Accuracy on 360 test images.

Usage: python benchmarks/recalibration.py [--chips K] [--images N] [--steps S]
"""

import argparse
import os
import statistics
import time
import warnings

import torch
from descent import accuracy, descend, passes

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from eqprop.data import ImageSet, load
from eqprop.estimators import Symmetric
from sim import Chip
from sim.learning import Learner, Verified

MONTH_S = 30 * 86400.0
FREE, NUDGED, BETA, BATCH, RATE = 15, 8, 0.3, 16, 0.05
CASES = (
    ("rram-hfo2, a month old", ("device=rram-hfo2",), MONTH_S, 0.02),
    ("pcm-gst, a month old", ("device=pcm-gst",), MONTH_S, 0.05),
    ("rram-hfo2, fresh, 5 % stuck anywhere", ("device=rram-hfo2", "device.stuck.any=0.05"), 0.0, 0.02),
    ("rram-hfo2, a month old, 5 % stuck", ("device=rram-hfo2", "device.stuck.any=0.05"), MONTH_S, 0.02),
)


def trained(train: ImageSet) -> EnergyNetwork:
    network = models.mlp([64], channels=1, size=8, classes=10)
    network.dynamics = FixedPoint(max_sweeps=FREE, tolerance=0.0)
    descend(network, train, passes(len(train), 8, 0, BATCH), BETA, NUDGED, 0.15)
    return network


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chips", type=int, default=5)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--steps", type=int, default=160)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    train, test = load("digits", "train"), load("digits", "test")
    network = trained(train)
    print(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; {chosen.images} labelled images in batches of "
        f"{BATCH}"
    )
    print(f"ideal network {accuracy(network, test):.1%}")
    points = [0, *(chosen.steps * share // 8 for share in (1, 2, 4, 8))]
    print(f"{'':38}" + "".join(f"{f'{point} steps':>12}" for point in points) + "   writes a device   worst .. best")
    for name, settings, age_s, threshold in CASES:
        start = time.perf_counter()
        shared = ("cell.headroom=1.5", "dac.bits=8", "adc.bits=8", "controller.state_bits=16")
        target = mapping.Target.load("ideal", (128, 128), [*shared, *settings])
        compiled = mapping.compile(network, target, train.batch(torch.arange(128))[0])
        curves, writes = [], []
        for number in range(chosen.chips):
            chip = Chip(compiled, age_s=age_s, first=number)
            chip.dynamics = network.dynamics
            estimator = Symmetric(BETA, FixedPoint(max_sweeps=NUDGED, tolerance=0.0))
            learner = Learner(chip, Verified(threshold), estimator, RATE)
            order, curve = torch.Generator().manual_seed(number), [accuracy(chip, test)]
            step = 0
            while step < chosen.steps:
                for indices in torch.randperm(chosen.images, generator=order).split(BATCH):
                    learner.step(*train.batch(indices))
                    step += 1
                    if step in points:
                        curve.append(accuracy(chip, test))
                    if step == chosen.steps:
                        break
            curves.append(curve)
            used = learner.devices.writes > 0
            writes.append(float(learner.devices.writes.sum()) / max(1, int(used.sum())))
        means = "".join(f"{100 * statistics.mean(at):11.1f}%" for at in zip(*curves, strict=True))
        last = [curve[-1] for curve in curves]
        print(
            f"{name:38}{means}   {statistics.mean(writes):15.1f}   {min(last):.1%} .. {max(last):.1%}   "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
