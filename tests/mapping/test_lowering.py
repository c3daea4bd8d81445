"""Truth: unfolded images (im2col) times blocks of the matrix, and the couplings' own reads, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense, LowRank
from mapping.lowering import ConvLowering, Lowering, Region, Span, lower, spans
from tests.mapping.graphs import convolutions, dense_couplings, size

couplings = st.one_of(convolutions(), dense_couplings())
limits = st.integers(1, 200)
few = settings(max_examples=40)


def random_state(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def patches(low: Lowering, pre: Tensor) -> Tensor:
    """What each row of the matrix is driven with: [batch, rows, positions], rows in the lowering's order."""
    if not isinstance(low, ConvLowering):
        return pre.flatten(1).unsqueeze(2)
    unfolded = F.unfold(pre, low.kernel, padding=low.padding, stride=low.stride)
    if low.order == "channel-major":
        return unfolded
    by_tap = unfolded.view(len(pre), low.pre_shape[0], low.taps, -1).transpose(1, 2)
    return by_tap.reshape(len(pre), low.rows, -1)


def fold_back(low: Lowering, sensed: Tensor) -> Tensor:
    """[batch, rows, positions] -> [batch, *pre_shape], overlapping positions added."""
    if not isinstance(low, ConvLowering):
        return sensed.flatten(1).view(-1, *low.pre_shape)
    if low.order == "tap-major":
        sensed = sensed.view(len(sensed), low.taps, low.pre_shape[0], -1).transpose(1, 2).flatten(1, 2)
    return F.fold(sensed, low.pre_shape[1:], low.kernel, padding=low.padding, stride=low.stride)


def all_rows(low: Lowering, matrix: Tensor, pre: Tensor) -> list[Tensor]:
    return [
        low.drive_rows(low.operand(matrix[slice(*span)], span), low.rows_driven(pre, span), span)
        for span in low.row_spans
    ]


def check_cut(cut: tuple[Span, ...], total: int, limit: int) -> None:
    assert [row for first, last in cut for row in range(first, last)] == list(range(total))
    assert max(last - first for first, last in cut) <= limit


@few
@given(couplings, limits)
def test_matrix_and_weight_are_inverse(coupling: Coupling, limit: int) -> None:
    low = lower(coupling, limit)
    weight = coupling.effective_weight()
    matrix = low.to_matrix(weight)
    assert matrix.shape == (low.rows, low.columns)
    assert torch.equal(low.to_weight(matrix), weight)


@few
@given(couplings, limits)
def test_every_row_is_in_one_span_and_no_span_exceeds_the_crossbar(coupling: Coupling, limit: int) -> None:
    low = lower(coupling, limit)
    check_cut(low.row_spans, low.rows, limit)
    assert low.rows == (size(coupling.pre_shape) if isinstance(coupling, Dense) else coupling.weight[0].numel())


@few
@given(couplings, limits)
def test_cuts_need_no_more_crossbars_than_the_rows_do(coupling: Coupling, limit: int) -> None:
    low = lower(coupling, limit)
    assert len(low.row_spans) == math.ceil(low.rows / limit)


@few
@given(couplings, limits)
def test_partial_sums_are_patches_times_block(coupling: Coupling, limit: int) -> None:
    low = lower(coupling, limit)
    matrix, pre = low.to_matrix(coupling.effective_weight().double()), random_state(coupling.pre_shape)
    driven = patches(low, pre)
    for (first, last), sums in zip(low.row_spans, all_rows(low, matrix, pre), strict=True):
        expected = torch.einsum("brp,rc->bcp", driven[:, first:last], matrix[first:last])
        torch.testing.assert_close(sums, expected.reshape(sums.shape), rtol=0, atol=1e-10)


@few
@given(couplings, limits)
def test_tiles_add_up_to_the_forward_read(coupling: Coupling, limit: int) -> None:
    low, exact = lower(coupling, limit), coupling.double()
    pre = random_state(coupling.pre_shape)
    total = torch.stack(all_rows(low, low.to_matrix(exact.effective_weight()), pre)).sum(0)
    torch.testing.assert_close(low.to_post(total), exact.forward(pre).detach(), rtol=0, atol=1e-10)


