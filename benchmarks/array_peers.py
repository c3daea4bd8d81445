"""Other simulators of crossbars, each read the way its users read it: one small adapter a peer.

An adapter takes a :class:`Problem` and gives a :class:`Contender`, or raises ImportError if its peer is missing.
Ranges are fixed and fit the problem's data: DACs span the largest input, ADCs span ``reach``, and automatic scaling
of each vector, which hwmap has no counterpart of, is off (that also saves the peer its time).
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

TILE = 128
STEPS = 2**8 - 2  # of an 8-bit converter, in the way aihwkit counts them
READ_NOISE = 0.02
G_MIN_SIEMENS, G_MAX_SIEMENS = 0.25e-6, 25.0e-6
LEVELS = 128
SLOW_BATCH = 2


@dataclass(frozen=True)
class Contender:
    """One simulator, ready to read.

    Attributes:
        read: one whole read.
        exact: what the read would give in exact arithmetic.
        scale: multiplies the time of a read that was made on a smaller batch.
    """

    name: str
    read: Callable[[], Tensor]
    exact: Tensor
    scale: float = 1.0

    def error(self) -> float:
        """|read - exact| / |exact| in the Frobenius norm."""
        return relative_error(self.read(), self.exact)


@dataclass(frozen=True)
class Problem:
    """A layer to read, with inputs within [-1, 1].

    Attributes:
        layer: nn.Linear or nn.Conv2d without bias.
        x: [batch, ...], contiguous.
        reach: the largest partial sum that an ADC shall resolve, over the largest weight.
    """

    layer: nn.Module
    x: Tensor
    reach: float

    @property
    def exact(self) -> Tensor:
        return self.layer(self.x)

    @property
    def convolves(self) -> bool:
        return isinstance(self.layer, nn.Conv2d)

    def first(self, batch: int) -> Problem:
        return replace(self, x=self.x[:batch])


def relative_error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact.double()).norm() / exact.double().norm())


def torch_ideal(problem: Problem, noise: bool) -> list[Contender]:
    """The exact product, in the default layout and, of images, in the one that simulated networks use."""
    weight = problem.layer.weight.detach()
    if not problem.convolves:
        return [Contender("torch F.linear (ideal)", lambda: F.linear(problem.x, weight), problem.exact)]
    last = torch.channels_last
    x, kernel = problem.x.to(memory_format=last), weight.to(memory_format=last)
    return [
        Contender("torch F.conv2d (ideal)", lambda: F.conv2d(problem.x, weight, padding=1), problem.exact),
        Contender("torch F.conv2d, channels_last", lambda: F.conv2d(x, kernel, padding=1), problem.exact),
    ]


def aihwkit_cpp(problem: Problem, noise: bool) -> list[Contender]:
    """C++ inference tiles; noise of the weights, folded into each output: PCM read noise of strength 0.0175."""
    from aihwkit.simulator.configs import InferenceRPUConfig
    from aihwkit.simulator.parameters.enums import WeightNoiseType

    config = aihwkit_ranges(InferenceRPUConfig(), problem)
    config.forward.w_noise_type = WeightNoiseType.PCM_READ if noise else WeightNoiseType.NONE
    config.forward.w_noise = 0.0175 if noise else 0.0
    return [aihwkit_contender("aihwkit C++ tile", problem, config)]


def aihwkit_torch(problem: Problem, noise: bool) -> list[Contender]:
    """Torch inference tiles; they refuse noise of the weights, so the outputs' 0.04 it is."""
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    config = aihwkit_ranges(TorchInferenceRPUConfig(), problem)
    config.forward.out_noise = 0.04 if noise else 0.0
    return [aihwkit_contender("aihwkit torch tile", problem, config)]


def aihwkit_ranges(config: Any, problem: Problem) -> Any:
    """Tiles of 128 x 128 weights, 8-bit converters, weights scaled to [-1, 1] within each tile."""
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    config.mapping.max_input_size = config.mapping.max_output_size = TILE
    config.mapping.weight_scaling_omega = 1.0
    forward = config.forward
    forward.inp_bound, forward.inp_res = 1.0, 1.0 / STEPS
    forward.out_bound, forward.out_res = problem.reach, 1.0 / STEPS
    forward.out_noise = 0.0
    forward.noise_management = NoiseManagementType.NONE
    forward.bound_management = BoundManagementType.NONE
    return config


def aihwkit_contender(name: str, problem: Problem, config: Any) -> Contender:
    from aihwkit.nn import AnalogConv2d, AnalogLinear

    kind = AnalogConv2d if problem.convolves else AnalogLinear
    layer = kind.from_digital(problem.layer, config).eval()
    return Contender(name, lambda: layer(problem.x), problem.exact)


def lightning(problem: Problem, noise: bool) -> list[Contender]:
    """Inputs are split by tile, outputs are not. Its noise (of outputs) exists in training mode only."""
    with contextlib.redirect_stdout(io.StringIO()):  # it announces at import that there is no GPU
        from aihwkit_lightning.nn import AnalogConv2d, AnalogLinear
        from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.mapping.max_input_size = TILE
    config.forward.inp_res = config.forward.out_res = STEPS
    config.forward.out_bound = problem.reach
    config.forward.out_noise = 0.04 if noise else 0.0
    ranges = config.pre_post.input_range
    ranges.enable, ranges.learn_input_range = True, False
    ranges.init_value, ranges.init_from_data = 1.0, 0
    kind = AnalogConv2d if problem.convolves else AnalogLinear
    layer = kind.from_digital(problem.layer, config).train(noise)
    return [Contender("aihwkit-lightning", lambda: layer(problem.x), problem.exact)]


