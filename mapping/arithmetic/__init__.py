"""The integer rules that software and RTL share: rounding, saturation, scaling, updates. Each is named once.

Every rule stands twice: as a function of plain integers, which says it in words and is what RTL is compared with,
and, with a name that ends in ``_``, in place on tensors that hold whole numbers. Both give the same numbers.

Rounding is to the nearest code with ties upwards, floor(x + 1/2): one adder and a shift in hardware.
Saturation clips to the code range. Integer values up to 2^24 are exact in float32, which is what keeps the
simulator fast: codes travel as float32 tensors.
"""

from mapping.arithmetic.accumulator import accumulator_bits, check_accumulator
from mapping.arithmetic.codes import EXACT_FLOAT32_BITS, Codes, Limits, clip, code_range, round_, saturate, saturate_
from mapping.arithmetic.scaling import Scaling
from mapping.arithmetic.update import (
    SquaredErrorNudge,
    largest_change,
    largest_changes,
    linear_nudge,
    linear_nudge_,
    neuron,
    neuron_,
    settled_change,
)

__all__ = [
    "EXACT_FLOAT32_BITS",
    "Codes",
    "Limits",
    "Scaling",
    "SquaredErrorNudge",
    "accumulator_bits",
    "check_accumulator",
    "clip",
    "code_range",
    "largest_change",
    "largest_changes",
    "linear_nudge",
    "linear_nudge_",
    "neuron",
    "neuron_",
    "round_",
    "saturate",
    "saturate_",
    "settled_change",
]
