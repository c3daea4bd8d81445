"""Truth: float64 convolutions in the contiguous layout. Protects against wrong answers of channels_last kernels."""

from __future__ import annotations

import pytest
import torch

from eqprop import Conv2d


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stride", [(1, 3), (3, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("size", [(5, 5), (6, 2), (9, 3)])
def test_reads_in_channels_last_are_right_for_every_stride(
    channels: int, stride: tuple[int, int], size: tuple[int, int]
) -> None:
    ideal, truth = (Conv2d((channels, *size), 2, (3, 2), stride, 1) for _ in range(2))
    ideal.initialise(1.0, torch.Generator().manual_seed(0))
    truth.load_state_dict(ideal.state_dict())
    truth = truth.double()
    images = torch.rand(8, channels, *size).contiguous(memory_format=torch.channels_last)
    states = torch.rand(8, *ideal.post_shape).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ideal(images).double(), truth(images.double()), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ideal.transpose(states).double(), truth.transpose(states.double()), atol=1e-5, rtol=1e-5)
