"""What noise between phases, drift between phases, converters and static errors do to the EP gradient, as tables.

Each part takes less than two minutes on one core. Networks on digits, 64 training images as one batch: an MLP
64-32-10, fresh and after three epochs, and a fresh Hopfield-ResNet of 8 and 16 channels. "turned" is the error's part
perpendicular to the true gradient over the true gradient's norm: the tangent of a small angle, and it goes on growing
where the angle cannot.

Usage: python benchmarks/gradient_laws.py noise|batch|drift|adc|dac|static
"""

from __future__ import annotations

import math
import statistics
import sys
import time
import warnings
from collections.abc import Iterable

import torch
from torch import Tensor

import mapping
from eqprop import ConvergenceWarning, EnergyNetwork, FixedPoint, data, models
from eqprop.estimators import Symmetric
from eqprop.estimators.symmetric import PHASE_ORDERS, PhaseOrder
from eqprop.training import TrainingSettings, train
from mapping import Target
from sim import Chip
from sim.fidelity import Fidelity, Gradients, compared, gradients, static_network

FREE = FixedPoint(max_sweeps=40, tolerance=0.0)
NUDGED = FixedPoint(max_sweeps=30, tolerance=0.0)
BETAS = (0.01, 0.03, 0.1, 0.3)
G_MAX = 100e-6  # of the ideal device
LINEAR_DRIFT = (  # every conductance loses in 1 s a share of 1 of what it was
    "device.drift={model: relaxation, interpolate: linear, ages_s: [0.0, 1.0], "
    f"mean_siemens: [0.0, [0.0, {-G_MAX}]], sigma_siemens: [0.0, 0.0]}}",
    "device.reference_time_s=1.0e-12",
)
PCM_DRIFT = (  # of the preset pcm-gst, on devices that are exact otherwise
    "device.drift={model: power-law, "
    "exponent_mean: {curve: clipped-log, slope: -0.0155, offset: 0.0244, low: 0.049, high: 0.1}, "
    "exponent_std: {curve: clipped-log, slope: -0.0125, offset: -0.0059, low: 0.008, high: 0.045}}",
    "device.reference_time_s=20.0",
)


def network_of(kind: str, trained: bool) -> EnergyNetwork:
    if kind == "mlp":
        network = models.mlp([32], channels=1, size=8, classes=10)
    else:
        network = models.build("hopfield-resnet", classes=10, size=8, channels=1, width=0.125)
    if trained:
        network.dynamics = FixedPoint(max_sweeps=60, tolerance=1e-4)
        train(network, data.load("digits", "train"), TrainingSettings(epochs=3, learning_rate=0.1))
    network.dynamics = FREE
    return network


NETWORKS = {
    "mlp 64-32-10, fresh": ("mlp", False),
    "mlp 64-32-10, 3 epochs": ("mlp", True),
    "hopfield-resnet 8-16, fresh": ("hopfield-resnet", False),
}


class Case:
    """One network, its images, and its gradients without any error, by beta."""

    def __init__(self, title: str) -> None:
        self.title, self.network = title, network_of(*NETWORKS[title])
        self.x, self.labels = data.load("digits", "train").batch(torch.arange(64))
        self.known: dict[float, Gradients] = {}

    def compiled(self, *settings: str, measured: bool = False) -> mapping.Mapping:
        """``measured``: converter ranges from the images at their free phase; else bounds."""
        target = Target.load("ideal", (64, 64), settings)
        return mapping.compile(self.network, target, self.x if measured else None)

    def truth(self, beta: float) -> Gradients:
        if beta not in self.known:
            self.known[beta] = self.gradient(self.network, beta)
        return self.known[beta]

    def gradient(self, network: EnergyNetwork, beta: float, order: PhaseOrder = "+-", batches: int = 1) -> Gradients:
        """The mean over ``batches`` equal parts of the images, each through phases of its own."""
        parts: Iterable[tuple[Tensor, Tensor]] = zip(self.x.chunk(batches), self.labels.chunk(batches), strict=True)
        found = [gradients(network, Symmetric(beta, NUDGED, order), *part) for part in parts]
        return {name: torch.stack([each[name] for each in found]).mean(0) for name in found[0]}

    def off(self, network: EnergyNetwork, beta: float) -> Fidelity:
        return compared(self.gradient(network, beta), self.truth(beta))["all"]


