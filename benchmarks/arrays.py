"""Simulated reads of crossbars: hwmap and its peers in one process, alternating, with the same settings.

Cases
    linear      512x512, batch 128
    conv        3x3, 64 -> 64 channels at 32x32, padding 1, batch 16
    transposed  hwmap's forward against transposed reads of both, and what CrossSim's batched ones give with noise
    wires       one 128x128 crossbar of 0.25 to 25 uS behind 1 ohm a segment, against badcrossbar and CrossSim

Settings of linear and conv: 8-bit DACs and ADCs, inputs normal with deviation 1/3 cut to [-1, 1], weights uniform,
ADCs that reach the 99.99 % quantile of the partial sums, devices of 0.25 to 25 uS, without read noise and with. Read
noise is 2 % of each conductance in every read where a simulator can say so (hwmap, CrossSim; the adapters in
array_peers.py say what the others do instead). A crossbar of hwmap has 128 rows and 128 physical columns, so 64
weights side by side in differential pairs; tiles of the peers are 128x128 weights. The conversions are the same: one
for each tile's rows and output. hwmap and CrossSim have 128 levels a device, the others continuous weights.

Each peer runs in turn with hwmap (ours, peer, ours, peer, ...), and its ratio is of the medians of these runs. A timed
read follows an untimed one of the same simulator (but for reads of seconds), so none pays for what the other did to
caches and threads. The error is |read - exact| / |exact|, Frobenius norms. Images reach hwmap in channels_last, as in
its networks, and the peers in torch's default layout.

Usage: python benchmarks/arrays.py [--case CASE] [--repeats N] [--threads N] [--crosssim PATH]

Run it in an environment that has hwmap (pip install -e, or PYTHONPATH) and as many peers as wanted; one that is missing
is skipped with a line that says how to install it. CrossSim may also be given as the path of its checkout.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path

import torch
from array_peers import (
    G_MAX_SIEMENS,
    G_MIN_SIEMENS,
    LEVELS,
    READ_NOISE,
    TILE,
    Contender,
    Problem,
    badcrossbar_currents,
    crosssim_transposed_errors,
    crosssim_wires,
    present,
    relative_error,
    say_missing,
)
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

import sim
from eqprop import Conv2d, Coupling, Dense, Edge, EnergyNetwork, Layer, SquaredError
from mapping import Target, compile
from mapping.hardware import DIRECTIONS
from sim.converters import KEPT
from sim.wires import effective_conductance

IN_REACH = 0.9999  # share of partial sums that ADCs resolve
SLOW_MS, SLOW_REPEATS = 1000.0, 3
WIRE_OHM, VECTORS = 1.0, 64


class Ours:
    """One coupling on one chip, its ADCs calibrated on the data that the benchmark reads."""

    def __init__(self, coupling: Coupling, x: Tensor, y: Tensor, noise: bool) -> None:
        self.coupling, self.x, self.y = coupling, x, y
        layers = {"x": Layer(coupling.pre_shape, (-1.0, 1.0)), "y": Layer(coupling.post_shape, (-1.0, 1.0))}
        edges = [Edge("read", "x", "y")]
        network = EnergyNetwork(layers, ["x"], edges, {"read": coupling}, SquaredError("y"))
        window = [f"device.g_min_siemens={G_MIN_SIEMENS:.3e}", f"device.g_max_siemens={G_MAX_SIEMENS:.3e}"]
        plain = compile(network, Target.load("ideal", (TILE, TILE), window))
        self.lowering = plain.matrices["read"].lowering
        self.column_spans = plain.matrices["read"].column_spans
        self.reach, reach_back = self.reaches()
        # Layers reach 1, so full drive is the DAC's full scale.
        ampere = plain.target.dac.full_scale_volt / plain.encoding("read").weight_per_siemens
        settings = [
            *window,
            f"cell.levels={LEVELS}",
            "dac.bits=8",
            f"adc={{bits: 8, full_scale_ampere: {self.reach * ampere:.6e}}}",
            f"transposed_adc={{bits: 8, full_scale_ampere: {reach_back * ampere:.6e}}}",
        ]
        if noise:
            settings.append(f"device.read_noise={{model: relative, fraction: {READ_NOISE}}}")
        mapping = compile(network, Target.load("ideal", (TILE, TILE), settings))
        self.crossbars = len(mapping.conductances)
        self.chip = sim.Chip(mapping, seed=0)
        self.reads = self.chip.mapped("read")

    def reaches(self) -> tuple[float, float]:
        """What partial sums of weights and data reach, forward and transposed."""
        low = self.lowering
        matrix = low.to_matrix(self.coupling.effective_weight())
        rows = [
            low.drive_rows(low.operand(matrix[slice(*span)], span), low.rows_driven(self.x, span), span)
            for span in low.row_spans
        ]
        driven = low.columns_of(self.y)
        columns = [
            low.drive_columns(matrix[:, slice(*span)], low.columns_driven(driven, span), span)
            for span in self.column_spans
        ]
        return largest_but_few(rows), largest_but_few(columns)

    def forward(self) -> Contender:
        states = in_turn(self.x)
        return Contender("hwmap", lambda: self.reads.forward(next(states)), self.coupling.forward(self.x))

    def transposed(self) -> Contender:
        states = in_turn(self.y)
        return Contender("hwmap", lambda: self.reads.transpose(next(states)), self.coupling.transpose(self.y))

    def clipped(self) -> str:
        forward = self.chip.conversions("read", "forward")
        return f"{1e3 * forward.share:.1f} per mille of its conversions clip"


def in_turn(state: Tensor) -> Iterator[Tensor]:
    """Copies of a state, more than a chip keeps the converted drives of: every read converts its own."""
    return cycle([state.clone(memory_format=torch.preserve_format) for _ in range(KEPT + 1)])


def largest_but_few(sums: list[Tensor]) -> float:
    """The quantile of |sum| that ADCs reach."""
    magnitudes = torch.cat([part.flatten()[::17] for part in sums]).abs()
    return float(magnitudes.kthvalue(round(IN_REACH * magnitudes.numel())).values)


def largest(layer: nn.Module) -> float:
    return float(layer.get_parameter("weight").abs().max())


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) / 3).clamp_(-1.0, 1.0)


def linear_case(noise: bool) -> tuple[Ours, nn.Module]:
    coupling = Dense((512,), (512,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    layer = nn.Linear(512, 512, bias=False)
    layer.weight.data.copy_(coupling.effective_weight())
    return Ours(coupling, normal((128, 512), 1), normal((128, 512), 2), noise), layer


def conv_case(noise: bool) -> tuple[Ours, nn.Module]:
    coupling = Conv2d((64, 32, 32), 64, 3, padding=1)
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    layer.weight.data.copy_(coupling.effective_weight())
    x, y = (normal((16, 64, 32, 32), seed).to(memory_format=torch.channels_last) for seed in (1, 2))
    return Ours(coupling, x, y, noise), layer


Build = Callable[[bool], tuple[Ours, nn.Module]]
CASES: dict[str, tuple[str, Build]] = {
    "linear": ("512x512, batch 128", linear_case),
    "conv": ("conv 3x3, 64 -> 64 at 32x32, batch 16", conv_case),
}


def alternate(ours: Contender, peer: Contender, repeats: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each read: ours, peer, ours, peer, ..."""
    slow = milliseconds(peer.read) > SLOW_MS
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(min(repeats, SLOW_REPEATS) if slow else repeats):
        for contender, into in zip((ours, peer), times, strict=True):
            if contender is ours or not slow:
                contender.read()
            into.append(contender.scale * milliseconds(contender.read))
    return times


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def reads_against_peers(case: str, repeats: int) -> None:
    title, build = CASES[case]
    for noise in (False, True):
        ours, layer = build(noise)
        problem = Problem(layer, ours.x.contiguous(), ours.reach / largest(layer))
        own, rows, own_times = ours.forward(), [], []
        for peer in present(problem, noise):
            beside, times = alternate(own, peer, repeats)
            own_times += beside
            ratios = [of(times) / of(beside) for of in (statistics.median, min)]
            rows.append((peer.name, times, ratios, peer.error()))
        print(f"\n{title}, {'read noise' if noise else 'no read noise'}; hwmap: {ours.crossbars} crossbars")
        print(f"{'':30}{'median ms':>11}{'min ms':>10}{'x hwmap':>10}{'of minima':>11}{'error':>9}{'runs':>6}")
        for name, times, (ratio, of_minima), error in [(own.name, own_times, (1.0, 1.0), own.error()), *rows]:
            print(
                f"{name:30}{statistics.median(times):11.2f}{min(times):10.2f}{ratio:10.2f}{of_minima:11.2f}{error:9.4f}"
                f"{len(times):6d}"
            )
        print(f"hwmap: {ours.clipped()}")


