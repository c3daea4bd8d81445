"""Truth: a float64 reference with explicit loops over tiles: unfolded images, codes rounded tile by tile."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense
from mapping.arithmetic import Codes
from mapping.encoding import Differential, Encoding, encoding_for
from mapping.hardware import Adc, Cell, Dac
from mapping.lowering import ConvLowering, Lowering, Span, lower, spans
from sim.array import Array, Periphery
from sim.converters import ChannelErrors, Digitiser, Driver, build_digitiser
from sim.gaussian import NoiseStream
from sim.parts import Lines
from tests.mapping.graphs import convolutions, dense_couplings, ideal_target

couplings = st.one_of(convolutions(), dense_couplings())
BATCH = 8


def code(values: Tensor, codes: Codes) -> Tensor:
    """round(value / step), ties upwards, saturated."""
    return torch.floor(values.double() / codes.step + 0.5).clamp(codes.low, codes.high)


@dataclass
class Reference:
    """One coupling's crossbars, read the slow way: device by device, tile by tile, line by line."""

    low: Lowering
    column_spans: tuple[Span, ...]
    encoding: Encoding
    conductance: Tensor
    dacs: dict[str, tuple[Dac, Codes]]
    adc: Codes
    digitisers: dict[str, Digitiser]
    second: float  # every device's current has second * G * drive^2 besides G * drive

    def current(self, drive: Tensor, first_positive: bool) -> Tensor:
        """Current over conductance at a drive; ``first_positive``: drives are row minus column voltages."""
        return drive + (self.second if first_positive else -self.second) * drive.square()

    def columns(self) -> list[list[tuple[int, int]]]:
        """For each slice of a weight the physical columns of weight 0 and the sign each counts with."""
        if isinstance(self.encoding, Differential):
            return [[(2 * k, 1), (2 * k + 1, -1)] for k in range(self.encoding.slices)]
        return [[(k, 1)] for k in range(self.encoding.slices)]

    def device(self, column: int) -> Tensor:
        """[rows, columns] weight units a drive unit of the devices in physical column ``column`` of each weight."""
        exact = self.conductance.double() * self.encoding.weight_per_siemens
        return exact[:, column :: self.encoding.devices_per_weight]

    def offset(self) -> float:
        if isinstance(self.encoding, Differential):
            return 0.0
        device = self.encoding.device
        middle = (device.g_min_siemens + device.g_max_siemens) / 2 * self.encoding.weight_per_siemens
        base = self.encoding.levels or 1
        return middle * sum(base**k for k in range(self.encoding.slices))

    def drives(self, state: Tensor, direction: str) -> list[tuple[float, Tensor]]:
        """(what a read counts, what it drives) for parallel and bit-serial converters."""
        dac, codes = self.dacs[direction]
        number = code(state, codes)
        if dac.input == "parallel":
            share = number.abs() / codes.high
            return [(1.0, (number + 4 * dac.bow_lsb * share * (1 - share) * number.sign()) * codes.step)]
        planes = []
        for bit in range(codes.high.bit_length()):
            on = torch.div(number.abs(), 2**bit, rounding_mode="floor") % 2
            planes.append((2.0**bit / codes.high, on * number.sign() * codes.high * codes.step))
        return planes

    def converted(self, sums: Tensor, digitiser: Digitiser, span: int, lines: slice) -> Tensor:
        """What a bank of converters makes of sums [batch, lines, positions]: their value, errors included."""
        step, gain, offset = (
            values[span][lines].double()[:, None] for values in (digitiser.steps, digitiser.gains, digitiser.offsets)
        )
        return torch.floor(sums * gain / step + offset + 0.5).clamp(self.adc.low, self.adc.high) * step

    def forward(self, pre: Tensor) -> Tensor:
        answer: Tensor | None = None
        for counts, drive in self.drives(pre, "forward"):
            rows = self.rows_of(drive)
            total = torch.zeros(len(pre), self.low.columns, rows.shape[2], dtype=torch.float64)
            for number, (first, last) in enumerate(self.low.row_spans):
                for left, right in self.column_spans:
                    for place, pair in enumerate(self.columns()):
                        sums = torch.zeros(len(pre), right - left, rows.shape[2], dtype=torch.float64)
                        for column, sign in pair:
                            block = self.device(column)[first:last, left:right]
                            driven = self.current(rows[:, first:last], first_positive=True)
                            sums += sign * torch.einsum("brp,rc->bcp", driven, block)
                        slices = self.encoding.slices
                        channels = slice(left * slices + place, right * slices, slices)
                        value = self.converted(sums, self.digitisers["forward"], number, channels)
                        total[:, left:right] += value * (self.encoding.levels or 1) ** place
            share = counts * (total - self.offset() * rows.sum(1, keepdim=True))
            answer = share if answer is None else answer + share
        assert answer is not None
        return answer.view(len(pre), *self.low.post_shape)  # type: ignore[attr-defined]

    def transpose(self, post: Tensor) -> Tensor:
        answer: Tensor | None = None
        for counts, state in self.drives(post, "transposed"):
            drive = state.reshape(len(post), self.low.columns, -1)
            total = torch.zeros(len(post), self.low.rows, drive.shape[2], dtype=torch.float64)
            for first, last in self.low.row_spans:
                for number, (left, right) in enumerate(self.column_spans):
                    for place, pair in enumerate(self.columns()):
                        sums = torch.zeros(len(post), last - first, drive.shape[2], dtype=torch.float64)
                        for column, sign in pair:  # a pair's second device is driven with the opposite voltage
                            block = self.device(column)[first:last, left:right]
                            driven = self.current(sign * drive[:, left:right], first_positive=False)
                            sums += torch.einsum("bcp,rc->brp", driven, block)
                        value = self.converted(sums, self.digitisers["transposed"], number, slice(first, last))
                        total[:, first:last] += value * (self.encoding.levels or 1) ** place
            share = counts * (total - self.offset() * drive.sum(1, keepdim=True))
            answer = share if answer is None else answer + share
        assert answer is not None
        return self.add_rows_up(answer)

    def rows_of(self, drive: Tensor) -> Tensor:
        """[batch, rows, positions]: what each row sees while the window slides."""
        low = self.low
        if not isinstance(low, ConvLowering):
            return drive.flatten(1).unsqueeze(2)
        rows = F.unfold(drive, low.kernel, padding=low.padding, stride=low.stride)
        if low.order == "channel-major":
            return rows
        return rows.view(len(rows), low.pre_shape[0], low.taps, -1).transpose(1, 2).flatten(1, 2)

    def add_rows_up(self, rows: Tensor) -> Tensor:
        low = self.low
        if not isinstance(low, ConvLowering):
            return rows.flatten(1).view(len(rows), *low.pre_shape)  # type: ignore[attr-defined]
        if low.order == "tap-major":
            rows = rows.view(len(rows), low.taps, low.pre_shape[0], -1).transpose(1, 2).flatten(1, 2)
        return F.fold(rows, low.pre_shape[1:], low.kernel, padding=low.padding, stride=low.stride)


