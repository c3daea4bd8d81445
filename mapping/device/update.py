"""Update laws: what one pulse does to a device, in weight units.

Weights w run from w_min to w_max, which contain 0, and are linear in conductance. Up pulses raise w. "Spread" is the
standard deviation from device to device, "noise" that from pulse to pulse; N is a standard normal number, drawn once
for each device (spread) or pulse (noise).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mapping.device.strict import NotNegative, Positive, Share, Strict


class NoUpdate(Strict):
    """Devices are programmed, not pulsed."""

    model: Literal["none"] = "none"


class CorruptDevices(Strict):
    """A ``share`` of devices is fixed at random weights, uniform in [-reach, reach]."""

    share: Share = 0.0
    reach: NotNegative = 0.0


class PulsedUpdate(Strict):
    """What all update laws share.

    The step of a device at w = 0 is step (gain + r) up and step (gain - r) down, gain = 1 + step_spread N (or
    exp(step_spread N)), r = asymmetry_spread N; a positive ``asymmetry`` is taken off the down gain, a negative one
    off the up gain. Bounds are w_max (1 + w_max_spread N) and w_min (1 + w_min_spread N). Steps and bounds that
    come out with the wrong sign are mirrored.

    Attributes:
        step, step_spread, step_spread_log_normal, asymmetry, asymmetry_spread: see above.
        w_max, w_min, w_max_spread, w_min_spread: see above.
        step_noise: of each pulse, as a fraction of the step.
        write_noise: in steps: pulses move a hidden weight; what is read is that weight plus write_noise step N,
            drawn anew at each pulse.
        corrupt: devices that never move.
        one_sided: only up pulses are possible; a weight then needs a pair of devices and an occasional refresh.
    """

    step: Positive
    step_spread: NotNegative = 0.0
    step_spread_log_normal: bool = False
    asymmetry: float = 0.0
    asymmetry_spread: NotNegative = 0.0
    w_max: Positive
    w_min: Annotated[float, Field(le=0)]
    w_max_spread: NotNegative = 0.0
    w_min_spread: NotNegative = 0.0
    step_noise: NotNegative = 0.0
    write_noise: NotNegative = 0.0
    corrupt: CorruptDevices = CorruptDevices()
    one_sided: bool = False


class ConstantStep(PulsedUpdate):
    """dw = step (1 + step_noise N), the same at every weight."""

    model: Literal["constant-step"]


class LinearStep(PulsedUpdate):
    """dw = step (1 - gamma w / bound), with the mean bound (w_max up, w_min down) and gamma = |gamma + spread N|.

    ``noise`` is ``multiplicative``: dw (1 + step_noise N), or ``additive``: dw + step step_noise N.
    """

    model: Literal["linear-step"]
    gamma_up: float
    gamma_down: float
    gamma_up_spread: NotNegative = 0.0
    gamma_down_spread: NotNegative = 0.0
    noise: Literal["multiplicative", "additive"] = "additive"


class SoftBounds(PulsedUpdate):
    """dw = step (1 - v / bound) with v = w + reference and the device's own bounds of v: steps vanish at them.

    The weight is read against a reference device: its value is the device's symmetry point (where up and down steps
    are equal) if ``symmetry_point``, plus reference_spread N. ``noise`` as in :class:`LinearStep`.
    """

    model: Literal["soft-bounds"]
    noise: Literal["multiplicative", "additive"] = "additive"
    symmetry_point: bool = False
    reference_spread: NotNegative = 0.0


class ExpStep(PulsedUpdate):
    """dw = step max(1 - amplitude exp(+-exponent z), 0), + up and - down, z = 2 slope w / (w_max - w_min) + offset.

    Bounds are the device's own. The noise of a pulse is step_noise (|dw| + noise_constant + noise_slope |w|) N.
    """

    model: Literal["exp-step"]
    amplitude_up: float
    amplitude_down: float
    exponent_up: float
    exponent_down: float
    slope: float
    offset: float
    noise_constant: NotNegative = 0.0
    noise_slope: NotNegative = 0.0


Update = Annotated[NoUpdate | ConstantStep | LinearStep | SoftBounds | ExpStep, Field(discriminator="model")]


class UpdatePreset(Strict):
    """A file of ``presets/updates``: a published update law with its source."""

    name: str
    source: str
    update: Update
