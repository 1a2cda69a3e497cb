"""Argument checks shared by the operations. None of them reads a tensor's values: nothing waits for a device."""

from __future__ import annotations

import torch

__all__ = [
    "at_most",
    "check_cu_seqlens",
    "check_flags",
    "check_floats",
    "check_number",
    "check_out",
    "columns_adjacent",
]

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_FLAGS = (*_FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_floats(
    name: str,
    tensor: object,
    *,
    shape: torch.Size | tuple[int, ...] | None = None,
    device: torch.device | None = None,
) -> None:
    """Refuse anything but a real floating-point tensor of the given shape and device."""
    _check_tensor(name, tensor, _FLOATS, "floating-point numbers (float32, bfloat16, float16, float64)")
    check_place(name, tensor, shape, device)


def check_flags(name: str, tensor: object, *, shape: torch.Size | tuple[int, ...], device: torch.device) -> None:
    """Refuse anything but a bool, integer or floating-point tensor of 0 and 1 of the given shape and device."""
    _check_tensor(name, tensor, _FLAGS, "bool, integers or floats of 0 and 1")
    check_place(name, tensor, shape, device)


def check_cu_seqlens(name: str, tensor: object, *, device: torch.device) -> None:
    """Refuse anything but an int32 tensor of shape (B + 1,) on the given device."""
    _check_tensor(name, tensor, (torch.int32,), "int32")
    check_place(name, tensor, None, device)
    if not isinstance(tensor, torch.Tensor) or tensor.ndim != 1 or tensor.shape[0] < 1:
        raise ValueError(f"{name}: expected shape (B + 1,), got {tuple(getattr(tensor, 'shape', ()))}")


def check_number(name: str, value: object, *, low: float | None = None, high: float | None = None) -> float:
    """Refuse anything but a real number in [low, high]; NaN is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    number = float(value)
    if number != number or (low is not None and number < low) or (high is not None and number > high):
        bounds = " and ".join(
            text
            for text in ([f"at least {low:g}"] if low is not None else [])
            + ([f"at most {high:g}"] if high is not None else [])
        )
        raise ValueError(f"{name}: expected a number{' of ' + bounds if bounds else ''}, got {value}")
    return number


def check_out(name: str, tensor: object, *, like: torch.Tensor) -> None:
    """Refuse an output unless it has ``like``'s shape and device, the result's dtype and adjacent columns."""
    dtype = result_dtype(like)
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(tensor).__name__}")
    if tensor.dtype != dtype:
        raise TypeError(f"{name}: expected {_plain(dtype)}, got {_plain(tensor.dtype)}")
    check_place(name, tensor, like.shape, like.device)
    if tensor.ndim and tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
        raise ValueError(f"{name}: expected adjacent columns (stride 1), got strides {tensor.stride()}")


def result_dtype(tensor: torch.Tensor) -> torch.dtype:
    """Results are float32, except that the reference answers float64 with float64."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def at_most(tensor: torch.Tensor, main: torch.Tensor) -> torch.Tensor:
    """Bring float64 down to float32 beside a main input of less; the compiled backends read no float64."""
    return tensor.float() if tensor.dtype == torch.float64 and main.dtype != torch.float64 else tensor


def columns_adjacent(tensor: torch.Tensor) -> torch.Tensor:
    """Return ``tensor`` detached, copied only if its last dimension is not adjacent in memory or overlaps."""
    tensor = tensor.detach()
    if tensor.ndim == 0 or tensor.shape[-1] <= 1 or tensor.stride(-1) == 1:
        return tensor
    return tensor.contiguous()


def check_place(
    name: str, tensor: object, shape: torch.Size | tuple[int, ...] | None, device: torch.device | None
) -> None:
    """Refuse a tensor of another shape or on another device."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(tensor).__name__}")
    if shape is not None and tensor.shape != shape:
        raise ValueError(f"{name}: expected shape {tuple(shape)}, got {tuple(tensor.shape)}")
    if device is not None and tensor.device != device:
        raise ValueError(f"{name}: expected a tensor on {device}, got one on {tensor.device}")


def _check_tensor(name: str, tensor: object, dtypes: tuple[torch.dtype, ...], wanted: str) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: expected a tensor of {wanted}, got {type(tensor).__name__}")
    if tensor.dtype not in dtypes:
        raise TypeError(f"{name}: expected {wanted}, got {_plain(tensor.dtype)}")


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
