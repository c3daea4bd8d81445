"""The functions and signals of a compiled simulation, as ``cxxrtl_wrapper.cc`` exports them."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_ssize_t, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tb.words import Words, words_of

# CXXRTL's numbers: a type of object, and flags of ports.
MEMORY, INPUT, OUTPUT = 2, 1, 2

Kind = Literal["input", "output", "register", "memory"]
READABLE: tuple[Kind, ...] = ("input", "output", "register")


class Found(ctypes.Structure):
    """The first fields of a ``cxxrtl_object``."""

    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("width", c_size_t),
        ("lsb_at", c_size_t),
        ("depth", c_size_t),
        ("zero_at", c_size_t),
        ("curr", POINTER(c_uint32)),
        ("next", POINTER(c_uint32)),
    ]


@dataclass(frozen=True)
class Signal:
    """A port, a register or a memory.

    Attributes:
        kind: which of them.
        bits: of each word that the circuit knows.
        words: [depth, words] where the simulation has them.
    """

    kind: Kind
    bits: int
    words: Words

    @property
    def at(self) -> Any:
        return self.words.ctypes.data


# In the order of the wrapper's structure.
AXI: dict[str, Kind] = {
    "awaddr": "input",
    "awvalid": "input",
    "awready": "output",
    "wdata": "input",
    "wstrb": "input",
    "wvalid": "input",
    "wready": "output",
    "bresp": "output",
    "bvalid": "output",
    "bready": "input",
    "araddr": "input",
    "arvalid": "input",
    "arready": "output",
    "rdata": "output",
    "rresp": "output",
    "rvalid": "output",
    "rready": "input",
}


class AxiPorts(ctypes.Structure):
    """Ports of an AXI4-Lite subordinate."""

    _fields_ = [(name, c_void_p) for name in AXI]


def kind_of(number: int, flags: int) -> Kind:
    if number == MEMORY:
        return "memory"
    return "input" if flags & INPUT else "output" if flags & OUTPUT else "register"


CALLBACK = ctypes.CFUNCTYPE(None, c_char_p, POINTER(Found))
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "destroy": (None, []),
    "objects": (None, [CALLBACK]),
    "clock": (None, [c_void_p]),
    "sink": (None, [c_void_p, c_size_t, c_void_p, c_void_p, c_char_p]),
    "source": (None, [c_void_p, c_size_t, c_void_p, c_void_p, c_char_p, c_ssize_t, c_uint64]),
    "watch": (None, [c_void_p, c_bool]),
    "settle": (None, []),
    "reset": (None, [c_void_p]),
    "step": (None, [c_uint64]),
    "run": (c_int, [c_uint64]),
    "clocks": (c_uint64, []),
    "supply": (None, [c_size_t, c_void_p, c_size_t]),
    "queued": (c_size_t, [c_size_t]),
    "due": (c_size_t, [c_size_t]),
    "logged": (c_size_t, [c_size_t]),
    "log": (None, [c_size_t, c_void_p, c_void_p]),
    "risen": (c_size_t, [c_size_t]),
    "rises": (None, [c_size_t, c_void_p]),
    "axi_write": (c_int, [c_void_p, c_uint32, c_void_p, c_size_t, c_uint64, POINTER(c_size_t)]),
    "axi_read": (c_int, [c_void_p, c_uint32, c_void_p, c_size_t, c_uint64, POINTER(c_size_t)]),
}


class Simulation:
    """One simulation; its functions are called without "simulation_" before their names.

    Args:
        library: of :func:`tb.cxxrtl_compile.compile_model`.
    """

    def __init__(self, library: Path) -> None:
        self._functions = ctypes.CDLL(str(library))
        for name, (returned, arguments) in FUNCTIONS.items():
            function = getattr(self._functions, f"simulation_{name}")
            function.restype, function.argtypes = returned, [c_void_p, *arguments]
        create = self._functions.simulation_create
        create.restype = c_void_p
        self._simulation = create()

    def __del__(self) -> None:
        if hasattr(self, "_simulation"):
            self.call("destroy")

    def call(self, name: str, *arguments: Any) -> Any:
        return getattr(self._functions, f"simulation_{name}")(self._simulation, *arguments)

    def signals(self) -> dict[str, Signal]:
        """Ports, registers and memories by name."""
        named: dict[str, Signal] = {}

        def found(name: bytes, item: Any) -> None:
            one = item[0]
            words = np.ctypeslib.as_array(one.curr, (one.depth, words_of(one.width)))
            named[name.decode()] = Signal(kind_of(one.type, one.flags), one.width, words)

        self.call("objects", CALLBACK(found))
        return named
