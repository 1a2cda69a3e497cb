"""Numerical operations, one folder each: the signature and checks, then one file per backend.

``kernels/<op>/__init__.py`` holds the public functions with equation, shapes and checks; ``reference.py`` is
readable torch, ``cpu.py`` calls the C++ core, ``triton_kernels.py`` holds GPU kernels. An absent file is an
absent backend.
"""
