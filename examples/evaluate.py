"""Accuracy of a model file on the digits test images (``hwmap evaluate``).

Usage: python examples/evaluate.py model.pt
"""

import sys

import eqprop
from eqprop.data import load
from eqprop.evaluation import evaluate

seen = evaluate(eqprop.load(sys.argv[1]), load("digits", "test"))
print(f"test accuracy {seen.accuracy:.3f}, largest residual {seen.residual:.1e} after at most {seen.sweeps} sweeps")
