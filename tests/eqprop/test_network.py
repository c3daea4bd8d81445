"""Truth: the rules of a graph that holds together, one broken at a time; the message names what is wrong."""

import math

import pytest
import torch

from eqprop import CrossEntropy, Dense, Edge, EnergyNetwork, Layer, MaxPool2d, SquaredError, models
from eqprop.layer import clip_range


def parts() -> dict[str, object]:
    return {
        "layers": {"x": Layer((4,)), "h": Layer((3,)), "o": Layer((2,))},
        "inputs": ["x"],
        "edges": [Edge("a", "x", "h"), Edge("b", "h", "o")],
        "couplings": {"a": Dense((4,), (3,)), "b": Dense((3,), (2,))},
        "cost": SquaredError("o"),
    }


def test_the_unbroken_graph_is_accepted() -> None:
    network = EnergyNetwork(**parts())
    assert network.free == ("h", "o")
    assert network.replicas == 1
    assert network.input_shape == (4,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": []}, "at least one clamped layer"),
        ({"inputs": ["y"]}, "input y: no layer of that name"),
        ({"layers": {"x": Layer((4,)), "h": Layer((3,)), "o": Layer((2,)), "1st": Layer((1,))}}, "layer '1st'"),
        ({"edges": [Edge("a", "x", "h"), Edge("a", "h", "o")]}, "expected different names"),
        ({"edges": [Edge("a", "x", "y"), Edge("b", "h", "o")]}, "edge a: no layer y"),
        ({"edges": [Edge("a", "h", "h"), Edge("b", "h", "o")]}, "edge a joins layer h to itself"),
        ({"edges": [Edge("a", "h", "x"), Edge("b", "h", "o")]}, "edge a drives the clamped layer x"),
        ({"edges": [Edge("c", "x", "h"), Edge("b", "h", "o")]}, "edge c: no coupling of that name"),
        ({"edges": [Edge("a", "x", "h")]}, "coupling b: no edge uses it"),
        ({"edges": [Edge("a", "o", "h"), Edge("b", "h", "o")]}, r"edge a reads shape \(4,\): expected \(2,\)"),
        ({"edges": [Edge("a", "x", "o"), Edge("b", "h", "o")]}, r"edge a gives shape \(3,\): expected \(2,\)"),
        ({"cost": SquaredError("x")}, "cost layer x: expected a free layer"),
        ({"cost": SquaredError("y")}, "cost layer y: expected a free layer"),
        ({"cost": CrossEntropy("h", "r", 2)}, "cost readout r: no coupling of that name"),
        ({"cost": CrossEntropy("h", "a", 2)}, r"cost readout a reads shape \(4,\): expected \(3,\) of layer h"),
        ({"cost": CrossEntropy("h", "b", 3)}, r"cost readout b gives shape \(2,\): expected \(3,\)"),
    ],
)
def test_a_broken_graph_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnergyNetwork(**parts() | change)


def test_a_pooled_edge_needs_an_image() -> None:
    edges = [Edge("a", "x", "h", MaxPool2d()), Edge("b", "h", "o")]
    with pytest.raises(ValueError, match=r"edge a pools shape \(3,\): expected channels, height, width"):
        EnergyNetwork(**parts() | {"edges": edges})


def test_inputs_of_the_wrong_shape_are_refused() -> None:
    network = EnergyNetwork(**parts())
    with pytest.raises(ValueError, match=r"input x has shape \(5,\) a sample: expected \(4,\)"):
        network.relax(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"inputs \['y'\]: expected \['x'\]"):
        network.relax({"y": torch.zeros(2, 4)})


def test_a_nudge_needs_a_target_and_an_output_that_can_hold_it() -> None:
    network = EnergyNetwork(**parts())
    with pytest.raises(ValueError, match="without a target"):
        network.relax(torch.zeros(2, 4), beta=0.1)
    with pytest.raises(ValueError, match=r"beta -1\.0 with output stiffness 1\.0"):
        network.relax(torch.zeros(2, 4), target=torch.zeros(2, dtype=torch.int64), beta=-1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": ()}, "positive sizes"),
        ({"shape": (3, 0)}, "positive sizes"),
        ({"shape": (3,), "clip": (1.0, 1.0)}, "low < high"),
        ({"shape": (3,), "clip": (math.nan, 1.0)}, "low < high"),
        ({"shape": (3,), "stiffness": 0.0}, "stiffness 0.0"),
        ({"shape": (3,), "stiffness": math.inf}, "stiffness inf"),
    ],
)
def test_impossible_layers_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layer(**arguments)


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [("linear", -math.inf, math.inf), ("hard-sigmoid", 0, 1), ("relu6", 0, 6), ("relu:2.5", 0, 2.5)],
)
def test_activations_are_clip_ranges(activation: str, low: float, high: float) -> None:
    assert clip_range(activation) == (low, high)


@pytest.mark.parametrize(
    "activation", ["", "relu", "tanh", "relu:", "relu:0", "relu:-1", "relu:inf", "relu:nan", "linear:2"]
)
def test_unknown_activations_are_refused(activation: str) -> None:
    with pytest.raises(ValueError, match="expected one of linear, hard-sigmoid, relu6 or relu:ALPHA"):
        clip_range(activation)


def test_predictions_are_the_largest_output_at_the_free_equilibrium() -> None:
    network = models.build("mlp", size=4, width=1 / 64, classes=4)
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    answers, equilibrium = network.predict(x)
    assert torch.equal(answers, equilibrium.states["output"].argmax(1))
    assert torch.equal(network.logits(equilibrium.states), equilibrium.states["output"])
