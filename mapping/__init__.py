"""The hardware target, and the compiler from network to crossbars."""

from mapping.compiler import compile
from mapping.mapping import Mapping
from mapping.target import Target

__all__ = ["Mapping", "Target", "compile"]
