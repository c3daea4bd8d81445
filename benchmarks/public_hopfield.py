"""The public Hopfield-ResNet implementation and ours, on the same model file and the same images.

It writes a model.pt, eqprop.load reads it, and both relax the same images: largest difference of any state, time a
sweep (alternating in one run, median of five), and how far from a fixed point each is after the same number of sweeps.

Usage: python benchmarks/public_hopfield.py CHECKOUT/EquiProp [width]
(CHECKOUT: a clone of BrainSeek-Lab/Scaling-Equilibrium-Propagation-to-Deeper-Neural-Network-Architectures)
"""

import statistics
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path

import torch

import eqprop

SWEEPS = 20
SETTLED = 200


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    width = float(sys.argv[2]) if len(sys.argv) > 2 else 0.25
    sys.modules["wandb"] = types.SimpleNamespace(run=None)  # it is imported there for logging alone
    from model.function.network import Network
    from model.hopfield.minimizer import FixedPointMinimizer
    from model.hopfield.network import ConvHopfieldEnergy32, ConvHopfieldResEnergy32

    channels = [round(width * count) for count in (128, 256, 512, 512)]
    resnet_gains = [0.48, 0.48, 0.56, *[0.48, 0.56, 0.48] * 3, 0.64]
    warnings.simplefilter("ignore")
    print(f"width {width:g}, 32 Gaussian images / 3, {torch.get_num_threads()} threads")
    for name, energy, gains in (
        ("Hopfield-ResNet13", ConvHopfieldResEnergy32, resnet_gains),
        ("VGG5", ConvHopfieldEnergy32, [0.4, 0.7, 0.6, 0.3, 0.6]),
    ):
        torch.manual_seed(0)
        theirs = energy(3, 10, *channels, activation="relu6", weight_gains=gains)
        theirs.set_device("cpu")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            torch.save([parameter.get().detach().clone() for parameter in theirs.params()], path)
            ours = eqprop.load(path)
        network = Network(theirs)
        images = torch.randn(32, 3, 32, 32) / 3
        minimizer = FixedPointMinimizer(theirs, network.free_layers())

        def relax_theirs(
            sweeps: int, minimizer=minimizer, network=network, images=images, theirs=theirs
        ) -> list[torch.Tensor]:
            network.set_input(images, reset=True)
            minimizer.num_iterations = sweeps
            minimizer.compute_equilibrium()
            return [layer.state.clone() for layer in theirs.layers()[1:]]

        def relax_ours(sweeps: int, ours=ours, images=images) -> list[torch.Tensor]:
            found = ours.relax(images, dynamics=eqprop.FixedPoint("coloured", sweeps, 0.0))
            return [found.states[layer] for layer in ours.free]

        truth = relax_ours(SETTLED)
        difference = largest(relax_theirs(SETTLED), truth)
        times: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(5):
            for who, relax in (("theirs", relax_theirs), ("ours", relax_ours)):
                start = time.perf_counter()
                relax(SWEEPS)
                times[who].append(1e3 * (time.perf_counter() - start) / SWEEPS)
        theirs_ms, ours_ms = (statistics.median(times[who]) for who in ("theirs", "ours"))
        print(f"{name}: largest difference of settled states {difference:.1e}")
        print(f"  ms a sweep: theirs {theirs_ms:.1f}, ours {ours_ms:.1f}, ratio {theirs_ms / ours_ms:.2f}")
        errors = largest(relax_theirs(SWEEPS), truth), largest(relax_ours(SWEEPS), truth)
        print(f"  distance to the fixed point after {SWEEPS} sweeps: theirs {errors[0]:.1e}, ours {errors[1]:.1e}")


def largest(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))


if __name__ == "__main__":
    main()
