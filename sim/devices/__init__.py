"""Device physics: programming, drift, read noise, faults, currents and pulses."""

from sim.devices.model import DeviceModel
from sim.devices.programming import Programmed
from sim.devices.pulses import Responses

__all__ = ["DeviceModel", "Programmed", "Responses"]
