"""Truth: loops over tiles, positions, rows and bits that count one by one, and the schedule's own closed form."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import mapping
from eqprop import CrossEntropy, FixedPoint
from mapping import Mapping, Target
from mapping.hardware import Direction
from mapping.lowering import ConvLowering
from mapping.plan import MappedMatrix, Replica
from sim import Chip
from sim.events import DIGITAL, Drive, Events, expected, total
from tests.mapping.graphs import compilations, images_for, networks

BASE = ["adc.bits=6", "read.noise=off", "costs=ecram-analog", "controller.free_sweeps=3", "controller.nudged_sweeps=2"]
VARIANTS = {
    "plain": [],
    "offset": ["cell.encoding=offset", "adc.range=tile", "controller.nudges=+--+"],
    "sliced": ["cell.levels=4", "cell.slices=2", "controller.state_bits=16"],
    "bit-serial": ["dac={bits: 4, input: bit-serial}", "read.average=2"],
    "averaged": ["device.read_noise={model: relative, fraction: 0.02}", "read={noise: phase, average: 3}"],
}
FIXED = (
    "array_reads",
    "adc_conversions",
    "adc_steps",
    "additions",
    "macs",
    "bytes_read",
    "bytes_written",
    "busy_clocks",
)


@st.composite
def compiled(draw: st.DrawFn, variant: str) -> Mapping:
    sides = st.integers(4, 30)
    target = Target.load("ideal", (draw(sides), draw(sides)), [*BASE, *VARIANTS[variant]])
    mapped = draw(compilations(networks(), target))
    assume(all(sees_the_image(matrix) for matrix in mapped.matrices.values()))
    return mapped


def sees_the_image(matrix: MappedMatrix) -> bool:
    """Whether every copy sees some of its input, not padding alone."""
    low = matrix.lowering
    if not isinstance(low, ConvLowering):
        return True
    spans = [low.reach(replica.region) for replica in matrix.replicas]
    return all(first < low.pre_shape[1 + a] and last > 0 for s in spans for a, (first, last) in enumerate(s))


def fixed(events: Events) -> dict[str, float]:
    return {name: getattr(events, name) for name in FIXED}


def positions(replica: Replica) -> list[tuple[int, int]]:
    return [(y, x) for y in range(*replica.region.vertical) for x in range(*replica.region.horizontal)]


def driven_row(matrix: MappedMatrix, pre: Tensor, row: int, y: int, x: int) -> Tensor:
    """What drives a row at an output position, [batch]."""
    low = matrix.lowering
    if not isinstance(low, ConvLowering):
        return pre.flatten(1)[:, row]
    taps, channels = low.kernel[0] * low.kernel[1], low.pre_shape[0]
    channel, tap = divmod(row, taps) if low.order == "channel-major" else (row % channels, row // channels)
    down = y * low.stride[0] + tap // low.kernel[1] - low.padding[0]
    across = x * low.stride[1] + tap % low.kernel[1] - low.padding[1]
    inside = 0 <= down < low.pre_shape[1] and 0 <= across < low.pre_shape[2]
    return pre[:, channel, down, across] if inside else torch.zeros(len(pre))


def driven_column(matrix: MappedMatrix, post: Tensor, column: int, y: int, x: int) -> Tensor:
    return post[:, column, y, x] if isinstance(matrix.lowering, ConvLowering) else post.flatten(1)[:, column]


def one_by_one(mapped: Mapping, name: str, given_state: Tensor, direction: Direction) -> Events:
    """A coupling's read, counted device by device; ideal DACs, one slice, one conversion a read."""
    matrix, target = mapped.matrices[name], mapped.target
    devices = mapped.encoding(name).devices_per_weight
    volt = target.dac_of(direction).full_scale_volt / matrix.scale_of(direction).full_scale
    cells = target.crossbar.columns if direction == "forward" else target.crossbar.rows
    reads = lines = adc = 0
    squares = joules = 0.0
    for replica in matrix.replicas:
        for tile in replica.tiles:
            columns = (tile.columns[1] - tile.columns[0]) * devices
            block = mapped.conductances[tile.crossbar, tile.at[0] :, tile.at[1] : tile.at[1] + columns].double()
            for y, x in positions(replica):
                reads += len(given_state)
                if direction == "forward":
                    adc += (tile.columns[1] - tile.columns[0]) * len(given_state)
                    for row in range(*tile.rows):
                        v = driven_row(matrix, given_state, row, y, x).double() * volt
                        lines += int((v != 0).sum())
                        squares += float(v.square().sum()) * cells
                        joules += float(v.square().sum() * block[row - tile.rows[0]].sum()) * 100e-9
                else:
                    adc += (tile.rows[1] - tile.rows[0]) * len(given_state)
                    for column in range(*tile.columns):
                        v = driven_column(matrix, given_state, column, y, x).double() * volt
                        lines += devices * int((v != 0).sum())
                        squares += devices * float(v.square().sum()) * cells
                        first = (column - tile.columns[0]) * devices
                        own = block[: tile.rows[1] - tile.rows[0], first : first + devices]
                        joules += float(v.square().sum() * own.sum()) * 100e-9
    return Events(
        array_reads=reads,
        driven_lines=lines,
        charged_cell_volt2=squares,
        device_read_j=joules,
        adc_conversions=adc,
        adc_steps=adc * 2**6,
    )


