"""Readers of other implementations' model files."""
