"""Truth: the curves' formulas in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mapping.device import Curve
from sim.devices.curves import evaluate, not_negative

G_MAX = 80e-6
X = np.linspace(1e-3, 1.2, 200)
CURVE: TypeAdapter[Curve] = TypeAdapter(Curve)


def at(content: object, x: np.ndarray = X) -> np.ndarray:
    return evaluate(CURVE.validate_python(content), torch.tensor(x), G_MAX).numpy()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (2.5, np.full_like(X, 2.5)),
        ([3.0, -2.0, 0.0, 0.5], 3.0 - 2.0 * X + 0.5 * X**3),
        (
            {"curve": "clipped-log", "slope": -0.7, "offset": 0.1, "low": 0.2, "high": 2.0},
            np.clip(-0.7 * np.log(X) + 0.1, 0.2, 2.0),
        ),
        ({"curve": "power", "scale": 0.01, "power": 0.65, "limit": 0.2}, np.minimum(0.01 / X**0.65, 0.2)),
        ({"curve": "saturating", "amplitude": 3.0, "scale": 0.2}, 3.0 * (1 - np.exp(-X / 0.2))),
        (
            {
                "curve": "branch",
                "at": 0.3,
                "below": [1.0, 2.0],
                "above": {"curve": "branch", "at": 0.9, "below": 5.0, "above": 6.0},
            },
            np.where(X < 0.3, 1 + 2 * X, np.where(X < 0.9, 5.0, 6.0)),
        ),
        (
            {"curve": "log10-polynomial", "coefficients": [1.0, 2.0, 0.5], "low_siemens": 2e-6, "high_siemens": 70e-6},
            np.polyval([0.5, 2.0, 1.0], np.log10(np.clip(X * G_MAX, 2e-6, 70e-6))),
        ),
    ],
)
def test_a_curve_is_its_formula(content: object, expected: np.ndarray) -> None:
    np.testing.assert_allclose(at(content), expected, rtol=1e-12, atol=1e-14)


def test_the_boundary_of_a_branch_belongs_to_the_upper_part() -> None:
    assert at({"curve": "branch", "at": 0.5, "below": 1.0, "above": 2.0}, np.array([0.5]))[0] == 2.0


@pytest.mark.parametrize(("slope", "expected"), [(-0.0155, 0.1), (0.0155, 0.02), (0.0, 0.05)])
def test_a_dead_device_takes_the_limit_of_the_logarithm(slope: float, expected: float) -> None:
    content = {"curve": "clipped-log", "slope": slope, "offset": 0.05, "low": 0.02, "high": 0.1}
    assert at(content, np.zeros(1))[0] == pytest.approx(expected)


@pytest.mark.parametrize(("power", "expected"), [(0.65, 0.2), (2.0, 0.2), (-1.0, 0.0)])
def test_a_dead_device_takes_the_limit_of_the_power(power: float, expected: float) -> None:
    content = {"curve": "power", "scale": 0.0088, "power": power, "limit": 0.2}
    assert at(content, np.zeros(1))[0] == pytest.approx(expected)


def test_spreads_are_held_at_zero_where_a_fit_falls_below() -> None:
    found = not_negative(CURVE.validate_python([1.0, -2.0]), torch.tensor([0.0, 0.25, 0.75]), G_MAX)
    assert found.tolist() == [1.0, 0.5, 0.0]


numbers = st.floats(-5, 5)
leaves = st.one_of(
    st.lists(numbers, min_size=1, max_size=5),
    st.builds(
        lambda a, b, c, d: {"curve": "clipped-log", "slope": a, "offset": b, "low": min(c, d), "high": max(c, d)},
        *[numbers] * 4,
    ),
    st.builds(lambda a, s: {"curve": "saturating", "amplitude": a, "scale": s}, numbers, st.floats(0.01, 5)),
)
curves = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda at, a, b: {"curve": "branch", "at": at, "below": a, "above": b}, st.floats(0, 1), inner, inner
    ),
    max_leaves=4,
)


@given(curves, st.integers(0, 99))
def test_any_curve_is_finite_leaves_x_alone_and_is_the_same_in_both_precisions(content: object, seed: int) -> None:
    x = torch.rand(20, generator=torch.Generator().manual_seed(seed))
    before = x.clone()
    curve = CURVE.validate_python(content)
    single, double = evaluate(curve, x, G_MAX), evaluate(curve, x.double(), G_MAX)
    assert torch.equal(x, before)
    assert single.dtype == torch.float32
    assert bool(torch.isfinite(double).all())
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-4)


@given(curves)
def test_a_curve_written_down_and_read_again_is_the_same(content: object) -> None:
    curve = CURVE.validate_python(content)
    assert CURVE.validate_python(CURVE.dump_python(curve, mode="json")) == curve
