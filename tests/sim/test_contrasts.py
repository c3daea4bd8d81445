"""Truth: the float products that learning multiplies, in the order of the states, and what sums of samples are."""

import pytest
import torch

import mapping
from eqprop import EnergyNetwork, FixedPoint, models
from eqprop.estimators import Symmetric
from mapping import Target
from mapping.fixed_point import codes_of_layer
from sim import Chip
from sim.learning.contrasts import whole_contrasts
from sim.learning.products import products

SHORT = FixedPoint(max_sweeps=4, tolerance=0.0)


def relaxing(name: str, **options: float) -> EnergyNetwork:
    network = models.build(name, classes=3, size=6, channels=1, **options)
    network.dynamics = SHORT
    return network


def chip_of(network: EnergyNetwork, *settings: str) -> Chip:
    return Chip(mapping.compile(network, Target.load("rram-hfo2", (24, 24), ["controller.state_bits=12", *settings])))


@pytest.mark.parametrize("network", [relaxing("mlp"), relaxing("hopfield-resnet", width=0.1)], ids=["mlp", "resnet"])
def test_times_steps_and_coefficient_it_is_the_products(network: EnergyNetwork) -> None:
    chip, labels = chip_of(network), torch.tensor([0, 2])
    x = torch.rand(2, *network.input_shape, generator=torch.Generator().manual_seed(1))
    estimate = Symmetric(0.25, SHORT)(chip, x, labels)
    states = {beta > 0.0: equilibrium.states for beta, equilibrium in estimate.phases}
    found = whole_contrasts(chip, states[True], states[False])
    assert sorted(found) == sorted(edge.name for edge in network.edges)

    wanted: dict[str, torch.Tensor] = {}
    coefficients: dict[str, float] = {}
    for product in products(chip, estimate, labels, contrast="states"):
        share = product.coefficient * (product.x.double().T @ product.y.double())
        wanted[product.matrix] = wanted.get(product.matrix, torch.zeros_like(share)) + share
        coefficients[product.matrix] = abs(product.coefficient)
    assert any(change.any() for change in wanted.values())
    for edge in network.edges:
        steps = [codes.step for codes in (codes_of_layer(chip.mapping, end) for end in (edge.pre, edge.post)) if codes]
        scale = coefficients[edge.name] * steps[0] * steps[1]
        assert found[edge.name].dtype == torch.int64
        torch.testing.assert_close(found[edge.name].double() * scale, wanted[edge.name], rtol=1e-12, atol=1e-12)


def test_factors_of_low_rank_couplings_are_left_out() -> None:
    target = Target.load("rram-hfo2", (24, 24), ["controller.state_bits=12"])
    chip = Chip(mapping.compile(relaxing("bilinear", units=6, modules=2, rank=2), target, low_rank="keep"))
    names = {name: tuple(chain) for name, chain in chip.mapping.chains.items()}
    states = {name: torch.zeros(1, *layer.shape) for name, layer in chip.layers.items()}
    found = whole_contrasts(chip, states, states)
    assert any(len(chain) > 1 for chain in names.values())
    assert sorted(found) == sorted(name for name, chain in names.items() if len(chain) == 1)


def test_float_states_are_refused() -> None:
    chip = chip_of(relaxing("mlp"), "controller.state_bits=null")
    states = {name: torch.zeros(1, *layer.shape) for name, layer in chip.layers.items()}
    with pytest.raises(ValueError, match=r"float states: expected controller\.state_bits"):
        whole_contrasts(chip, states, states)
