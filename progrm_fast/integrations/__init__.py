"""Adapters to training frameworks: each keeps its framework's signatures, eps and variance conventions."""
