"""One memristive device: window, reference time and laws."""

from __future__ import annotations

from pydantic import model_validator

from mapping.device.current import Current, Ohmic
from mapping.device.drift import Drift
from mapping.device.faults import StuckDevices
from mapping.device.programming import Programming
from mapping.device.published import PublishedValue
from mapping.device.read_noise import ReadNoise
from mapping.device.strict import NotNegative, Positive, Strict
from mapping.device.update import NoUpdate, Update


class Device(Strict):
    """One memristive device.

    Attributes:
        g_min_siemens, g_max_siemens: the window conductances are programmed in.
        reference_time_s: t0, the time after programming at which the programmed value is defined; an age of
            0 s means t = t0.
        programming, drift, read_noise, stuck, current: see the laws of each.
        update: response to pulses; its weights from w_min to w_max are conductances from g_min to g_max.
        test_points: values from the source that the formulas must give.
    """

    name: str
    source: str = ""
    g_min_siemens: NotNegative
    g_max_siemens: Positive
    reference_time_s: Positive = 1.0
    programming: Programming
    drift: Drift
    read_noise: ReadNoise
    stuck: StuckDevices = StuckDevices()
    current: Current = Ohmic()
    update: Update = NoUpdate()
    test_points: tuple[PublishedValue, ...] = ()

    @model_validator(mode="after")
    def window(self) -> Device:
        if self.g_min_siemens >= self.g_max_siemens:
            raise ValueError(
                f"g_min_siemens {self.g_min_siemens:g} and g_max_siemens {self.g_max_siemens:g}: expected min < max"
            )
        return self
