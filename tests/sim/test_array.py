"""Truth: a float64 reference with explicit loops over tiles: unfolded images, codes rounded tile by tile."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense
from mapping.arithmetic import Codes
from mapping.encoding import Differential, Encoding, encoding_for
from mapping.lowering import ConvLowering, Lowering, Span, lower, spans
from mapping.target import Cell
from sim.array import Array, Converters
from tests.mapping.graphs import convolutions, dense_couplings, ideal_target

some = settings(max_examples=40)
couplings = st.one_of(convolutions(), dense_couplings())
kinds = st.sampled_from(["differential", "offset"])
bits = st.integers(3, 10)
BATCH = 8


def code(values: Tensor, codes: Codes) -> Tensor:
    """round(value / step), ties upwards, saturated."""
    return torch.floor(values.double() / codes.step + 0.5).clamp(codes.low, codes.high)


@dataclass
class Reference:
    """One coupling's crossbars, read the slow way."""

    low: Lowering
    column_spans: tuple[Span, ...]
    encoding: Encoding
    conductance: Tensor
    converters: Converters

    def sensed(self) -> Tensor:
        """What each weight's devices add to a sum, offset included: [rows, columns] float64."""
        exact = self.conductance.double() * self.encoding.weight_per_siemens
        return exact[:, 0::2] - exact[:, 1::2] if isinstance(self.encoding, Differential) else exact

    def offset(self) -> float:
        if isinstance(self.encoding, Differential):
            return 0.0
        device = self.encoding.device
        return (device.g_min_siemens + device.g_max_siemens) / 2 * self.encoding.weight_per_siemens

    def forward(self, pre: Tensor) -> Tensor:
        dac, adc = self.converters.pre_dac, self.converters.forward_adc
        assert dac is not None
        assert adc is not None
        drive = self.rows_of(code(pre, dac) * dac.step)
        total = torch.zeros(len(pre), self.low.columns, drive.shape[2], dtype=torch.float64)
        for first, last in self.low.row_spans:
            for left, right in self.column_spans:
                sums = torch.einsum("brp,rc->bcp", drive[:, first:last], self.sensed()[first:last, left:right])
                total[:, left:right] += code(sums, adc)
        answer = total * adc.step - self.offset() * drive.sum(1, keepdim=True)
        return answer.view(len(pre), *self.low.post_shape)  # type: ignore[attr-defined]

    def transpose(self, post: Tensor) -> Tensor:
        dac, adc = self.converters.post_dac, self.converters.transposed_adc
        assert dac is not None
        assert adc is not None
        drive = (code(post, dac) * dac.step).reshape(len(post), self.low.columns, -1)
        total = torch.zeros(len(post), self.low.rows, drive.shape[2], dtype=torch.float64)
        for first, last in self.low.row_spans:
            for left, right in self.column_spans:
                sums = torch.einsum("bcp,rc->brp", drive[:, left:right], self.sensed()[first:last, left:right])
                total[:, first:last] += code(sums, adc)
        return self.add_rows_up(total * adc.step - self.offset() * drive.sum(1, keepdim=True))

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


def build(
    coupling: Coupling, kind: str, limits: tuple[int, int], dac_bits: int, adc_bits: int, signed: bool
) -> tuple[Array, Reference]:
    """The array under test and its reference, with an ADC range that some sums exceed."""
    device = ideal_target(1, 2, g_min_siemens=1e-6, g_max_siemens=2e-5).device
    low = lower(coupling, limits[0])
    column_spans = spans(low.columns, limits[1])
    matrix = low.to_matrix(coupling.effective_weight())
    cell = Cell(encoding="offset" if kind == "offset" else "differential")
    encoding = encoding_for(device, cell, float(matrix.abs().max()))
    conductance = encoding.encode(matrix)
    full_scale = 0.5 * max(1.0, low.rows**0.5) * float(matrix.abs().max()) + encoding.offset
    adc = Codes.for_range(full_scale, adc_bits, signed=True)
    dacs = (Codes.for_range(1.3, dac_bits, signed=True), Codes.for_range(0.9, dac_bits, signed=signed))
    converters = Converters(*dacs, adc, adc)
    array = Array(low, column_spans, encoding, conductance, None, converters, torch.Generator())
    return array, Reference(low, column_spans, encoding, conductance, converters)


def same_codes(found: Tensor, expected: Tensor, step: float, codes_added: int) -> None:
    """Equal, but for a rare code that float32 and float64 round to different sides of a tie."""
    wrong = (found.double() - expected).abs() > 0.01 * step
    assert wrong.double().mean() <= 1e-3 + 1.0 / wrong.numel()
    assert (found.double() - expected).abs().max() <= (codes_added + 0.01) * step


@some
@given(couplings, kinds, st.tuples(st.integers(1, 40), st.integers(1, 5)), bits, bits, st.booleans())
def test_forward_reads_convert_tile_by_tile(
    coupling: Coupling, kind: str, limits: tuple[int, int], dac_bits: int, adc_bits: int, signed: bool
) -> None:
    array, reference = build(coupling, kind, limits, dac_bits, adc_bits, signed)
    pre = torch.randn(BATCH, *coupling.pre_shape, generator=torch.Generator().manual_seed(0))
    adc = reference.converters.forward_adc
    assert adc is not None
    same_codes(array.forward(pre), reference.forward(pre), adc.step, codes_added=1)


@some
@given(couplings, kinds, st.tuples(st.integers(1, 40), st.integers(1, 5)), bits, bits, st.booleans())
def test_transposed_reads_convert_every_row_at_every_position(
    coupling: Coupling, kind: str, limits: tuple[int, int], dac_bits: int, adc_bits: int, signed: bool
) -> None:
    array, reference = build(coupling, kind, limits, dac_bits, adc_bits, signed)
    post = torch.randn(BATCH, *coupling.post_shape, generator=torch.Generator().manual_seed(0))
    adc = reference.converters.transposed_adc
    assert adc is not None
    same_codes(array.transpose(post), reference.transpose(post), adc.step, codes_added=1)


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_many_large_reads(kind: str) -> None:
    coupling = Conv2d((8, 6, 6), 12, 3, padding=1)
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    array, reference = build(coupling, kind, (20, 5), 8, 8, True)
    pre = torch.randn(16, 8, 6, 6, generator=torch.Generator().manual_seed(1))
    post = torch.randn(16, 12, 6, 6, generator=torch.Generator().manual_seed(2))
    adc = reference.converters.forward_adc
    assert adc is not None
    assert len(reference.low.row_spans) > 3
    same_codes(array.forward(pre), reference.forward(pre), adc.step, codes_added=1)
    same_codes(array.transpose(post), reference.transpose(post), adc.step, codes_added=1)


def test_cutting_the_matrix_changes_what_is_rounded() -> None:
    """Two crossbars convert twice: the reference must not pass for a model that adds before converting."""
    coupling = Dense((40,), (6,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    pre = torch.randn(BATCH, 40, generator=torch.Generator().manual_seed(1))
    (whole, _), (cut, _) = (build(coupling, "differential", (limit, 6), 8, 5, True) for limit in (40, 10))
    assert not torch.equal(whole.forward(pre), cut.forward(pre))


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_reads_leave_states_alone(kind: str) -> None:
    coupling = Dense((4,), (3,))
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    array, _ = build(coupling, kind, (2, 2), 8, 8, True)
    pre, post = torch.randn(2, 4), torch.randn(2, 3)
    before = pre.clone(), post.clone()
    array.forward(pre)
    array.transpose(post)
    assert torch.equal(pre, before[0])
    assert torch.equal(post, before[1])
