"""Figures of the controller, on the RTL itself (docs/controller.md).

python benchmarks/controller.py busy               how busy the ADC stream is, and the formula
python benchmarks/controller.py equal [SAMPLES [NETWORK]]  EP steps of random samples against sim, speed
python benchmarks/controller.py train [SAMPLES]    an epoch of digits with the RTL's pulses on the devices
python benchmarks/controller.py resnet13           full-size Hopfield-ResNet13: Verilog, program, clocks of an EP step
python benchmarks/controller.py synthesis [SEEDS [LANES STATE_BITS]]  LUTs and fmax on ECP5; all widths take hours
"""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
from collections.abc import Iterator
from datetime import date

import torch

import mapping
from eqprop import Conv2d, Coupling, Dense, Edge, EnergyNetwork, FixedPoint, Layer, SquaredError, models
from eqprop.data import load
from eqprop.evaluation import evaluate
from hw.clocks import Times, section_clocks, step_clocks, sweep_beats
from hw.config import ControllerConfig
from hw.controller import Controller
from hw.emit import rtlil, verilog
from hw.link import Linked, link
from hw.memory_modules import memory_modules
from hw.synthesis import synthesise
from mapping import Mapping, Target
from mapping.program import Opcode
from mapping.program.instructions import TRANSPOSED
from sim import Chip
from sim.learning.registers import RegisterTrains
from tb.learning import LearningLoop, LearningReference
from tb.loop import FastLoop
from tb.reference import Reference, random_samples

BETA = 0.25
QUICK = {"settle": 0, "transposed_settle": 0, "integrate": 0, "convert": 1, "transposed_convert": 1, "discharge": 0}
WIDTHS = (8, 16), (4, 16), (2, 16), (8, 12), (8, 8)  # lanes, state bits
TRAIN_SWEEPS, TRAIN_BETA, TRAIN_RATE, TRAIN_SLOTS = (15, 8), 0.3, 0.02, 31


def main() -> None:
    torch.set_num_threads(1)  # reads of one sample are too small to share
    print(f"{platform.machine()}, {date.today()}, seed 0")
    what, *rest = sys.argv[1:] or ["busy"]
    figures = {"busy": busy, "equal": equal, "train": train, "resnet13": resnet13, "synthesis": synthesis}
    figures[what](*(int(word) if word.isdigit() else word for word in rest))


def digits() -> Mapping:
    """The demo's network with fresh weights, calibrated on digits."""
    network = models.build("hopfield-resnet", classes=10)
    calibration = load("digits", "train").batch(torch.arange(64))[0]
    return mapping.compile(network, Target.load("rram-hfo2", (128, 128)), calibration)


def block() -> Mapping:
    """A convolutional block of 128 channels with many small crossbars: far more codes than states."""
    couplings: dict[str, Coupling] = {
        "x_a": Conv2d((1, 6, 6), 128, 3, 1, 1),
        "a_b": Conv2d((128, 6, 6), 128, 3, 1, 1),
        "b_c": Conv2d((128, 6, 6), 16, 6),
        "c_output": Dense((16, 1, 1), (10,)),
    }
    for number, coupling in enumerate(couplings.values()):
        coupling.initialise(0.4, torch.Generator().manual_seed(number))
    layers = {"x": Layer((1, 6, 6), (-1.0, 1.0)), "output": Layer((10,))}
    for name, channels, side in (("a", 128, 6), ("b", 128, 6), ("c", 16, 1)):
        layers[name] = Layer((channels, side, side), (0.0, 1.0))
    edges = [Edge(f"{pre}_{post}", pre, post) for pre, post in (name.split("_") for name in couplings)]
    network = EnergyNetwork(layers, ["x"], edges, couplings, SquaredError("output"), FixedPoint())
    return mapping.compile(network, Target.load("rram-hfo2", (16, 16), ["adc.sharing=8"]))


def skips() -> Mapping:
    """Two convolutional blocks with strides and skips on crossbars of 32 x 32."""
    return mapping.compile(models.build("hopfield-resnet", classes=10, width=0.25), Target.load("rram-hfo2", (32, 32)))


