"""Which backend runs an operation: the only table.

``auto`` takes the compiled backend of the device (``triton`` for CUDA tensors, ``cpu`` for CPU tensors) and falls
back to ``reference`` with one warning that says why. A backend asked for by name is obeyed or refused, never
replaced.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["BACKENDS", "backends", "load", "missing", "operations", "select"]

BACKENDS = ("reference", "cpu", "triton")

_KERNELS = "progrm_fast.kernels"

# (operation, backend) -> module; the function in it has the operation's name. Loaded on first use.
_TABLE: dict[tuple[str, str], str] = {
    ("group_advantages", "reference"): f"{_KERNELS}.groups.reference",
    ("group_advantages", "cpu"): f"{_KERNELS}.groups.cpu",
    ("group_advantages", "triton"): f"{_KERNELS}.groups.triton_kernels",
    ("head_hidden_gradient", "reference"): f"{_KERNELS}.head.reference",
    ("head_hidden_gradient", "cpu"): f"{_KERNELS}.head.cpu",
    ("head_hidden_gradient", "triton"): f"{_KERNELS}.head.triton_kernels",
    ("head_weight_sums", "reference"): f"{_KERNELS}.head.reference",
    ("head_weight_sums", "cpu"): f"{_KERNELS}.head.cpu",
    ("head_weight_sums", "triton"): f"{_KERNELS}.head.triton_kernels",
    ("masked_moments", "reference"): f"{_KERNELS}.whiten.reference",
    ("masked_moments", "cpu"): f"{_KERNELS}.whiten.cpu",
    ("masked_moments", "triton"): f"{_KERNELS}.whiten.triton_kernels",
    ("normalize", "reference"): f"{_KERNELS}.whiten.reference",
    ("normalize", "cpu"): f"{_KERNELS}.whiten.cpu",
    ("normalize", "triton"): f"{_KERNELS}.whiten.triton_kernels",
    ("normalize_in_place", "reference"): f"{_KERNELS}.whiten.reference",
    ("normalize_in_place", "cpu"): f"{_KERNELS}.whiten.cpu",
    ("normalize_in_place", "triton"): f"{_KERNELS}.whiten.triton_kernels",
    ("progress_advantages", "reference"): f"{_KERNELS}.steps.reference",
    ("progress_advantages", "cpu"): f"{_KERNELS}.steps.cpu",
    ("progress_advantages", "triton"): f"{_KERNELS}.steps.triton_kernels",
    ("progress_bce", "reference"): f"{_KERNELS}.head.reference",
    ("progress_bce", "cpu"): f"{_KERNELS}.head.cpu",
    ("progress_bce", "triton"): f"{_KERNELS}.head.triton_kernels",
    ("progress_rewards", "reference"): f"{_KERNELS}.steps.reference",
    ("progress_rewards", "cpu"): f"{_KERNELS}.steps.cpu",
    ("progress_rewards", "triton"): f"{_KERNELS}.steps.triton_kernels",
    ("scan", "reference"): f"{_KERNELS}.scan.reference",
    ("scan", "cpu"): f"{_KERNELS}.scan.cpu",
    ("scan", "triton"): f"{_KERNELS}.scan.triton_kernels",
    ("score_steps", "reference"): f"{_KERNELS}.score.reference",
    ("score_steps", "cpu"): f"{_KERNELS}.score.cpu",
    ("score_steps", "triton"): f"{_KERNELS}.score.triton_kernels",
    ("score_steps_adjoint", "reference"): f"{_KERNELS}.score.reference",
    ("score_steps_adjoint", "cpu"): f"{_KERNELS}.score.cpu",
    ("score_steps_adjoint", "triton"): f"{_KERNELS}.score.triton_kernels",
    ("steps_to_tokens", "reference"): f"{_KERNELS}.steps.reference",
    ("steps_to_tokens", "cpu"): f"{_KERNELS}.steps.cpu",
    ("steps_to_tokens", "triton"): f"{_KERNELS}.steps.triton_kernels",
    ("token_kl", "reference"): f"{_KERNELS}.kl.reference",
    ("token_kl", "cpu"): f"{_KERNELS}.kl.cpu",
    ("token_kl", "triton"): f"{_KERNELS}.kl.triton_kernels",
    ("token_kl_out", "reference"): f"{_KERNELS}.kl.reference",
    ("token_kl_out", "cpu"): f"{_KERNELS}.kl.cpu",
    ("token_kl_out", "triton"): f"{_KERNELS}.kl.triton_kernels",
    ("tokens_to_steps", "reference"): f"{_KERNELS}.steps.reference",
    ("tokens_to_steps", "cpu"): f"{_KERNELS}.steps.cpu",
    ("tokens_to_steps", "triton"): f"{_KERNELS}.steps.triton_kernels",
    ("whiten", "reference"): f"{_KERNELS}.whiten.reference",
    ("whiten", "cpu"): f"{_KERNELS}.whiten.cpu",
    ("whiten", "triton"): f"{_KERNELS}.whiten.triton_kernels",
}

_DEVICE_BACKEND = {"cuda": "triton", "cpu": "cpu"}
# What the compiled backends read. The reference takes float64 too.
_COMPILED_DTYPES = ("float32", "bfloat16", "float16")


def operations() -> tuple[str, ...]:
    """Names of all operations, sorted."""
    return tuple(sorted({op for op, _ in _TABLE}))


def backends(op: str) -> tuple[str, ...]:
    """Names of the backends that implement ``op``, in the order of ``BACKENDS``.

    Raises
    ------
    ValueError
        If no operation has that name.
    """
    found = tuple(backend for backend in BACKENDS if (op, backend) in _TABLE)
    if not found:
        raise ValueError(f"op: expected one of {', '.join(operations())}, got {op!r}")
    return found


@functools.cache
def missing(backend: str) -> str | None:
    """Why ``backend`` cannot run on this machine, or None if it can."""
    if backend == "triton" and importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    return None


@functools.cache
def load(op: str, backend: str) -> Callable[..., Any]:
    """Return the function that implements ``op`` on ``backend``; its module is imported now.

    Raises
    ------
    ValueError
        If there is no such operation, or it has no such backend, or the backend cannot run on this machine.
    """
    if backend not in backends(op):
        raise ValueError(f"backend: expected auto or one of {', '.join(backends(op))} for {op}, got {backend!r}")
    if reason := missing(backend):
        raise ValueError(f"backend: {backend!r} cannot run {op} here: {reason}")
    function: Callable[..., Any] = getattr(importlib.import_module(_TABLE[op, backend]), op)
    return function


def select(op: str, backend: str, tensor: torch.Tensor) -> Callable[..., Any]:
    """Return the function that runs ``op`` on ``tensor``'s device and dtype.

    Parameters
    ----------
    op : str
        Operation name, one of ``operations``.
    backend : str
        ``"auto"``, or a backend by name.
    tensor : torch.Tensor
        The operation's main input.

    Raises
    ------
    ValueError
        If the named backend does not exist for ``op`` or cannot take tensors of this device.
    TypeError
        If the named backend cannot take this dtype.
    """
    if backend == "auto":
        wanted, reason = _automatic(op, tensor.device.type, tensor.dtype)
        if reason is not None:
            _say_fallback(op, wanted, reason)
            wanted = "reference"
        return load(op, wanted)
    device, dtype = tensor.device.type, _name_of(tensor.dtype)
    function = load(op, backend)
    if _wrong_device(backend, device):
        raise ValueError(f"backend: {backend!r} expects {_devices_of(backend)} tensors, got a {device} tensor")
    if _wrong_dtype(backend, dtype):
        raise TypeError(f"{op}: backend {backend!r} expects {', '.join(_COMPILED_DTYPES)}, got {dtype}")
    return function


@functools.cache
def _automatic(op: str, device: str, dtype: torch.dtype) -> tuple[str, str | None]:
    """Return the backend that ``auto`` wants, and why it cannot be had; every call of a few microseconds asks."""
    wanted = _DEVICE_BACKEND.get(device, "reference")
    return wanted, _refusal(op, wanted, device, _name_of(dtype))


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _refusal(op: str, backend: str, device: str, dtype: str) -> str | None:
    if backend not in backends(op):
        return f"{op} has no {backend} backend"
    if reason := missing(backend):
        return reason
    if _wrong_device(backend, device):
        return f"{backend} does not take {device} tensors"
    if _wrong_dtype(backend, dtype):
        return f"{backend} does not take {dtype}"
    return None


def _wrong_device(backend: str, device: str) -> bool:
    if backend == "triton":
        return device != "cuda" and not triton_interpreted()
    return backend == "cpu" and device != "cpu"


def _wrong_dtype(backend: str, dtype: str) -> bool:
    # Integer and bool main inputs (step ids, masks) are checked by the operation itself.
    return backend != "reference" and dtype == "float64"


def _devices_of(backend: str) -> str:
    return "cuda" if backend == "triton" else "cpu"


def triton_interpreted() -> bool:
    """Whether Triton kernels run in Triton's interpreter (``TRITON_INTERPRET=1``), which takes CPU tensors."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@functools.cache
def _say_fallback(op: str, backend: str, reason: str) -> None:
    warnings.warn(
        f"progrm_fast: {op} runs on the reference backend, not on {backend}: {reason}", RuntimeWarning, stacklevel=4
    )
