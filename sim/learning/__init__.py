"""Learning in place: EP on a chip, its devices moved by pulses or written anew."""

from sim.learning.asymmetry import Homeostasis, known_skew, measured_skew
from sim.learning.devices import ChipDevices
from sim.learning.learner import Learner, Step
from sim.learning.pulsed import Pulsed
from sim.learning.rule import Rule
from sim.learning.verified import Verified

__all__ = [
    "ChipDevices",
    "Homeostasis",
    "Learner",
    "Pulsed",
    "Rule",
    "Step",
    "Verified",
    "known_skew",
    "measured_skew",
]