@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(st.sampled_from(["plain", "offset"]).flatmap(compiled), st.integers(0, 99))
def test_counts_of_reads_are_those_of_loops_over_devices(mapped: Mapping, seed: int) -> None:
    chip, generator = Chip(mapped), torch.Generator().manual_seed(seed)
    for name, chain in mapped.chains.items():
        if len(chain) > 1:
            continue
        coupling = mapped.network.coupling(name)
        for direction, shape in (("forward", coupling.pre_shape), ("transposed", coupling.post_shape)):
            state = torch.rand(2, *shape, generator=generator).sub_(0.5).clamp_(min=0.0)
            chip.reset_events()
            (chip.coupling(name).forward if direction == "forward" else chip.coupling(name).transpose)(state)
            found, truth = chip.events(name, direction), one_by_one(mapped, name, state, direction)  # type: ignore[arg-type]
            for key in ("array_reads", "driven_lines", "adc_conversions", "adc_steps"):
                assert getattr(found, key) == getattr(truth, key)
            for key in ("charged_cell_volt2", "device_read_j"):
                assert getattr(found, key) == pytest.approx(getattr(truth, key), rel=1e-5, abs=1e-30)


@pytest.mark.parametrize("variant", VARIANTS)
def test_conversions_are_those_of_loops_over_tiles_bits_and_slices(variant: str) -> None:
    @settings(max_examples=3, deadline=None, phases=[Phase.generate])
    @given(compiled(variant))
    def check(mapped: Mapping) -> None:
        for name, chain in mapped.chains.items():
            adc = reads = 0
            for matrix in (mapped.matrices[link] for link in chain):
                for tile, replica in ((t, r) for r in matrix.replicas for t in r.tiles):
                    planes = 4 - matrix.rows_scale.signed if variant == "bit-serial" else 1
                    for _ in range(planes * mapped.target.read.average):
                        for _ in positions(replica):
                            reads += 1
                            adc += (tile.columns[1] - tile.columns[0]) * mapped.target.cell.slices
            chip = Chip(mapped)
            chip.coupling(name).forward(torch.rand(1, *mapped.network.coupling(name).pre_shape))
            found = chip.events(name)
            assert (found.array_reads, found.adc_conversions) == (reads, adc)

    check()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_simulated_inference_is_the_closed_form(variant: str) -> None:
    @settings(max_examples=4, deadline=None, phases=[Phase.generate])
    @given(compiled(variant))
    def check(mapped: Mapping) -> None:
        chip = Chip(mapped, chips=2)
        x = images_for(mapped.network, 3)
        chip.predict(x, dynamics=FixedPoint(max_sweeps=3, tolerance=0.0))
        truth = expected(mapped, "inference")
        for name in mapped.chains:
            assert fixed(chip.events(name)) == fixed(truth[name] * 6)
            assert chip.events(name).sensed_s == pytest.approx(truth[name].sensed_s * 6)
        if isinstance(mapped.network.cost, CrossEntropy):
            assert chip.events(DIGITAL) == truth[DIGITAL] * 6
        else:  # nothing is read for the answer
            assert chip.events(DIGITAL) == truth[DIGITAL] * 6
        assert truth[DIGITAL].clocks == mapped.timing.inference_clocks
        assert chip.events() == total([*(chip.events(name) for name in mapped.chains), chip.events(DIGITAL)])
        chip.reset_events()
        assert chip.events() == Events()

    check()


