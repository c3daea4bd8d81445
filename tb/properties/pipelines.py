"""The blocks that are streams from end to end, and what each makes of an element.

Widths are small: what is proved is order, not arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Const, Mux, Value, signed

from hw.dac_feeder import DacFeeder
from hw.fixed import RulePort
from hw.neuron import Neuron
from hw.nudger import LinearNudger, SquaredErrorNudger
from hw.scaler import Scaler
from mapping.dither import Lfsr

X = signed(2)
RULE = RulePort(signed(2), multiplier_bits=1, largest_shift=1)
LANES, LFSR = 2, Lfsr(4, seed=5, shifts=1)
FRACTION_BITS = 1


@dataclass(frozen=True)
class Pipeline:
    """A block with a stream i, a stream o and a ``latency``.

    Attributes:
        make: the block, anew each time.
        latency: its clocks from i to o, as many as the elements it has room for.
        expected: what it should make of the element that i offers.
    """

    make: Callable[[], Any]
    latency: int
    expected: Callable[[Any], Value]


def scaled(x: Value, rule: Any, number: Value | int = 1, width: int = 1) -> Value:
    """The rule's y; what is added before bits are cut off is ``number`` of ``width`` bits, or one half."""
    y = (((x * rule.multiplier).shift_left(width) >> rule.shift) + number).shift_right(width)
    return Mux(y < rule.low, rule.low, Mux(y > rule.high, rule.high, y))


def fed(block: Any) -> Value:
    """Lane n has the n-th number from the register's."""
    codes, used = block.i.p.codes, block.i.p.used
    found = []
    for n in range(LANES):
        number = Cat((Const(row, LFSR.width) & block.number).xor() for row in LFSR.leap_matrix(n))
        code = Mux(used[n], scaled(codes[n], block.rule, number, LFSR.width), 0)
        found.append(code[: RULE.output.width])
    return Cat(*found, used)


def nudged_linearly(block: Any) -> Value:
    doubled = (block.i.p.error * block.beta).shift_left(1).shift_right(FRACTION_BITS)
    return block.i.p.drive + (doubled + 1).shift_right(1)


PIPELINES = {
    "scaler": Pipeline(lambda: Scaler(X, RULE), Scaler.latency, lambda block: scaled(block.i.payload, block.rule)),
    "dac_feeder": Pipeline(lambda: DacFeeder(X, RULE, LANES, LFSR), DacFeeder.latency, fed),
    "neuron": Pipeline(
        lambda: Neuron(X, X, RULE), Neuron.latency, lambda block: scaled(block.i.p.drive + block.i.p.bias, block.rule)
    ),
    "squared_error_nudger": Pipeline(
        lambda: SquaredErrorNudger(X, X, X, RULE),
        SquaredErrorNudger.latency,
        lambda block: scaled(block.i.p.drive + block.i.p.bias + Mux(block.i.p.is_target, block.push, 0), block.rule),
    ),
    "linear_nudger": Pipeline(lambda: LinearNudger(X, X, 1, FRACTION_BITS), LinearNudger.latency, nudged_linearly),
}
