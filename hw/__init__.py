"""The digital controller in Amaranth: what lies between the converters and the states, equal bit for bit to the integer
rules of ``mapping.arithmetic`` and ``mapping.dither``."""

from hw.config import ControllerConfig
from hw.controller import Controller
from hw.core import Core
from hw.dac_feeder import DacFeeder
from hw.fixed import Rule, RulePort
from hw.link import Linked, link
from hw.neuron import Neuron
from hw.nudger import LinearNudger, SquaredErrorNudger
from hw.scaler import Scaler

__all__ = [
    "Controller",
    "ControllerConfig",
    "Core",
    "DacFeeder",
    "LinearNudger",
    "Linked",
    "Neuron",
    "Rule",
    "RulePort",
    "Scaler",
    "SquaredErrorNudger",
    "link",
]
