"""Scoring and its gradients in the logits, in plain torch in float64."""

from __future__ import annotations

import torch

from progrm_fast.kernels.checks import result_dtype
from progrm_fast.kernels.scan.reference import segments

__all__ = ["project", "rows_of_steps", "score_steps", "score_steps_adjoint"]


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
    rows = rows_of_steps(hidden, step_index)
    dots, scales = project(rows, weight, norm_weight, norm_eps)
    progress = _mix(torch.sigmoid(_logits(dots, bias)), minimum_share)
    rewards, returns = torch.zeros_like(progress), torch.zeros_like(progress)
    for row, (start, stop) in enumerate(segments(cu_steps, step_index.shape[0], name="cu_steps")):
        before = progress.new_tensor(initial_value) if initial is None else initial[row].double()
        for t in range(start, stop):
            rewards[t] = progress[t] - before
            before = progress[t]
        sum_to_end = progress.new_zeros(())
        for t in reversed(range(start, stop)):
            sum_to_end = rewards[t] + gamma * sum_to_end
            returns[t] = sum_to_end
    dtype = result_dtype(hidden)
    return tuple(x.to(dtype, copy=True) for x in (progress, rewards, returns, dots, scales))


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
    n, heads = dots.shape

    def given(grad: torch.Tensor | None) -> torch.Tensor:
        return dots.new_zeros(n, dtype=torch.float64) if grad is None else grad.double()

    of_progress, of_rewards, of_returns = given(grad_progress).clone(), given(grad_rewards), given(grad_returns)
    grad_initial = dots.new_zeros(cu_steps.shape[0] - 1, dtype=torch.float64)
    for row, (start, stop) in enumerate(segments(cu_steps, n, name="cu_steps")):
        sum_from_start = of_returns.new_zeros(())  # G_s contains r_t with gamma^(t - s) for every s up to t
        for t in range(start, stop):
            sum_from_start = of_returns[t] + gamma * sum_from_start
            of_reward = of_rewards[t] + sum_from_start
            of_progress[t] += of_reward
            if t == start:
                grad_initial[row] = -of_reward
            else:
                of_progress[t - 1] -= of_reward
    logits = _logits(dots, bias)
    shares = torch.full_like(logits, (1 - minimum_share) / heads)
    if minimum_share > 0:
        shares[torch.arange(n, device=logits.device), logits.argmin(1)] += minimum_share
    e = torch.exp(-logits.abs())  # q (1 - q) = e / (1 + e)^2, also where 1 - q would round to 0
    dlogits = of_progress[:, None] * shares * e / (1 + e) ** 2
    return dlogits.to(dots.dtype), grad_initial.to(dots.dtype)


def rows_of_steps(hidden: torch.Tensor, step_index: torch.Tensor) -> torch.Tensor:
    """Gather the rows of the steps in float64; refuse one that does not exist."""
    n_rows = hidden.shape[0] * hidden.shape[1]
    wrong = (step_index < 0) | (step_index >= n_rows)
    if wrong.any():
        raise ValueError(
            f"step_index: expected rows of 0 to {n_rows - 1}, got {int(step_index[wrong][0])}"
            if n_rows
            else f"step_index: expected no rows, for hidden has none, got {int(step_index[wrong][0])}"
        )
    per_batch = max(1, hidden.shape[1])
    return hidden[step_index // per_batch, step_index % per_batch].double()


def project(
    rows: torch.Tensor, weight: torch.Tensor, norm_weight: torch.Tensor | None, norm_eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return dot products (K, heads) with the normalised rows, and scales 1 / rms, (0,) without a norm."""
    if norm_weight is None:
        return rows @ weight.double().T, rows.new_zeros(0)
    scales = torch.rsqrt(rows.square().mean(1) + norm_eps)
    return (rows * scales[:, None] * norm_weight.double()) @ weight.double().T, scales


def _logits(dots: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return dots.double() if bias is None else dots.double() + bias.double()


def _mix(q: torch.Tensor, minimum_share: float) -> torch.Tensor:
    mean = q.mean(1)
    return mean if minimum_share == 0 else (1 - minimum_share) * mean + minimum_share * q.amin(1)
