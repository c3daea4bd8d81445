"""The hwmap command: networks trained by Equilibrium Propagation, on memristor crossbars."""

__version__ = "0.1.0"
