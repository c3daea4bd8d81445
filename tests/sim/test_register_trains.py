# amaranth: UnusedElaboratable=no
"""Truth: ``mapping.arithmetic.trains`` on plain integers, sample after sample, and the circuit. Equal, not close."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from amaranth import signed
from amaranth.sim import Simulator
from torch import Tensor

import mapping
from eqprop import FixedPoint, models
from eqprop.estimators import Symmetric
from hw.pulser import Pulser
from mapping import Target
from mapping.arithmetic.trains import COLUMN_SHIFTS, DrawnTrains, FixedTrains, Trains, coincidences, matched, stride
from mapping.dither import Lfsr
from sim import Chip
from sim.learning import Learner, Pulsed, registers
from sim.learning.devices import step_in_weight
from sim.learning.products import products
from sim.learning.registers import RegisterTrains
from sim.pulse_trains import Saturation

STEP = 2.0**-8
KINDS = [False, True]


def values(*shape: int, seed: int = 0) -> Tensor:
    """Multiples of the step between -1 and 1, about a third of them zero."""
    drawn = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 3.0 - 1.5
    return (drawn.sign() * (drawn.abs() - 0.5).clamp(min=0.0)).div(STEP).round().mul(STEP)


def in_codes(of: Tensor) -> list[list[int]]:
    return of.div(STEP).int().tolist()


def sides(gain: float, slots: int, fixed: bool, lanes: int = 1, width: int = 16) -> tuple[Trains, Trains]:
    """The golden model's trains before the first sample, of codes in units of STEP."""
    registers_ = Lfsr(width), Lfsr(width, shifts=COLUMN_SHIFTS)
    tops = (slots, slots) if fixed else (registers_[0].period, registers_[1].period)
    rows, columns = matched(gain * STEP**2, slots, *tops)
    if fixed:
        return FixedTrains(rows, slots), FixedTrains(columns, slots, stride(slots))
    return DrawnTrains(rows, registers_[0], lanes), DrawnTrains(columns, registers_[1], lanes)


