"""Programming laws: what a device takes when it is asked for a conductance."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mapping.device.curve import NOTHING, Curve
from mapping.device.strict import Positive, Share, Strict


class ExactProgramming(Strict):
    """Devices take exactly the conductance asked for."""

    model: Literal["exact"]


class GaussianProgramming(Strict):
    """One Gaussian error a device, of standard deviation sigma(x) with x of the target.

    Attributes:
        sigma_siemens: standard deviation of the error.
        device_to_device: the share of the variance that belongs to the device and returns at every write; the rest
            is drawn at every write.
    """

    model: Literal["gaussian"]
    sigma_siemens: Curve
    device_to_device: Share = 0.0


class WriteVerify(Strict):
    """Attempts, each with a fresh Gaussian error around the target, until a verify read is within the tolerance.

    A device that is not accepted after the last attempt keeps its last value and counts as failed.

    Attributes:
        sigma_siemens: standard deviation of one attempt's error, x of the target.
        device_to_device: the share of that variance that belongs to the device and returns at every attempt.
        tolerance_siemens: largest accepted distance between the verify read and the target.
        max_attempts: writes before a device is given up.
        verify_sigma_siemens: noise of the verify read, x of the conductance that is read.
    """

    model: Literal["write-verify"]
    sigma_siemens: Curve
    device_to_device: Share = 0.0
    tolerance_siemens: Positive
    max_attempts: Annotated[int, Field(ge=1)]
    verify_sigma_siemens: Curve = NOTHING


Programming = Annotated[ExactProgramming | GaussianProgramming | WriteVerify, Field(discriminator="model")]
