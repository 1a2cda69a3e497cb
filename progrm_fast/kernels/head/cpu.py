"""The loss of the head and its gradients on the CPU: the C++ core."""

from __future__ import annotations

import mmap

import torch

from progrm_fast import _C
from progrm_fast.kernels.score.cpu import empty, outputs, rows_of, wide, wide_weights
from progrm_fast.kernels.views import address, max_threads

__all__ = ["head_hidden_gradient", "head_weight_sums", "progress_bce"]

_MAPPED_BYTES = 1 << 22


def progress_bce(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    step_index: torch.Tensor,
    targets: torch.Tensor,
    sample_weights: torch.Tensor | None,
    norm_weight: torch.Tensor | None,
    norm_eps: float,
    want_sums: bool,
) -> tuple[torch.Tensor, ...]:
    """Return loss (), its gradient in the logits (K, heads), dot products, scales, sums of the weight's gradient."""
    loss = empty()
    dots, scales = outputs(step_index, weight, norm_weight, 0)
    dlogits = torch.empty_like(dots)
    sums = empty(*(weight.shape if want_sums else (0, 0)))
    weights, biases = wide_weights(weight, norm_weight), wide(bias)
    _C.progress_bce(
        rows_of(hidden),
        (
            weights.data_ptr(),
            address(biases),
            weight.shape[0],
            dots.data_ptr(),
            scales.data_ptr(),
            norm_eps,
            norm_weight is not None,
        ),
        (step_index.data_ptr(), step_index.shape[0]),
        targets.data_ptr(),
        address(sample_weights),
        loss.data_ptr(),
        dlogits.data_ptr(),
        sums.data_ptr() if want_sums else 0,
        max_threads(),
    )
    return loss, dlogits, dots, scales, sums


def head_hidden_gradient(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    norm_weight: torch.Tensor | None,
    step_index: torch.Tensor,
    dots: torch.Tensor,
    scales: torch.Tensor,
    dlogits: torch.Tensor,
) -> torch.Tensor:
    """Return the dense gradient of hidden."""
    gradient = _zeros(hidden)
    weights = wide_weights(weight, norm_weight)
    _C.head_hidden_gradient(
        rows_of(hidden),
        (weights.data_ptr(), 0, weight.shape[0], dots.data_ptr(), scales.data_ptr(), 0.0, norm_weight is not None),
        (step_index.data_ptr(), step_index.shape[0]),
        dlogits.contiguous().data_ptr(),
        gradient.data_ptr(),
        max_threads(),
    )
    return gradient


def head_weight_sums(
    hidden: torch.Tensor, step_index: torch.Tensor, scales: torch.Tensor, dlogits: torch.Tensor
) -> torch.Tensor:
    """Return the sum over steps of dlogits * scale * row, (heads, H)."""
    heads = dlogits.shape[1]
    sums = empty(heads, hidden.shape[2])
    _C.head_weight_sums(
        rows_of(hidden),
        (0, 0, heads, 0, scales.data_ptr(), 0.0, scales.numel() > 0),
        (step_index.data_ptr(), step_index.shape[0]),
        dlogits.data_ptr(),
        sums.data_ptr(),
        max_threads(),
    )
    return sums


def _zeros(like: torch.Tensor) -> torch.Tensor:
    """Return contiguous zeros; many of them as fresh pages, of which the system fills those that are touched."""
    n_bytes = like.numel() * like.element_size()
    if n_bytes < _MAPPED_BYTES or not hasattr(mmap, "MAP_ANONYMOUS"):
        return torch.zeros(like.shape, dtype=like.dtype)
    pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=like.dtype).view(like.shape)
