"""Scoring and its gradients in the logits, on the CPU: the C++ core."""

from __future__ import annotations

import torch

from progrm_fast import _C
from progrm_fast.kernels.views import address, floats, max_threads, rows

__all__ = ["empty", "outputs", "rows_of", "score_steps", "score_steps_adjoint", "wide", "wide_weights"]


def score_steps(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    step_index: torch.Tensor,
    cu_steps: torch.Tensor,
    norm_weight: torch.Tensor | None,
    norm_eps: float,
    initial: torch.Tensor | None,
    initial_value: float,
    gamma: float,
    minimum_share: float,
) -> tuple[torch.Tensor, ...]:
    """Return progress, rewards and returns, (K,); dot products (K, heads) and scales 1 / rms (K,) or (0,)."""
    progress, rewards, returns, dots, scales = outputs(step_index, weight, norm_weight, 3)
    weights, biases = wide_weights(weight, norm_weight), wide(bias)
    _C.score_steps(
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
        rows(progress, cu_steps),
        address(initial),
        initial_value,
        gamma,
        minimum_share,
        progress.data_ptr(),
        rewards.data_ptr(),
        returns.data_ptr(),
        max_threads(),
    )
    return progress, rewards, returns, dots, scales


def score_steps_adjoint(
    dots: torch.Tensor,
    bias: torch.Tensor | None,
    cu_steps: torch.Tensor,
    grad_progress: torch.Tensor | None,
    grad_rewards: torch.Tensor | None,
    grad_returns: torch.Tensor | None,
    gamma: float,
    minimum_share: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gradients of the logits, (K, heads), and of the initial progress, one per trajectory."""
    dlogits, grad_initial = torch.empty_like(dots), empty(cu_steps.shape[0] - 1)
    biases = wide(bias)
    _C.score_steps_adjoint(
        (0, address(biases), dots.shape[1], dots.data_ptr(), 0, 0.0, False),
        rows(dots, cu_steps),
        gamma,
        minimum_share,
        address(grad_progress),
        address(grad_rewards),
        address(grad_returns),
        dlogits.data_ptr(),
        grad_initial.data_ptr(),
    )
    return dlogits, grad_initial


def rows_of(hidden: torch.Tensor) -> tuple[int, int, int, int, int, int, int]:
    """Describe hidden states: address, kind, sizes and strides."""
    data, kind, _ = floats(hidden)
    n_batches, rows_per_batch, width = hidden.shape
    return data, kind, n_batches, rows_per_batch, width, hidden.stride(0), hidden.stride(1)


def wide_weights(weight: torch.Tensor, norm_weight: torch.Tensor | None) -> torch.Tensor:
    """Return the weights in fp32, the norm's multiplied in; as they are where nothing is to do."""
    return weight.float() if norm_weight is None else weight.float() * norm_weight.float()


def wide(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Return the tensor in fp32; None for None."""
    return None if tensor is None else tensor.float()


def outputs(
    step_index: torch.Tensor, weight: torch.Tensor, norm_weight: torch.Tensor | None, n_vectors: int
) -> tuple[torch.Tensor, ...]:
    """Return that many fp32 tensors (K,), then dots (K, heads) and scales (K,), or (0,) without a norm."""
    n = step_index.shape[0]
    vectors = (empty(n) for _ in range(n_vectors))
    return *vectors, empty(n, weight.shape[0]), empty(0 if norm_weight is None else n)


def empty(*shape: int) -> torch.Tensor:
    """Return an uninitialised tensor of what the core writes: fp32, whatever torch's default dtype is."""
    return torch.empty(shape, dtype=torch.float32)