@few
@given(couplings, limits, st.integers(1, 5))
def test_sensed_rows_are_the_block_times_the_driven_columns(coupling: Coupling, limit: int, width: int) -> None:
    low = lower(coupling, limit)
    matrix, post = low.to_matrix(coupling.effective_weight().double()), random_state(coupling.post_shape)
    positions = post.flatten(2) if isinstance(low, ConvLowering) else post.flatten(1).unsqueeze(2)
    for first, last in spans(low.columns, width):
        sensed = low.drive_columns(
            matrix[:, first:last], low.columns_driven(low.columns_of(post), (first, last)), (first, last)
        )
        expected = torch.einsum("rc,bcp->brp", matrix[:, first:last], positions[:, first:last])
        torch.testing.assert_close(sensed.reshape(expected.shape), expected, rtol=0, atol=1e-10)


@few
@given(couplings, limits, st.integers(1, 5))
def test_overlap_add_of_all_columns_is_the_transposed_read(coupling: Coupling, limit: int, width: int) -> None:
    low, exact = lower(coupling, limit), coupling.double()
    matrix, post = low.to_matrix(exact.effective_weight()), random_state(coupling.post_shape)
    driven = low.columns_of(post)
    shares = [
        low.drive_columns(matrix[:, slice(*span)], low.columns_driven(driven, span), span)
        for span in spans(low.columns, width)
    ]
    sensed = torch.stack(shares).sum(0)
    torch.testing.assert_close(low.overlap_add(sensed), exact.transpose(post).detach(), rtol=0, atol=1e-10)
    torch.testing.assert_close(
        low.overlap_add(sensed), fold_back(low, sensed.reshape(2, low.rows, -1)), rtol=0, atol=1e-10
    )


@few
@given(couplings, limits)
def test_driven_sum_is_the_sum_of_all_row_drives(coupling: Coupling, limit: int) -> None:
    low, pre = lower(coupling, limit), random_state(coupling.pre_shape)
    expected = patches(low, pre).sum(1, keepdim=True)
    torch.testing.assert_close(low.driven_sum(pre).reshape(expected.shape), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"), [(1, 5, 1, 2), (2, 5, 3, 2), (1, 3, 1, 1), (2, 2, 3, 2)]
)
def test_taps_that_see_only_padding_add_nothing(limit: int, size: int, kernel: int, stride: int, padding: int) -> None:
    coupling = Conv2d((2, size, size), 3, kernel, stride, padding).double()
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    low, pre = lower(coupling, limit), random_state(coupling.pre_shape)
    total = torch.stack(all_rows(low, low.to_matrix(coupling.effective_weight()), pre)).sum(0)
    torch.testing.assert_close(total, coupling.forward(pre).detach(), rtol=0, atol=1e-10)


@few
@given(couplings, limits)
def test_a_bias_is_added_to_every_line_once(coupling: Coupling, limit: int) -> None:
    low = lower(coupling, limit)
    matrix = low.to_matrix(coupling.effective_weight().double())
    pre, post = random_state(coupling.pre_shape), low.columns_of(random_state(coupling.post_shape))
    for span in low.row_spans:
        block = low.operand(matrix[slice(*span)], span)
        forward, transposed = (torch.arange(1.0, lines + 1, dtype=torch.float64) for lines in (low.columns, low.rows))
        driven = low.rows_driven(pre, span)
        added = low.drive_rows(block, driven, span, forward) - low.drive_rows(block, driven, span)
        torch.testing.assert_close(added, each_line(forward, added))
        whole = (0, low.columns)
        added = low.drive_columns(matrix, post, whole, transposed) - low.drive_columns(matrix, post, whole)
        torch.testing.assert_close(added, each_line(transposed, added))


def each_line(values: Tensor, like: Tensor) -> Tensor:
    """``values`` of lines, the same for every image and position."""
    return values.view(1, -1, *(1 for _ in like.shape[2:])).expand_as(like)


@given(st.integers(1, 40), st.integers(1, 50))
def test_spans_cover_once_in_order(total: int, step: int) -> None:
    check_cut(spans(total, step), total, step)


