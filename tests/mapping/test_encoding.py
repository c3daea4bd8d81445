"""Truth: w = c (G+ - G-) and w = c (G - G_mid) worked out in float64, and Monte Carlo for the variance."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mapping.device import Device
from mapping.encoding import Differential, Encoding, Offset, devices_per_weight, encoding_for, encoding_of_scale
from mapping.target import Cell
from tests.mapping.graphs import ideal_target

few = settings(max_examples=40)
kinds = st.sampled_from(["differential", "offset"])
windows = st.tuples(st.floats(0.0, 20e-6), st.floats(1e-6, 100e-6)).map(lambda w: (w[0], w[0] + w[1]))
level_counts = st.integers(2, 300)


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    return torch.randn(*shape, generator=generator) * draw(st.sampled_from([1e-3, 1.0, 30.0]))


def device_of(window: tuple[float, float]) -> Device:
    return ideal_target(1, 2, g_min_siemens=window[0], g_max_siemens=window[1]).device


def encoding_of(matrix: Tensor, kind: str, window: tuple[float, float], levels: int | None = None) -> Encoding:
    cell = Cell(encoding="offset" if kind == "offset" else "differential", levels=levels or "continuous")
    return encoding_for(device_of(window), cell, float(matrix.abs().max()))


def weights_by_hand(encoding: Encoding, conductance: Tensor) -> Tensor:
    exact = conductance.double()
    low, high = encoding.device.g_min_siemens, encoding.device.g_max_siemens
    if isinstance(encoding, Differential):
        return (exact[:, 0::2] - exact[:, 1::2]) * encoding.weight_per_siemens
    return (exact - (low + high) / 2) * encoding.weight_per_siemens


@few
@given(matrices(), kinds, windows)
def test_continuous_conductances_mean_the_weights(matrix: Tensor, kind: str, window: tuple[float, float]) -> None:
    encoding = encoding_of(matrix, kind, window)
    conductance = encoding.encode(matrix)
    # float32 conductances around g_max resolve 6e-8 g_max; the window is what carries the weight.
    allowed = 1e-6 * float(matrix.abs().max()) * window[1] / (window[1] - window[0])
    assert (weights_by_hand(encoding, conductance) - matrix.double()).abs().max() <= allowed
    assert (encoding.decode(conductance) - matrix).abs().max() <= allowed


@few
@given(matrices(), kinds, windows)
def test_largest_weight_uses_the_whole_window(matrix: Tensor, kind: str, window: tuple[float, float]) -> None:
    conductance = encoding_of(matrix, kind, window).encode(matrix)
    largest = matrix.flatten()[matrix.abs().argmax()]
    extreme = conductance.min() if kind == "offset" and largest < 0 else conductance.max()
    expected = window[0] if kind == "offset" and largest < 0 else window[1]
    assert extreme.item() == pytest.approx(expected, rel=1e-6, abs=1e-6 * window[1])


@few
@given(matrices(), kinds, windows, st.none() | level_counts)
def test_conductances_stay_in_the_window(
    matrix: Tensor, kind: str, window: tuple[float, float], levels: int | None
) -> None:
    conductance = encoding_of(matrix, kind, window, levels).encode(matrix)
    assert conductance.min() >= window[0] - 1e-6 * window[1]
    assert conductance.max() <= window[1] * (1 + 1e-6)


@few
@given(matrices(), kinds, windows, level_counts)
def test_every_conductance_is_the_nearest_level(
    matrix: Tensor, kind: str, window: tuple[float, float], levels: int
) -> None:
    exact = encoding_of(matrix, kind, window).encode(matrix).double()
    rounded = encoding_of(matrix, kind, window, levels).encode(matrix).double()
    step = (window[1] - window[0]) / (levels - 1)
    number = (rounded - window[0]) / step
    slack = 1e-6 * window[1]
    assert (number - number.round()).abs().max() * step <= slack
    assert (rounded - exact).abs().max() <= step / 2 + slack


@few
@given(matrices(), windows)
def test_one_device_of_a_pair_rests_at_the_low_end(matrix: Tensor, window: tuple[float, float]) -> None:
    pairs = encoding_of(matrix, "differential", window).encode(matrix).unflatten(1, (-1, 2))
    low = torch.tensor(window[0], dtype=torch.float32)
    assert torch.equal(pairs.amin(2), low.expand(matrix.shape))
    assert torch.equal(pairs[..., 0] > low, (matrix > 0) & (pairs.amax(2) > low))


@pytest.mark.parametrize("kind", ["differential", "offset"])
@pytest.mark.parametrize("levels", [None, 3, 255])
def test_zero_matrix_stays_zero(kind: str, levels: int | None) -> None:
    matrix = torch.zeros(3, 4)
    encoding = encoding_of(matrix, kind, (1e-6, 9e-6), levels)
    assert torch.allclose(encoding.decode(encoding.encode(matrix)), matrix, atol=1e-6)


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_sensed_is_the_weight_and_the_offset(kind: str) -> None:
    matrix = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    encoding = encoding_of(matrix, kind, (1e-6, 9e-6))
    sensed = encoding.sensed(encoding.encode(matrix))
    torch.testing.assert_close(sensed - encoding.offset, matrix, rtol=1e-5, atol=1e-5)
    assert encoding.offset == (0.0 if kind == "differential" else pytest.approx(5e-6 * encoding.weight_per_siemens))


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_variance_is_what_perturbed_devices_show(kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(3, 3, generator=generator)
    encoding = encoding_of(matrix, kind, (1e-6, 9e-6))
    conductance = encoding.encode(matrix).double()
    sigma = torch.rand(conductance.shape, generator=generator, dtype=torch.float64) * 1e-6
    noise = torch.randn(100_000, *sigma.shape, generator=generator, dtype=torch.float64) * sigma
    measured = encoding.sensed(conductance + noise).var(0)
    # A variance of n draws has a relative standard error of sqrt(2 / n) = 0.45 %.
    torch.testing.assert_close(encoding.variance(sigma.square()), measured, rtol=0.02, atol=0)


@pytest.mark.parametrize(("kind", "columns"), [("differential", 2), ("offset", 1)])
def test_devices_per_weight(kind: str, columns: int) -> None:
    cell = Cell(encoding="offset" if kind == "offset" else "differential")
    assert devices_per_weight(cell) == columns
    assert encoding_of(torch.ones(2, 3), kind, (0.0, 1e-6)).encode(torch.ones(2, 3)).shape == (2, 3 * columns)


def test_a_chosen_scale_is_kept() -> None:
    device = device_of((1e-6, 9e-6))
    assert encoding_of_scale(device, Cell(levels=16), 3.0) == Differential(device, 16, 3.0)
    assert encoding_of_scale(device, Cell(encoding="offset"), 3.0) == Offset(device, None, 3.0)
