"""Scoring and its gradients in the logits, on a GPU.

Scores take two launches: rows to progress, then trajectories to rewards and returns. Nothing waits for the device
and no part of the work depends on chance.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from progrm_fast.kernels.steps.triton_kernels import walk_trajectories

__all__ = ["empty", "place", "row_offset", "score_steps", "score_steps_adjoint", "sigmoid_less"]

_ROWS = 4
_COLUMNS = 1024
_COLUMNS_WITH_NORM = 512  # squares take as many registers again
_TRAJECTORIES = 32


@triton.jit
def row_offset(index, rows_per_batch, batch_stride, row_stride):
    """Distance of a row of (batches, rows_per_batch, width) from the start, in elements."""
    return (index // rows_per_batch) * batch_stride + (index % rows_per_batch) * row_stride


@triton.jit
def sigmoid(z):
    """1 / (1 + exp(-z))."""
    return 1.0 / (1.0 + tl.exp(-z))


@triton.jit
def slope_of_sigmoid(z):
    """Q (1 - q) of q = sigmoid(z); its digits do not depend on how near q is to 1."""
    e = tl.exp(-tl.abs(z))
    return e / ((1.0 + e) * (1.0 + e))


@triton.jit
def sigmoid_less(z, y):
    """sigmoid(z) - y; where both are near 1, from what each lacks."""
    e = tl.exp(-tl.abs(z))
    tail = e / (1.0 + e)
    return tl.where(z > 0, (1.0 - y) - tail, tail - y)


@triton.jit
def project_kernel(
    hidden,
    weight,
    bias,
    norm_weight,
    step_index,
    progress,
    dots,
    scales,
    n_steps,
    n_rows,
    rows_per_batch,
    batch_stride,
    row_stride,
    width,
    heads,
    eps,
    minimum_share,
    HAS_BIAS: tl.constexpr,
    HAS_NORM: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Progress of ROWS steps."""
    k = tl.program_id(0) * ROWS + tl.arange(0, ROWS)  # (ROWS,)
    inside = k < n_steps
    index = tl.load(step_index + k, mask=inside, other=-1)
    exists = (index >= 0) & (index < n_rows)
    rows = hidden + row_offset(tl.where(exists, index, 0), rows_per_batch, batch_stride, row_stride)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    total = tl.zeros([ROWS], tl.float32)
    lowest = tl.full([ROWS], float("inf"), tl.float32)
    for head in range(heads):
        dot = tl.zeros([ROWS, COLUMNS], tl.float32)
        square = tl.zeros([ROWS, COLUMNS], tl.float32)
        for first in range(0, width, COLUMNS):
            at = first + column
            x = tl.load(rows + at, mask=exists[:, None] & (at < width), other=0.0).to(tl.float32)
            w = tl.load(weight + head * width + at, mask=at < width, other=0.0).to(tl.float32)
            if HAS_NORM:
                w *= tl.load(norm_weight + at, mask=at < width, other=0.0).to(tl.float32)
                square += x * x
            dot += x * w
        z = tl.sum(dot, axis=1)
        if HAS_NORM:
            scale = 1.0 / tl.sqrt(tl.sum(square, axis=1) / width + eps)
            z *= scale
            tl.store(scales + k, scale, mask=inside)
        z = tl.where(exists, z, float("nan"))
        tl.store(dots + k * heads + head, z, mask=inside)
        if HAS_BIAS:
            z += tl.load(bias + head).to(tl.float32)
        q = sigmoid(z)
        total += q
        lowest = tl.where((q < lowest) | (q != q), q, lowest)  # NaN stays: no number is below it
    p = total / heads
    # Not multiplied in where the share is 0: there NaN of one head alone would be counted twice.
    p = tl.where(minimum_share > 0, (1.0 - minimum_share) * p + minimum_share * lowest, p)
    tl.store(progress + k, p, mask=inside)


