"""Energy networks and how they learn by Equilibrium Propagation. Knows no hardware."""

from eqprop import estimators, models
from eqprop.checkpoint import load
from eqprop.costs import CrossEntropy, SquaredError
from eqprop.couplings import Conv2d, Coupling, Dense, LowRank
from eqprop.dynamics import ConvergenceWarning, Equilibrium, FixedPoint
from eqprop.edge import Edge
from eqprop.errors import InputError
from eqprop.layer import Layer
from eqprop.network import EnergyNetwork
from eqprop.pooling import MaxPool2d

__all__ = [
    "Conv2d",
    "ConvergenceWarning",
    "Coupling",
    "CrossEntropy",
    "Dense",
    "Edge",
    "EnergyNetwork",
    "Equilibrium",
    "FixedPoint",
    "InputError",
    "Layer",
    "LowRank",
    "MaxPool2d",
    "SquaredError",
    "estimators",
    "load",
    "models",
]
