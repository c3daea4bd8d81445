"""The public Hopfield-ResNet implementation's model.pt: a plain list of tensors, biases then weights.

Two networks write it, both for 32x32 images:

- Hopfield-ResNet13: 9 biases (states 1 to 9), then 13 weights block by block;
- VGG5: 5 biases, then 4 convolutions and the head.

Convolutions are [out, in, kernel, kernel]; the head is [channels, 2, 2, classes]. Channel counts vary with the
constructor; the activation of the hidden layers is not in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eqprop.errors import InputError
from eqprop.models.hopfield_resnet import hopfield_resnet
from eqprop.models.vgg5 import vgg5
from eqprop.network import EnergyNetwork

IMAGE_SIZE = 32

# Weights in file order, as (pre, post) state numbers. Blocks 2 to 4 list the skip before the second convolution.
RESNET13_EDGES = (
    *((0, 1), (1, 2), (0, 2)),
    *((2, 3), (2, 4), (3, 4)),
    *((4, 5), (4, 6), (5, 6)),
    *((6, 7), (6, 8), (7, 8)),
    (8, 9),
)
VGG5_EDGES = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
NETWORKS = {22: RESNET13_EDGES, 10: VGG5_EDGES}


def build(path: Path, content: Sequence[Any], activation: str) -> EnergyNetwork:
    """The network whose parameters ``content`` lists; its architecture is inferred from the shapes.

    Raises:
        InputError: if the list is not one that implementation writes.
    """
    edges = NETWORKS.get(len(content))
    if edges is None or not all(isinstance(entry, Tensor) for entry in content):
        raise InputError(
            f"{path}: a list of {len(content)} entries: expected 22 tensors (Hopfield-ResNet13) or 10 (VGG5)"
        )
    tensors: list[Tensor] = [entry.detach() for entry in content]
    for number, tensor in enumerate(tensors):
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise InputError(f"{path}: tensor {number} is {tensor.dtype}, {tensor.layout}: expected dense real numbers")
    states = edges[-1][1]
    biases, weights = tensors[:states], dict(zip(edges, tensors[states:], strict=True))
    for number, (pre, post) in enumerate(edges):
        axes = weights[pre, post].dim()
        if axes != 4:
            raise InputError(f"{path}: tensor {states + number} (weight {pre} to {post}) has {axes} axes: expected 4")
    head = weights[edges[-1]]
    network = empty_network(path, weights, int(head.shape[-1]), activation, is_vgg5=edges is VGG5_EDGES)
    names = [*(f"h{state}" for state in range(1, states)), "output"]
    with torch.no_grad():
        for state, (name, bias) in enumerate(zip(names, biases, strict=True), start=1):
            copy(path, f"bias of state {state}", network.biases[name], bias)
        for (pre, post), weight in weights.items():
            pre_name = names[pre - 1] if pre else "input"
            if post == states:
                weight = weight.reshape(-1, weight.shape[-1]).T
            parameter = network.coupling(f"{pre_name}_{names[post - 1]}").get_parameter("weight")
            copy(path, f"weight {pre} to {post}", parameter, weight)
    return network


def empty_network(
    path: Path, weights: dict[tuple[int, int], Tensor], classes: int, activation: str, *, is_vgg5: bool
) -> EnergyNetwork:
    channels = int(weights[0, 1].shape[1])
    try:
        if is_vgg5:
            hidden = [int(weights[n - 1, n].shape[0]) for n in (1, 2, 3, 4)]
            return vgg5(hidden, channels=channels, size=IMAGE_SIZE, classes=classes, activation=activation)
        blocks = [int(weights[n - 1, n].shape[0]) for n in (2, 4, 6, 8)]
        return hopfield_resnet(blocks, channels=channels, size=IMAGE_SIZE, classes=classes, activation=activation)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def copy(path: Path, what: str, parameter: Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise InputError(f"{path}: {what} is {tuple(value.shape)}: expected {tuple(parameter.shape)}")
    parameter.copy_(value)
