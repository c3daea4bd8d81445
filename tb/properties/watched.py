"""The frame of all properties: a block whose ports are free, and what is claimed of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from amaranth import Module, Signal, Value
from amaranth.hdl import Fragment
from amaranth.lib.wiring import Component, In, Out, connect, flipped


class Watched(Component, ABC):
    """A block, and properties beside it.

    Every input may do anything in any clock unless an ``Assume`` says otherwise. :meth:`properties` runs after the
    block's ``elaborate``: what the block keeps as attributes, and the ports of its :meth:`parts`, can be watched too.

    Parameters:
        block: any component.
        free: more inputs, by name and shape: choices that a property leaves open.

    Members:
        io: the ports of the block.
    """

    def __init__(self, block: Any, **free: Any) -> None:
        super().__init__({"io": Out(block.signature), **{name: In(shape) for name, shape in free.items()}})
        self.block = block

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = self._fragment = Fragment.get(self.block, platform)
        connect(m, flipped(self.io), self.block)
        self.properties(m)
        return m

    @abstractmethod
    def properties(self, m: Module) -> None:
        """Adds Asserts and Assumes."""

    def parts(self, kind: type) -> list[Any]:
        """All components of a kind inside the block, however deep.

        Raises:
            ValueError: if there are none.
        """
        found = [part for part in _components(self._fragment) if isinstance(part, kind)]
        if not found:
            raise ValueError(f"{type(self.block).__name__}: expected a {kind.__name__} inside")
        return found


def earlier(m: Module, value: Value, clocks: int) -> Value:
    """``value`` as it was ``clocks`` ago, 0 where a reset lies between: what a property remembers by itself."""
    for _ in range(clocks):
        kept = Signal.like(value)
        m.d.sync += kept.eq(value)
        value = kept
    return value


def _components(fragment: Fragment) -> Iterator[Any]:
    for part, _, _ in fragment.subfragments:
        yield from part.origins or ()
        yield from _components(part)
