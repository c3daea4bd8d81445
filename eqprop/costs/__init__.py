"""Costs: what the nudged phases pull the network towards."""

from eqprop.costs.base import Cost
from eqprop.costs.cross_entropy import CrossEntropy
from eqprop.costs.squared_error import SquaredError

KINDS: dict[str, type[Cost]] = {cls.kind: cls for cls in (SquaredError, CrossEntropy)}

__all__ = ["KINDS", "Cost", "CrossEntropy", "SquaredError"]