PAIR = Cell()


@dataclass(frozen=True)
class Setup:
    """What a read depends on besides its coupling."""

    cell: Cell = PAIR
    rows: int = 20
    columns: int = 5
    dac_bits: int = 8
    adc_bits: int = 8
    signed: bool = True
    dac_input: str = "parallel"
    bow_lsb: float = 0.0
    errors: bool = False
    ranges: str = "coupling"
    second: float = 0.0


def build(coupling: Coupling, setup: Setup) -> tuple[Array, Reference]:
    """The array under test and its reference, with an ADC range that some sums exceed."""
    device = ideal_target(1, 2, g_min_siemens=1e-6, g_max_siemens=2e-5).device
    low = lower(coupling, setup.rows)
    column_spans = spans(low.columns, setup.columns)
    matrix = low.to_matrix(coupling.effective_weight())
    encoding = encoding_for(device, setup.cell, float(matrix.abs().max()))
    conductance = encoding.encode(matrix)
    largest = float(encoding.sensed(conductance).abs().max())
    full_scale = 0.5 * max(1.0, low.rows**0.5) * largest
    generator = torch.Generator().manual_seed(5)
    adc = Adc(
        bits=setup.adc_bits,
        gain_sigma=0.05 if setup.errors else 0.0,
        offset_sigma_lsb=1.5 if setup.errors else 0.0,
    )
    tiles = torch.full((len(low.row_spans), len(column_spans)), full_scale)
    if setup.ranges == "tile":
        tiles *= torch.rand(tiles.shape, generator=generator) + 0.5
    widths = [last - first for first, last in column_spans]
    heights = [last - first for first, last in low.row_spans]
    channels = low.columns * encoding.slices
    errors = ChannelErrors.draw(adc, (len(heights), channels), generator)
    there = build_digitiser(adc, tiles, widths, encoding.slices, errors)
    back = build_digitiser(adc, tiles.T, heights, 1, ChannelErrors.draw(adc, (len(widths), low.rows), generator))
    assert there is not None
    assert back is not None
    dac = Dac(bits=setup.dac_bits, input=setup.dac_input, bow_lsb=setup.bow_lsb)  # type: ignore[arg-type]
    pre_codes = Codes.for_range(1.3, setup.dac_bits, signed=True)
    post_codes = Codes.for_range(0.9, setup.dac_bits, signed=setup.signed)
    lines = Lines(conductance, higher=((2, conductance * setup.second),) if setup.second else ())
    array = Array(
        low,
        column_spans,
        encoding,
        {"forward": lines, "transposed": lines},
        {
            "forward": Periphery(Driver(dac, pre_codes), there),
            "transposed": Periphery(Driver(dac, post_codes), back),
        },
        NoiseStream(np.random.SeedSequence(0)),
    )
    codes = Codes.for_range(1.0, setup.adc_bits, signed=True)
    dacs = {"forward": (dac, pre_codes), "transposed": (dac, post_codes)}
    return array, Reference(
        low, column_spans, encoding, conductance, dacs, codes, {"forward": there, "transposed": back}, setup.second
    )


