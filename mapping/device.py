"""The description of a memristive device, as a target names it; sim/devices holds the physics.

Conductances in siemens, times in seconds, x = g / g_max, ln is natural.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """Frozen, finite, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class ExactProgramming(Strict):
    """Devices take exactly the conductance asked for."""

    model: Literal["exact"]


class PolynomialProgramming(Strict):
    """One Gaussian error a device: sigma = sum_i c_i x^i."""

    model: Literal["polynomial"]
    coefficients_siemens: tuple[float, ...]


class NoDrift(Strict):
    """Conductances stay."""

    model: Literal["none"]


class ClippedLog(Strict):
    """clip(slope ln x + offset, low, high)."""

    slope: float
    offset: float
    low: NotNegative
    high: NotNegative


class PowerLawDrift(Strict):
    """g(t) = g (t / t0)^-nu with one nu = |N(mean(x), std(x))| a device."""

    model: Literal["power-law"]
    exponent_mean: ClippedLog
    exponent_std: ClippedLog


class Relaxation(Strict):
    """One Gaussian displacement a device that grows with age: sigma(x, t) = sum_i c_i(t) x^i.

    Coefficients are given at measured ages and interpolated in ln t; beyond the last they are held.
    """

    model: Literal["relaxation"]
    ages_s: tuple[Positive, ...]
    coefficients_siemens: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def one_row_an_age(self) -> Relaxation:
        if not self.ages_s or len(self.ages_s) != len(self.coefficients_siemens):
            raise ValueError(f"{len(self.coefficients_siemens)} rows of coefficients: expected one for each of ages_s")
        if len({len(row) for row in self.coefficients_siemens}) != 1:
            raise ValueError("rows of coefficients of different lengths: expected the same powers at every age")
        if list(self.ages_s) != sorted(set(self.ages_s)):
            raise ValueError(f"ages_s {list(self.ages_s)}: expected increasing ages")
        return self


class NoReadNoise(Strict):
    """Reads are exact."""

    model: Literal["none"]


class RelativeReadNoise(Strict):
    """sigma = fraction * g, fresh in every read."""

    model: Literal["relative"]
    fraction: NotNegative


class OneOverFReadNoise(Strict):
    """sigma = g q sqrt(ln((t + t_read) / (2 t_read))), q = min(scale / x^power, limit), fresh in every read."""

    model: Literal["one-over-f"]
    read_time_s: Positive
    scale: NotNegative
    power: float
    limit: NotNegative


class StuckDevices(Strict):
    """Shares of devices that never move: at g_min, and at g_max."""

    low: Share = 0.0
    high: Share = 0.0

    @model_validator(mode="after")
    def at_most_all(self) -> StuckDevices:
        if self.low + self.high > 1:
            raise ValueError(f"stuck low {self.low} and high {self.high}: expected at most 1 together")
        return self


class Device(Strict):
    """One memristive device.

    Attributes:
        g_min_siemens, g_max_siemens: the window conductances are programmed in.
        reference_time_s: t0, the time after programming at which the programmed value is defined; an age of
            0 s means t = t0.
        programming, drift, read_noise, stuck: see the models above.
    """

    name: str
    source: str = ""
    g_min_siemens: NotNegative
    g_max_siemens: Positive
    reference_time_s: Positive = 1.0
    programming: Annotated[ExactProgramming | PolynomialProgramming, Field(discriminator="model")]
    drift: Annotated[NoDrift | PowerLawDrift | Relaxation, Field(discriminator="model")]
    read_noise: Annotated[NoReadNoise | RelativeReadNoise | OneOverFReadNoise, Field(discriminator="model")]
    stuck: StuckDevices = StuckDevices()

    @model_validator(mode="after")
    def window(self) -> Device:
        if self.g_min_siemens >= self.g_max_siemens:
            raise ValueError(
                f"g_min_siemens {self.g_min_siemens:g} and g_max_siemens {self.g_max_siemens:g}: expected min < max"
            )
        return self
