"""Test modules that run inside a simulator; see :mod:`tb.runner`."""

CLOCK_NS = 10
