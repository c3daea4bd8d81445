"""Testbenches of the controller: circuits in simulators, beside the golden models and the simulated chip."""
