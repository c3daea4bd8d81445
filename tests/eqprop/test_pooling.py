"""Truth: autograd of <post, P(read)> with torch's own max pooling, and windows taken one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_energy import pooled
from torch import Tensor

from eqprop import MaxPool2d


@st.composite
def pools_and_reads(draw: st.DrawFn) -> tuple[MaxPool2d, Tensor]:
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    pool = MaxPool2d(draw(st.integers(1, min(4, height, width))), draw(st.integers(1, 4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    read = torch.randn(2, draw(st.integers(1, 3)), height, width, dtype=torch.float64, generator=generator)
    return pool, read.to(memory_format=draw(st.sampled_from([torch.contiguous_format, torch.channels_last])))


@given(pools_and_reads())
def test_forward_is_the_maximum_of_each_window(case: tuple[MaxPool2d, Tensor]) -> None:
    pool, read = case
    found = pool.forward(read)
    assert tuple(found.shape[1:]) == pool.output_shape(tuple(read.shape[1:]))
    assert np.array_equal(found.numpy(), np.stack([pooled(pool, sample) for sample in read.numpy()]))


@given(pools_and_reads(), st.integers(0, 2**20))
def test_transpose_is_the_derivative_of_the_pooled_read(case: tuple[MaxPool2d, Tensor], seed: int) -> None:
    """Also where windows overlap, or leave rows out (stride above or below the kernel)."""
    pool, read = case
    read.requires_grad_()
    maxima = pool.forward(read)
    post = torch.randn(maxima.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    (truth,) = torch.autograd.grad((post * maxima).sum(), read)
    torch.testing.assert_close(pool.transpose(post, read.detach()), truth, rtol=1e-14, atol=1e-14)


def test_overlapping_windows_with_one_maximum_add_up() -> None:
    read = torch.zeros(1, 1, 3, 3)
    read[0, 0, 1, 1] = 1.0
    post = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = torch.zeros(1, 1, 3, 3)
    expected[0, 0, 1, 1] = 10.0
    assert torch.equal(MaxPool2d(2, 1).transpose(post, read), expected)


@pytest.mark.parametrize(("kernel", "stride"), [(0, 2), (2, 0), (-1, 1)])
def test_impossible_windows_are_refused(kernel: int, stride: int) -> None:
    with pytest.raises(ValueError, match="max pooling kernel"):
        MaxPool2d(kernel, stride)
