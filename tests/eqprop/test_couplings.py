"""Truth: the adjoint identity <y, A x> = <A^T y, x>, autograd of that number, and products of plain matrices."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_networks import as_matrix, convolutions, shapes
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense, LowRank

SEEDS = st.integers(0, 2**20)


@st.composite
def couplings(draw: st.DrawFn) -> Coupling:
    kind = draw(st.sampled_from(["dense", "conv2d", "low-rank"]))
    if kind == "conv2d":
        coupling = draw(convolutions((draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))))
    elif kind == "dense":
        coupling = Dense(draw(shapes()), draw(shapes()))
    else:
        coupling = LowRank(draw(shapes()), draw(shapes()), draw(st.integers(1, 4)))
    coupling.initialise(1.0, torch.Generator().manual_seed(draw(SEEDS)))
    return coupling.double()


def both_ends(coupling: Coupling, seed: int, batch: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pre, post = (
        torch.randn(batch, *shape, dtype=torch.float64, generator=generator)
        for shape in (coupling.pre_shape, coupling.post_shape)
    )
    return pre, post


@given(couplings(), SEEDS)
def test_transposed_read_is_the_adjoint_of_the_forward_read(coupling: Coupling, seed: int) -> None:
    pre, post = both_ends(coupling, seed)
    forward, transposed = coupling(pre), coupling.transpose(post)
    assert forward.shape == post.shape
    assert transposed.shape == pre.shape
    assert (post * forward).sum().item() == pytest.approx((transposed * pre).sum().item(), rel=1e-12, abs=1e-12)


@given(couplings(), SEEDS)
def test_gradient_is_autograd_of_the_bilinear_form(coupling: Coupling, seed: int) -> None:
    pre, post = both_ends(coupling, seed)
    expected = torch.autograd.grad((post * coupling(pre)).sum(), list(coupling.parameters()))
    found = coupling.gradient(pre, post)
    assert list(found) == [name for name, _ in coupling.named_parameters()]
    for gradient, truth in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(gradient, truth, rtol=1e-12, atol=1e-12)


@given(couplings())
def test_config_builds_an_equal_coupling(coupling: Coupling) -> None:
    again = type(coupling)(**coupling.config()).double()
    again.load_state_dict(coupling.state_dict())
    assert (again.pre_shape, again.post_shape) == (coupling.pre_shape, coupling.post_shape)
    assert torch.equal(as_matrix(again), as_matrix(coupling))


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_transposed_convolution_returns_to_every_input_size(kernel: int, stride: int, padding: int) -> None:
    for height in range(max(1, kernel - 2 * padding), 9):
        coupling = Conv2d((2, height, 8), 3, kernel, stride, padding)
        assert coupling.transpose(torch.zeros(1, *coupling.post_shape)).shape == (1, 2, height, 8)


def test_strided_convolution_leaves_no_input_row_behind() -> None:
    """Hopfield-ResNets: 3x3 stride 2 on even images needs an output padding of 1, the 1x1 skip as well."""
    assert Conv2d((1, 8, 8), 1, 3, 2, 1).output_padding == (1, 1)
    assert Conv2d((1, 8, 7), 1, 1, 2, 0).output_padding == (1, 0)


@given(shapes(), shapes(), st.integers(1, 4), SEEDS)
def test_low_rank_equals_its_dense_product(
    pre_shape: tuple[int, ...], post_shape: tuple[int, ...], rank: int, seed: int
) -> None:
    coupling = LowRank(pre_shape, post_shape, rank).double()
    coupling.initialise(1.0, torch.Generator().manual_seed(seed))
    dense = Dense(pre_shape, post_shape).double()
    with torch.no_grad():
        dense.weight.copy_(coupling.U @ coupling.V.T)
    pre, post = both_ends(coupling, seed)
    torch.testing.assert_close(coupling(pre), dense(pre), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(coupling.transpose(post), dense.transpose(post), rtol=1e-12, atol=1e-12)
    assert torch.equal(coupling.effective_weight(), dense.effective_weight())


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda: Dense((4, 5), (30,)), 20),
        (lambda: Conv2d((6, 9, 9), 40, (3, 2)), 36),
    ],
)
def test_initialise_is_seeded_and_fills_its_bounds(make: object, fan_in: int) -> None:
    first, second, third = make(), make(), make()
    before = torch.random.get_rng_state()
    for coupling, seed in ((first, 7), (second, 7), (third, 8)):
        coupling.initialise(0.6, torch.Generator().manual_seed(seed))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, third.weight)
    bound = 0.6 / math.sqrt(fan_in)
    assert 0.95 * bound < first.weight.abs().max() <= bound
    assert abs(first.weight.mean()) < 0.15 * bound


def test_low_rank_starts_with_the_variance_of_a_dense_coupling() -> None:
    """A U(-gain, gain)/sqrt(fan_in) weight has variance gain^2 / (3 fan_in)."""
    variances = []
    for seed in range(20):
        coupling = LowRank((50,), (60,), 8)
        coupling.initialise(0.6, torch.Generator().manual_seed(seed))
        variances.append(coupling.effective_weight().var().item())
    assert sum(variances) / len(variances) == pytest.approx(0.36 / (3 * 50), rel=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d((1, 4, 4), 1, 5), "larger than its padded input"),
        (lambda: Conv2d((1, 4, 4), 1, 0), "kernel 0"),
        (lambda: Conv2d((1, 4, 4), 1, 3, 0), "stride 0"),
        (lambda: Conv2d((1, 4, 4), 1, 3, 1, -1), "padding -1"),
        (lambda: Conv2d((1, 4, 4), 1, (1, 2, 3)), "kernel"),
        (lambda: Conv2d((4,), 1), "channels, height, width"),
        (lambda: LowRank((4,), (4,), 0), "rank 0"),
    ],
)
def test_impossible_couplings_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
