"""The energy written out one product at a time, in Python floats: slow, and plain enough to be checked by eye."""

import itertools

import numpy as np

from eqprop import Conv2d, Coupling, Dense, EnergyNetwork, LowRank, MaxPool2d


def read(coupling: Coupling, pre: np.ndarray) -> np.ndarray:
    """A s_pre for one sample."""
    parameters = {name: value.detach().numpy() for name, value in coupling.named_parameters()}
    if isinstance(coupling, Dense):
        return product(parameters["weight"], pre).reshape(coupling.post_shape)
    if isinstance(coupling, LowRank):
        return product(parameters["U"], product(parameters["V"].T, pre)).reshape(coupling.post_shape)
    assert isinstance(coupling, Conv2d)
    return convolution(coupling, parameters["weight"], pre)


def product(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    flat = vector.reshape(-1)
    return np.array([sum(row[i] * flat[i] for i in range(len(flat))) for row in matrix])


def convolution(coupling: Conv2d, weight: np.ndarray, pre: np.ndarray) -> np.ndarray:
    result = np.zeros(coupling.post_shape)
    channels, height, width = pre.shape
    for post, row, column in itertools.product(*(range(size) for size in result.shape)):
        total = 0.0
        for c, i, j in itertools.product(range(channels), *(range(size) for size in coupling.kernel)):
            y = row * coupling.stride[0] + i - coupling.padding[0]
            x = column * coupling.stride[1] + j - coupling.padding[1]
            if 0 <= y < height and 0 <= x < width:
                total += weight[post, c, i, j] * pre[c, y, x]
        result[post, row, column] = total
    return result


def pooled(pool: MaxPool2d, image: np.ndarray) -> np.ndarray:
    channels, height, width = image.shape
    rows = range(0, height - pool.kernel + 1, pool.stride)
    columns = range(0, width - pool.kernel + 1, pool.stride)
    return np.array(
        [[[image[c, y : y + pool.kernel, x : x + pool.kernel].max() for x in columns] for y in rows]
         for c in range(channels)]
    )  # fmt: skip


def phi(network: EnergyNetwork, states: dict[str, np.ndarray]) -> float:
    """Phi of one sample: sum_n b_n . s_n + sum_edges <s_post, P(A s_pre)>."""
    total = 0.0
    for name in network.free:
        bias = network.biases[name].detach().numpy()
        for channel, value in enumerate(bias):
            total += value * states[name][channel].sum()
    for edge in network.edges:
        drive = read(network.coupling(edge.name), states[edge.pre])
        if edge.pool is not None:
            drive = pooled(edge.pool, drive)
        total += float((states[edge.post] * drive).sum())
    return total


def energy(network: EnergyNetwork, states: dict[str, np.ndarray]) -> float:
    """E = sum_n 1/2 k_n |s_n|^2 - Phi of one sample."""
    stiff = sum(0.5 * network.layers[name].stiffness * float((states[name] ** 2).sum()) for name in network.free)
    return stiff - phi(network, states)
