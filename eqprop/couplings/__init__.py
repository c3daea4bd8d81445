"""Couplings: the bilinear forms that join layers."""

from eqprop.couplings.base import Coupling
from eqprop.couplings.conv2d import Conv2d
from eqprop.couplings.dense import Dense
from eqprop.couplings.low_rank import LowRank
from eqprop.couplings.stand_in import StandIn

KINDS: dict[str, type[Coupling]] = {cls.kind: cls for cls in (Dense, Conv2d, LowRank)}

__all__ = ["KINDS", "Conv2d", "Coupling", "Dense", "LowRank", "StandIn"]
