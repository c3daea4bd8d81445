"""Truth: the integer rules on plain integers. Narrow circuits take every input there is; equal, not close."""

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from amaranth import signed
from amaranth.back import rtlil

from hw import DacFeeder, LinearNudger, Neuron, RulePort, SquaredErrorNudger
from mapping.arithmetic import Limits, Scaling, SquaredErrorNudge, linear_nudge, neuron
from mapping.dither import Lfsr, dithered
from tb import cxxrtl_compile
from tb.cxxrtl import Model, Sink, Source, compile_model
from tb.words import packed, unpacked

pytestmark = pytest.mark.skipif(
    not any(shutil.which(name) for name in cxxrtl_compile.COMPILERS), reason="no C++ compiler: apt-get install g++"
)

CODE = signed(8)
CODES = range(-128, 128)
PAIRS = list(product(CODES, CODES))
RULES: list[tuple[Scaling, Limits]] = [
    (Scaling(1, 0), (-128, 127)),
    (Scaling(1, 1), (-128, 127)),
    (Scaling(-3, 2), (0, 100)),
    (Scaling(40503, 15), (-100, -20)),
    (Scaling(-65535, 16), (-127, 127)),
    (Scaling(65535, 8), (-128, 127)),
    (Scaling(65535, 48), (-1, 1)),
]

Started = Callable[[Any], Model]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    def model(component: Any) -> Model:
        text = rtlil.convert(component, name="circuit", emit_src=False)
        return Model(compile_model(text, "circuit", tmp_path), [Source("i"), Sink("o")])

    return model


def given_back(model: Model, words: Any, latency: int) -> Any:
    """All that comes out for what goes in."""
    before = len(model.log("o").payloads)
    model.supply("i", words)
    model.run(len(words) + latency)
    return model.log("o").payloads[before:]


def port(scaling: Scaling, limits: Limits) -> int:
    """A rule of codes of 8 bits, as its port has it."""
    low, high = (limit & 0xFF for limit in limits)
    return scaling.multiplier & 0x1FFFF | scaling.shift << 17 | low << 23 | high << 31


def test_a_neuron_takes_every_drive_with_every_bias(started: Started) -> None:
    model, words = started(Neuron(CODE, CODE, RulePort(CODE))), packed(PAIRS, 8)
    for scaling, limits in RULES:
        model.set("rule", port(scaling, limits))
        found = unpacked(given_back(model, words, Neuron.latency), 8, 1, signed=True)[:, 0].tolist()
        assert found == [neuron(drive, bias, scaling, limits) for drive, bias in PAIRS]


@pytest.mark.parametrize("beta", [0.5, -0.5, 3.75])
def test_an_output_is_nudged_from_every_drive_with_every_bias(started: Started, beta: float) -> None:
    nudge, limits = SquaredErrorNudge.build(beta, 1.0, 32), (-20, 120)
    model = started(SquaredErrorNudger(CODE, CODE, signed(8), RulePort(CODE, multiplier_bits=16)))
    model.set("push", nudge.push & 0xFF)
    model.set("rule", port(nudge.divide, limits))
    for is_target in (0, 1):
        words = packed(PAIRS, 8, 17)
        words[:, 0] |= is_target << 16
        found = unpacked(given_back(model, words, SquaredErrorNudger.latency), 8, 1, signed=True)[:, 0].tolist()
        assert found == [nudge.apply(a + b, is_target=bool(is_target), limits=limits) for a, b in PAIRS]


def test_every_error_moves_every_drive(started: Started) -> None:
    bits, fraction = 7, 4
    nudger = LinearNudger(CODE, CODE, beta_bits=bits, fraction_bits=fraction)
    model, words, width = started(nudger), packed(PAIRS, 8), nudger.o.payload.shape().width
    for multiplier in (-127, -64, -9, -8, -1, 0, 1, 7, 8, 100, 127):
        model.set("beta", multiplier & 0xFF)
        found = unpacked(given_back(model, words, nudger.latency), width, 1, signed=True)[:, 0].tolist()
        assert found == [linear_nudge(drive, error, Scaling(multiplier, fraction)) for drive, error in PAIRS]


def test_every_code_is_dithered_with_every_number(started: Started) -> None:
    width = 8
    lfsr = Lfsr(width, seed=1, shifts=1)
    xs = [x for x in CODES for _ in range(lfsr.period)]
    numbers = [int(number) for number in lfsr.numbers(0, lfsr.period)]
    assert len(set(numbers)) == lfsr.period
    words = packed([[x & 0xFF] for x in xs], 8, 9)
    words[:, 0] |= 1 << 8
    model = started(DacFeeder(CODE, RulePort(CODE), 1, lfsr))
    for scaling, limits in RULES:
        model.set("rule", port(scaling, limits))
        found = unpacked(given_back(model, words, DacFeeder.latency), 8, 1, signed=True)[:, 0].tolist()
        expected = [dithered(x, scaling, limits, number, width) for x in CODES for number in numbers]
        assert found == expected