def turned(row: Fidelity) -> float:
    return row.norm_ratio * math.sqrt(max(0.0, 1.0 - row.cosine**2))


def rms(values: Iterable[float]) -> float:
    return math.sqrt(statistics.mean(value**2 for value in values))


def slope(x: list[float], y: list[float]) -> float:
    """Of a straight line through the logarithms."""
    return statistics.linear_regression([math.log(v) for v in x], [math.log(v) for v in y]).slope


def frozen(share: float) -> tuple[str, str]:
    return "read.noise=phase", f"device.read_noise={{model: relative, fraction: {share}}}"


def noise() -> None:
    """Read noise frozen over each phase, a share of every conductance; 4 draws a cell."""
    print("turned / (share / beta), and the cosine's mean; the last columns: all cells of a network")
    print("| network | share | " + " | ".join(f"beta {beta:g}" for beta in BETAS) + " | slope | constant |")
    for title in NETWORKS:
        case, ratios, found, constants, lines = Case(title), [], [], [], []
        for share in (1e-4, 1e-3, 1e-2):
            chip, cells = Chip(case.compiled(*frozen(share)), seed=1), []
            for beta in BETAS:
                rows = [case.off(chip, beta) for _ in range(4)]
                size = rms(turned(row) for row in rows)
                ratios.append(share / beta)
                found.append(size)
                constants.append(size * beta / share)
                cells.append(f"{size * beta / share:.3g} ({statistics.mean(row.cosine for row in rows):.4f})")
            lines.append(f"| {title} | {share:g} | " + " | ".join(cells))
        end = f" | {slope(ratios, found):.2f} | {min(constants):.3g} .. {max(constants):.3g} |"
        print("\n".join([line + " | | |" for line in lines[:-1]] + [lines[-1] + end]))