def transposed_reads(repeats: int) -> None:
    for title, build in CASES.values():
        ours, layer = build(True)
        pair = (ours.forward(), ours.transposed())
        both = alternate(*pair, repeats)
        print(f"\n{title}, read noise")
        print(f"{'':30}{'median ms':>11}{'min ms':>10}{'conversions':>13}{'ns each':>9}{'error':>9}{'clipped':>9}")
        for direction, contender, times in zip(DIRECTIONS, pair, both, strict=True):
            seen = ours.chip.conversions("read", direction)
            error = contender.error()
            made = ours.chip.conversions("read", direction).made - seen.made
            median = statistics.median(times)
            print(
                f"{'hwmap, ' + direction:30}{median:11.2f}{min(times):10.2f}{made:13d}{1e6 * median / made:9.2f}"
                f"{error:9.4f}{seen.share:9.4f}"
            )
        if isinstance(layer, nn.Linear):
            problem = Problem(layer, ours.y, ours.reach / largest(layer))
            try:
                for how, error in crosssim_transposed_errors(problem).items():
                    print(f"CrossSim's {how}: error {error:.4f}")
            except ImportError as error:
                say_missing("CrossSim", error)


def wires(repeats: int) -> None:
    generator = torch.Generator().manual_seed(0)
    conductance = torch.rand(TILE, TILE, generator=generator, dtype=torch.float64)
    conductance = G_MIN_SIEMENS + (G_MAX_SIEMENS - G_MIN_SIEMENS) * conductance
    volt = torch.rand(VECTORS, TILE, generator=generator, dtype=torch.float64)

    def cold() -> Tensor:
        return effective_conductance(conductance, row_resistance_ohm=WIRE_OHM, column_resistance_ohm=WIRE_OHM)

    print(f"\none {TILE}x{TILE} crossbar, {G_MIN_SIEMENS:g} to {G_MAX_SIEMENS:g} S, {WIRE_OHM:g} ohm a segment")
    found = cold()
    single, narrow = found.float(), volt.float()
    later = best(lambda: narrow @ single, 50 * repeats)
    cold_ms = best(cold, 5)
    rows = [("hwmap, cold", cold_ms), (f"hwmap, later {VECTORS}-vector read", later)]
    try:
        truth = badcrossbar_currents(conductance, torch.eye(TILE, dtype=torch.float64), WIRE_OHM)
        apart = float(((found - truth).abs() / truth).max())
        print(f"badcrossbar's G_eff: largest relative difference of an element {apart:.1e}")
        for count in (1, VECTORS):
            used = best(partial(badcrossbar_currents, conductance, volt[:count], WIRE_OHM), 3)
            rows.append((f"badcrossbar, {count} vector{'s' * (count > 1)}", used))
    except ImportError as error:
        say_missing("badcrossbar", error)
    try:
        solve = crosssim_wires(conductance, WIRE_OHM)
        rows.append((f"CrossSim, {VECTORS} vectors", best(lambda: solve(volt), 3)))
        print(f"CrossSim's currents differ from hwmap's by {relative_error(solve(volt), volt @ found):.1e} (Frobenius)")
    except ImportError as error:
        say_missing("CrossSim", error)
    print(f"{'':30}{'wall ms':>11}{'CPU ms':>10}{'x cold':>11}{'x later':>11}")
    for name, (wall, cpu) in rows:
        print(f"{name:30}{wall:11.3f}{cpu:10.3f}{wall / cold_ms[0]:11.4f}{wall / later[0]:11.0f}")


