"""Device physics, converters, and the chips that run energy networks on mapped arrays."""

from sim.chip import Chip

__all__ = ["Chip"]