@triton.jit
def adjoint_kernel(
    cu_steps,
    grad_progress,
    grad_rewards,
    grad_returns,
    out,
    grad_initial,
    n_rows,
    n_steps,
    gamma,
    HAS_PROGRESS: tl.constexpr,
    HAS_REWARDS: tl.constexpr,
    HAS_RETURNS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """One lane walks one trajectory: gradients of progress from those of progress, rewards and returns."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    exists = row < n_rows
    start = tl.minimum(tl.maximum(tl.load(cu_steps + row, mask=exists, other=0), 0), n_steps)
    stop = tl.minimum(tl.maximum(tl.load(cu_steps + row + 1, mask=exists, other=0), start), n_steps)
    length = stop - start
    from_start = tl.zeros([ROWS], tl.float64)
    of_previous = tl.zeros([ROWS], tl.float64)
    of_initial = tl.zeros([ROWS], tl.float64)
    for t in range(tl.max(length, axis=0) + 1):
        here = t < length
        of_reward = tl.zeros([ROWS], tl.float64)
        of_progress = tl.zeros([ROWS], tl.float64)
        if HAS_RETURNS:
            from_start = gamma * from_start + tl.load(grad_returns + start + t, mask=here, other=0.0).to(tl.float64)
            of_reward = tl.where(here, from_start, 0.0)
        if HAS_REWARDS:
            of_reward += tl.load(grad_rewards + start + t, mask=here, other=0.0).to(tl.float64)
        if HAS_PROGRESS:
            of_progress += tl.load(grad_progress + start + t, mask=here, other=0.0).to(tl.float64)
        of_initial = tl.where((t == 0) & here, -of_reward, of_initial)
        before = (t > 0) & (t <= length)
        tl.store(out + start + t - 1, (of_previous - of_reward).to(tl.float32), mask=before)
        of_previous = of_progress + of_reward
    tl.store(grad_initial + row, of_initial.to(tl.float32), mask=exists)


@triton.jit
def logits_kernel(
    of_progress,
    dots,
    bias,
    dlogits,
    n_steps,
    heads,
    minimum_share,
    HAS_BIAS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of the logits of BLOCK steps from those of their progress."""
    k = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = k < n_steps
    lowest = tl.full([BLOCK], float("inf"), tl.float32)
    which = tl.zeros([BLOCK], tl.int32)
    for head in range(heads):
        z = tl.load(dots + k * heads + head, mask=inside, other=0.0)
        if HAS_BIAS:
            z += tl.load(bias + head).to(tl.float32)
        lower = (z < lowest) | ((z != z) & (lowest == lowest))
        which = tl.where(lower, head, which)
        lowest = tl.where(lower, z, lowest)
    of_p = tl.load(of_progress + k, mask=inside, other=0.0)
    for head in range(heads):
        z = tl.load(dots + k * heads + head, mask=inside, other=0.0)
        if HAS_BIAS:
            z += tl.load(bias + head).to(tl.float32)
        share = (1.0 - minimum_share) / heads + tl.where(which == head, minimum_share, 0.0)
        tl.store(dlogits + k * heads + head, of_p * share * slope_of_sigmoid(z), mask=inside)


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
    n, heads, width = step_index.shape[0], weight.shape[0], hidden.shape[2]
    progress, rewards, returns = (empty(hidden, n) for _ in range(3))
    dots, scales = empty(hidden, n, heads), empty(hidden, 0 if norm_weight is None else n)
    if n:
        columns = _COLUMNS if norm_weight is None else _COLUMNS_WITH_NORM
        project_kernel[(triton.cdiv(n, _ROWS),)](
            hidden,
            weight,
            bias,
            norm_weight,
            step_index,
            progress,
            dots,
            scales,
            n,
            *place(hidden),
            width,
            heads,
            norm_eps,
            minimum_share,
            HAS_BIAS=bias is not None,
            HAS_NORM=norm_weight is not None,
            ROWS=_ROWS,
            COLUMNS=min(columns, max(16, triton.next_power_of_2(width))),
            num_warps=4,
        )
    walk_trajectories(
        progress, cu_steps, None, initial, initial_value, None, gamma, gamma, rewards, returns, returns, None
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
    (n, heads), n_rows = dots.shape, cu_steps.shape[0] - 1
    dlogits, grad_initial = torch.empty_like(dots), empty(dots, n_rows)
    if n_rows == 0 or n == 0:
        return dlogits.zero_(), grad_initial.zero_()
    of_progress = torch.zeros(n, dtype=torch.float32, device=dots.device)
    adjoint_kernel[(triton.cdiv(n_rows, _TRAJECTORIES),)](
        cu_steps,
        grad_progress,
        grad_rewards,
        grad_returns,
        of_progress,
        grad_initial,
        n_rows,
        n,
        gamma,
        HAS_PROGRESS=grad_progress is not None,
        HAS_REWARDS=grad_rewards is not None,
        HAS_RETURNS=grad_returns is not None,
        ROWS=_TRAJECTORIES,
        num_warps=1,
    )
    block = min(256, max(16, triton.next_power_of_2(n)))
    logits_kernel[(triton.cdiv(n, block),)](
        of_progress, dots, bias, dlogits, n, heads, minimum_share, HAS_BIAS=bias is not None, BLOCK=block
    )
    return dlogits, grad_initial


def place(hidden: torch.Tensor) -> tuple[int, int, int, int]:
    """Return the number of rows, rows per batch, and the strides of batches and rows."""
    n_batches, rows_per_batch, _ = hidden.shape
    return n_batches * rows_per_batch, max(1, rows_per_batch), hidden.stride(0), hidden.stride(1)


def empty(like: torch.Tensor, *shape: int) -> torch.Tensor:
    """Return an uninitialised fp32 tensor on the device of ``like``."""
    return torch.empty(shape, dtype=torch.float32, device=like.device)