@pytest.mark.parametrize("variant", ["plain", "offset"])
def test_simulated_phases_of_an_ep_step_are_the_closed_form(variant: str) -> None:
    @settings(max_examples=4, deadline=None, phases=[Phase.generate])
    @given(compiled(variant))
    def check(mapped: Mapping) -> None:
        chip, nudges = Chip(mapped), mapped.target.controller.nudges
        x, labels = images_for(mapped.network, 2), torch.tensor([0, 1])
        free = chip.relax(x, dynamics=FixedPoint(max_sweeps=3, tolerance=0.0))
        for sign in nudges:
            beta = 0.1 if sign == "+" else -0.1
            nudged = FixedPoint(max_sweeps=2, tolerance=0.0)
            chip.relax(x, target=labels, beta=beta, start=free.states, dynamics=nudged)
        truth = expected(mapped, "ep-step", batch=4)
        for name in mapped.chains:
            assert fixed(chip.events(name)) == fixed(truth[name] * 2)
            devices = sum(
                m.lowering.rows * m.lowering.columns * len(m.replicas) * mapped.encoding(m.name).devices_per_weight
                for m in mapped.matrices.values()
                if m.coupling == name
            )
            assert truth[name].pulses == devices / 4
        found, timing = chip.events(DIGITAL), mapped.timing
        assert (found.additions, found.macs) == (2 * truth[DIGITAL].additions, 2 * truth[DIGITAL].macs)
        assert truth[DIGITAL].clocks == timing.ep_step_clocks
        assert found.clocks == 2 * (timing.ep_step_clocks - len(nudges) * timing.copy_clocks - timing.learning_clocks)

    check()


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(compiled("sliced"))
def test_expected_drives_are_those_of_full_scale_on_every_line(mapped: Mapping) -> None:
    chip = Chip(mapped)
    for name, chain in mapped.chains.items():
        if len(chain) > 1:
            continue
        matrix, coupling = mapped.matrices[name], mapped.network.coupling(name)
        chip.reset_events()
        chip.coupling(name).forward(torch.full((1, *coupling.pre_shape), matrix.rows_scale.full_scale))
        found = chip.events(name)
        from sim.read_events import ReadOf

        reads = [ReadOf(mapped, matrix, number, "forward") for number in range(len(matrix.replicas))]
        truth = total(read.expected(Drive(1.0, 1.0)) for read in reads)
        assert replace(found, device_read_j=0, charged_cell_volt2=0, adc_clipped=0) == replace(
            truth, device_read_j=0, charged_cell_volt2=0
        )
        assert found.device_read_j == pytest.approx(truth.device_read_j, rel=1e-5)
        assert found.charged_cell_volt2 == pytest.approx(truth.charged_cell_volt2, rel=1e-5)


def test_digital_outer_products_take_a_mac_a_weight_position_and_nudged_phase() -> None:
    from eqprop import models

    network = models.build("hopfield-resnet", classes=3, size=8, width=0.1)
    mapped = mapping.compile(network, Target.load("ideal", (24, 24), ["costs=isaac-32nm"]))
    analog = mapping.compile(network, Target.load("ideal", (24, 24), ["costs=ecram-analog"]))
    for name in mapped.chains:
        coupling = network.coupling(name)
        spatial = math.prod(coupling.post_shape[1:]) if len(coupling.effective_weight().shape) == 4 else 1
        difference = expected(mapped, "ep-step")[name].macs - expected(analog, "ep-step")[name].macs
        assert difference == 2 * coupling.effective_weight().numel() * spatial


def test_counts_go_on_when_the_age_is_set_and_programming_is_counted_apart() -> None:
    from eqprop import models

    network = models.build("hopfield-resnet", classes=3, size=8, width=0.1)
    mapped = mapping.compile(network, Target.load("rram-hfo2", (24, 24)))
    chip = Chip(mapped)
    x = images_for(network, 1)
    dynamics = FixedPoint(max_sweeps=2, tolerance=0.0)
    chip.relax(x, dynamics=dynamics)
    before = chip.events()
    chip.set_age(100.0)
    assert chip.events() == before
    chip.relax(x, dynamics=dynamics)
    assert chip.events().array_reads == 2 * before.array_reads
    assert chip.programming_events.programmed_devices == mapped.conductances.numel()
    assert chip.programming_events.pulses >= chip.programming_events.programmed_devices


def test_other_work_and_no_batch_are_refused() -> None:
    from eqprop import models

    mapped = mapping.compile(models.build("hopfield-resnet", classes=3, size=8, width=0.1), Target.load("ideal"))
    with pytest.raises(ValueError, match="inference or ep-step"):
        expected(mapped, "training")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch 0"):
        expected(mapped, "ep-step", batch=0)