def golden(x: Tensor, y: Tensor, rows: Trains, columns: Trains, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Up and down pulses of each device."""
    up, down = np.zeros((2, x.shape[1], y.shape[1]))
    for row_codes, column_codes in zip(in_codes(x), in_codes(y), strict=True):
        counts = np.array(coincidences(row_codes, column_codes, rows, columns, slots))
        up += counts.clip(min=0)
        down += (-counts).clip(min=0)
        rows, columns = rows.after(slots, x.shape[1]), columns.after(slots, y.shape[1])
    return up, down


@pytest.mark.parametrize("fixed", KINDS)
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("step", [STEP, STEP / 2, 2.0**-20])
def test_counts_are_the_golden_models_whatever_the_step(fixed: bool, lanes: int, step: float) -> None:
    x, y, slots = values(6, 5, seed=1), values(6, 7, seed=2), 31
    for gain in (3.0, 40.0):  # of 40, some lines saturate
        up, down = golden(x, y, *sides(gain, slots, fixed, lanes), slots)
        found = RegisterTrains(slots, fixed, lanes, step).up_and_down(x, y, gain)
        assert np.array_equal(found[0].numpy(), up)
        assert np.array_equal(found[1].numpy(), down)
        assert up.sum() > 0 < down.sum()


@pytest.mark.parametrize("fixed", KINDS)
def test_counts_are_the_circuits(fixed: bool) -> None:
    x, y, slots, gain, lanes = values(3, 5, seed=3), values(3, 6, seed=4), 9, 6.0, 4
    rows, columns = sides(gain, slots, fixed, lanes, width=9)
    registers_ = Lfsr(9), Lfsr(9, shifts=COLUMN_SHIFTS)
    pulser = Pulser(signed(9), lanes, 8, *registers_)
    up, down = np.zeros((2, 5, 6))

    async def bench(ctx: Any) -> None:
        for name, trains in (("row_rule", rows), ("column_rule", columns)):
            scaling = {"multiplier": trains.scaling.multiplier, "shift": trains.scaling.shift}
            ctx.set(getattr(pulser, name), scaling)
        ports = {"slots": slots, "fixed": int(fixed), "stride": stride(slots), "pulse_clocks": 1}
        for name, value in ports.items():
            ctx.set(getattr(pulser, name), value)
        ctx.set(pulser.o.ready, 1)
        for row_codes, column_codes in zip(in_codes(x), in_codes(y), strict=True):
            for is_row, codes in ((1, row_codes), (0, column_codes)):
                for first in range(0, len(codes), lanes):
                    part = codes[first : first + lanes]
                    group = {"codes": part + [0] * (lanes - len(part)), "used": 2 ** len(part) - 1, "is_row": is_row}
                    ctx.set(pulser.i.payload, group | {"last": int(not is_row and first + lanes >= len(codes))})
                    ctx.set(pulser.i.valid, 1)
                    await ctx.tick().until(pulser.i.ready)
            ctx.set(pulser.i.valid, 0)
            lines: dict[int, list[int]] = {0: [], 1: []}
            while not ctx.get(pulser.done):
                if ctx.get(pulser.o.valid):
                    beat = ctx.get(pulser.o.payload)
                    lines[beat["is_row"]] += [
                        (beat["pulses"] >> lane & 1) * (1 - 2 * (beat["negative"] >> lane & 1)) for lane in range(lanes)
                    ]
                await ctx.tick()
            row_bits, column_bits = (np.array(lines[side]).reshape(slots, -1) for side in (1, 0))
            met = np.einsum("si,sj->sij", row_bits[:, :5], column_bits[:, :6])
            up[:] += (met > 0).sum(0)
            down[:] += (met < 0).sum(0)
            await ctx.tick()

    simulator = Simulator(pulser)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    found = RegisterTrains(slots, fixed, lanes, STEP, 1.0, *registers_).up_and_down(x, y, gain)
    assert np.array_equal(found[0].numpy(), up)
    assert np.array_equal(found[1].numpy(), down)
    assert up.sum() > 0 < down.sum()


@pytest.mark.parametrize("fixed", KINDS)
def test_counts_do_not_depend_on_how_many_samples_are_simulated_at_once(
    fixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, found = values(57, 9, seed=5), values(57, 6, seed=6), []
    for bits in (1, 3_000, 2**19):
        monkeypatch.setattr(registers, "BITS_AT_ONCE", bits)
        found.append(RegisterTrains(fixed=fixed, lanes=4).coincidences(x, y, 3.0))
    assert all(torch.equal(found[0], other) for other in found[1:])
    assert found[0].abs().sum() > 0


def test_registers_go_on_from_call_to_call_and_no_generator_is_used() -> None:
    x, y, generator = values(20, 5, seed=7), values(20, 6, seed=8), torch.Generator().manual_seed(1)
    state = generator.get_state()
    parts, whole = RegisterTrains(lanes=4), RegisterTrains(lanes=4)
    one = parts.coincidences(x[:7], y[:7], 5.0, generator) + parts.coincidences(x[7:], y[7:], 5.0, first_sample=3)
    assert torch.equal(one, whole.coincidences(x, y, 5.0))
    assert parts == whole
    assert whole.rows == Lfsr().after(20 * 31 * 8)
    assert whole.columns == Lfsr(shifts=COLUMN_SHIFTS).after(20 * 31 * 8)
    assert not torch.equal(one, whole.coincidences(x, y, 5.0))
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("balance", [1.0, 0.5, 2.0])
def test_mean_counts_are_the_outer_product(balance: float) -> None:
    x, y, repeats, gain = values(4, 6, seed=9), values(4, 5, seed=10), 1500, 4.0
    found = RegisterTrains(balance=balance).coincidences(x.repeat(repeats, 1), y.repeat(repeats, 1), gain)
    products = x.double().numpy()[:, :, None] * y.double().numpy()[:, None, :]
    share = gain * np.abs(products) / 31
    sigma = np.sqrt(repeats * 31 * (share * (1 - share)).sum(0))
    assert (np.abs(found.numpy() - repeats * gain * products.sum(0)) <= 5.0 * sigma).all()
    assert (np.abs(products.sum(0)) * repeats * gain > 10.0 * sigma).any()


def test_pulses_of_registers_move_weights_down_the_gradient() -> None:
    law = "device.update={model: constant-step, step: 0.002, w_max: 1.0, w_min: -1.0}"
    network = models.mlp([12], channels=1, size=4, classes=3)
    network.dynamics = FixedPoint(max_sweeps=20, tolerance=0.0)
    settings = ["cell.headroom=2", "cell.pair=middle", "controller.state_bits=16", law]
    mapped = mapping.compile(network, Target.load("ideal", (32, 32), settings))
    chip = Chip(mapped)
    estimator = Symmetric(0.3, FixedPoint(max_sweeps=8, tolerance=0.0))
    learner = Learner(chip, Pulsed(RegisterTrains(63, lanes=4)), estimator, rate=0.0)
    before = {name: learner.devices.weights(name) for name in mapped.matrices}
    x, labels = torch.rand(64, *network.input_shape, generator=torch.Generator().manual_seed(2)), torch.arange(64) % 3
    found = list(products(chip, learner.estimator(chip, x, labels), labels))
    assert learner.rule.apply(learner.devices, found, 400.0 * step_in_weight(learner.devices, "h1_output"))
    for name in mapped.matrices:
        wanted = sum(product.coefficient * product.x.T @ product.y for product in found if product.matrix == name)
        moved = learner.devices.weights(name) - before[name]
        assert (moved * wanted).sum() > 0.95 * moved.norm() * wanted.norm()


def test_saturated_lines_are_counted() -> None:
    x, y, seen = torch.tensor([[3.0, -1.0, 0.0, 0.5]]), torch.tensor([[2.0, 0.5]]), Saturation()
    counts = RegisterTrains().coincidences(x, y, 31.0, saturation=seen)  # shares |x| and |y|
    assert (seen.saturated, seen.driven) == (2, 5)
    assert counts[:2, 0].tolist() == [31.0, -31.0]


def test_values_that_are_no_multiples_are_rounded_upwards_at_ties() -> None:
    one = torch.ones(1, 1)
    found = [
        RegisterTrains(4, fixed=True, step=0.25).coincidences(torch.tensor([[value]]), one, 4.0).item()
        for value in (0.124, 0.125, 0.374, 0.375, -0.125, -0.126)
    ]
    assert found == [0.0, 1.0, 1.0, 2.0, 0.0, -1.0]


@pytest.mark.parametrize(
    ("x", "gain", "words"),
    [
        (torch.ones(2, 3), 1.0, r"\[2, 3\] and \[1, 3\]"),
        (torch.ones(1, 3), -1.0, "gain"),
        (torch.full((1, 3), math.nan), 1.0, "at most 16 with a step of"),
        (torch.full((1, 3), -16.5), 1.0, "at most 16 with a step of"),
    ],
)
def test_refuses_what_it_cannot_count(x: Tensor, gain: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RegisterTrains().up_and_down(x, torch.ones(1, 3), gain)


def test_refuses_trains_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="0 slots"):
        RegisterTrains(slots=0)
    with pytest.raises(ValueError, match="0 lanes"):
        RegisterTrains(lanes=0)
    with pytest.raises(ValueError, match="counts could pass"):
        RegisterTrains().up_and_down(torch.ones(1, 1).expand(2**20, 1), torch.ones(1, 1).expand(2**20, 1), 1.0)
