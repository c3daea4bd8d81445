"""Learning in place: EP on a chip, its devices moved by pulses or written anew."""

from sim.learning.devices import ChipDevices
from sim.learning.learner import Learner, Step
from sim.learning.pulsed import Pulsed
from sim.learning.rule import Rule
from sim.learning.verified import Verified

__all__ = ["ChipDevices", "Learner", "Pulsed", "Rule", "Step", "Verified"]