def same_codes(found: Tensor, expected: Tensor, step: float, codes_added: float) -> None:
    """Equal, but for a rare code that float32 and float64 round to different sides of a tie."""
    wrong = (found.double() - expected).abs() > 0.01 * step
    assert wrong.double().mean() <= 1e-3 + 2.0 / wrong.numel()
    assert (found.double() - expected).abs().max() <= (codes_added + 0.01) * step


def off_ties(shape: tuple[int, ...], codes: Codes, seed: int) -> Tensor:
    """Random states, some beyond the range, none near a DAC's tie: such a state would move every sum it is in."""
    generator = torch.Generator().manual_seed(seed)
    number = torch.randn(shape, generator=generator).mul_(0.7 * codes.high).round_()
    return number.add_(torch.rand(shape, generator=generator) * 0.8 - 0.4).mul_(codes.step)


def check_both(coupling: Coupling, setup: Setup) -> None:
    array, reference = build(coupling, setup)
    pre = off_ties((BATCH, *coupling.pre_shape), reference.dacs["forward"][1], seed=0)
    post = off_ties((BATCH, *coupling.post_shape), reference.dacs["transposed"][1], seed=1)
    step = float(reference.digitisers["forward"].steps.max())
    most = float((setup.cell.levels if isinstance(setup.cell.levels, int) else 1) ** (setup.cell.slices - 1))
    same_codes(array.forward(pre), reference.forward(pre), step, most)
    same_codes(array.transpose(post), reference.transpose(post), step, most)