def batch() -> None:
    """The same noise, phases shared by fewer images; and noise drawn anew in every read."""
    print("mlp 64-32-10, fresh, share 0.003, beta 0.1: turned / (share / beta), 8 draws")
    case = Case("mlp 64-32-10, fresh")
    share, beta = 0.003, 0.1
    constants = []
    for batches in (1, 4, 16, 64):
        chip, truth = Chip(case.compiled(*frozen(share)), seed=1), case.truth(beta)
        found = [compared(case.gradient(chip, beta, batches=batches), truth)["all"] for _ in range(8)]
        constants.append(rms(map(turned, found)) * beta / share)
    print("| images that share a phase | " + " | ".join(str(64 // batches) for batches in (1, 4, 16, 64)) + " |")
    print("| frozen over a phase | " + " | ".join(f"{constant:.3g}" for constant in constants) + " |")
    fresh = Chip(case.compiled("read.noise=fresh", frozen(share)[1]), seed=1)
    size = rms(turned(case.off(fresh, beta)) for _ in range(8)) * beta / share
    print(f"| anew in every read and image | {size:.3g} |")


def drift() -> None:
    """Drift by a share a nudged phase; against the gradient of the weights at the nudged phases' mean time."""
    print("cosine (turned), by the share that drifts in a nudged phase; law: linear, or pcm-gst from 20 s on")
    shares = (1e-4, 1e-3, 1e-2)
    print("| network | law | beta | order | " + " | ".join(f"{share:g}" for share in shares) + " | slope |")
    for title in list(NETWORKS)[::2]:
        case = Case(title)
        for law, settings, speed_of in (
            ("linear", LINEAR_DRIFT, lambda share, each: share / each),
            ("pcm-gst", PCM_DRIFT, lambda share, each: 20.0 * share / 0.05 / each),
        ):
            mapped = case.compiled(*settings)
            timing = mapped.timing
            free = timing.prologue_clocks + FREE.max_sweeps * timing.sweep_clocks("free")
            nudged = timing.prologue_clocks + NUDGED.max_sweeps * timing.sweep_clocks("nudged")
            free_s, nudged_s = timing.seconds(free), timing.seconds(nudged)
            for beta in (0.01, 0.1):
                for order in PHASE_ORDERS:
                    rows = []
                    for share in shares:
                        speed = speed_of(share, nudged_s)
                        chip = Chip(mapped, drifting=True, drift_speed=speed)
                        found = case.gradient(chip, beta, order)
                        middle = speed * (free_s + nudged_s * (len(order) - 1) / 2)
                        own = case.gradient(static_network(Chip(mapped, age_s=middle)), beta)
                        rows.append(compared(found, own)["all"])
                    cells = " | ".join(f"{row.cosine:.5f} ({turned(row):.2g})" for row in rows)
                    steepness = slope(list(shares[1:]), [turned(row) for row in rows[1:]])
                    print(f"| {title} | {law} | {beta:g} | {order} | {cells} | {steepness:.2f} |")
        share = 0.05 * nudged_s / 20.0
        print(f"  {title}: a nudged phase takes {nudged_s:.3g} s; at 20 s of age pcm-gst drifts by {share:.2g} in it")


CONVERTERS_HEAD = (
    "cosine to the ideal gradient of the same beta; ranges measured in free phases, or bound: the worst case\n"
    "| network | ranges | converter | bits | " + " | ".join(f"beta {beta:g}" for beta in BETAS) + " |"
)


def adc() -> None:
    """ADC bits without and with noise of half a step in every conversion; all else ideal."""
    print(CONVERTERS_HEAD)
    for title in NETWORKS:
        case = Case(title)
        for ranges, kind, setting in (
            ("measured", "ADC", []),
            ("measured", "ADC, noise 0.5 LSB", ["adc.noise_lsb=0.5"]),
            ("bound", "ADC", []),
        ):
            for bits in (4, 6, 8, 10):
                mapped = case.compiled(f"adc.bits={bits}", *setting, measured=ranges == "measured")
                converter_row(case, mapped, ranges, kind, bits)


def dac() -> None:
    """DAC bits without and with dither, states of 16 bits; all else ideal."""
    print(CONVERTERS_HEAD)
    for title in NETWORKS:
        case = Case(title)
        for ranges, kind, dither, count in (
            ("measured", "DAC", "false", 1),
            ("measured", "DAC, dithered", "true", 1),
            ("measured", "DAC, dithered, mean of 16", "true", 16),
            ("bound", "DAC", "false", 1),
        ):
            for bits in (4, 6, 8, 10):
                if (count > 1 and (bits > 6 or "mlp" not in title)) or (ranges == "bound" and bits in (4, 10)):
                    continue
                settings = (f"dac.bits={bits}", f"dac.dither={dither}", "controller.state_bits=16")
                converter_row(case, case.compiled(*settings, measured=ranges == "measured"), ranges, kind, bits, count)


def converter_row(case: Case, mapped: mapping.Mapping, ranges: str, kind: str, bits: int, count: int = 1) -> None:
    """``count``: estimates whose mean is compared."""
    cells = []
    for beta in BETAS:
        chip = Chip(mapped, seed=1)
        found = [case.gradient(chip, beta) for _ in range(count)]
        mean = {name: torch.stack([each[name] for each in found]).mean(0) for name in found[0]}
        cells.append(f"{compared(mean, case.truth(beta))['all'].cosine:.3f}")
    print(f"| {case.title} | {ranges} | {kind} | {bits} | {' | '.join(cells)} |", flush=True)


def static() -> None:
    """Programming errors, a share of g_max or of each conductance: to the ideal network, and to the own weights'."""
    print("cosine at beta 0.1, means of 3 chips")
    errors = {f"{share:g} g_max": [share * G_MAX] for share in (0.01, 0.03, 0.1)} | {"0.1 g": [0.0, 0.1 * G_MAX]}
    print("| network | sigma | to the ideal network | to the chip's own weights |")
    for title in NETWORKS:
        case = Case(title)
        for error, curve in errors.items():
            settings = f"device.programming={{model: gaussian, sigma_siemens: {curve}}}"
            mapped, to_ideal, to_own = case.compiled(settings), [], []
            for number in range(3):
                chip = Chip(mapped, seed=1, first=number)
                found = case.gradient(chip, 0.1)
                to_ideal.append(compared(found, case.truth(0.1))["all"].cosine)
                to_own.append(compared(found, case.gradient(static_network(chip), 0.1))["all"].cosine)
            print(f"| {title} | {error} | {statistics.mean(to_ideal):.5f} | {statistics.mean(to_own):.7f} |")


PARTS = {part.__name__: part for part in (noise, batch, drift, adc, dac, static)}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PARTS:
        sys.exit(f"usage: python benchmarks/gradient_laws.py {'|'.join(PARTS)}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    start = time.perf_counter()
    PARTS[name]()
    print(f"{time.perf_counter() - start:.0f} s, 1 thread, torch {torch.__version__}")


if __name__ == "__main__":
    main()