def bilinear() -> Mapping:
    """A small bilinear substrate, couplings of rank 4 as two reads each."""
    network = models.build("bilinear", classes=10, size=8, channels=1, units=64, modules=4, rank=4)
    return mapping.compile(network, Target.load("rram-hfo2", (64, 64)), low_rank="keep")


NETWORKS = {"digits": digits, "skips": skips, "bilinear": bilinear}


def busy() -> None:
    """Measured: clocks and beats of one sweep more. Formula: hw/clocks.py."""
    for name, made in (("convolutional block, 16x16 crossbars", block()), ("digits, 128x128 crossbars", digits())):
        linked = link(made)
        loop = FastLoop(made, Chip(made, seed=0), check=False)
        loop.times(**QUICK)
        x, label = next(random_samples(made, 1, 0))
        loop.step(x, label, BETA, (1, 1), gradients=False)  # the first step clears the sums
        one, two = (loop.step(x, label, BETA, (sweeps, 1), gradients=False).counters for sweeps in (1, 2))
        clocks, beats = two["cycles"] - one["cycles"], two["beats"] - one["beats"]
        formula = section_clocks(linked, Times.of(loop.config).changed(QUICK))["free sweep"]
        print(
            f"{name}: {beats} beats in {clocks} clocks of a sweep, {beats / clocks:.1%} busy; formula: "
            f"{sweep_beats(linked)} in {formula}, {sweep_beats(linked) / formula:.1%}"
        )


def equal(samples: int = 1000, only: str = "") -> None:
    """Random inputs and classes; states of every layer after every phase, with read noise on."""
    for name in [only] if only else NETWORKS:
        made = NETWORKS[name]()
        start = time.perf_counter()
        loop, reference = FastLoop(made, Chip(made, seed=0), check=False), Reference(Chip(made, seed=0), BETA, (2, 1))
        loop.times(**QUICK)
        built = time.perf_counter() - start
        same, clocks, seconds, simulated = 0, 0, 0.0, 0.0
        for number, (x, label) in enumerate(random_samples(made, samples, 0)):
            if number % 50 == 0:
                print(f"\r{name}: {same} of {number} equal", end="", file=sys.stderr, flush=True)
            begin = time.perf_counter()
            step = loop.step(x, label, BETA, (2, 1), gradients=False)
            between = time.perf_counter()
            truth = reference.step(x, label)
            seconds, simulated = seconds + between - begin, simulated + time.perf_counter() - between
            clocks += step.counters["cycles"]
            same += not step.difference(truth)
        print(
            f"{name}: {same} of {samples} EP steps equal, {clocks} clocks, {clocks / seconds:,.0f} a second in the loop"
        )
        print(
            f"    {seconds / samples:.2f} s a step (sim alone {simulated / samples:.2f}), built in {built:.0f} s",
            flush=True,
        )


def train(samples: int = 0) -> None:
    """An mlp 64-64-10 learns digits, each image once, from the RTL's pulses; beside it sim's, on the chip's twin."""
    images, test = load("digits", "train"), load("digits", "test")
    settings = ["cell.pair=middle", "cell.headroom=6", "controller.state_bits=16", "device.update=capacitor"]
    target = Target.load("ideal", (128, 128), [*settings, "dac.bits=8", "adc.bits=8"])
    network = models.mlp([64], channels=1, size=8, classes=10, seed=0)
    network.dynamics = FixedPoint("coloured", TRAIN_SWEEPS[0], tolerance=0.0)
    made = mapping.compile(network, target, images.batch(torch.arange(128))[0])
    chip, twin = Chip(made, seed=0), Chip(made, seed=0)
    loop = FastLoop(made, chip, check=False)
    loop.times(**QUICK)
    trains = RegisterTrains(TRAIN_SLOTS, fixed=True, lanes=loop.config.lanes, step=1.0)
    how = trains, TRAIN_RATE, TRAIN_BETA, TRAIN_SWEEPS
    taught, truth = LearningLoop(loop, chip, *how), LearningReference(twin, loop.linked, loop.config, *how)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: samples or None].tolist()
    before, same, clocks, seconds = evaluate(chip, test).accuracy, 0, 0, 0.0
    for number, index in enumerate(order):
        if number % 50 == 0:
            print(f"\r{same} of {number} equal", end="", file=sys.stderr, flush=True)
        x, labels = images.batch(torch.tensor([index]))
        sample, label = {name: value[0] for name, value in chip.clamp(x).items()}, int(labels[0])
        begin = time.perf_counter()
        step, counts = taught.step(sample, label)
        seconds += time.perf_counter() - begin
        clocks += step.counters["cycles"]
        expected, wanted = truth.step(sample, label)
        same += counts.equals(wanted) and not step.difference(expected)
    devices = [side.follower.devices.conductance for side in (taught, truth)]
    print(f"{same} of {len(order)} EP steps equal in states and pulses; devices equal: {torch.equal(*devices)}")
    pulses = taught.follower.devices.pulses
    print(
        f"accuracy {before:.2%} before, {evaluate(chip, test).accuracy:.2%} after, {len(test)} test images on the chip"
    )
    print(f"{clocks / len(order):,.0f} clocks and {seconds / len(order):.2f} s a step; most pulses {int(pulses.max())}")


