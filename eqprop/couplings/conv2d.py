"""A plain two-dimensional convolution: any kernel, stride and zero padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from eqprop.couplings.base import Coupling, uniform_


def pair(value: int | Sequence[int], name: str, least: int) -> tuple[int, int]:
    """``value`` as (vertical, horizontal); raises ValueError below ``least``."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in both)
    if len(both) != 2 or not whole or min(both) < least:
        raise ValueError(f"conv2d {name} {value}: expected one or two whole numbers >= {least}")
    return both


def output_padding(
    pre: Sequence[int], post: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> tuple[int, int]:
    """Rows and columns of the input that the last window did not reach: what the transposed read adds."""
    height, width = (pre[i] - ((post[i] - 1) * stride[i] - 2 * padding[i] + kernel[i]) for i in (0, 1))
    return height, width


def convolve(
    images: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    bias: Tensor | None = None,
) -> Tensor:
    """conv2d, with a way around a fault of torch 2.13 on CPU.

    In channels_last it returns garbage for some shapes whose stride is 1 down and more than 1 across (seen with one
    input channel and an output one pixel wide); the contiguous layout is right.
    """
    if stride[0] == 1 < stride[1]:
        images = images.clone(memory_format=torch.contiguous_format)
        weight = weight.clone(memory_format=torch.contiguous_format)
    return F.conv2d(images, weight, bias, stride=stride, padding=padding)


def weight_gradient(
    pre: Tensor, post: Tensor, shape: Sequence[int], stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Sum over images and positions of post times pre, as a weight of ``shape``; a way around a fault of torch on CPU.

    In channels_last, oneDNN 3.12 writes beyond its scratch memory for strided kernels of one pixel on fewer channels
    than its block of 8 (AVX2) or 16 (AVX-512): wrong gradients, aborts, hangs (uxlfoundation/oneDNN issue 6035). Such a
    kernel sees every stride-th pixel only, so those pixels alone, at stride 1, give the same sum.
    """
    if shape[1] < 16 and tuple(shape[2:]) == (1, 1) and padding == (0, 0):
        pre, stride = pre[:, :, :: stride[0], :: stride[1]], (1, 1)
    return conv2d_weight(pre, list(shape), post, stride=stride, padding=padding)


class Conv2d(Coupling):
    """A s_pre = weight (star) s_pre, with ``weight`` [post_channels, pre_channels, kernel_h, kernel_w].

    Raises:
        ValueError: if the kernel does not fit in the padded input.
    """

    kind = "conv2d"

    def __init__(
        self,
        pre_shape: Sequence[int],
        channels: int,
        kernel: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
    ) -> None:
        super().__init__()
        if len(pre_shape) != 3:
            raise ValueError(f"conv2d input shape {tuple(pre_shape)}: expected channels, height, width")
        self.pre_shape = tuple(pre_shape)
        self.kernel = pair(kernel, "kernel", 1)
        self.stride = pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        height, width = (
            (self.pre_shape[1 + i] + 2 * self.padding[i] - self.kernel[i]) // self.stride[i] + 1 for i in (0, 1)
        )
        if height < 1 or width < 1:
            raise ValueError(f"conv2d kernel {self.kernel} is larger than its padded input {self.pre_shape}")
        self.post_shape = (channels, height, width)
        self.output_padding = output_padding(
            self.pre_shape[1:], self.post_shape[1:], self.kernel, self.stride, self.padding
        )
        weight = torch.zeros(channels, self.pre_shape[0], *self.kernel)
        self.weight = nn.Parameter(weight.to(memory_format=torch.channels_last))

    def forward(self, pre: Tensor) -> Tensor:
        return convolve(pre, self.weight, self.stride, self.padding)

    def transpose(self, post: Tensor) -> Tensor:
        return F.conv_transpose2d(
            post, self.weight, stride=self.stride, padding=self.padding, output_padding=self.output_padding
        )

    def gradient(self, pre: Tensor, post: Tensor) -> dict[str, Tensor]:
        return {"weight": weight_gradient(pre, post, self.weight.shape, self.stride, self.padding)}

    def effective_weight(self) -> Tensor:
        """[post_channels, pre_channels, kernel_h, kernel_w]."""
        return self.weight.detach()

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        uniform_(self.weight, gain / math.sqrt(math.prod(self.weight.shape[1:])), generator)

    def config(self) -> dict[str, Any]:
        return {
            "pre_shape": list(self.pre_shape),
            "channels": self.post_shape[0],
            "kernel": list(self.kernel),
            "stride": list(self.stride),
            "padding": list(self.padding),
        }
