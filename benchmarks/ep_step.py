"""One EP step of Hopfield-ResNet13 at width 1/4 on a simulated chip, and on the ideal network beside it, by turns.

Batch 32, 32x32 colour images, symmetric estimator, fixed sweeps; the chip has 8-bit DACs and ADCs, 16-bit states and
fresh read noise (rram-hfo2, 128x128). The gradient (products of states) is in both.

Usage: python benchmarks/ep_step.py [--repeats N]
"""

import argparse
import os
import statistics
import time

import torch

import eqprop
import mapping
from eqprop import FixedPoint
from eqprop.estimators import Symmetric
from sim import Chip

FREE, NUDGED, BATCH = 6, 3, 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    network = eqprop.models.build("hopfield-resnet13", classes=10, width=0.25)
    network.dynamics = FixedPoint(max_sweeps=FREE, tolerance=0.0)
    estimator = Symmetric(0.1, FixedPoint(max_sweeps=NUDGED, tolerance=0.0))
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, *network.input_shape, generator=generator)
    labels = torch.randint(10, (BATCH,), generator=generator)
    chips = {
        "with read noise": Chip(mapping.compile(network, mapping.Target.load("rram-hfo2"))),
        "without": Chip(mapping.compile(network, mapping.Target.load("rram-hfo2", overrides=["read.noise=off"]))),
    }
    took: dict[str, list[float]] = {"ideal": [], **{name: [] for name in chips}}
    for repeat in range(repeats + 1):
        for name, one in (("ideal", network), *chips.items()):
            one.zero_grad(set_to_none=True)
            start = time.perf_counter()
            estimator(one, x, labels)
            if repeat:  # the first is for the caches
                took[name].append(time.perf_counter() - start)
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {FREE} free and 2 x {NUDGED} nudged sweeps")
    for name, seconds in took.items():
        ratio = statistics.median(seconds) / statistics.median(took["ideal"])
        print(f"{name:16} {statistics.median(seconds):7.2f} s (fastest {min(seconds):.2f}), {ratio:.2f} x ideal")


if __name__ == "__main__":
    main()
