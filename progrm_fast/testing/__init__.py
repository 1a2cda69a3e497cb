"""Inputs, poison and peers shared by tests and benchmarks. Library code never imports this package."""
