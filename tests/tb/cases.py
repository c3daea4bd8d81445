"""Small compiled networks that together use everything the controller does."""

from __future__ import annotations

from collections.abc import Callable

import torch

import mapping
from eqprop import EnergyNetwork, models
from mapping import Target

# Times of a clock, so that simulations do not wait.
QUICK = (
    "controller.lanes=2", "dac.settle_s=1e-8", "adc.time_s=1e-8", "read.discharge_s=0", "read.time_s=1e-8",
)  # fmt: skip


def biased(network: EnergyNetwork) -> EnergyNetwork:
    """Biases that are not zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name in network.free:
            network.biases[name].add_(torch.rand(network.biases[name].shape, generator=generator) * 0.2)
    return network


def resnet(*settings: str, copies: int = 0) -> mapping.Mapping:
    """Two blocks with strides and skips on crossbars of 16 x 16, so that everything has several tiles."""
    network = biased(models.build("hopfield-resnet", classes=3, size=4, width=0.05))
    target = Target.load("rram-hfo2", (16, 16), [*QUICK, *settings])
    made = mapping.compile(network, target)
    return mapping.compile(network, target, budget=made.crossbars + copies) if copies else made


def bilinear() -> mapping.Mapping:
    """Three modules joined by couplings of rank 2, each kept as two reads."""
    network = models.build("bilinear", classes=3, size=3, channels=1, units=12, modules=3, rank=2)
    return mapping.compile(biased(network), Target.load("rram-hfo2", (16, 16), QUICK), low_rank="keep")


def perceptron() -> mapping.Mapping:
    """Dense layers on phase change memory, 12 state bits and 4 lanes."""
    network = biased(models.build("mlp", classes=3, size=4, channels=1, width=0.03))
    settings = [*QUICK, "controller.state_bits=12", "controller.lanes=4"]
    return mapping.compile(network, Target.load("pcm-gst", (12, 12), settings))


CASES: dict[str, Callable[[], mapping.Mapping]] = {
    "resnet": resnet,
    "bilinear": bilinear,
    "perceptron": perceptron,
    "copies": lambda: resnet(copies=12),
    "dither": lambda: resnet("dac.dither=true", "dac.bits=5"),
    "averaged": lambda: resnet("read.average=3", "cell.pair=middle"),
    "frozen noise": lambda: resnet("read.average=3", "read.noise=phase"),
}
