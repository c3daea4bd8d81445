"""Truth: the two published networks written in plain torch from their description, on the tensors of the file itself.

The public implementation saves a list: one bias a channel for states 1 to N, then the weights in its own order;
convolutions are [out, in, k, k], the dense head [channels, 2, 2, classes].
Phi = sum_n b_n . s_n + sum <s_post, A s_pre>,
with 2x2 max pooling of every convolution in VGG5 (the bias comes after it) and strides of 2 in the ResNet.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from refusal import assert_refused
from torch import Tensor

import eqprop
from eqprop import InputError

GENERATOR = torch.Generator()

Edges = list[tuple[int, int, int, int]]

# (pre, post, kernel, stride) in the order of the file; block 1 lists its skip last, the others in the middle.
RESNET = [
    (0, 1, 3, 1), (1, 2, 3, 2), (0, 2, 1, 2),
    (2, 3, 3, 1), (2, 4, 1, 2), (3, 4, 3, 2),
    (4, 5, 3, 1), (4, 6, 1, 2), (5, 6, 3, 2),
    (6, 7, 3, 1), (6, 8, 1, 2), (7, 8, 3, 2),
]  # fmt: skip
RESNET_SIDES = [32, 32, 16, 16, 8, 8, 4, 4, 2]
VGG = [(0, 1, 3, 1), (1, 2, 3, 1), (2, 3, 3, 1), (3, 4, 3, 1)]
VGG_SIDES = [32, 16, 8, 4, 2]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR)


def file_tensors(edges: Edges, channels: list[int], classes: int) -> list[Tensor]:
    """``channels`` counts those of states 0 (the image) to the last hidden one."""
    GENERATOR.manual_seed(1)
    biases = [random(count) for count in [*channels[1:], classes]]
    weights = [random(channels[post], channels[pre], k, k) * 0.1 for pre, post, k, _ in edges]
    return [*biases, *weights, random(channels[-1], 2, 2, classes) * 0.1]


def resnet_tensors(widths: tuple[int, ...], image: int, classes: int) -> list[Tensor]:
    return file_tensors(RESNET, [image, *(width for width in widths for _ in range(2))], classes)


def vgg_tensors(widths: tuple[int, ...], image: int, classes: int) -> list[Tensor]:
    return file_tensors(VGG, [image, *widths], classes)


def described_phi(tensors: list[Tensor], edges: Edges, states: list[Tensor], pool: bool) -> Tensor:
    """Phi of each sample from the file's tensors, in float64."""
    tensors = [tensor.double() for tensor in tensors]
    biases, convolutions, head = tensors[: len(states) - 1], tensors[len(states) - 1 : -1], tensors[-1]
    total = torch.zeros(len(states[0]), dtype=torch.float64)
    for state, bias in zip(states[1:], biases, strict=True):
        total += torch.einsum("bc...,c->b", state, bias)
    for (pre, post, kernel, stride), weight in zip(edges, convolutions, strict=True):
        read = F.conv2d(states[pre], weight, stride=stride, padding=1 if kernel == 3 else 0)
        read = F.max_pool2d(read, 2) if pool else read
        total += (states[post] * read).flatten(1).sum(1)
    return total + torch.einsum("bo,bchw,chwo->b", states[-1], states[-2], head)


def random_states(tensors: list[Tensor], sides: list[int], image: int) -> list[Tensor]:
    channels = [image, *(len(bias) for bias in tensors[: len(sides) - 1])]
    hidden = [random(2, count, side, side) for count, side in zip(channels, sides, strict=True)]
    return [state.double() for state in [*hidden, random(2, tensors[-1].shape[-1])]]


def save_list(path: Path, tensors: Any) -> Path:
    torch.save(tensors, path)
    return path


CASES = [
    (resnet_tensors, RESNET, RESNET_SIDES, False, (3, 5, 4, 7), 3, 10),
    (resnet_tensors, RESNET, RESNET_SIDES, False, (1, 2, 9, 3), 1, 7),
    (resnet_tensors, RESNET, RESNET_SIDES, False, (4, 4, 4, 4), 4, 2),
    (vgg_tensors, VGG, VGG_SIDES, True, (3, 5, 4, 7), 3, 10),
    (vgg_tensors, VGG, VGG_SIDES, True, (2, 1, 6, 3), 1, 11),
]


@pytest.mark.parametrize(("make", "edges", "sides", "pool", "widths", "image", "classes"), CASES)
def test_imported_network_has_the_described_phi(
    make: Callable[..., list[Tensor]],
    edges: Edges,
    sides: list[int],
    pool: bool,
    widths: tuple[int, ...],
    image: int,
    classes: int,
    tmp_path: Path,
) -> None:
    tensors = make(widths, image, classes)
    network = eqprop.load(save_list(tmp_path / "model.pt", tensors)).double()
    assert network.input_shape == (image, 32, 32)
    assert sum(p.numel() for p in network.parameters()) == sum(tensor.numel() for tensor in tensors)
    states = random_states(tensors, sides, image)
    assert [layer.shape for layer in network.layers.values()] == [tuple(state.shape[1:]) for state in states]
    with torch.no_grad():
        found = network.phi(dict(zip(network.layers, states, strict=True)))
    torch.testing.assert_close(found, described_phi(tensors, edges, states, pool), rtol=1e-12, atol=1e-9)


