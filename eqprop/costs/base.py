"""What a cost offers: a value, a prediction and a nudge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from eqprop.couplings import Coupling

States = Mapping[str, Tensor]
Couplings = Mapping[str, Coupling]


class Cost(ABC, nn.Module):
    """C(s, y): what the nudged phases minimise together with the energy, as E + beta C.

    Attributes:
        layer: name of the free layer whose drive the nudge changes.
        readout: name of the coupling that reads predictions out of ``layer``, or None if the layer's own
            state is the prediction. It is a coupling of the network without an edge in its graph.
        classes: how many numbers the readout gives, or None without one.
    """

    kind: ClassVar[str]
    layer: str
    readout: str | None = None
    classes: int | None = None

    @abstractmethod
    def logits(self, states: States, couplings: Couplings) -> Tensor:
        """Predictions, [batch, classes]; the largest is the answer."""

    @abstractmethod
    def value(self, states: States, target: Tensor, couplings: Couplings) -> Tensor:
        """C for each sample, [batch]. ``target`` holds class numbers, int64 [batch]."""

    @abstractmethod
    def nudge_(
        self, drive: Tensor, state: Tensor, target: Tensor, beta: float, stiffness: float, couplings: Couplings
    ) -> Tensor:
        """Turn the drive h of ``layer`` into its nudged update before clipping, in place (h / k when beta is 0)."""

    @abstractmethod
    def accumulate(self, states: States, target: Tensor, couplings: Couplings, scale: float) -> None:
        """Add scale * dC/dtheta (batch mean) to ``.grad`` of the parameters that belong to the cost alone."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Constructor arguments as plain values."""
