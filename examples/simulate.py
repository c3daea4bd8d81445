"""Three chips of a compiled network, fresh and a day old (``hwmap simulate``).

Usage: python examples/simulate.py directory
"""

import sys

import eqprop
import mapping
import sim
from eqprop.data import load
from eqprop.evaluation import evaluate

compiled = mapping.Mapping.load(sys.argv[1])
images = load("digits", "test").take(100)
sweeps = eqprop.FixedPoint(max_sweeps=20, tolerance=0.0)
for age_s in (0.0, 86400.0):
    chips = sim.Chip(compiled, seed=0, chips=3, age_s=age_s)
    print(f"age {age_s:g} s:", evaluate(chips, images, dynamics=sweeps).accuracies)
