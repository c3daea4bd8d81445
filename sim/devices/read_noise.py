"""Read noise: the spread of one device's conductance from read to read."""

from __future__ import annotations

import math
from functools import singledispatch

from torch import Tensor

from mapping.device import Device, NoReadNoise, OneOverFReadNoise, RelativeReadNoise, WhiteReadNoise
from sim.devices.curves import not_negative


def sigma(device: Device, conductance: Tensor, age_s: float, read_time_s: float | None = None) -> Tensor | None:
    """Standard deviation in siemens of a read at ``age_s`` after the reference time, or None if reads are exact.

    Args:
        conductance: siemens, at that age.
        read_time_s: integration time of the read; None: that of the measurement.
    """
    return spread(device.read_noise, device, conductance, age_s, read_time_s)


@singledispatch
def spread(law: object, device: Device, conductance: Tensor, age_s: float, read_time_s: float | None) -> Tensor | None:
    raise TypeError(f"{type(law).__name__}: no such read noise law")


@spread.register
def _(law: NoReadNoise, device: Device, conductance: Tensor, age_s: float, read_time_s: float | None) -> None:
    return None


@spread.register
def _(law: RelativeReadNoise, device: Device, conductance: Tensor, age_s: float, read_time_s: float | None) -> Tensor:
    return conductance * law.fraction


@spread.register
def _(law: WhiteReadNoise, device: Device, conductance: Tensor, age_s: float, read_time_s: float | None) -> Tensor:
    measured = not_negative(law.sigma_siemens, conductance / device.g_max_siemens, device.g_max_siemens)
    return measured if read_time_s is None else measured.mul_(math.sqrt(law.read_time_s / read_time_s))


@spread.register
def _(law: OneOverFReadNoise, device: Device, conductance: Tensor, age_s: float, read_time_s: float | None) -> Tensor:
    read_s = law.read_time_s if read_time_s is None else read_time_s
    # Natural logarithm of the band of 1/f noise that a read sees; none is left where a read takes longer than t.
    bandwidth = max(math.log((device.reference_time_s + age_s + read_s) / (2 * read_s)), 0.0)
    curve = law.sigma_siemens if law.relative is None else law.relative
    amplitude = not_negative(curve, conductance / device.g_max_siemens, device.g_max_siemens)
    if law.relative is not None:
        amplitude.mul_(conductance)
    return amplitude.mul_(math.sqrt(bandwidth))