def best(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Smallest wall and process CPU times in milliseconds."""
    walls, cpus = [], []
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        walls.append(1e3 * (time.perf_counter() - wall))
        cpus.append(1e3 * (time.process_time() - cpu))
    return min(walls), min(cpus)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=[*CASES, "transposed", "wires", "all"], default="all")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--crosssim", type=Path, help="folder that holds CrossSim's package, simulator")
    given = parser.parse_args()
    if given.crosssim is not None:
        sys.path.insert(0, str(given.crosssim))
    warnings.simplefilter("ignore")  # of the peers
    torch.set_num_threads(given.threads)
    print(f"{datetime.date.today()}, {processor()}, {os.cpu_count()} cores")
    print(f"load before the run {os.getloadavg()[0]:.1f} (other work on the machine spoils times; minima suffer least)")
    print(f"torch {torch.__version__}, {given.threads} threads; {given.repeats} repeats, {SLOW_REPEATS} of slow reads")
    with threadpool_limits(given.threads):
        for case in CASES:
            if given.case in (case, "all"):
                reads_against_peers(case, given.repeats)
        if given.case in ("transposed", "all"):
            transposed_reads(given.repeats)
        if given.case in ("wires", "all"):
            wires(given.repeats)


if __name__ == "__main__":
    main()
