"""Map a model file to crossbars (``hwmap compile``). Usage: python examples/compile.py model.pt directory"""

import sys

import torch

import eqprop
import mapping
from eqprop.data import load

target = mapping.Target.load("rram-hfo2", crossbar=(64, 64), overrides=["adc.bits=9"])
images, _ = load("digits", "train").batch(torch.arange(64))
compiled = mapping.compile(eqprop.load(sys.argv[1]), target, calibration=images)
compiled.save(sys.argv[2])
print(f"{compiled.weights} weights on {compiled.crossbars} crossbars, {compiled.utilization:.1%} of devices used")