def resnet13() -> None:
    """The controller with memories outside."""
    made = mapping.compile(models.build("hopfield-resnet13"), Target.load("rram-hfo2", (128, 128)))
    start = time.perf_counter()
    linked, config = link(made), ControllerConfig.from_mapping(made)
    controller = Controller(config, outside=True)
    text = rtlil(controller, "controller")
    lines = verilog(text, "controller", memory_modules(controller.modules)).count("\n")
    print(f"{made.crossbars} crossbars; {lines} lines of Verilog in {time.perf_counter() - start:.0f} s; {config}")
    memory_bits = sum(rows * bits for rows, bits in controller.modules)
    print(f"{len(controller.modules)} memories, {memory_bits / 8e6:.1f} MB, {len(set(controller.modules))} modules")
    wanted, found = list(scheduled(made)), list(rounds(linked))
    print(f"{len(found)} rounds of reads in the linked program, as the schedule has them: {found == wanted}")
    free, nudged = config.free_sweeps, config.nudged_sweeps
    clocks = step_clocks(linked, Times.of(config), free, nudged)
    planned = made.timing.ep_step_clocks - made.timing.learning_clocks
    print(f"EP step of {free} + 2 x {nudged} sweeps: {clocks} clocks", end="")
    print(f" without contrasts, {clocks / config.clock_hz:.3f} s; {planned} where reads of a round overlap")


Round = list[tuple[str, str, int]]


def scheduled(made: Mapping) -> Iterator[Round]:
    """Rounds of an EP step with every loop once."""
    schedule = made.schedule
    sweep = [one for step in schedule.steps for one in step.rounds]
    for _ in range(1 + len(made.target.controller.nudges)):
        for one in (*schedule.prologue, *sweep):
            yield [(read.matrix, read.direction, read.replica) for read in one]


def rounds(linked: Linked) -> Iterator[Round]:
    """What an interpreter of the linked words reads, round by round."""
    reads: Round = []
    for word in linked.program:
        if word.opcode == Opcode.READ:
            assert not word.flags & ~TRANSPOSED
            reads.append(linked.read_names[word.index])
        elif word.opcode == Opcode.WAIT:
            yield reads
            reads = []


def synthesis(seeds: int = 5, *only: int) -> None:
    """Median of placements on ECP5, the whole controller of the digits network."""
    base = ControllerConfig.from_mapping(digits())
    for lanes, bits in [only] if only else WIDTHS:
        config = dataclasses.replace(base, lanes=lanes, drive_lanes=4 * lanes, state_bits=bits)
        found = synthesise(rtlil(Controller(config), "controller"), "controller", seeds=range(1, seeds + 1))
        print(
            f"{lanes} lanes, {bits} state bits: {found.luts} LUTs, {found.ffs} flip-flops, {found.dsps} multipliers, "
            f"{found.brams} block memories, median {found.fmax_hz / 1e6:.1f} MHz of "
            f"{', '.join(f'{hz / 1e6:.1f}' for hz in found.fmax_hz_per_seed)} ({found.device})",
            flush=True,
        )


if __name__ == "__main__":
    main()
