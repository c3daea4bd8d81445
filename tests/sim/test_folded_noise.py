"""Truth: a slow path that perturbs every device in every read, compared by mean, variance and whole distribution."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eqprop import Conv2d, Coupling, Dense
from mapping.encoding import Encoding, encoding_for
from mapping.lowering import ConvLowering, Lowering, lower, spans
from mapping.target import Cell
from sim.array import Array, Converters
from tests.mapping.graphs import ideal_target

READS = 20_000
IDEAL = Converters(None, None, None, None)


def kolmogorov_smirnov(one: Tensor, other: Tensor) -> float:
    """The largest difference of two empirical distribution functions."""
    both = torch.cat([one, other]).sort().values
    shares = [torch.searchsorted(part.sort().values, both, right=True) / len(part) for part in (one, other)]
    return float((shares[0] - shares[1]).abs().max())


def same_distribution(fast: Tensor, slow: Tensor) -> None:
    """[reads, outputs] twice: each output must have one mean, variance and distribution on both paths."""
    fast, slow = fast.flatten(1).double(), slow.flatten(1).double()
    spread = slow.std(0)
    # Standard errors of a difference: sigma sqrt(2 / n) of means, 2 / sqrt(n) of the ratio of variances.
    assert ((fast.mean(0) - slow.mean(0)).abs() <= 5 * spread * (2 / READS) ** 0.5 + 1e-6).all()
    assert ((fast.var(0) / slow.var(0) - 1).abs() <= 5 * 2 / READS**0.5).all()
    # Two samples of one distribution exceed this once in 1e5 comparisons.
    critical = (-0.5 * torch.log(torch.tensor(1e-5 / 2)).item()) ** 0.5 * (2 / READS) ** 0.5
    assert max(kolmogorov_smirnov(fast[:, i], slow[:, i]) for i in range(fast.shape[1])) < critical


def noisy_array(coupling: Coupling, kind: str) -> tuple[Array, Lowering, Encoding, Tensor, Tensor]:
    device = ideal_target(1, 2, g_min_siemens=1e-6, g_max_siemens=2e-5).device
    coupling.initialise(1.0, torch.Generator().manual_seed(1))
    low = lower(coupling, 4)
    matrix = low.to_matrix(coupling.effective_weight())
    cell = Cell(encoding="offset" if kind == "offset" else "differential")
    encoding = encoding_for(device, cell, float(matrix.abs().max()))
    conductance = encoding.encode(matrix)
    sigma = conductance * 0.1 + 2e-7
    generator = torch.Generator().manual_seed(2)
    return (
        Array(low, spans(low.columns, 2), encoding, conductance, sigma, IDEAL, generator),
        low,
        encoding,
        (conductance),
        sigma,
    )


def perturbed_weights(encoding: Encoding, conductance: Tensor, sigma: Tensor, seed: int) -> Tensor:
    """Every device of every read on its own: [reads, rows, columns]."""
    noise = torch.randn(READS, *sigma.shape, generator=torch.Generator().manual_seed(seed))
    return encoding.decode(conductance + noise * sigma)


@pytest.mark.parametrize("kind", ["differential", "offset"])
@pytest.mark.parametrize("forward", [True, False])
def test_dense_reads(kind: str, forward: bool) -> None:
    array, _, encoding, conductance, sigma = noisy_array(Dense((6,), (4,)), kind)
    drive = torch.randn(6 if forward else 4, generator=torch.Generator().manual_seed(3))
    weights = perturbed_weights(encoding, conductance, sigma, 4)
    same = drive.expand(READS, -1)
    fast = array.forward(same) if forward else array.transpose(same)
    slow = torch.einsum("r,nrc->nc" if forward else "c,nrc->nr", drive, weights)
    same_distribution(fast, slow)


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_convolution_forward_reads(kind: str) -> None:
    coupling = Conv2d((2, 3, 3), 2, 2, stride=1, padding=1)
    array, low, encoding, conductance, sigma = noisy_array(coupling, kind)
    assert isinstance(low, ConvLowering)
    pre = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(3))
    patches = in_row_order(low, F.unfold(pre, 2, padding=1))[0]  # [rows, positions]
    # Every output position is a read of its own: fresh noise in every device.
    slow = torch.stack(
        [
            torch.einsum("r,nrc->nc", patches[:, position], perturbed_weights(encoding, conductance, sigma, position))
            for position in range(patches.shape[1])
        ],
        dim=2,
    )
    same_distribution(array.forward(pre.expand(READS, -1, -1, -1)), slow)


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_convolution_transposed_reads(kind: str) -> None:
    coupling = Conv2d((2, 3, 3), 2, 2, stride=1, padding=1)
    array, low, encoding, conductance, sigma = noisy_array(coupling, kind)
    assert isinstance(low, ConvLowering)
    post = torch.randn(1, *coupling.post_shape, generator=torch.Generator().manual_seed(3))
    columns = post.flatten(2)[0]  # [columns, positions]
    sensed = torch.stack(
        [
            torch.einsum("c,nrc->nr", columns[:, position], perturbed_weights(encoding, conductance, sigma, position))
            for position in range(columns.shape[1])
        ],
        dim=2,
    )
    slow = F.fold(in_channel_order(low, sensed), (3, 3), 2, padding=1)
    same_distribution(array.transpose(post.expand(READS, -1, -1, -1)), slow)


def test_noise_is_fresh_in_every_read_and_independent_between_outputs() -> None:
    array, *_ = noisy_array(Dense((6,), (4,)), "differential")
    same = torch.ones(READS, 6)
    one, other = array.forward(same), array.forward(same)
    both = torch.cat([one, other], dim=1).T
    correlation = torch.corrcoef(both) - torch.eye(8)
    assert correlation.abs().max() < 5 / READS**0.5


def in_row_order(low: ConvLowering, rows: Tensor) -> Tensor:
    """[batch, channel-major rows, positions] in the lowering's own order."""
    if low.order == "channel-major":
        return rows
    return rows.view(len(rows), low.pre_shape[0], low.taps, -1).transpose(1, 2).flatten(1, 2)


def in_channel_order(low: ConvLowering, rows: Tensor) -> Tensor:
    """The inverse of :func:`in_row_order`."""
    if low.order == "channel-major":
        return rows
    return rows.view(len(rows), low.taps, low.pre_shape[0], -1).transpose(1, 2).flatten(1, 2)
