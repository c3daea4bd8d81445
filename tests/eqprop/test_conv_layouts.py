"""Truth: float64 convolutions in the contiguous layout. Protects against wrong answers of channels_last kernels."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from eqprop import Conv2d

SHORTCUT_GRADIENTS = """
import torch
from torch.nn.grad import conv2d_weight
from eqprop import Conv2d

torch.set_num_threads({threads})
for channels, stride in [(1, 2), (3, 2), (4, (2, 1)), (5, (1, 2)), (7, 3), (13, 2)]:
    coupling = Conv2d((channels, 12, 12), 6, 1, stride)
    images = torch.rand(6, 12, 12, channels).permute(0, 3, 1, 2)
    states = torch.rand(6, *coupling.post_shape).to(memory_format=torch.channels_last)
    for _ in range(3):
        gradient = coupling.gradient(images, states)["weight"]
        truth = conv2d_weight(images.double(), gradient.shape, states.double(), stride=coupling.stride)
        torch.testing.assert_close(gradient.double(), truth, atol=1e-4, rtol=1e-5)
"""


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stride", [(1, 3), (3, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("size", [(5, 5), (6, 2), (9, 3)])
def test_reads_and_gradients_in_channels_last_are_right_for_every_stride(
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
    found, expected = ideal.gradient(images, states), truth.gradient(images.double(), states.double())
    torch.testing.assert_close(found["weight"].double(), expected["weight"], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_strided_shortcuts_stay_within_their_memory(threads: int) -> None:
    # In a process of its own: the fault this guards against corrupts memory, so it ends or hangs the interpreter.
    script = SHORTCUT_GRADIENTS.format(threads=threads)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
