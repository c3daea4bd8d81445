"""Truth: Kirchhoff's laws at every node (tests/truths/nodal.py), series resistors by hand, and badcrossbar if there."""

from typing import Any

import nodal
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.wire_models import change_bound, closed_form, noise_operands
from sim.wires import asymmetry, effective_conductance

G_MAX = 25e-6
ENDS = ("near", "far")
DIRECTIONS = ("forward", "transposed")

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
segments = st.sampled_from([0.0, 1e-3, 0.7, 2.5, 40.0])
terminals = st.sampled_from([0.0, 1.0, 1000.0])
seeds = st.integers(0, 2**32 - 1)


@st.composite
def wirings(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "row_resistance_ohm": draw(segments),
        "column_resistance_ohm": draw(segments),
        "driver_resistance_ohm": draw(terminals),
        "sense_resistance_ohm": draw(terminals),
        "direction": draw(st.sampled_from(DIRECTIONS)),
        "driven_end": draw(st.sampled_from(ENDS)),
        "sensed_end": draw(st.sampled_from(ENDS)),
    }


def devices(shape: tuple[int, ...], seed: int, g_max: float = G_MAX, faulty: bool = False) -> torch.Tensor:
    """Random conductances above g_max / 100; faulty ones are open (0 S) or stuck a hundred times too high."""
    rng = np.random.default_rng(seed)
    conductance = rng.uniform(0.01, 1.0, shape) * g_max
    if faulty:
        conductance[rng.random(shape) < 0.15] = 0.0
        conductance[rng.random(shape) < 0.1] = 100 * g_max
    return torch.from_numpy(conductance)


def uniform_wires(ohm: float) -> dict[str, Any]:
    return {"row_resistance_ohm": ohm, "column_resistance_ohm": ohm}


def same(found: torch.Tensor, expected: np.ndarray, relative: float, floor: float = 1e-14) -> None:
    """Every entry to ``relative``, down to ``floor`` of the largest one."""
    np.testing.assert_allclose(found.numpy(), expected, rtol=relative, atol=floor * np.abs(expected).max())


@settings(max_examples=150)
@given(sizes, seeds, wirings())
def test_any_array_obeys_kirchhoff(size: tuple[int, int], seed: int, wires: dict[str, Any]) -> None:
    conductance = devices(size, seed, g_max=1e-3, faulty=True)
    found = effective_conductance(conductance, **wires)
    same(found, nodal.effective_conductance(conductance.numpy(), **wires), relative=1e-9)