def test_activation_is_relu6_unless_told(tmp_path: Path) -> None:
    path = save_list(tmp_path / "model.pt", vgg_tensors((2, 2, 2, 2), 3, 10))
    assert eqprop.load(path).layers["h1"].clip == (0.0, 6.0)
    assert eqprop.load(path, activation="hard-sigmoid").layers["h1"].clip == (0.0, 1.0)
    assert eqprop.load(path, activation="relu:3").layers["h4"].clip == (0.0, 3.0)
    assert eqprop.load(path, activation="relu:3").layers["output"].clip == (-float("inf"), float("inf"))
    with pytest.raises(InputError, match="activation 'tanh': expected one of"):
        eqprop.load(path, activation="tanh")


@pytest.mark.parametrize("as_saved", [tuple, lambda tensors: [torch.nn.Parameter(tensor) for tensor in tensors]])
def test_tuples_and_parameters_are_lists_too(as_saved: Callable[[list[Tensor]], Any], tmp_path: Path) -> None:
    path = save_list(tmp_path / "model.pt", as_saved(vgg_tensors((2, 2, 2, 2), 3, 10)))
    assert all(parameter.requires_grad for parameter in eqprop.load(path).parameters())


def test_imported_network_saves_and_loads_as_ours(tmp_path: Path) -> None:
    network = eqprop.load(save_list(tmp_path / "theirs.pt", resnet_tensors((2, 3, 2, 3), 3, 10)))
    eqprop.checkpoint.save(tmp_path / "ours.pt", eqprop.checkpoint.Checkpoint(network))
    again = eqprop.load(tmp_path / "ours.pt")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def changed(index: int, value: Callable[[Tensor], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda tensors: [value(entry) if n == index else entry for n, entry in enumerate(tensors)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: [], "a list of 0 entries: expected 22 tensors (Hopfield-ResNet13) or 10 (VGG5)"),
        (lambda t: t[:-1], "a list of 21 entries"),
        (lambda t: [*t, t[0]], "a list of 23 entries"),
        (changed(3, lambda e: e.tolist()), "a list of 22 entries: expected 22 tensors"),
        (changed(0, lambda e: e[:-1]), "bias of state 1 is (2,): expected (3,)"),
        (changed(4, lambda e: e[None]), "bias of state 5 is (1, 4): expected (4,)"),
        (changed(8, lambda e: e[:-1]), "bias of state 9 is (9,): expected (10,)"),
        (changed(9, lambda e: e[0]), "tensor 9 (weight 0 to 1) has 3 axes: expected 4"),
        (changed(21, lambda e: e.flatten(0, 2)), "tensor 21 (weight 8 to 9) has 2 axes: expected 4"),
        (changed(21, lambda e: e[:, :1]), "weight 8 to 9"),
        (changed(10, lambda e: e[..., :1]), "weight 1 to 2 is (3, 3, 3, 1): expected (3, 3, 3, 3)"),
        (changed(9, lambda e: e[:, :0]), "expected positive sizes"),
        (lambda t: [*t[:10], t[11], t[10], *t[12:]], "weight 1 to 2"),
        (changed(12, lambda e: e * float("nan")), "NaN or infinite values"),
        (changed(9, lambda e: e.to(torch.complex64)), "tensor 9"),
        (changed(0, lambda e: e.to_sparse()), "tensor 0"),
    ],
)
def test_wrong_lists_are_refused(change: Callable[[list[Any]], list[Any]], message: str, tmp_path: Path) -> None:
    path = save_list(tmp_path / "model.pt", change(resnet_tensors((3, 5, 4, 7), 3, 10)))
    assert_refused(path, message)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_lists_of_other_precisions_become_single_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    tensors = [tensor.to(dtype) for tensor in vgg_tensors((2, 2, 2, 2), 3, 10)]
    network = eqprop.load(save_list(tmp_path / "model.pt", tensors))
    assert torch.equal(network.biases["h1"], tensors[0].float())


def test_no_two_weights_of_the_truth_could_be_mistaken_for_each_other() -> None:
    """Channel counts of the first case differ so much that a swapped pair of weights cannot pass unseen."""
    shapes = [tuple(tensor.shape) for tensor in resnet_tensors((3, 5, 4, 7), 3, 10)[9:]]
    same = [(a, b) for a, b in itertools.combinations(range(13), 2) if shapes[a] == shapes[b]]
    assert same == [(0, 1)]
