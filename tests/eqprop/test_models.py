"""Truth: the published architectures' tables of shapes and parameter counts."""

import math

import pytest
import torch

from eqprop import EnergyNetwork, InputError, models

RESNET13_SHAPES = {
    "input": (3, 32, 32),
    "h1": (128, 32, 32),
    "h2": (128, 16, 16),
    "h3": (256, 16, 16),
    "h4": (256, 8, 8),
    "h5": (512, 8, 8),
    "h6": (512, 4, 4),
    "h7": (512, 4, 4),
    "h8": (512, 2, 2),
    "output": (10,),
}
VGG5_SHAPES = {
    "input": (3, 32, 32),
    "h1": (128, 16, 16),
    "h2": (256, 8, 8),
    "h3": (512, 4, 4),
    "h4": (512, 2, 2),
    "output": (10,),
}


def shapes(network: EnergyNetwork) -> dict[str, tuple[int, ...]]:
    return {name: layer.shape for name, layer in network.layers.items()}


def parameters(network: EnergyNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_hopfield_resnet13_is_the_published_one() -> None:
    network = models.build("hopfield-resnet13")
    assert shapes(network) == RESNET13_SHAPES
    assert parameters(network) == 9_742_858
    assert len(network.couplings) == 13
    assert len(network.free) == 9
    assert sum(network.layers[name].size for name in network.free) == 296_970
    skips = [edge for edge in network.edges if network.coupling(edge.name).config().get("kernel") == [1, 1]]
    assert [(edge.pre, edge.post) for edge in skips] == [("input", "h2"), ("h2", "h4"), ("h4", "h6"), ("h6", "h8")]
    assert all(network.layers[name].clip == (0.0, 6.0) for name in network.free if name != "output")
    assert network.layers["output"].clip == (-math.inf, math.inf)


def test_vgg5_is_the_published_one() -> None:
    network = models.build("vgg5")
    assert shapes(network) == VGG5_SHAPES
    convolutions = 9 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 512)
    assert parameters(network) == convolutions + (128 + 256 + 512 + 512) + 2048 * 10 + 10


def test_mlp_is_784_512_10() -> None:
    network = models.build("mlp")
    assert shapes(network) == {"input": (1, 28, 28), "h1": (512,), "output": (10,)}
    assert parameters(network) == 784 * 512 + 512 + 512 * 10 + 10
    assert network.layers["h1"].clip == (0.0, 1.0)


@pytest.mark.parametrize("size", [7, 8, 15, 28])
def test_skip_and_convolution_of_a_block_meet_at_any_image_size(size: int) -> None:
    network = models.build("hopfield-resnet", size=size, width=0.1)
    assert network.layers["h2"].shape[1:] == (math.ceil(size / 2),) * 2


def test_cross_entropy_replaces_the_output_state_by_a_readout() -> None:
    network = models.build("hopfield-resnet", cost="cross-entropy", classes=7)
    assert "output" not in network.layers
    assert network.coupling("readout").post_shape == (7,)
    assert network.classes == 7
    assert network.cost.layer == "h4"


@pytest.mark.parametrize(("width", "hidden"), [(0.25, 128), (2.0, 1024), (1e-9, 1)])
def test_width_multiplies_hidden_units(width: float, hidden: int) -> None:
    assert models.build("mlp", width=width).layers["h1"].shape == (hidden,)


def test_width_leaves_input_and_output_alone() -> None:
    network = models.build("vgg5", width=1 / 64, channels=1, classes=100)
    assert shapes(network) == {
        "input": (1, 32, 32), "h1": (2, 16, 16), "h2": (4, 8, 8), "h3": (8, 4, 4), "h4": (8, 2, 2), "output": (100,),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "width"), [("hopfield-resnet", 1.0), ("bilinear", 1 / 16)])
def test_seed_alone_decides_the_weights(name: str, width: float) -> None:
    torch.manual_seed(1)
    first = models.build(name, width=width, seed=5).state_dict()
    torch.manual_seed(2)
    second = models.build(name, width=width, seed=5).state_dict()
    other = models.build(name, width=width, seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("cost", ["squared-error", "cross-entropy"])
@pytest.mark.parametrize(
    ("name", "width"),
    [
        *(("mlp", width) for width in (0.05, 1.0)),
        *(("vgg5", width) for width in (1 / 32, 1 / 8)),
        *(("hopfield-resnet", width) for width in (0.25, 1.0)),
        *(("hopfield-resnet13", width) for width in (1 / 32, 1 / 8)),
        *(("bilinear", width) for width in (1 / 32, 1.0)),
    ],
)
def test_untrained_networks_reach_equilibrium(name: str, width: float, cost: str, seed: int) -> None:
    """On pixels in [0, 1] and on standardised ones; a relaxation that runs out of sweeps would warn, and so fail."""
    network = models.build(name, width=width, cost=cost, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    shape = (2, *network.input_shape)
    for x in (torch.rand(shape, generator=generator), torch.randn(shape, generator=generator)):
        assert network.relax(x).converged


@pytest.mark.parametrize("name", ["vgg5", "hopfield-resnet13"])
def test_untrained_networks_of_full_width_reach_equilibrium(name: str) -> None:
    network = models.build(name)
    x = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(0))
    assert network.relax(x).converged


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet"}, "model 'resnet': expected one of mlp, vgg5, hopfield-resnet, hopfield-resnet13, bilinear"),
        ({"name": "mlp", "width": 0.0}, "width 0.0"),
        ({"name": "mlp", "width": math.nan}, "width nan"),
        ({"name": "mlp", "classes": 1}, "classes 1"),
        ({"name": "mlp", "activation": "tanh"}, "activation 'tanh'"),
        ({"name": "vgg5", "activation": "relu:-1"}, "activation 'relu:-1'"),
        ({"name": "hopfield-resnet", "cost": "hinge"}, "cost 'hinge': expected squared-error or cross-entropy"),
        ({"name": "vgg5", "size": 8}, "expected positive sizes"),
        ({"name": "vgg5", "channels": 0}, "expected positive sizes"),
        ({"name": "mlp", "size": -1}, "expected positive sizes"),
        ({"name": "bilinear", "channels": 0}, "expected positive sizes"),
    ],
)
def test_impossible_models_are_refused_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        models.build(**arguments)
    assert "\n" not in str(refused.value)
    assert issubclass(InputError, ValueError)


def test_an_infinite_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width inf"):
        models.build("mlp", width=math.inf)


def test_activation_sets_the_clip_range_of_every_hidden_layer() -> None:
    network = models.build("hopfield-resnet13", width=1 / 64, activation="relu:2.5")
    assert {network.layers[name].clip for name in network.free} == {(0.0, 2.5), (-math.inf, math.inf)}