@pytest.mark.parametrize("shape", [(64, 48), (48, 64)])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_large_array_with_heavy_loss_obeys_kirchhoff(shape: tuple[int, int], direction: str) -> None:
    conductance = devices(shape, seed=0, g_max=1e-4)
    wires = {**uniform_wires(5.0), "driver_resistance_ohm": 50.0, "direction": direction}
    found = effective_conductance(conductance, **wires)
    assert found.sum() < 0.65 * conductance.sum()
    same(found, nodal.effective_conductance(conductance.numpy(), **wires), relative=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_one_device_is_four_resistors_in_series(direction: str) -> None:
    found = effective_conductance(
        torch.tensor([[1e-3]], dtype=torch.float64),
        row_resistance_ohm=10.0,
        column_resistance_ohm=20.0,
        driver_resistance_ohm=300.0,
        sense_resistance_ohm=70.0,
        direction=direction,  # type: ignore[arg-type]
    )
    assert found.item() == pytest.approx(1 / (1000 + 10 + 20 + 300 + 70), rel=1e-14)


@pytest.mark.parametrize(
    ("direction", "driven_end", "sensed_end", "row_segments", "column_segments"),
    [
        ("forward", "near", "near", 2, 4),
        ("forward", "far", "near", 4, 4),
        ("forward", "near", "far", 2, 2),
        ("transposed", "near", "near", 2, 4),
        ("transposed", "far", "near", 2, 2),
        ("transposed", "near", "far", 4, 4),
    ],
)
def test_a_lone_device_counts_its_segments(
    direction: Any, driven_end: Any, sensed_end: Any, row_segments: int, column_segments: int
) -> None:
    """The only device of a 5 x 5 array is in row 1, column 1: two crosspoints from the left, four from below."""
    conductance = torch.zeros(5, 5, dtype=torch.float64)
    conductance[1, 1] = 1e-3
    found = effective_conductance(
        conductance,
        row_resistance_ohm=10.0,
        column_resistance_ohm=100.0,
        direction=direction,
        driven_end=driven_end,
        sensed_end=sensed_end,
    )
    expected = np.zeros((5, 5))
    expected[1, 1] = 1 / (1000 + 10 * row_segments + 100 * column_segments)
    same(found, expected, relative=1e-13)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_ideal_wires_show_the_devices_themselves(direction: Any) -> None:
    conductance = devices((7, 5), seed=0, faulty=True)
    found = effective_conductance(conductance, **uniform_wires(0.0), direction=direction)
    assert torch.equal(found, conductance)


@pytest.mark.parametrize("ohm", [1e-300, 1e-6, 1e6])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 8), (8, 1)])
def test_extreme_wires_against_80_bit_arithmetic(ohm: float, shape: tuple[int, int]) -> None:
    conductance = devices(shape, seed=1, g_max=1e-3, faulty=True)
    found = effective_conductance(conductance, **uniform_wires(ohm))
    same(found, nodal.effective_conductance(conductance.numpy(), **uniform_wires(ohm), precise=True), relative=1e-12)


@pytest.mark.parametrize("ohm", [1e-6, 1e6])
def test_extreme_wires_of_a_large_array_stay_finite_and_positive(ohm: float) -> None:
    conductance = devices((128, 96), seed=1, g_max=1e-3)
    found = effective_conductance(conductance, **uniform_wires(ohm))
    assert torch.isfinite(found).all()
    assert found.min() >= 0.0
    assert found.max() > 0.0
    if ohm < 1.0:  # the loss is of the order of ohm * sum of a line's devices * segments
        assert ((1 - found / conductance).abs() < ohm * 0.1 * 256).all()
    else:  # whatever flows from the lower left corner passes at least two segments
        assert found.max() <= 1 / (2 * ohm)


@settings(max_examples=50)
@given(sizes, seeds, wirings())
def test_the_other_direction_only_exchanges_driver_and_sense(
    size: tuple[int, int], seed: int, wires: dict[str, Any]
) -> None:
    conductance = devices(size, seed, g_max=1e-3, faulty=True)
    back = dict(wires)
    back["direction"] = "transposed" if wires["direction"] == "forward" else "forward"
    for one, other in (("driver_resistance_ohm", "sense_resistance_ohm"), ("driven_end", "sensed_end")):
        back[one], back[other] = wires[other], wires[one]
    one, other = (effective_conductance(conductance, **kind) for kind in (wires, back))
    same(one, other.numpy(), relative=1e-12)
    same(one, nodal.effective_conductance(conductance.numpy(), **back), relative=1e-9)


def test_only_other_ends_break_the_symmetry() -> None:
    conductance = devices((64, 64), seed=0)
    reads = {
        (direction, driven, sensed): effective_conductance(
            conductance, **uniform_wires(1.0), direction=direction, driven_end=driven, sensed_end=sensed
        )
        for direction in DIRECTIONS
        for driven in ENDS
        for sensed in ENDS
    }
    forward = reads["forward", "near", "near"]
    assert asymmetry(forward, reads["transposed", "near", "near"]) < 1e-12
    for ends in (("far", "near"), ("near", "far"), ("far", "far")):
        assert 0.005 < asymmetry(forward, reads["transposed", *ends]) < 0.1  # measured 0.018, 0.018, 0.025


