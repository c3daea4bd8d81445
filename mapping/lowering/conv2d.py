"""A convolution as rows and columns, without ever unfolding an image.

Rows are (input channel, kernel tap) pairs, columns are output channels. The rows of one crossbar always are a
range of channels and a box of taps (with zeros at taps it does not hold), so its partial sum is itself a small
convolution of a channel slice of the shifted input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from eqprop.couplings import Conv2d
from eqprop.couplings.conv2d import convolve
from mapping.lowering.base import Lowering, Region, Span, spans

RowOrder = Literal["channel-major", "tap-major"]


@dataclass(frozen=True)
class Window:
    """The channels and the box of kernel taps that a row span touches (ends exclusive)."""

    channels: Span
    vertical: Span
    horizontal: Span

    @property
    def size(self) -> int:
        """Rows the dense box would have: what the small convolution multiplies."""
        (c0, c1), (y0, y1), (x0, x1) = self.channels, self.vertical, self.horizontal
        return (c1 - c0) * (y1 - y0) * (x1 - x0)


@dataclass(frozen=True)
class ConvLowering(Lowering):
    """``channel-major`` order is row = channel * taps + tap, ``tap-major`` is row = tap * channels + channel."""

    pre_shape: tuple[int, int, int]
    post_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.pre_shape, self.post_shape

    @property
    def rows(self) -> int:
        return self.pre_shape[0] * self.taps

    @property
    def columns(self) -> int:
        return self.post_shape[0]

    @property
    def outputs(self) -> Region:
        return Region((0, self.post_shape[1]), (0, self.post_shape[2]))

    def part(self, region: Region) -> ConvLowering:
        (top, bottom), (left, right) = self.reach(region)
        pre = (self.pre_shape[0], bottom - top, right - left)
        return replace(self, pre_shape=pre, post_shape=(self.columns, region.height, region.width), padding=(0, 0))

    def reach(self, region: Region) -> tuple[Span, Span]:
        """Rows and columns of the input image that ``region`` sees; they may lie beyond it, in the padding."""
        ends = []
        for axis, (first, last) in enumerate((region.vertical, region.horizontal)):
            start = first * self.stride[axis] - self.padding[axis]
            ends.append((start, start + (last - first - 1) * self.stride[axis] + self.kernel[axis]))
        return ends[0], ends[1]

    def seen(self, pre: Tensor, region: Region) -> Tensor:
        (top, bottom), (left, right) = self.reach(region)
        window = pre.new_zeros(len(pre), self.pre_shape[0], bottom - top, right - left)
        window = window.to(memory_format=torch.channels_last)
        rows, columns = self.inside(region)
        image = pre[:, :, slice(*rows), slice(*columns)]
        window[:, :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = image
        return window

    def inside(self, region: Region) -> tuple[Span, Span]:
        """Rows and columns of the input image that ``region`` sees, padding left out; empty if it sees no more."""
        ends = []
        for axis, (first, last) in enumerate(self.reach(region)):
            start = min(max(first, 0), self.pre_shape[1 + axis])
            ends.append((start, max(min(last, self.pre_shape[1 + axis]), start)))
        return ends[0], ends[1]

    def add_seen_(self, total: Tensor, share: Tensor, region: Region) -> None:
        (top, _), (left, _) = self.reach(region)
        rows, columns = self.inside(region)
        window = share[:, :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
        total[:, :, slice(*rows), slice(*columns)] += window

    def in_region(self, post: Tensor, region: Region) -> Tensor:
        return post[:, :, slice(*region.vertical), slice(*region.horizontal)]

    def rows_by_position(self, pre: Tensor) -> Tensor:
        unfolded = F.unfold(pre, self.kernel, padding=self.padding, stride=self.stride).transpose(1, 2)
        if self.order == "tap-major":
            unfolded = unfolded.unflatten(2, (-1, self.taps)).transpose(2, 3)
        return unfolded.reshape(-1, self.rows)

    def columns_by_position(self, post: Tensor) -> Tensor:
        return post.flatten(2).transpose(1, 2).reshape(-1, self.columns)

    def to_matrix(self, weight: Tensor) -> Tensor:
        axes = (1, 2, 3, 0) if self.order == "channel-major" else (2, 3, 1, 0)
        return weight.permute(axes).reshape(self.rows, self.columns)

    def to_weight(self, matrix: Tensor) -> Tensor:
        if self.order == "channel-major":
            weight = matrix.view(self.pre_shape[0], *self.kernel, self.columns).permute(3, 0, 1, 2)
        else:
            weight = matrix.view(*self.kernel, self.pre_shape[0], self.columns).permute(3, 2, 0, 1)
        return weight.contiguous(memory_format=torch.channels_last)

    def window(self, rows: Span) -> Window:
        """The smallest channel range and tap box that hold every row of the span."""
        inner = self.taps if self.order == "channel-major" else self.pre_shape[0]
        first, last = rows[0] // inner, (rows[1] - 1) // inner
        outer_span = (first, last + 1)
        inner_span = (rows[0] % inner, (rows[1] - 1) % inner + 1) if first == last else (0, inner)
        channels, taps = (outer_span, inner_span) if self.order == "channel-major" else (inner_span, outer_span)
        width = self.kernel[1]
        top, bottom = taps[0] // width, (taps[1] - 1) // width
        horizontal = (taps[0] % width, (taps[1] - 1) % width + 1) if top == bottom else (0, width)
        return Window(channels, (top, bottom + 1), horizontal)

    def operand(self, block: Tensor, rows: Span) -> Tensor:
        window = self.window(rows)
        full = torch.zeros(self.rows, block.shape[1], dtype=block.dtype, device=block.device)
        full[rows[0] : rows[1]] = block
        if self.order == "channel-major":
            kernels = full.view(self.pre_shape[0], *self.kernel, -1).permute(3, 0, 1, 2)
        else:
            kernels = full.view(*self.kernel, self.pre_shape[0], -1).permute(3, 2, 0, 1)
        part = kernels[:, slice(*window.channels), slice(*window.vertical), slice(*window.horizontal)]
        return part.contiguous(memory_format=torch.channels_last)

    def rows_driven(self, pre: Tensor, rows: Span) -> Tensor:
        window = self.window(rows)
        part = pre[:, slice(*window.channels)]
        if self.whole_kernel(window):
            return part.contiguous(memory_format=torch.channels_last)
        margins = self.margins(window)
        return part if margins is None or not any(margins) else F.pad(part, margins)

    def drive_rows(self, operand: Tensor, driven: Tensor, rows: Span, bias: Tensor | None = None) -> Tensor:
        window = self.window(rows)
        if self.whole_kernel(window):
            return convolve(driven, operand, self.stride, self.padding, bias)
        if self.margins(window) is None:
            return nothing_driven(driven, operand, self.post_shape, bias)
        return convolve(driven, operand, self.stride, bias=bias)

    def whole_kernel(self, window: Window) -> bool:
        return window.vertical == (0, self.kernel[0]) and window.horizontal == (0, self.kernel[1])

    def margins(self, window: Window) -> list[int] | None:
        """Padding around the image that the window's taps see, as F.pad wants it; None if they see only padding."""
        margins: list[int] = []
        for axis, taps in ((1, window.horizontal), (0, window.vertical)):
            before = self.padding[axis] - taps[0]
            reach = (self.post_shape[1 + axis] - 1) * self.stride[axis] + taps[1] - taps[0]
            after = reach - self.pre_shape[1 + axis] - before
            if self.pre_shape[1 + axis] + min(before, 0) + min(after, 0) <= 0:
                return None
            margins += [before, after]
        return margins

    def driven_sum(self, pre: Tensor) -> Tensor:
        taps = torch.ones(1, 1, *self.kernel, dtype=pre.dtype, device=pre.device)
        return convolve(pre.sum(1, keepdim=True), taps, self.stride, self.padding)

    def to_post(self, sensed: Tensor) -> Tensor:
        return sensed

    def columns_of(self, post: Tensor) -> Tensor:
        return post

    def columns_driven(self, columns_of_post: Tensor, columns: Span) -> Tensor:
        return columns_of_post[:, columns[0] : columns[1]].contiguous(memory_format=torch.channels_last)

    def drive_columns(self, block: Tensor, driven: Tensor, columns: Span, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(driven, block[:, :, None, None], bias)

    def overlap_add(self, sensed: Tensor) -> Tensor:
        channels, height, width = self.pre_shape
        reach = [(self.post_shape[1 + a] - 1) * self.stride[a] + self.kernel[a] for a in (0, 1)]
        canvas_size = [max(reach[0], height + self.padding[0]), max(reach[1], width + self.padding[1])]
        canvas = torch.zeros(
            sensed.shape[0], channels, *canvas_size, dtype=sensed.dtype, device=sensed.device
        ).contiguous(memory_format=torch.channels_last)
        for tap in range(self.taps):
            rows = (
                slice(tap, None, self.taps)
                if self.order == "channel-major"
                else slice(tap * channels, (tap + 1) * channels)
            )
            y, x = divmod(tap, self.kernel[1])
            down = slice(y, y + (self.post_shape[1] - 1) * self.stride[0] + 1, self.stride[0])
            across = slice(x, x + (self.post_shape[2] - 1) * self.stride[1] + 1, self.stride[1])
            canvas[:, :, down, across] += sensed[:, rows]
        top, left = self.padding
        return canvas[:, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)


def lower_conv2d(coupling: Conv2d, rows_available: int) -> ConvLowering:
    """Choose the row order and the cuts of a convolution for crossbars of ``rows_available`` rows.

    Candidates are both orders cut tightly, and both cut at whole channels or whole taps. The winner needs the
    fewest crossbars; among equals the one whose small convolutions multiply least (a cut inside a channel or a
    tap drags zeros along), then the one with fewer pieces.
    """
    channels, taps = coupling.pre_shape[0], coupling.kernel[0] * coupling.kernel[1]
    rows = channels * taps
    candidates: list[tuple[RowOrder, tuple[Span, ...]]] = []
    inner_rows: tuple[tuple[RowOrder, int], ...] = (("tap-major", channels), ("channel-major", taps))
    for order, inner in inner_rows:
        candidates.append((order, spans(rows, rows_available)))
        if rows_available >= inner:
            candidates.append((order, spans(rows, rows_available // inner * inner)))
        else:
            candidates.append((order, spans_within(rows, inner, rows_available)))

    def build(order: RowOrder, cuts: tuple[Span, ...]) -> ConvLowering:
        return ConvLowering(
            order,
            cuts,
            triple(coupling.pre_shape),
            triple(coupling.post_shape),
            coupling.kernel,
            coupling.stride,
            coupling.padding,
        )

    lowerings = [build(order, cuts) for order, cuts in candidates]
    return min(lowerings, key=lambda low: (len(low.row_spans), sum(low.window(s).size for s in low.row_spans)))


def nothing_driven(pre: Tensor, operand: Tensor, post_shape: tuple[int, ...], bias: Tensor | None) -> Tensor:
    sums = pre.new_zeros(len(pre), len(operand), *post_shape[1:])
    return sums if bias is None else sums.add_(bias[:, None, None])


def triple(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width


def spans_within(rows: int, inner: int, available: int) -> tuple[Span, ...]:
    """Cuts that never cross a multiple of ``inner``, where one group of ``inner`` rows needs several crossbars."""
    return tuple(
        (start + first, start + last) for start in range(0, rows, inner) for first, last in spans(inner, available)
    )
