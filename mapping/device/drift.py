"""Drift laws: what age does to a programmed conductance. Time t = reference_time_s + age."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mapping.device.curve import Curve
from mapping.device.strict import NotNegative, Strict


class NoDrift(Strict):
    """Conductances stay."""

    model: Literal["none"]


class PowerLawDrift(Strict):
    """g(t) = g (t / t0)^-nu with one nu = |N(mean(x), std(x))| a device."""

    model: Literal["power-law"]
    exponent_mean: Curve
    exponent_std: Curve


class Relaxation(Strict):
    """One Gaussian displacement a device that changes with age: mean(x, t) + sigma(x, t) N.

    Curves are given at measured times; their values are interpolated and held beyond the last one.

    Attributes:
        interpolate: ``log`` (in ln t) or ``linear`` (in t, which allows a first time of 0).
        ages_s: measured times t, counted like the reference time from programming.
        mean_siemens: shift of the mean at each of them; empty for none.
        sigma_siemens: spread around the programmed value at each of them.
    """

    model: Literal["relaxation"]
    interpolate: Literal["log", "linear"] = "log"
    ages_s: tuple[NotNegative, ...]
    mean_siemens: tuple[Curve, ...] = ()
    sigma_siemens: tuple[Curve, ...]

    @model_validator(mode="after")
    def one_curve_an_age(self) -> Relaxation:
        for name, curves in (("sigma_siemens", self.sigma_siemens), ("mean_siemens", self.mean_siemens)):
            if (curves or name == "sigma_siemens") and len(curves) != len(self.ages_s):
                raise ValueError(f"{name} has {len(curves)} curves: expected one for each of ages_s")
        if not self.ages_s:
            raise ValueError("ages_s is empty: expected at least one age")
        if list(self.ages_s) != sorted(set(self.ages_s)):
            raise ValueError(f"ages_s {list(self.ages_s)}: expected increasing ages")
        if self.interpolate == "log" and self.ages_s[0] == 0.0:
            raise ValueError("ages_s starts at 0: expected ages above 0, or interpolate: linear")
        return self


class LogRelaxation(Strict):
    """One Gaussian displacement a device, the same at every conductance, with mean and spread c0 + c1 ln(t / 1 s).

    The spread is held at 0 where the formula is below it.
    """

    model: Literal["log-relaxation"]
    mean_siemens: tuple[float, float]
    sigma_siemens: tuple[float, float]


Drift = Annotated[NoDrift | PowerLawDrift | Relaxation | LogRelaxation, Field(discriminator="model")]
