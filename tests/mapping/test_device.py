"""Truth: device descriptions written here, with what is wrong with each said by hand."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mapping.device import (
    ClippedLog,
    Curve,
    Device,
    GaussianProgramming,
    OneOverFReadNoise,
    Polynomial,
    Relaxation,
    StuckDevices,
    Update,
)

PLAIN: dict[str, Any] = {
    "name": "mine",
    "g_min_siemens": 1e-6,
    "g_max_siemens": 20e-6,
    "programming": {"model": "exact"},
    "drift": {"model": "none"},
    "read_noise": {"model": "none"},
}
CURVE: TypeAdapter[Curve] = TypeAdapter(Curve)
UPDATE: TypeAdapter[Update] = TypeAdapter(Update)
RELAXATION = {"model": "relaxation", "ages_s": [1.0, 10.0], "sigma_siemens": [1e-7, [2e-7, 3e-7]]}
STEP = {"model": "constant-step", "step": 0.01, "w_max": 1.0, "w_min": -1.0}


def with_law(**laws: Any) -> Device:
    return Device.model_validate({**copy.deepcopy(PLAIN), **laws})


def refusal(content: dict[str, Any]) -> str:
    """Key and message of the first finding, the one a user is shown; always one line."""
    with pytest.raises(ValidationError) as error:
        Device.model_validate({**copy.deepcopy(PLAIN), **content})
    finding = error.value.errors()[0]
    assert "\n" not in finding["msg"]
    return f"{'.'.join(str(key) for key in finding['loc'])}: {finding['msg']}"


def test_a_plain_device_is_ohmic_not_pulsed_and_has_nothing_stuck() -> None:
    plain = with_law()
    assert plain.current.model == "ohmic"
    assert plain.update.model == "none"
    assert plain.stuck == StuckDevices(low=0.0, high=0.0, any=0.0)
    assert plain.reference_time_s == 1.0
    assert plain.test_points == ()


@pytest.mark.parametrize(
    ("short", "coefficients"), [(2, (2.0,)), (0.5, (0.5,)), ([1, 2.5], (1.0, 2.5)), ("1e-6", (1e-6,))]
)
def test_a_number_or_a_list_is_a_polynomial(short: Any, coefficients: tuple[float, ...]) -> None:
    assert CURVE.validate_python(short) == Polynomial(coefficients=coefficients)


@pytest.mark.parametrize("wrong", [True, None, {"slope": 1.0}, {}])
def test_anything_else_is_no_curve(wrong: Any) -> None:
    law = {"model": "gaussian", "sigma_siemens": wrong}
    assert refusal({"programming": law}) == (
        "programming.gaussian.sigma_siemens: Value error, expected a number, a list of coefficients, or a table that "
        "names its kind in the key curve"
    )


def test_curves_nest() -> None:
    inner = {"curve": "clipped-log", "slope": 1.0, "offset": 0.0, "low": 0.0, "high": 1.0}
    curve = {"curve": "branch", "at": 0.5, "below": inner, "above": [1.0, 2.0]}
    device = with_law(programming={"model": "gaussian", "sigma_siemens": curve})
    assert isinstance(device.programming, GaussianProgramming)
    assert device.programming.sigma_siemens.below == ClippedLog.model_validate(inner)  # type: ignore[union-attr]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"g_min_siemens": 3e-5}, ": Value error, g_min_siemens 3e-05 and g_max_siemens 2e-05: expected min < max"),
    ({"stuck": {"low": 0.5, "high": 0.4, "any": 0.2}}, "low 0.5, high 0.4 and any 0.2: expected at most 1 together"),
    (
        {"drift": {**RELAXATION, "sigma_siemens": [1e-7]}},
        "sigma_siemens has 1 curves: expected one for each of ages_s",
    ),
    ({"drift": {**RELAXATION, "mean_siemens": [1.0]}}, "mean_siemens has 1 curves: expected one for each of ages_s"),
    ({"drift": {**RELAXATION, "ages_s": [10.0, 1.0]}}, "ages_s [10.0, 1.0]: expected increasing ages"),
    ({"drift": {**RELAXATION, "ages_s": [1.0, 1.0]}}, "ages_s [1.0, 1.0]: expected increasing ages"),
    ({"drift": {**RELAXATION, "ages_s": [0.0, 1.0]}}, "starts at 0: expected ages above 0, or interpolate: linear"),
    ({"drift": {"model": "relaxation", "ages_s": [], "sigma_siemens": []}}, "is empty: expected at least one age"),
    ({"read_noise": {"model": "one-over-f", "read_time_s": 1e-6}}, "neither of relative and sigma_siemens: exp"),
    (
        {"read_noise": {"model": "one-over-f", "read_time_s": 1e-6, "relative": 1.0, "sigma_siemens": 1.0}},
        "both of relative and sigma_siemens: expected exactly one",
    ),
    (
        {
            "programming": {
                "model": "gaussian",
                "sigma_siemens": {"curve": "clipped-log", "slope": 1, "offset": 0, "low": 2, "high": 1},
            }
        },
        "low 2 and high 1: expected low <= high",
    ),
    ({"programming": {"model": "gaussian", "sigma_siemens": []}}, "at least 1 item"),
    ({"programming": {"model": "gaussian", "sigma_siemens": [1, "x"]}}, "sigma_siemens.polynomial.coefficients.1: "),
    ({"programming": {"model": "gaussian", "sigma_siemens": [float("nan")]}}, "finite number"),
    ({"programming": {"model": "polynomial", "coefficients_siemens": [1.0]}}, "'exact', 'gaussian', 'write-verify'"),
    ({"programming": {"model": "gaussian", "sigma_siemens": 1, "device_to_device": 1.5}}, "less than or equal to 1"),
    (
        {
            "programming": {
                "model": "write-verify",
                "sigma_siemens": 1,
                "tolerance_siemens": 1e-6,
                "max_attempts": 0,
            }
        },
        "max_attempts: Input should be greater than or equal to 1",
    ),
    ({"current": {"model": "sinh", "scale_volt": 0.0}}, "current.sinh.scale_volt: Input should be greater than 0"),
    ({"current": {"model": "ohmic", "scale_volt": 1.0}}, "current.ohmic.scale_volt: Extra inputs are not permitted"),
    ({"update": {**STEP, "w_min": 0.1}}, "update.constant-step.w_min: Input should be less than or equal to 0"),
    ({"update": {**STEP, "stap": 1}}, "update.constant-step.stap: Extra inputs are not permitted"),
    ({"update": "ecram-mo"}, "update: Input should be a valid dictionary or object"),
]


@pytest.mark.parametrize(("content", "expected"), WRONG)
def test_a_wrong_description_is_refused_in_one_line(content: dict[str, Any], expected: str) -> None:
    assert expected in refusal(content)


def test_shares_that_add_up_to_one_in_decimals_are_accepted() -> None:
    assert with_law(stuck={"low": 0.7, "high": 0.2, "any": 0.1}).stuck.any == 0.1  # 0.7 + 0.2 + 0.1 > 1 in binary


def test_linear_interpolation_may_start_at_zero() -> None:
    drift = with_law(drift={**RELAXATION, "interpolate": "linear", "ages_s": [0.0, 10.0]}).drift
    assert isinstance(drift, Relaxation)
    assert drift.ages_s == (0.0, 10.0)
    assert drift.sigma_siemens == (Polynomial(coefficients=(1e-7,)), Polynomial(coefficients=(2e-7, 3e-7)))
    assert drift.mean_siemens == ()


def test_a_published_value_needs_its_source() -> None:
    point = {"quantity": "current", "conductance_siemens": 1e-6, "expected": 1.0, "relative_tolerance": 0.1}
    assert refusal({"test_points": [point]}) == "test_points.0.source: Field required"
    assert "'read-sigma'" in refusal({"test_points": [{**point, "source": "here", "quantity": "sigma"}]})


positive = st.floats(1e-9, 1e-3)
curves = st.one_of(
    positive,
    st.lists(st.floats(-1e-5, 1e-5), min_size=1, max_size=4),
    st.builds(lambda a, s: {"curve": "saturating", "amplitude": a, "scale": s}, positive, st.floats(0.01, 3)),
)
programmings = st.one_of(
    st.just({"model": "exact"}),
    st.builds(lambda c, d: {"model": "gaussian", "sigma_siemens": c, "device_to_device": d}, curves, st.floats(0, 1)),
    st.builds(
        lambda c, t, n: {"model": "write-verify", "sigma_siemens": c, "tolerance_siemens": t, "max_attempts": n},
        curves,
        positive,
        st.integers(1, 99),
    ),
)
noises = st.one_of(
    st.builds(lambda c, t: {"model": "white", "sigma_siemens": c, "read_time_s": t}, curves, positive),
    st.builds(lambda c, t: {"model": "one-over-f", "relative": c, "read_time_s": t}, curves, positive),
)


@given(programmings, noises, st.lists(curves, min_size=1, max_size=3), curves, curves)
def test_a_device_written_down_and_read_again_is_the_same(
    programming: Any, noise: Any, spreads: list[Any], second: Any, third: Any
) -> None:
    device = with_law(
        programming=programming,
        read_noise=noise,
        drift={"model": "relaxation", "ages_s": [10.0**i for i in range(len(spreads))], "sigma_siemens": spreads},
        current={
            "model": "polynomial",
            "second_ampere_per_volt2": second,
            "third_ampere_per_volt3": third,
            "largest_volt": 0.5,
        },
        update=STEP,
    )
    assert Device.model_validate(device.model_dump(mode="json")) == device
    assert Device.model_validate(device.model_dump()) == device


def test_a_polynomial_is_written_as_the_list_it_is_read_from() -> None:
    law = OneOverFReadNoise(model="one-over-f", read_time_s=1e-6, relative=CURVE.validate_python([1.0, 2.0]))
    assert law.model_dump(mode="json")["relative"] == [1.0, 2.0]


def test_update_laws_are_told_apart_by_their_model() -> None:
    assert UPDATE.validate_python(STEP).model == "constant-step"
    assert UPDATE.validate_python({"model": "none"}).model == "none"
