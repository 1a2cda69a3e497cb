"""The dispatch table: it matches the files, obeys a named backend, and says when `auto` falls back."""

import importlib
import pathlib
import warnings

import pytest
import torch

import progrm_fast.kernels as kernels
from progrm_fast.kernels import dispatch
from progrm_fast.kernels.scan import discounted_returns

FILE_OF = {"reference": "reference.py", "cpu": "cpu.py", "triton": "triton_kernels.py"}


@pytest.mark.parametrize("op", dispatch.operations())
def test_every_entry_loads_and_every_operation_has_a_reference(op):
    assert "reference" in dispatch.backends(op)
    for backend in dispatch.backends(op):
        assert dispatch.load(op, backend).__name__ == op


def test_the_table_names_every_backend_file_and_no_other():
    root = pathlib.Path(kernels.__file__).parent
    on_disk = {path for name in FILE_OF.values() for path in root.glob(f"*/{name}")}
    in_table = {pathlib.Path(importlib.import_module(name).__file__) for name in set(dispatch._TABLE.values())}
    assert in_table == on_disk


def test_an_unknown_backend_is_refused_with_the_names_that_exist():
    with pytest.raises(ValueError, match=r"backend: expected auto or one of reference, cpu.* for scan, got 'gpu'"):
        discounted_returns(torch.zeros(1, 1), gamma=1.0, backend="gpu")


def test_an_unknown_operation_is_refused():
    with pytest.raises(ValueError, match=r"op: expected one of .*scan.*, got 'sacn'"):
        dispatch.backends("sacn")


def test_a_named_backend_is_never_replaced():
    with pytest.raises(TypeError, match="backend 'cpu' expects float32, bfloat16, float16, got float64"):
        discounted_returns(torch.zeros(1, 1, dtype=torch.float64), gamma=1.0, backend="cpu")


def test_auto_says_once_why_it_falls_back():
    dispatch._say_fallback.cache_clear()
    double = torch.ones(1, 2, dtype=torch.float64)
    with pytest.warns(
        RuntimeWarning, match="scan runs on the reference backend, not on cpu: cpu does not take float64"
    ):
        result = discounted_returns(double, gamma=0.5)
    assert result.tolist() == [[1.5, 1.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        discounted_returns(double, gamma=0.5)


def test_triton_refuses_cpu_tensors_without_its_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setitem(dispatch._TABLE, ("scan", "triton"), "progrm_fast.kernels.scan.reference")
    dispatch.load.cache_clear()
    try:
        with pytest.raises(ValueError, match="'triton' expects cuda tensors, got a cpu tensor"):
            discounted_returns(torch.zeros(1, 1), gamma=1.0, backend="triton")
    finally:
        dispatch.load.cache_clear()
