"""Devices that never move."""

from __future__ import annotations

from pydantic import model_validator

from mapping.device.strict import Share, Strict


class StuckDevices(Strict):
    """Shares of devices that never move: at g_min, at g_max, and anywhere between (uniform)."""

    low: Share = 0.0
    high: Share = 0.0
    any: Share = 0.0

    @model_validator(mode="after")
    def at_most_all(self) -> StuckDevices:
        if self.low + self.high + self.any > 1.0 + 1e-12:  # 0.7 + 0.2 + 0.1 is a little more in binary
            raise ValueError(
                f"stuck low {self.low:g}, high {self.high:g} and any {self.any:g}: expected at most 1 together"
            )
        return self
