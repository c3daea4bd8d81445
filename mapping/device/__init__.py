"""The description of a memristive device, as a target names it; sim/devices holds the physics.

Conductances in siemens, times in seconds, x = g / g_max, ln is natural.
"""

from mapping.device.current import Current, Ohmic, PolynomialCurrent, Sinh
from mapping.device.curve import Branch, ClippedLog, Curve, LogPolynomial, Polynomial, Power, Saturating
from mapping.device.device import Device
from mapping.device.drift import Drift, LogRelaxation, NoDrift, PowerLawDrift, Relaxation
from mapping.device.faults import StuckDevices
from mapping.device.programming import ExactProgramming, GaussianProgramming, Programming, WriteVerify
from mapping.device.published import PublishedValue
from mapping.device.read_noise import NoReadNoise, OneOverFReadNoise, ReadNoise, RelativeReadNoise, WhiteReadNoise
from mapping.device.strict import NotNegative, Positive, Share, Strict
from mapping.device.update import (
    ConstantStep,
    CorruptDevices,
    ExpStep,
    LinearStep,
    NoUpdate,
    PulsedUpdate,
    SoftBounds,
    Update,
    UpdatePreset,
)

__all__ = [
    "Branch",
    "ClippedLog",
    "ConstantStep",
    "CorruptDevices",
    "Current",
    "Curve",
    "Device",
    "Drift",
    "ExactProgramming",
    "ExpStep",
    "GaussianProgramming",
    "LinearStep",
    "LogPolynomial",
    "LogRelaxation",
    "NoDrift",
    "NoReadNoise",
    "NoUpdate",
    "NotNegative",
    "Ohmic",
    "OneOverFReadNoise",
    "Polynomial",
    "PolynomialCurrent",
    "Positive",
    "Power",
    "PowerLawDrift",
    "Programming",
    "PublishedValue",
    "PulsedUpdate",
    "ReadNoise",
    "RelativeReadNoise",
    "Relaxation",
    "Saturating",
    "Share",
    "Sinh",
    "SoftBounds",
    "Strict",
    "StuckDevices",
    "Update",
    "UpdatePreset",
    "WhiteReadNoise",
    "WriteVerify",
]
