"""Build an energy network of your own, look at its energy, estimate a gradient, and put it on crossbars.

Two inputs paths into one hidden layer, a low-rank coupling between hidden layers, and a skip: any graph will do.
"""

import torch

import eqprop
import mapping
import sim

layers = {
    "x": eqprop.Layer((1, 8, 8), clip=(0.0, 1.0)),
    "edges": eqprop.Layer((4, 4, 4), clip=(0.0, 1.0)),
    "hidden": eqprop.Layer((32,), clip=(0.0, 1.0)),
    "output": eqprop.Layer((10,)),
}
couplings = {
    "x_edges": eqprop.Conv2d((1, 8, 8), channels=4, kernel=3, stride=2, padding=1),
    "edges_hidden": eqprop.LowRank((4, 4, 4), (32,), rank=8),
    "x_hidden": eqprop.Dense((1, 8, 8), (32,)),
    "hidden_output": eqprop.Dense((32,), (10,)),
}
edges = [eqprop.Edge(name, *name.split("_")) for name in couplings]
network = eqprop.EnergyNetwork(layers, ["x"], edges, couplings, eqprop.SquaredError("output"))
generator = torch.Generator().manual_seed(0)
for coupling in couplings.values():
    coupling.initialise(gain=0.8, generator=generator)

images, labels = torch.rand(16, 1, 8, 8, generator=generator), torch.arange(16) % 10
free = network.relax(images)
print(f"equilibrium after {free.sweeps} sweeps, residual {free.residual:.1e}")
print(f"energy of the first image {network.energy(free.states)[0]:.4f}")

estimate = eqprop.estimators.get("symmetric", beta=0.1)(network, images, labels)
print(f"loss {estimate.loss:.4f}, gradient norm of U {network.couplings['edges_hidden'].U.grad.norm():.2e}")

chip = sim.Chip(mapping.compile(network, mapping.Target.load("ideal", crossbar=(32, 32))))
error = (chip.relax(images).states["hidden"] - free.states["hidden"]).abs().max()
print(f"on {chip.mapping.crossbars} ideal crossbars the hidden states differ by {error:.1e}")
