"""Truth: each law's recursion in closed form without noise, and the moments of its formula in numpy with noise."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.device import PulsedUpdate, UpdatePreset
from sim.devices import pulses
from sim.devices.pulses import Responses
from tests.sim.devices.built_in import names, update

DRAWS = 100_000
ONE = torch.ones(1)


def law(model: str, **keys: Any) -> PulsedUpdate:
    content = {"model": model, "step": 0.01, "w_max": 1.0, "w_min": -1.0, **keys}
    found = UpdatePreset.model_validate({"name": "test", "source": "here", "update": content}).update
    assert isinstance(found, PulsedUpdate)
    return found


def exp_step(**keys: Any) -> PulsedUpdate:
    """The exponential step of Gong et al. 2018, without chance."""
    shape = {
        "amplitude_up": -1.18445,
        "amplitude_down": -0.081404,
        "exponent_up": 5.0,
        "exponent_down": 4.0,
        "slope": -0.5,
        "offset": -0.3,
    }
    return law("exp-step", **{**shape, **keys})


def drawn(update: PulsedUpdate, count: int = DRAWS, seed: int = 0) -> Responses:
    return pulses.draw(update, (count,), torch.Generator().manual_seed(seed))


def train(update: PulsedUpdate, start: float, direction: int, count: int) -> list[float]:
    """Weights of one device after each of ``count`` equal pulses."""
    generator = torch.Generator()
    responses, w, path = pulses.draw(update, (1,), generator), start * ONE, []
    for _ in range(count):
        path.append(pulses.pulse_(update, responses, w, direction * ONE, generator).item())
    return path


def once(update: PulsedUpdate, start: float, direction: int, seed: int = 1) -> np.ndarray:
    """Changes of many devices, all at ``start``, by one pulse."""
    w, generator = torch.full((DRAWS,), start), torch.Generator().manual_seed(seed)
    pulses.pulse_(update, drawn(update), w, torch.full((DRAWS,), direction), generator)
    return w.double().numpy() - start


@pytest.mark.parametrize("direction", [1, -1])
def test_constant_steps_add_up_to_the_bound(direction: int) -> None:
    path = train(law("constant-step", step=0.03), 0.1 * direction, direction, 40)
    expected = np.minimum(0.1 + 0.03 * np.arange(1, 41), 1.0) * direction
    np.testing.assert_allclose(path, expected, atol=1e-5)


@pytest.mark.parametrize(("direction", "gamma", "bound"), [(1, 0.4, 1.2), (-1, 0.7, -0.8)])
def test_linear_steps_are_a_geometric_series(direction: int, gamma: float, bound: float) -> None:
    linear = law("linear-step", gamma_up=0.4, gamma_down=0.7, w_max=1.2, w_min=-0.8)
    path = train(linear, 0.0, direction, 60)
    # w_(k+1) = w_k + s (1 - gamma w_k / bound), s signed: w_n = bound / gamma (1 - (1 - s gamma / bound)^n).
    n = np.arange(1, 61)
    expected = bound / gamma * (1 - (1 - direction * 0.01 * gamma / bound) ** n)
    np.testing.assert_allclose(path, expected, rtol=1e-4)


@pytest.mark.parametrize(("direction", "bound"), [(1, 1.25), (-1, -0.75)])
def test_soft_bounds_are_approached_exponentially(direction: int, bound: float) -> None:
    path = np.array(train(law("soft-bounds", w_max=1.25, w_min=-0.75), 0.0, direction, 800))
    n = np.arange(1, 801)
    np.testing.assert_allclose(path, bound * (1 - (1 - 0.01 / abs(bound)) ** n), rtol=1e-3)
    np.testing.assert_allclose(path, bound * (1 - np.exp(-0.01 / abs(bound) * n)), atol=0.005)  # its limit
    assert (np.abs(path) <= abs(bound)).all()


@pytest.mark.parametrize("direction", [1, -1])
def test_exponential_steps_follow_their_formula(direction: int) -> None:
    path = train(exp_step(w_min=-0.6), 0.05, direction, 60)
    w = 0.05
    for found in path:
        z = 2 * -0.5 * w / 1.6 - 0.3
        amplitude, exponent = (-1.18445, 5.0) if direction > 0 else (-0.081404, 4.0)
        w += direction * 0.01 * max(1 - amplitude * np.exp(direction * exponent * z), 0.0)
        w = min(max(w, -0.6), 1.0)
        assert found == pytest.approx(w, abs=1e-5)


def test_an_exponential_step_never_turns_round() -> None:
    stopped = exp_step(amplitude_up=2.0, exponent_up=0.0)  # 1 - 2 < 0
    assert train(stopped, 0.2, 1, 3) == pytest.approx([0.2] * 3)


def test_asymmetry_is_taken_off_one_direction() -> None:
    for asymmetry, up, down in ((0.25, 0.01, 0.0075), (-0.25, 0.0075, 0.01), (0.0, 0.01, 0.01)):
        responses = drawn(law("constant-step", asymmetry=asymmetry), 1)
        assert (responses.up.item(), responses.down.item()) == pytest.approx((up, down))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(
    ("update", "size"),
    [
        (law("constant-step", step_noise=0.6), 0.006),
        (law("linear-step", gamma_up=0.5, gamma_down=0.5, step_noise=0.6, noise="additive"), 0.006),
        (law("linear-step", gamma_up=0.5, gamma_down=0.5, step_noise=0.6, noise="multiplicative"), None),
        (law("soft-bounds", step_noise=0.6, noise="additive"), 0.006),
        (law("soft-bounds", step_noise=0.6, noise="multiplicative"), None),
        (exp_step(step_noise=0.6), None),
    ],
)
def test_the_noise_of_a_pulse_is_additive_or_a_fraction_of_its_step(
    update: PulsedUpdate, size: float | None, direction: int
) -> None:
    mean = train(update.model_copy(update={"step_noise": 0.0}), 0.4, direction, 1)[0] - 0.4
    deviation = 0.6 * abs(mean) if size is None else size
    changes = once(update, 0.4, direction)
    assert changes.mean() == pytest.approx(mean, abs=5 * deviation / DRAWS**0.5 + 1e-7)
    assert changes.std() == pytest.approx(deviation, rel=5 / (2 * DRAWS) ** 0.5 + 1e-4)


def test_the_noise_of_phase_change_memory_grows_with_the_weight() -> None:
    pcm = exp_step(step_noise=0.5, noise_constant=0.02, noise_slope=0.1)
    mean = train(exp_step(), 0.4, 1, 1)[0] - 0.4
    deviation = 0.5 * (abs(mean) + 0.02 + 0.1 * 0.4)
    changes = once(pcm, 0.4, 1)
    assert changes.mean() == pytest.approx(mean, abs=5 * deviation / DRAWS**0.5)
    assert changes.std() == pytest.approx(deviation, rel=5 / (2 * DRAWS) ** 0.5 + 1e-4)


def test_devices_spread_as_asked() -> None:
    responses = drawn(
        law("constant-step", step_spread=0.1, asymmetry_spread=0.05, w_max_spread=0.08, w_min_spread=0.12)
    )
    error = 5 / DRAWS**0.5
    gain, lean = (responses.up + responses.down) / 0.02, (responses.up - responses.down) / 0.02
    for found, mean, spread in (
        (gain, 1.0, 0.1),
        (lean, 0.0, 0.05),
        (responses.high, 1.0, 0.08),
        (responses.low, -1.0, 0.12),
    ):
        assert found.mean().item() == pytest.approx(mean, abs=error * spread)
        assert found.std().item() == pytest.approx(spread, rel=error)
    # Four independent numbers a device.
    correlations = np.corrcoef(np.stack([v.numpy() for v in (gain, lean, responses.high, responses.low)]))
    assert np.abs(correlations - np.eye(4)).max() < error


def test_log_normal_steps() -> None:
    logarithm = (drawn(law("constant-step", step_spread=0.7, step_spread_log_normal=True)).up / 0.01).log()
    assert logarithm.mean().item() == pytest.approx(0.0, abs=5 * 0.7 / DRAWS**0.5)
    assert logarithm.std().item() == pytest.approx(0.7, rel=5 / DRAWS**0.5)


def test_spread_of_the_slope_is_mirrored_at_zero() -> None:
    linear = law("linear-step", gamma_up=0.1, gamma_down=0.0, gamma_up_spread=0.2, gamma_down_spread=0.3)
    responses = drawn(linear)
    assert responses.slope_up is not None
    assert responses.slope_down is not None
    expected = np.abs(np.random.default_rng(0).normal(0.1, 0.2, DRAWS))
    assert responses.slope_up.mean().item() == pytest.approx(expected.mean(), abs=6 * 0.2 / DRAWS**0.5)
    assert responses.slope_down.max() <= 0.0


def test_large_spreads_keep_steps_and_bounds_on_their_side() -> None:
    wild = law("constant-step", step_spread=2.0, asymmetry_spread=2.0, w_max_spread=2.0, w_min_spread=2.0)
    responses = drawn(wild)
    assert min(responses.up.min(), responses.down.min(), responses.high.min()) >= 0.0
    assert responses.low.max() <= 0.0


def test_corrupt_devices_do_not_move() -> None:
    corrupt = law("soft-bounds", corrupt={"share": 0.2, "reach": 0.05}, step_noise=0.5, step_spread=0.1)
    responses, generator = drawn(corrupt), torch.Generator().manual_seed(1)
    fixed = responses.low == responses.high
    assert fixed.double().mean().item() == pytest.approx(0.2, abs=5 * (0.16 / DRAWS) ** 0.5)
    w = pulses.start_(corrupt, responses, torch.full((DRAWS,), 0.3))
    places = w[fixed].clone()
    assert places.abs().max() <= 0.05
    assert places.std().item() == pytest.approx(0.05 / 3**0.5, rel=0.03)  # uniform
    pulses.pulse_(corrupt, responses, w, torch.ones(DRAWS), generator)
    assert torch.equal(w[fixed], places)
    assert (w[~fixed] == 0.3).double().mean() < 0.01  # the others do


def test_at_the_symmetry_point_up_and_down_steps_are_equal() -> None:
    keys = {"step_spread": 0.2, "asymmetry_spread": 0.2, "w_max_spread": 0.1, "w_min_spread": 0.1}
    shifted = law("soft-bounds", symmetry_point=True, **keys)
    up, down = (once(shifted, 0.0, direction) for direction in (1, -1))
    np.testing.assert_allclose(up, -down, atol=1e-6)
    unshifted = law("soft-bounds", **keys)
    assert np.abs(once(unshifted, 0.0, 1) + once(unshifted, 0.0, -1)).max() > 1e-3


def test_an_uncertain_reference_shifts_each_device() -> None:
    responses = drawn(law("soft-bounds", symmetry_point=True, reference_spread=0.05))
    assert responses.reference is not None
    assert responses.reference.std().item() == pytest.approx(0.05, rel=0.02)
    torch.testing.assert_close(responses.high, 1.0 - responses.reference)


def test_write_noise_is_on_top_of_a_hidden_weight() -> None:
    noisy = law("constant-step", write_noise=3.0)
    responses, generator = drawn(noisy), torch.Generator().manual_seed(2)
    w = pulses.start_(noisy, responses, torch.full((DRAWS,), 0.2))
    direction = torch.ones(DRAWS)
    direction[::2] = 0
    for _ in range(5):
        pulses.pulse_(noisy, responses, w, direction, generator)
    assert responses.hidden is not None
    np.testing.assert_allclose(responses.hidden[1::2], 0.25, atol=1e-6)
    assert bool((w[::2] == 0.2).all())
    seen = w[1::2] - 0.25
    assert abs(seen.mean().item()) < 5 * 0.03 / (DRAWS / 2) ** 0.5
    assert seen.std().item() == pytest.approx(0.03, rel=5 / DRAWS**0.5)  # not grown by five pulses


def test_weights_written_by_other_means_replace_the_hidden_ones() -> None:
    noisy = law("constant-step", write_noise=3.0)
    responses = drawn(noisy, 3)
    pulses.start_(noisy, responses, torch.zeros(3))
    w = pulses.start_(noisy, responses, torch.tensor([0.5, 7.0, -7.0]))
    assert responses.hidden is not None
    assert w.tolist() == responses.hidden.tolist() == [0.5, 1.0, -1.0]


def test_a_down_pulse_on_a_one_sided_device_is_refused() -> None:
    pcm, generator = update("pcm-onesided"), torch.Generator().manual_seed(0)
    responses, w = pulses.draw(pcm, (3,), generator), torch.zeros(3)
    with pytest.raises(ValueError, match="down pulse on devices that only go up"):
        pulses.pulse_(pcm, responses, w, torch.tensor([1, 0, -1]), generator)
    assert torch.equal(w, torch.zeros(3))
    pulses.pulse_(pcm, responses, w, torch.tensor([1, 0, 1]), generator)
    assert w[1] == 0.0


def test_laws_without_chance_draw_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    linear = law("linear-step", gamma_up=0.1, gamma_down=0.1)
    responses = pulses.draw(linear, (4,), generator)
    pulses.pulse_(linear, responses, torch.zeros(4), torch.ones(4), generator)
    assert torch.equal(generator.get_state(), before)
    assert responses.high.shape == (4,)


@pytest.mark.parametrize("name", names("updates"))
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), shape=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_published_laws_keep_to_their_bounds_and_leave_untouched_devices_alone(
    name: str, seed: int, shape: list[int]
) -> None:
    published, generator = update(name), torch.Generator().manual_seed(seed)
    responses = pulses.draw(published, shape, generator)
    w = pulses.start_(published, responses, torch.zeros(shape))
    lowest = 0 if published.one_sided else -1
    for _ in range(20):
        before = w.clone()
        direction = torch.randint(lowest, 2, shape, generator=generator, dtype=torch.int8)
        assert pulses.pulse_(published, responses, w, direction, generator) is w
        assert torch.equal(w[direction == 0], before[direction == 0])
        held = w if responses.hidden is None else responses.hidden
        assert bool((held <= responses.high).all())
        assert bool((held >= responses.low).all())
        assert bool(torch.isfinite(w).all())


@pytest.mark.parametrize(
    ("name", "up", "down"),
    [
        # Mean step at w = 0 by hand, in weight units.
        ("reram-es", 0.00135 * (1 + 1.18445 * np.exp(-2.5)), -0.00135 * (1 - 0.259359) * (1 + 0.081404 * np.exp(2.5))),
        ("reram-sb", 0.002, -0.002),
        ("ecram-li", 0.002, -0.002),
        ("ecram-mo", 2.8214e-4, -2.8214e-4),
        ("capacitor", 0.005, -0.005),
        ("pcm-onesided", 0.01 * (1 + 27.235), None),
        ("rpu-ideal", 0.0016, -0.0016),
    ],
)
def test_published_steps_at_zero(name: str, up: float, down: float | None) -> None:
    quiet = {"step_noise": 0.0, "write_noise": 0.0, "step_spread": 0.0, "asymmetry_spread": 0.0}
    published = update(name, **quiet)
    assert once(published, 0.0, 1).mean() == pytest.approx(up, rel=1e-3)
    if down is not None:
        assert once(published, 0.0, -1).mean() == pytest.approx(down, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "step", "share"), [("reram-array-om", 0.0949, 0.1348), ("reram-array-hfo2", 0.4622, 0.0977)]
)
def test_published_arrays_have_log_normal_steps_and_corrupt_devices(name: str, step: float, share: float) -> None:
    responses = drawn(update(name, asymmetry_spread=0.0))
    moving = responses.up > 0.0
    assert moving.double().mean().item() == pytest.approx(1 - share, abs=5 * (share * (1 - share) / DRAWS) ** 0.5)
    assert responses.up[moving].median().item() == pytest.approx(step, rel=0.02)
