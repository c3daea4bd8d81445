"""Simulated chips: an energy network whose couplings are crossbars."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from eqprop import EnergyNetwork
from mapping import Mapping
from mapping.arithmetic import Codes
from mapping.bounds import converter_scales
from mapping.plan import LayerScale, MappedMatrix
from sim.array import Array, Converters
from sim.coupling import MappedCoupling
from sim.devices import drift, faults, programming, read_noise


class Chip(EnergyNetwork):
    """One or more instances of a compiled chip, each with its own devices.

    It is an energy network: dynamics and estimators run on it unchanged. Inputs and labels are given once and
    spread over the chips; states and logits hold [chips * batch, ...], chip after chip.

    Args:
        mapping: what the compiler made.
        seed: fixes programming errors, stuck devices, drift and read noise. Chip k of seed s draws from its own
            streams, so it is the same chip in any batch of chips.
        chips: instances simulated together. Memory is about 8 bytes a weight for each chip, 16 with
            read noise.
        age_s: seconds since the reference time of the device (see its preset).

    Raises:
        ValueError: for a negative age or fewer than one chip.
    """

    def __init__(self, mapping: Mapping, seed: int = 0, chips: int = 1, age_s: float = 0.0) -> None:
        if chips < 1:
            raise ValueError(f"chips {chips}: expected >= 1")
        if not 0.0 <= age_s < float("inf"):
            raise ValueError(f"age_s {age_s}: expected seconds >= 0")
        network = copy.deepcopy(mapping.network)
        arrays: dict[str, list[Array]] = {name: [] for name in mapping.matrices}
        converters = {name: converters_of(mapping, matrix) for name, matrix in mapping.matrices.items()}
        for chip in range(chips):
            device_stream, read_stream = streams(seed, chip)
            for name in mapping.matrices:
                arrays[name].append(build_array(mapping, name, age_s, converters[name], device_stream, read_stream))
        couplings = {name: MappedCoupling(network.coupling(name), arrays[name]) for name in mapping.matrices}
        super().__init__(network.layers, network.inputs, network.edges, couplings, network.cost, network.dynamics)
        self.biases = network.biases
        self.mapping = mapping
        self.seed = seed
        self.age_s = age_s
        self._chips = chips
        self._state_codes = {name: state_codes(mapping, name) for name in network.free}

    @property
    def replicas(self) -> int:
        """Number of chips."""
        return self._chips

    def spread(self, data: Tensor) -> Tensor:
        """Repeat a batch for each chip: [batch, ...] -> [chips * batch, ...]."""
        if self._chips == 1:
            return data
        repeated = data.repeat(self._chips, *(1 for _ in data.shape[1:]))
        # repeat forgets the memory format, and random draws fill memory in order: a chip would see other noise.
        return repeated.to(memory_format=torch.channels_last) if data.dim() == 4 else repeated

    def confine_(self, name: str, state: Tensor) -> Tensor:
        """Clip to the layer's range and round to its fixed point."""
        state = super().confine_(name, state)
        codes = self._state_codes[name]
        return state if codes is None else codes.quantise_(state)


def streams(seed: int, chip: int) -> tuple[torch.Generator, torch.Generator]:
    """Independent random streams of one chip: for its devices, and for its reads."""
    children = np.random.SeedSequence([seed, chip]).spawn(2)
    device, read = (
        torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0] >> np.uint64(1))) for child in children
    )
    return device, read


def build_array(
    mapping: Mapping,
    name: str,
    age_s: float,
    converters: Converters,
    device_stream: torch.Generator,
    read_stream: torch.Generator,
) -> Array:
    """Program one coupling's crossbars, unused devices included, and let them age."""
    matrix, device = mapping.matrices[name], mapping.target.device
    crossbars = mapping.conductances[[tile.crossbar for tile in matrix.tiles]]
    conductance = programming.program(device, crossbars, device_stream)
    conductance = drift.age(device, conductance, age_s, device_stream)
    conductance = faults.stick_(device, conductance, device_stream)
    gathered = mapping.matrix_of(name, conductance)
    sigma = read_noise.sigma(device, gathered, age_s)
    return Array(matrix.lowering, matrix.column_spans, mapping.encoding(name), gathered, sigma, converters, read_stream)


def converters_of(mapping: Mapping, matrix: MappedMatrix) -> Converters:
    """DAC codes of the layers on both sides and ADC codes of both directions."""
    network, target = mapping.network, mapping.target
    pre, post = converter_scales(network, mapping.layers, matrix.name)

    def dac(scale: LayerScale) -> Codes | None:
        bits = target.dac.bits
        return None if bits is None else Codes.for_range(scale.full_scale, bits, signed=scale.signed)

    def adc(full_scale: float) -> Codes | None:
        bits = target.adc.bits
        return None if bits is None else Codes.for_range(full_scale, bits, signed=True)

    return Converters(dac(pre), dac(post), adc(matrix.forward_full_scale), adc(matrix.transposed_full_scale))


def state_codes(mapping: Mapping, name: str) -> Codes | None:
    """Fixed point of a layer's states: reaches the clip range, or twice the converter range of an unlimited layer."""
    bits = mapping.target.controller.state_bits
    if bits is None:
        return None
    low, high = mapping.network.layers[name].clip
    scale = mapping.layers[name]
    reach = max(abs(low), abs(high))
    full_scale = reach if reach != float("inf") else 2 * scale.full_scale
    return Codes.fixed_point(full_scale, bits, signed=low < 0.0)