def test_asymmetry_is_a_relative_norm() -> None:
    matrix = torch.tensor([[3.0, 4.0]])
    assert asymmetry(matrix, matrix) == 0.0
    assert asymmetry(matrix, torch.tensor([[3.0, 5.0]])) == pytest.approx(0.2)
    assert asymmetry(0 * matrix, 0 * matrix) == 0.0


@settings(max_examples=50)
@given(sizes, seeds, wirings(), st.sampled_from(["row", "column", "driver", "sense"]))
def test_more_resistance_lets_less_through(size: tuple[int, int], seed: int, wires: dict[str, Any], grown: str) -> None:
    """Rayleigh's monotonicity, for the current from all rows together into all columns."""
    conductance = devices(size, seed, g_max=1e-3, faulty=True)
    more = {**wires, f"{grown}_resistance_ohm": wires[f"{grown}_resistance_ohm"] + 1.0}
    less_current, current = (effective_conductance(conductance, **kind).sum() for kind in (more, wires))
    assert less_current <= current * (1 + 1e-12)
    assert current <= conductance.sum() * (1 + 1e-12)
    if conductance.sum() > 0:
        assert less_current < current


def test_results_do_not_depend_on_threads() -> None:
    conductance = devices((5, 70, 33), seed=0).float()
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(effective_conductance(conductance, **uniform_wires(2.0)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("shape", [(2, 3, 100, 60), (3, 50, 4, 5)])
def test_a_batch_is_its_crossbars_one_by_one(shape: tuple[int, ...]) -> None:
    conductance, counts = devices(shape, seed=0), []
    together = effective_conductance(conductance, **uniform_wires(2.0), on_tile=counts.append)
    assert sum(counts) == shape[0] * shape[1]
    alone = torch.stack([effective_conductance(tile, **uniform_wires(2.0)) for tile in conductance.flatten(0, 1)])
    same(together, alone.view(shape).numpy(), relative=1e-13)


def test_the_dtype_of_the_devices_is_kept_and_float64_is_used_inside() -> None:
    conductance = devices((40, 30), seed=0)
    single = conductance.float()
    found = effective_conductance(single, **uniform_wires(2.0))
    assert found.dtype == torch.float32
    assert torch.equal(found, effective_conductance(single.double(), **uniform_wires(2.0)).float())
    assert torch.equal(single, conductance.float())  # read, not written


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same() -> None:
    conductance = devices((3, 40, 30), seed=0)
    found = effective_conductance(conductance.cuda(), **uniform_wires(2.0))
    assert found.is_cuda
    same(found.cpu(), effective_conductance(conductance, **uniform_wires(2.0)).numpy(), relative=1e-12)
    noise = [noise_operands(part, part**2, **uniform_wires(2.0)) for part in (conductance.cuda(), conductance)]
    drive = torch.ones(1, 40, dtype=torch.float64)
    same(noise[0].variance(drive.cuda()).cpu(), noise[1].variance(drive).numpy(), relative=1e-10)


@pytest.mark.parametrize("name", ["row", "column", "driver", "sense"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_resistances_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}_resistance_ohm {value}"):
        effective_conductance(torch.ones(2, 2), **{**uniform_wires(1.0), f"{name}_resistance_ohm": value})


@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
def test_impossible_conductances_are_refused(value: float) -> None:
    bad = torch.full((2, 2), value, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^conductance"):
        effective_conductance(bad, **uniform_wires(1.0))
    with pytest.raises(ValueError, match=r"^conductance"):
        closed_form(bad, **uniform_wires(1.0))
    with pytest.raises(ValueError, match=r"^variance"):
        noise_operands(torch.ones(2, 2), bad, **uniform_wires(1.0))
    with pytest.raises(ValueError, match=r"^new"):
        change_bound(torch.ones(2, 2), bad)


def test_other_nonsense_is_refused() -> None:
    good = torch.ones(2, 2)
    for shape in [(3,), (0, 3), (2, 3, 0)]:
        with pytest.raises(ValueError, match=r"conductance of shape \["):
            effective_conductance(torch.ones(shape), **uniform_wires(1.0))
    for name in ("direction", "driven_end", "sensed_end"):
        with pytest.raises(ValueError, match=f"{name} 'left': expected"):
            effective_conductance(good, **uniform_wires(1.0), **{name: "left"})
    with pytest.raises(ValueError, match="terms -1"):
        noise_operands(good, good, **uniform_wires(1.0), terms=-1)
    with pytest.raises(ValueError, match=r"variance of shape \[2, 3\]"):
        noise_operands(good, torch.ones(2, 3), **uniform_wires(1.0))
    with pytest.raises(ValueError, match=r"new of shape \[2, 3\]"):
        change_bound(good, torch.ones(2, 3))


def test_badcrossbar_agrees() -> None:
    badcrossbar = pytest.importorskip("badcrossbar", reason="badcrossbar is an optional peer, not a dependency")
    conductance = devices((24, 17), seed=3)
    solution = badcrossbar.compute(
        np.eye(24), (1 / conductance).numpy(), r_i_word_line=2.0, r_i_bit_line=3.0, node_voltages=False
    )
    found = effective_conductance(conductance, row_resistance_ohm=2.0, column_resistance_ohm=3.0)
    same(found, np.asarray(solution.currents.output), relative=1e-9)


def test_the_closed_form_is_right_to_first_order_for_equal_devices() -> None:
    conductance = torch.full((9, 6), 1e-5, dtype=torch.float64)
    wires = {"row_resistance_ohm": 1e-2, "column_resistance_ohm": 3e-2}
    exact = nodal.effective_conductance(conductance.numpy(), **wires)
    same(conductance - closed_form(conductance, **wires), conductance.numpy() - exact, relative=1e-3)


@pytest.mark.parametrize(("ohm", "limit"), [(1.0, 0.005), (5.0, 0.05)])
def test_the_closed_form_of_random_devices_is_near(ohm: float, limit: float) -> None:
    conductance = devices((64, 64), seed=0)
    exact = effective_conductance(conductance, **uniform_wires(ohm))
    error = asymmetry(exact, closed_form(conductance, **uniform_wires(ohm)))
    assert error < limit
    assert error < 0.2 * asymmetry(exact, conductance)


@settings(max_examples=60)
@given(sizes, seeds, wirings(), st.sampled_from([1e-3, 0.1, 0.9, 3.0]))
def test_no_change_of_the_devices_moves_more_than_the_bound(
    size: tuple[int, int], seed: int, wires: dict[str, Any], most: float
) -> None:
    old = devices(size, seed, g_max=1e-3, faulty=True)
    rng = np.random.default_rng(seed)
    factor = torch.from_numpy(1 + rng.choice([-1.0, 1.0, 0.5], size) * most).clamp(min=0.0)
    bound, eps = change_bound(old, old * factor)
    assert float(eps) <= most * (1 + 1e-9)
    moved = effective_conductance(old * factor, **wires) - effective_conductance(old, **wires)
    assert (moved.abs() <= bound * (1 + 1e-9)).all()
    driven, sensed = (torch.from_numpy(rng.normal(size=(20, lines))) for lines in moved.shape)
    whole = ((driven**2 @ old).sum(1) * (sensed**2 @ old.T).sum(1)).sqrt()
    assert ((driven @ moved * sensed).sum(1).abs() <= eps * whole * (1 + 1e-9)).all()


def test_the_bound_is_reached_and_knows_its_limits() -> None:
    one = torch.tensor([[2e-6]], dtype=torch.float64)
    bound, eps = change_bound(one, 1.5 * one)
    assert bound.item() == pytest.approx(1e-6)  # ideal wires move by exactly that
    assert eps.item() == pytest.approx(0.5)
    old = devices((2, 4, 3), seed=0)
    bound, eps = change_bound(old, torch.stack([old[0], 1.1 * old[1]]))
    assert eps.tolist() == pytest.approx([0.0, 0.1])
    assert (bound[0] == 0.0).all()
    assert torch.isinf(change_bound(0 * one, one)[0]).all()


@settings(max_examples=40)
@given(st.integers(1, 6), seeds, wirings())
def test_noise_of_a_lone_sensed_line_is_exact_with_enough_terms(lines: int, seed: int, wires: dict[str, Any]) -> None:
    """One sensed line has no neighbours, and as many polynomials as crosspoints fit every lift."""
    shape = (lines, 1) if wires["direction"] == "forward" else (1, lines)
    conductance = devices(shape, seed, g_max=1e-3)
    variance = devices(shape, seed + 1, g_max=1e-10)
    drive = np.random.default_rng(seed).normal(size=(3, lines))
    operands = noise_operands(conductance, variance, **wires, terms=lines)
    found = operands.variance(torch.from_numpy(drive), wires["direction"])
    same(found, nodal.noise_variance(conductance.numpy(), variance.numpy(), drive, **wires), relative=1e-7, floor=1e-9)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("driven_end", ENDS)
@pytest.mark.parametrize("sensed_end", ENDS)
def test_noise_through_wires_is_near_the_sum_over_all_devices(direction: Any, driven_end: Any, sensed_end: Any) -> None:
    shape, driven = (40, 32), 40 if direction == "forward" else 32
    conductance = devices(shape, seed=0, g_max=1e-4)
    # Noisier towards one corner: lines in the wrong order must show.
    ramps = [torch.logspace(0, 1, size, dtype=torch.float64) for size in shape]
    variance = (0.02 * conductance + 1e-7) ** 2 * torch.outer(*ramps)
    rng = np.random.default_rng(1)
    drive = np.stack([rng.random(driven), rng.normal(size=driven), rng.random(driven) * (rng.random(driven) < 0.2)])
    wires = {
        **uniform_wires(2.5),
        "driver_resistance_ohm": 20.0,
        "direction": direction,
        "driven_end": driven_end,
        "sensed_end": sensed_end,
    }
    exact = nodal.noise_variance(conductance.numpy(), variance.numpy(), drive, **wires)
    errors = []
    for terms in (0, 1, 2, 3):
        operands = noise_operands(conductance, variance, **wires, terms=terms)
        found = operands.variance(torch.from_numpy(drive), direction).numpy()
        errors.append(np.abs(found / exact - 1).max())
    assert errors[3] < 0.01
    assert errors[3] < errors[1] < errors[0]
    squares = variance.numpy() if direction == "forward" else variance.numpy().T
    assert np.abs(drive**2 @ squares / exact - 1).max() > 0.2  # what leaving out the wires would cost


def test_noise_operands_of_ideal_wires_are_the_variances() -> None:
    conductance = devices((2, 6, 4), seed=0)
    variance = conductance.square()
    for direction, sensed in (("forward", 4), ("transposed", 6)):
        operands = noise_operands(conductance, variance, **uniform_wires(0.0), direction=direction)  # type: ignore[arg-type]
        assert torch.equal(operands.squared, variance)
        assert operands.linear.shape == operands.cross.shape == (2, 3, 6, 4)
        assert not operands.linear.any()
        assert operands.gram.shape == (2, 3, 3, sensed)


def test_devices_without_noise_make_none() -> None:
    conductance = devices((6, 4), seed=0)
    variance = conductance.square()
    variance[:, 2] = 0.0
    found = noise_operands(conductance, variance, **uniform_wires(10.0)).variance(torch.ones(1, 6, dtype=torch.float64))
    assert found[0, 2] == 0.0
    assert (found[0, [0, 1, 3]] > 0.0).all()