def crosssim(problem: Problem, noise: bool) -> list[Contender]:
    """Balanced cores of 128 x 128 weights. With read noise, convolutions run on a small batch: each window draws
    anew for every device."""
    from simulator.algorithms.dnn.torch import AnalogConv2d, AnalogLinear

    if noise and problem.convolves:
        scale = len(problem.x) / SLOW_BATCH
        problem = problem.first(SLOW_BATCH)
        name = f"CrossSim (batch {SLOW_BATCH}, x {scale:g})"
    else:
        scale, name = 1.0, "CrossSim"
    kind = AnalogConv2d if problem.convolves else AnalogLinear
    layer = kind.from_torch(problem.layer, crosssim_parameters(problem, noise)).eval()
    return [Contender(name, lambda: layer(problem.x), problem.exact, scale)]


def crosssim_parameters(problem: Problem, noise: bool) -> Any:
    from simulator import CrossSimParameters

    params = CrossSimParameters()
    params.core.rows_max = params.core.cols_max = TILE
    crosssim_devices(params)
    params.xbar.device.cell_bits = LEVELS.bit_length() - 1
    params.xbar.device.read_noise.enable = noise
    params.xbar.device.read_noise.model = "NormalProportionalDevice"
    params.xbar.device.read_noise.magnitude = READ_NOISE
    # Transposed reads share the settings of forward ones unless told otherwise.
    drive = params.core.mapping.inputs.mvm
    drive.min, drive.max, drive.clipping = -1.0, 1.0, True
    full_scale = problem.reach * (1.0 - G_MIN_SIEMENS / G_MAX_SIEMENS)  # of currents through devices of G_max
    params.xbar.dac.mvm.model, params.xbar.dac.mvm.bits = "QuantizerDAC", 8
    params.xbar.adc.mvm.model = "QuantizerADC"  # this puts another object in place of params.xbar.adc.mvm
    params.xbar.adc.mvm.bits, params.xbar.adc.mvm.calibrated_range = 8, [-full_scale, full_scale]
    return params


def crosssim_devices(params: Any) -> None:
    params.xbar.device.Rmin, params.xbar.device.Rmax = 1.0 / G_MAX_SIEMENS, 1.0 / G_MIN_SIEMENS


def crosssim_transposed_errors(problem: Problem, batch: int = 4) -> dict[str, float]:
    """Errors of its transposed reads of a linear layer with read noise: in batch, and vector by vector."""
    from simulator import AnalogCore

    weight = problem.layer.weight.detach().numpy()
    core = AnalogCore(weight, crosssim_parameters(problem, noise=True))
    y = problem.x[:batch].numpy()
    exact = torch.from_numpy(y @ weight)
    together, apart = core.rmatmat(y), np.stack([core.vecmat(row) for row in y])
    return {
        "batched rmatmat": relative_error(torch.from_numpy(together), exact),
        "vecmat, one vector at a time": relative_error(torch.from_numpy(apart), exact),
    }


def badcrossbar_currents(conductance: Tensor, volt: Tensor, wire_ohm: float) -> Tensor:
    """Exact nodal solution: [rows, columns] siemens and [vectors, rows] volt -> [vectors, columns] ampere."""
    import badcrossbar

    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    with threadpool_limits(1):  # its triangular solves are several times slower with more
        solution = badcrossbar.compute(
            volt.T.numpy(), 1.0 / conductance.numpy(), wire_ohm, node_voltages=False, all_currents=False
        )
    return torch.from_numpy(np.asarray(solution.currents.output))


def crosssim_wires(conductance: Tensor, wire_ohm: float) -> Callable[[Tensor], Tensor]:
    """Iterative solution by an offset core, whose one array holds the conductances; currents as above."""
    from simulator import AnalogCore, CrossSimParameters
    from simulator.parameters.core_parameters import CoreStyle

    params = CrossSimParameters()
    crosssim_devices(params)
    params.core.style = CoreStyle.OFFSET
    weights = params.core.mapping.weights
    weights.percentile, weights.min, weights.max = None, -1.0, 1.0
    parasitics = params.xbar.array.parasitics
    parasitics.enable = True
    parasitics.Rp_row = parasitics.Rp_col = wire_ohm
    params.simulation.Verr_th_mvm = 1e-3
    window, middle = G_MAX_SIEMENS - G_MIN_SIEMENS, (G_MAX_SIEMENS + G_MIN_SIEMENS) / 2
    core = AnalogCore(((conductance - middle) * 2 / window).T.numpy(), params)

    def currents(volt: Tensor) -> Tensor:
        weighted = torch.from_numpy(core.matmat(volt.T.numpy())).T
        return weighted * window / 2 + middle * volt.sum(1, keepdim=True)

    return currents


ADAPTERS: tuple[tuple[str, Callable[[Problem, bool], list[Contender]]], ...] = (
    ("aihwkit", aihwkit_cpp),
    ("aihwkit", aihwkit_torch),
    ("aihwkit-lightning", lightning),
    ("CrossSim", crosssim),
)
INSTALL = {"CrossSim": "clone sandialabs/cross-sim and give --crosssim PATH"}
missing: set[str] = set()


def present(problem: Problem, noise: bool) -> list[Contender]:
    """Torch's exact product and every peer that can be imported."""
    found = torch_ideal(problem, noise)
    for name, adapter in ADAPTERS:
        try:
            found += adapter(problem, noise)
        except ImportError as error:
            say_missing(name, error)
    return found


def say_missing(name: str, error: ImportError) -> None:
    """Say once that a peer is skipped, and how to install it."""
    if name not in missing:
        missing.add(name)
        print(f"{name} skipped ({error}): {INSTALL.get(name, f'pip install {name}')}")