def test_low_rank_is_multiplied_out() -> None:
    coupling = LowRank((2, 3), (4,), rank=2)
    coupling.initialise(1.0, torch.Generator().manual_seed(0))
    low = lower(coupling, 4)
    assert (low.rows, low.columns, low.row_spans) == (6, 4, ((0, 4), (4, 6)))
    pre = random_state((2, 3))
    total = torch.stack(all_rows(low, low.to_matrix(coupling.effective_weight().double()), pre)).sum(0)
    torch.testing.assert_close(low.to_post(total), coupling.double().forward(pre).detach(), rtol=0, atol=1e-6)


def test_64_channels_of_3x3_take_five_crossbars_cut_at_whole_channels() -> None:
    low = lower(Conv2d((64, 8, 8), 64, 3, padding=1), 128)
    assert isinstance(low, ConvLowering)
    assert len(low.row_spans) == 5
    # 14 whole channels of 9 taps: no small convolution multiplies a row that its crossbar does not hold.
    assert low.order == "channel-major"
    assert {last - first for first, last in low.row_spans[:-1]} == {126}
    assert [low.window(span).size for span in low.row_spans] == [last - first for first, last in low.row_spans]


def test_128_channels_of_3x3_take_one_tap_a_crossbar() -> None:
    low = lower(Conv2d((128, 8, 8), 64, 3, padding=1), 128)
    assert low.order == "tap-major"
    assert low.row_spans == spans(1152, 128)


@pytest.mark.parametrize("limit", [1, 8, 9, 10, 27, 100, 128])
def test_windows_hold_every_row_of_their_span(limit: int) -> None:
    low = lower(Conv2d((6, 4, 4), 2, 3), limit)
    assert isinstance(low, ConvLowering)
    for first, last in low.row_spans:
        window = low.window((first, last))
        for row in range(first, last):
            channel, tap = divmod(row, 9) if low.order == "channel-major" else divmod(row, 6)[::-1]
            y, x = divmod(tap, 3)
            assert window.channels[0] <= channel < window.channels[1]
            assert window.vertical[0] <= y < window.vertical[1]
            assert window.horizontal[0] <= x < window.horizontal[1]


@few
@given(convolutions(), st.data())
def test_a_part_reads_its_region_of_the_outputs_in_both_directions(coupling: Conv2d, data: st.DataObject) -> None:
    low = lower(coupling, 200)
    ends = [
        sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in low.shapes[1][1:]
    ]
    region = Region((ends[0][0], ends[0][1]), (ends[1][0], ends[1][1]))
    part = low.part(region)
    matrix = low.to_matrix(coupling.effective_weight()).double()
    pre, post = random_state(coupling.pre_shape), random_state(coupling.post_shape, 1)
    whole = torch.einsum("brp,rc->bcp", patches(low, pre), matrix).view(2, *coupling.post_shape)
    rows = (0, low.rows)
    found = part.drive_rows(part.operand(matrix, rows), part.rows_driven(low.seen(pre, region), rows), rows)
    assert (found - low.in_region(whole, region)).abs().max() <= 1e-12
    only = torch.zeros_like(post)
    low.in_region(only, region).copy_(low.in_region(post, region))
    expected = fold_back(low, torch.einsum("bcp,rc->brp", only.flatten(2), matrix))
    own = part.columns_of(low.in_region(post, region))
    columns = (0, low.columns)
    sensed = part.drive_columns(matrix, part.columns_driven(own, columns), columns)
    total = torch.zeros_like(pre)
    low.add_seen_(total, part.overlap_add(sensed), region)
    assert (total - expected).abs().max() <= 1e-12


@few
@given(couplings)
def test_rows_and_columns_by_position_are_what_a_matrix_multiplies(coupling: Coupling) -> None:
    low = lower(coupling, 200)
    pre, post = random_state(coupling.pre_shape), random_state(coupling.post_shape, 1)
    rows, columns = low.rows_by_position(pre), low.columns_by_position(post)
    assert torch.equal(rows, patches(low, pre).transpose(1, 2).reshape(-1, low.rows))
    assert torch.equal(columns, post.reshape(2, low.columns, -1).transpose(1, 2).reshape(-1, low.columns))
