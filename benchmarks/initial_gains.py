"""Does the untrained Hopfield-ResNet13 reach its free equilibrium? Published initial gains against smaller ones.

For each factor on the published gains (0.6 convolutions, 0.7 skips, 0.8 head), in the published odd-even order and
in the exact coloured one: sweeps to a residual of 1e-4, or the residual left after 120 sweeps.

Usage: python benchmarks/initial_gains.py [width]
"""

import sys
import warnings

import torch

import eqprop
from eqprop.models.hopfield_resnet import CONV_GAIN, HEAD_GAIN, SKIP_GAIN, hopfield_resnet

PUBLISHED = {"conv": 0.6, "skip": 0.7, "head": 0.8}
OURS = {"conv": CONV_GAIN, "skip": SKIP_GAIN, "head": HEAD_GAIN}


def main() -> None:
    width = float(sys.argv[1]) if len(sys.argv) > 1 else 0.25
    channels = [round(width * count) for count in (128, 256, 512, 512)]
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)) / 3
    warnings.simplefilter("ignore", eqprop.ConvergenceWarning)
    print(f"Hopfield-ResNet13 at width {width:g}, 16 Gaussian images / 3, {torch.get_num_threads()} threads")
    print("factor  order     sweeps  residual")
    for factor in (1.0, 0.9, 0.8, 0.7):
        network = hopfield_resnet(channels, channels=3, size=32, classes=10, input_gain=CONV_GAIN)
        with torch.no_grad():
            for name, coupling in network.coupling_table().items():
                weight = coupling.get_parameter("weight")
                kind = "head" if weight.dim() == 2 else "skip" if weight.shape[-1] == 1 else "conv"
                initial = CONV_GAIN if name.startswith("input") else OURS[kind]
                weight.mul_(factor * PUBLISHED[kind] / initial)
        for order in ("odd-even", "coloured"):
            found = network.relax(images, dynamics=eqprop.FixedPoint(order, 120, 1e-4))
            print(f"{factor:6.1f}  {order:9} {found.sweeps:6d}  {found.residual:.1e}")


if __name__ == "__main__":
    main()
