"""The HTML report about a compiled network."""

from reports.page import write

__all__ = ["write"]