CELLS = [
    Cell(),
    Cell(pair="middle"),
    Cell(levels=5, pair="middle"),
    Cell(encoding="offset"),
    Cell(levels=4, slices=2),
    Cell(levels=3, slices=4),
    Cell(encoding="offset", levels=4, slices=2),
    Cell(encoding="offset", levels=2, slices=4),
]


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    return Setup(
        draw(st.sampled_from(CELLS)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 5)),
        draw(st.integers(3, 10)),
        draw(st.integers(3, 10)),
        draw(st.booleans()),
        draw(st.sampled_from(["parallel", "bit-serial"])),
        draw(st.sampled_from([0.0, 0.7])),
        draw(st.booleans()),
        draw(st.sampled_from(["coupling", "tile"])),
        draw(st.sampled_from([0.0, 0.0, 0.2])),
    )


@settings(max_examples=80)
@given(couplings, setups())
def test_reads_of_any_periphery_are_those_of_the_slow_reference(coupling: Coupling, setup: Setup) -> None:
    check_both(coupling, setup)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.encoding}-{cell.pair}-{cell.levels}-{cell.slices}")
def test_many_large_reads(cell: Cell) -> None:
    coupling = Conv2d((8, 6, 6), 12, 3, padding=1)
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    check_both(coupling, Setup(cell, errors=True, ranges="tile"))


def test_reads_are_the_same_however_many_images_are_handled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    coupling = Conv2d((8, 6, 6), 12, 3, padding=1)
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    pre, post = torch.randn(7, 8, 6, 6), torch.randn(7, 12, 6, 6)
    answers = []
    for sums in (1, 1000, 10**9):
        monkeypatch.setattr("sim.read_path.SUMS_AT_ONCE", sums)
        array, _ = build(coupling, Setup())
        answers.append((array.forward(pre), array.transpose(post)))
    for forward, transposed in answers[1:]:
        torch.testing.assert_close(forward, answers[0][0])
        torch.testing.assert_close(transposed, answers[0][1])


def test_cutting_the_matrix_changes_what_is_rounded() -> None:
    """Two crossbars convert twice: the reference must not pass for a model that adds before converting."""
    coupling = Dense((40,), (6,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    pre = torch.randn(BATCH, 40, generator=torch.Generator().manual_seed(1))
    whole, cut = (build(coupling, Setup(rows=limit, columns=6, adc_bits=5))[0] for limit in (40, 10))
    assert not torch.equal(whole.forward(pre), cut.forward(pre))


def test_clipped_conversions_are_counted() -> None:
    coupling = Dense((40,), (6,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    array, reference = build(coupling, Setup(rows=10, columns=6))
    pre = 3 * torch.randn(500, 40, generator=torch.Generator().manual_seed(1))
    array.forward(pre)
    rows = reference.drives(pre, "forward")[0][1]
    step = float(reference.digitisers["forward"].steps[0, 0])
    weights = (array.encoding.decode(array.lines["forward"].conductance)).double()
    beyond = 0
    for first, last in array.lowering.row_spans:
        beyond += int((torch.floor(rows[:, first:last] @ weights[first:last] / step + 0.5).abs() > 127).sum())
    counted = array.conversions("forward")
    assert counted.made == 500 * 6 * 4
    assert beyond > 20
    assert abs(counted.clipped - beyond) <= 1  # a sum on the very edge
    assert array.conversions("transposed").made == 0


@pytest.mark.parametrize("cell", [Cell(), Cell(encoding="offset"), Cell(levels=4, slices=2)])
def test_reads_leave_states_alone(cell: Cell) -> None:
    coupling = Dense((4,), (3,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    array, _ = build(coupling, Setup(cell, rows=2, columns=2, bow_lsb=0.5))
    pre, post = torch.randn(2, 4), torch.randn(2, 3)
    before = pre.clone(), post.clone()
    array.forward(pre)
    array.transpose(post)
    assert torch.equal(pre, before[0])
    assert torch.equal(post, before[1])
