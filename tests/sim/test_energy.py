"""Truth: a double loop over the devices of a small array, sums of parts, and the published table of caps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mapping
from eqprop import Dense, Edge, EnergyNetwork, Layer, SquaredError
from mapping import Mapping, Target
from mapping.costs import Costs
from mapping.hardware import Direction
from sim import Chip
from sim.array import Array
from sim.energy import compare, costs, flops, outer_product_cap, programming_cap
from sim.events import DIGITAL, Events, expected
from tests.mapping.graphs import compilations, ideal_target, networks


def prices(*settings_of: str, name: str = "isaac-32nm") -> Costs:
    return Target.load("ideal", overrides=[f"costs={name}", *settings_of]).costs


def one_dense(*overrides: str, preset: str = "ideal") -> Mapping:
    coupling = Dense((5,), (4,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    layers = {"x": Layer((5,), (-1.0, 1.0)), "o": Layer((4,), (-1.0, 1.0))}
    network = EnergyNetwork(layers, ["x"], [Edge("c", "x", "o")], {"c": coupling}, SquaredError("o"))
    return mapping.compile(network, Target.load(preset, (16, 32), ["read.noise=off", *overrides]))


@pytest.mark.parametrize("preset", ["ideal", "rram-hfo2", "rram-milo"])
@pytest.mark.parametrize("overrides", [["cell.encoding=offset"], [], ["cell.levels=4", "cell.slices=2"]])
@pytest.mark.parametrize("direction", ["forward", "transposed"])
def test_read_energy_is_a_double_loop_over_devices(preset: str, overrides: list[str], direction: Direction) -> None:
    """Volts times amperes of every device: G V^2, and c V^(p+1) of currents beyond Ohm's law."""
    mapped = one_dense("dac.bits=null", *overrides, preset=preset)
    chip = Chip(mapped, seed=3)
    array = chip.mapped("c").arrays[0]
    assert isinstance(array, Array)
    generator = torch.Generator().manual_seed(1)
    state = torch.rand(3, 5 if direction == "forward" else 4, generator=generator) * 2 - 1
    state[0, 1] = 0.0
    (array.forward if direction == "forward" else array.transpose)(state)
    lines, devices = array.lines[direction], array.encoding.devices_per_weight
    volt = mapped.target.dac_of(direction).full_scale_volt / mapped.matrices["c"].scale_of(direction).full_scale
    seconds, joules = mapped.timing.reads.integration_s, 0.0
    for sample in state.tolist():
        for row in range(5):
            for column in range(4 * devices):
                if direction == "forward":
                    v = sample[row] * volt
                else:  # the plus side is driven against the rows, the minus side with the opposite voltage
                    plus = array.encoding.devices_per_slice == 1 or column % 2 == 0
                    v = (-1.0 if plus else 1.0) * sample[column // devices] * volt
                ampere = float(lines.conductance[row, column]) * v
                for power, values in lines.higher:
                    ampere += float(values[row, column]) / volt ** (power - 1) * v**power
                joules += v * ampere * seconds
    assert (len(lines.higher) > 0) == (preset == "rram-milo")
    assert chip.events("c").device_read_j == pytest.approx(joules, rel=1e-4)


@st.composite
def compiled(draw: st.DrawFn) -> Mapping:
    sides = st.integers(4, 30)
    return draw(compilations(networks(), ideal_target(draw(sides), draw(sides))))


@settings(max_examples=15, deadline=None)
@given(compiled(), st.sampled_from(["inference", "ep-step"]))
def test_totals_are_the_sums_of_their_parts(mapped: Mapping, work: str) -> None:
    events = expected(mapped, work, batch=16)  # type: ignore[arg-type]
    bill = costs(mapped, events)
    assert set(bill.joules) == {*mapped.chains, DIGITAL}
    assert bill.total_j == pytest.approx(sum(sum(parts.values()) for parts in bill.joules.values()))
    assert (
        bill.total_j == pytest.approx(sum(bill.components_j.values())) == pytest.approx(sum(bill.couplings_j.values()))
    )
    name, share = bill.dominating
    assert share == pytest.approx(max(bill.components_j.values()) / bill.total_j)
    assert bill.components_j[name] == max(bill.components_j.values())
    # Twice the events, twice the joules; nothing costs nothing.
    assert costs(mapped, {n: e * 2 for n, e in events.items()}).total_j == pytest.approx(2 * bill.total_j)
    assert costs(mapped, {n: Events() for n in events}).total_j == 0.0
    clocks = mapped.timing.inference_clocks if work == "inference" else mapped.timing.ep_step_clocks
    assert bill.seconds == pytest.approx(clocks / mapped.target.controller.clock_hz)
    assert all(seconds >= 0.0 for seconds in bill.busy_s.values())


@settings(max_examples=15, deadline=None)
@given(compiled())
def test_areas_of_couplings_add_up_to_the_crossbars(mapped: Mapping) -> None:
    bill, own, target = costs(mapped, expected(mapped, "inference")), mapped.target.costs.areas, mapped.target
    rows, columns, adcs = target.crossbar.rows, target.crossbar.columns, 0
    for lines in (columns // 2, rows):  # pairs of columns; converters counted line by line
        adcs += len({line // target.adc.sharing for line in range(lines)})
    one = rows * columns * own.cell_m2 + (rows + columns) * own.dac_m2 + adcs * own.adc_m2
    digital = mapped.memory.bytes * own.memory_m2_per_byte + own.controller_m2
    assert bill.total_m2 == pytest.approx(mapped.crossbars * one + digital)


def test_every_event_has_its_price() -> None:
    """One joule for each kind of event in turn, nothing for the rest."""
    mapped = one_dense()
    free = {"adc_j_per_step": 0.0, "dac_j": 0.0, "dac_bit_j": 0.0, "line_farad_per_cell": 0.0, "sense_watt": 0.0}
    free |= {"addition_j": 0.0, "mac_j": 0.0, "memory_j_per_byte": 0.0, "pulse_j": 0.0, "verify_j": 0.0}
    free |= {"controller_j_per_clock": 0.0, "leakage_watt_per_crossbar": 0.0}
    events = Events(1, 30, 10, 7.0, 0.5, 3.0, 11, 0, 2816, 13, 17.0, 19, 23, 29.0, 31.0, 37, 41, 43)
    quantities = {"adc_j_per_step": 2816, "dac_j": 20, "dac_bit_j": 10, "line_farad_per_cell": 7, "sense_watt": 3}
    quantities |= {"addition_j": 13, "mac_j": 17, "memory_j_per_byte": 42, "pulse_j": 29, "verify_j": 31}
    quantities |= {"controller_j_per_clock": 43, "leakage_watt_per_crossbar": 43 / 100e6 * mapped.crossbars}
    for key, quantity in quantities.items():
        table = mapped.target.costs.model_copy(update=free | {key: 1.0})
        assert costs(mapped, {"c": events}, table).total_j == pytest.approx(0.5 + quantity)


@pytest.mark.parametrize(
    ("pulse_j", "pulses", "caps"),
    [
        (10e-12, 2, {1: 0.5, 16: 7.7, 128: 61, 1024: 491}),  # RRAM
        (0.1e-12, 1, {1: 96, 16: 1536, 128: 1.2e4, 1024: 9.8e4}),  # ECRAM
        (100e-12, 4, {1: 0.02, 16: 0.4, 128: 3, 1024: 25}),  # PCM
    ],
)
def test_programming_caps_are_the_published_ones(pulse_j: float, pulses: int, caps: dict[int, float]) -> None:
    table = prices(f"costs.pulse_j={pulse_j}", f"costs.learning.pulses_per_device={pulses}")
    for batch, cap in caps.items():
        # Printed with one or two figures; 0.024 as .02.
        assert programming_cap(table, batch) == pytest.approx(cap, rel=0.25 if cap < 0.1 else 0.05)


def test_outer_product_caps_are_the_published_ones() -> None:
    assert outer_product_cap(prices("costs.mac_j=0.5e-12")) == pytest.approx(19, rel=0.02)
    assert outer_product_cap(prices("costs.mac_j=0.1e-12")) == pytest.approx(96, rel=0.01)
    assert outer_product_cap(prices(name="ecram-analog")) == math.inf


def test_flops_are_two_for_each_use_of_a_weight() -> None:
    mapped = one_dense("controller.free_sweeps=7")
    # One clamped input: read once a phase; the output layer drives nothing. 20 weights.
    assert flops(mapped, "inference").same_work == 2 * 20
    # Three phases and an outer product after each of two nudged ones.
    assert flops(mapped, "ep-step").same_work == 2 * 20 * (3 + 2)
    assert flops(mapped, "inference").backpropagation == 2 * 20
    assert flops(mapped, "ep-step").backpropagation == 6 * 20


def test_a_ratio_is_never_told_without_its_assumptions() -> None:
    mapped = one_dense()
    bill = costs(mapped, expected(mapped, "ep-step", batch=128))
    found = compare(mapped, bill, "ep-step", batch=128)
    assert found.ratio(found.flops.dense) == pytest.approx(
        200 * mapped.target.costs.processor.j_per_flop / bill.total_j
    )
    text = str(found)
    for words in (
        "batch of 128",
        "isaac-32nm",
        "A100",
        "40%",
        "not shown to be equally accurate",
        "61.5 times",
        "19.2",
    ):
        assert words in text
    assert bill.unpriced == ("forward ADCs (ideal)", "transposed ADCs (ideal)")


def test_a_bill_never_beats_its_caps() -> None:
    """Backpropagation of the weights over this bill stays below both caps: they bound it whatever else is free."""
    mapped = one_dense("adc.bits=8")
    for batch in (1, 128):
        found = compare(mapped, costs(mapped, expected(mapped, "ep-step", batch=batch)), "ep-step", batch)
        ratio = found.ratio(found.flops.backpropagation)
        assert ratio < programming_cap(found.prices, batch)
        assert ratio < outer_product_cap(found.prices)
