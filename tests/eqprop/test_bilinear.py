"""Truth: the whole coupling matrix W written out, its eigenvalues, and a direct solve of (1 - W) x = b + P c."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eqprop import EnergyNetwork, FixedPoint, LowRank, estimators, models
from eqprop.data import load
from eqprop.models.bilinear import coupling_norm
from eqprop.training import TrainingSettings, train

SMALL = {"modules": 5, "units": 24, "rank": 3, "size": 4, "classes": 3}
ORDERS = ("coloured", "odd-even", "synchronous")


def rows(network: EnergyNetwork) -> dict[str, slice]:
    """Where each free layer lies in the stacked state."""
    found, start = {}, 0
    for name in network.free:
        found[name] = slice(start, start + network.layers[name].size)
        start = found[name].stop
    return found


def coupling_matrix(network: EnergyNetwork) -> Tensor:
    """W, block by block from the weights: W_kl = U V^T (or the dense weight) and its transpose on the other side."""
    places = rows(network)
    size = max(place.stop for place in places.values())
    W = torch.zeros(size, size, dtype=torch.float64)
    for edge in network.edges:
        if edge.pre in places:
            weight = network.coupling(edge.name).effective_weight().double()
            W[places[edge.post], places[edge.pre]] += weight
            W[places[edge.pre], places[edge.post]] += weight.T
    return W


def solved(network: EnergyNetwork, x: Tensor) -> dict[str, Tensor]:
    """x = (1 - W)^-1 (b + P c), by free layer."""
    W = coupling_matrix(network)
    places = rows(network)
    drive = torch.zeros(len(x), len(W), dtype=torch.float64)
    for name, place in places.items():
        drive[:, place] = network.biases[name].detach()
    drive[:, places["h1"]] += x.flatten(1) @ network.coupling("input_h1").effective_weight().T
    states = torch.linalg.solve(torch.eye(len(W), dtype=torch.float64) - W, drive.T).T
    return {name: states[:, place] for name, place in places.items()}


def images(network: EnergyNetwork, count: int, scale: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(count, *network.input_shape, dtype=torch.float64, generator=generator)


def test_the_default_has_eleven_couplings_of_rank_16_between_eight_modules_of_512() -> None:
    network = models.build("bilinear")
    low_rank = {e.name: (e.pre, e.post) for e in network.edges if isinstance(network.coupling(e.name), LowRank)}
    chain = [(f"h{k}", f"h{k + 1}") for k in range(1, 8)]
    skips = [("h1", "h8"), ("h2", "h7"), ("h3", "h6"), ("h4", "h5")]
    assert sorted(low_rank.values()) == sorted(chain + skips)
    assert len(low_rank) == 11
    assert sum(p.numel() for name in low_rank for p in network.coupling(name).parameters()) == 11 * 16 * 1024
    dense = {(e.pre, e.post) for e in network.edges} - set(low_rank.values())
    assert dense == {("input", "h1"), ("h8", "output")}
    assert network.cost.config() == {"layer": "output"}
    for k in range(1, 9):
        layer = network.layers[f"h{k}"]
        assert (layer.shape, layer.clip, layer.stiffness) == ((512,), (-2.5, 2.5), 1.0)
    assert network.layers["output"].clip == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("modules", "skips"),
    [(1, []), (2, [(1, 2)]), (3, [(1, 3)]), (4, [(1, 4), (2, 3)]), (7, [(1, 7), (2, 6), (3, 5)])],
)
def test_module_k_is_joined_with_its_mirror_image_and_no_module_with_itself(
    modules: int, skips: list[tuple[int, int]]
) -> None:
    network = models.build("bilinear", modules=modules, units=4, rank=2, size=2)
    found = [(e.pre, e.post) for e in network.edges if e.name.endswith("_skip")]
    assert found == [(f"h{a}", f"h{b}") for a, b in skips]
    chain = [(e.pre, e.post) for e in network.edges if e.name == f"{e.pre}_{e.post}"]
    expected = [("input", "h1"), *((f"h{k}", f"h{k + 1}") for k in range(1, modules)), (f"h{modules}", "output")]
    assert chain == expected


def test_the_default_is_strongly_convex() -> None:
    """4106 states, one dense eigenvalue solve: mu = 1 - 0.8418."""
    network = models.build("bilinear")
    eigenvalues = torch.linalg.eigvalsh(coupling_matrix(network).float())  # half the time, and 1e-5 is enough
    assert 0.84 <= eigenvalues.abs().max() <= 0.85


@settings(max_examples=60)
@given(
    modules=st.integers(1, 7),
    units=st.integers(1, 20),
    rank=st.integers(1, 8),
    classes=st.integers(2, 5),
    cost=st.sampled_from(["squared-error", "cross-entropy"]),
    seed=st.integers(0, 2**20),
)
def test_every_start_is_strongly_convex(**arguments: int) -> None:
    network = models.build("bilinear", size=2, **arguments)
    if len(network.edges) == 1:
        return  # one module and a readout: nothing to scale
    assert 0.84 <= torch.linalg.eigvalsh(coupling_matrix(network)).abs().max() <= 0.85


def test_the_power_iteration_comes_to_the_norm_from_below() -> None:
    network = models.build("bilinear", **SMALL).double()
    truth = torch.linalg.eigvalsh(coupling_matrix(network)).abs().max().item()
    assert truth * (1 - 1e-3) <= coupling_norm(network) <= truth * (1 + 1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relaxation_from_zeros_ends_at_the_direct_solution(seed: int, order: str) -> None:
    network = models.build("bilinear", seed=seed, **SMALL).double()
    x = images(network, 6, 0.3)
    found = network.relax(x, dynamics=FixedPoint(order, 1000, 1e-13))
    truth = solved(network, x)
    assert found.converged
    assert max(state.abs().max().item() for state in truth.values()) < 2.5
    for name, state in truth.items():
        torch.testing.assert_close(found.states[name], state, rtol=0.0, atol=1e-11)


def test_against_the_rails_there_is_still_one_equilibrium_and_it_is_another() -> None:
    """Clipped units hold still and drive the others: any start and order ends there."""
    network = models.build("bilinear", **SMALL).double()
    x = images(network, 6, 3.0)
    first = network.relax(x, dynamics=FixedPoint("coloured", 1000, 1e-13))
    generator = torch.Generator().manual_seed(1)
    start = {
        name: 5 * torch.rand(6, network.layers[name].size, dtype=torch.float64, generator=generator) - 2.5
        for name in network.free
    }
    second = network.relax(x, start=start, dynamics=FixedPoint("synchronous", 2000, 1e-13))
    clipped = sum(int((first.states[name].abs() == 2.5).sum()) for name in network.free)
    assert clipped > 10
    truth = solved(network, x)
    for name in network.free:
        torch.testing.assert_close(second.states[name], first.states[name], rtol=0.0, atol=1e-11)
    assert (first.states["h1"] - truth["h1"]).abs().max() > 0.1


def test_a_few_steps_of_training_lower_the_loss() -> None:
    network = models.build("bilinear", modules=4, size=8, width=1 / 16)
    digits = load("digits", "train", None).take(256)
    records = train(network, digits, TrainingSettings(epochs=4, batch_size=16, learning_rate=0.05))
    assert records[-1].loss < 0.7 * records[0].loss
    assert records[-1].accuracy > 0.8
    assert records[-1].unconverged == 0


def test_every_parameter_gets_a_gradient() -> None:
    network = models.build("bilinear", **SMALL).double()
    estimators.get("symmetric", 0.1)(network, images(network, 4, 1.0), torch.tensor([0, 1, 2, 0]))
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_width_multiplies_units_and_a_rank_never_exceeds_them() -> None:
    narrow = models.build("bilinear", width=1 / 64, size=8)
    assert narrow.layers["h3"].shape == (8,)
    assert narrow.coupling("h1_h2").config()["rank"] == 8
    assert models.build("bilinear", units=40, width=0.5, size=8).layers["h3"].shape == (20,)


def test_an_activation_takes_the_place_of_the_rails() -> None:
    network = models.build("bilinear", **SMALL, activation="hard-sigmoid")
    assert {network.layers[f"h{k}"].clip for k in range(1, 6)} == {(0.0, 1.0)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modules": 0}, "modules 0: expected at least 1"),
        ({"rank": 0}, "rank 0: expected >= 1"),
        ({"blocks": 3}, "model 'bilinear': no option blocks: expected modules, rank, units"),
        ({"cost": "hinge"}, "cost 'hinge': expected"),
        ({"activation": "tanh"}, "activation 'tanh'"),
        ({"name": "mlp", "modules": 3}, "model 'mlp': no option modules: expected none"),
    ],
)
def test_impossible_substrates_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build(**{"name": "bilinear", "size": 4, "width": 1 / 64, **arguments})
