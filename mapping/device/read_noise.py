"""Read noise laws: the spread of one device's conductance from read to read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mapping.device.curve import Curve
from mapping.device.strict import NotNegative, Positive, Strict


class NoReadNoise(Strict):
    """Reads are exact."""

    model: Literal["none"]


class RelativeReadNoise(Strict):
    """sigma = fraction * g, whatever the read time."""

    model: Literal["relative"]
    fraction: NotNegative


class WhiteReadNoise(Strict):
    """sigma = sigma(x) sqrt(read_time_s / time of the read): longer reads average it out.

    ``read_time_s`` is the read time of the measurement.
    """

    model: Literal["white"]
    sigma_siemens: Curve
    read_time_s: Positive


class OneOverFReadNoise(Strict):
    """sigma = amplitude(x) sqrt(ln((t + t_read) / (2 t_read))): all of 1/f noise between programming and the read.

    Attributes:
        read_time_s: t_read of the measurement.
        relative: amplitude as a fraction of g, or
        sigma_siemens: amplitude as it is. Exactly one of the two.
    """

    model: Literal["one-over-f"]
    read_time_s: Positive
    relative: Curve | None = None
    sigma_siemens: Curve | None = None

    @model_validator(mode="after")
    def one_amplitude(self) -> OneOverFReadNoise:
        if (self.relative is None) == (self.sigma_siemens is None):
            found = "neither" if self.relative is None else "both"
            raise ValueError(f"{found} of relative and sigma_siemens: expected exactly one")
        return self


ReadNoise = Annotated[
    NoReadNoise | RelativeReadNoise | WhiteReadNoise | OneOverFReadNoise, Field(discriminator="model")
]
