"""Train a small energy network by Equilibrium Propagation, in a few lines of Python.

What ``hwmap train`` does, without progress bars and checkpoints. Usage: python examples/train.py model.pt
"""

import sys

import eqprop
from eqprop import checkpoint
from eqprop.data import load
from eqprop.training import TrainingSettings, train

network = eqprop.models.build("mlp", channels=1, size=8, width=0.125, seed=0)
records = train(network, load("digits", "train"), TrainingSettings(epochs=3, learning_rate=0.1, nudged_sweeps=60))
print(f"training accuracy {records[-1].accuracy:.3f}")
checkpoint.save(sys.argv[1], checkpoint.Checkpoint(network))
