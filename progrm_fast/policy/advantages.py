"""Advantage estimators built on the operations of :mod:`progrm_fast.kernels`.

Token level: rewards (B, T) with a mask of the tokens that the model wrote. Step level: progress (K,) packed by
trajectory, and ``step_ids`` that say which tokens belong to which step. All results are fp32 constants, 0 where
masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from progrm_fast.kernels.groups import group_advantages
from progrm_fast.kernels.scan import discounted_returns, gae
from progrm_fast.kernels.steps import progress_advantages, progress_rewards, steps_to_tokens, tokens_to_steps
from progrm_fast.kernels.whiten import whiten

if TYPE_CHECKING:
    import torch.distributed as dist

__all__ = [
    "dr_grpo",
    "grpo",
    "outcome_scores",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "rloo",
    "step_gae",
    "step_group_advantages",
    "step_reinforce_plus_plus",
    "token_gae",
    "turn_gae",
]


def token_gae(
    token_rewards: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten_advantages: bool = True,
    level: Literal["token", "turn"] = "token",
    group: dist.ProcessGroup | None = None,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """GAE with observation tokens skipped; by turns if ``level`` is ``"turn"`` (see :func:`turn_gae`).

    Parameters
    ----------
    token_rewards, values, mask : tensor, shape (B, T)
    gamma, lam : float
        Per token, or per turn at the turn level.
    whiten_advantages : bool
    group : torch.distributed.ProcessGroup, optional
    backend : str

    Returns
    -------
    advantages, returns : float32 tensors, shape (B, T)
    """
    if level not in ("token", "turn"):
        raise ValueError(f"level: expected token or turn, got {level!r}")
    if level == "turn":
        return turn_gae(
            token_rewards,
            values,
            mask,
            gamma=gamma,
            lam=lam,
            whiten_advantages=whiten_advantages,
            group=group,
            backend=backend,
        )
    return gae(
        token_rewards,
        values,
        gamma=gamma,
        lam=lam,
        mask=mask,
        whiten=whiten_advantages,
        group=group,
        backend=backend,
    )


def turn_gae(
    token_rewards: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten_advantages: bool = True,
    group: dist.ProcessGroup | None = None,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """GAE over turns: a turn is a run of unmasked tokens, one decision with one value.

    A turn's value is the critic's at its first token, its reward the sum over its tokens; advantage and return go
    to all its tokens. Discounts count turns, so a long turn is not discounted more than a short one.

    Parameters
    ----------
    token_rewards, values, mask : tensor, shape (B, T)
    gamma, lam : float
        Per turn.
    whiten_advantages : bool
        Whiten over turns, each counted once.
    group : torch.distributed.ProcessGroup, optional
    backend : str

    Returns
    -------
    advantages, returns : float32 tensors, shape (B, T)
    """
    valid = mask != 0
    turn_ids, n_turns = turns_of(valid)
    # Padded to the most turns a row can have: shapes follow from T alone, nothing waits for a device.
    most = (valid.shape[1] + 1) // 2
    rows = torch.arange(valid.shape[0], device=valid.device)[:, None] * most
    ids = torch.where(valid, turn_ids + rows, -1)
    size = valid.shape[0] * most
    starts = valid & ~torch.nn.functional.pad(valid, (1, 0))[:, :-1]
    first_ids = torch.where(starts, ids, -1)
    turn_values = tokens_to_steps(values, first_ids, size, backend=backend).view(valid.shape[0], most)
    turn_rewards = tokens_to_steps(token_rewards, ids, size, reduce="sum", backend=backend).view(
        valid.shape[0], most
    )
    turn_mask = torch.arange(most, device=valid.device)[None, :] < n_turns[:, None]
    advantages, returns = gae(
        turn_rewards,
        turn_values,
        gamma=gamma,
        lam=lam,
        mask=turn_mask,
        whiten=whiten_advantages,
        group=group,
        backend=backend,
    )
    return (
        steps_to_tokens(advantages.view(-1), ids, backend=backend),
        steps_to_tokens(returns.view(-1), ids, backend=backend),
    )


def turns_of(valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give a number to each run of True in each row.

    Parameters
    ----------
    valid : bool tensor, shape (B, T)

    Returns
    -------
    turn_ids : int64 tensor, shape (B, T)
        0 for the row's first run; meaningless where False.
    n_turns : int64 tensor, shape (B,)
    """
    starts = valid & ~torch.nn.functional.pad(valid, (1, 0))[:, :-1]
    return starts.cumsum(1) - 1, starts.sum(1)


def reinforce_plus_plus(
    token_rewards: torch.Tensor,
    mask: torch.Tensor,
    *,
    gamma: float = 1.0,
    group: dist.ProcessGroup | None = None,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """REINFORCE++ (Hu, 2025): discounted returns to go, whitened over the batch's tokens.

    Parameters
    ----------
    token_rewards, mask : tensor, shape (B, T)
    gamma : float
    group : torch.distributed.ProcessGroup, optional
    backend : str

    Returns
    -------
    advantages, returns : float32 tensors, shape (B, T)
    """
    # GAE with V = 0 and lam = 1 is the discounted return; as returns it comes out unwhitened beside the advantages.
    zeros = torch.zeros((), dtype=token_rewards.dtype, device=token_rewards.device).expand(
        1, token_rewards.shape[1]
    )
    return gae(
        token_rewards,
        zeros.expand(token_rewards.shape),
        gamma=gamma,
        lam=1.0,
        mask=mask,
        whiten=True,
        group=group,
        backend=backend,
    )


def reinforce_plus_plus_baseline(
    token_rewards: torch.Tensor,
    mask: torch.Tensor,
    group_ids: torch.Tensor,
    *,
    group: dist.ProcessGroup | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """REINFORCE++ with baseline: score minus its prompt group's mean, on every token, whitened over the batch.

    Parameters
    ----------
    token_rewards, mask : tensor, shape (B, T)
    group_ids : tensor of integers, shape (B,)
    group : torch.distributed.ProcessGroup, optional
    backend : str

    Returns
    -------
    float32 tensor, shape (B, T)
    """
    scores = outcome_scores(token_rewards, mask, backend=backend)
    centred = group_advantages(scores, group_ids, mode="mean", on_singleton="keep", backend=backend)
    return whiten(centred[:, None].expand(token_rewards.shape), mask=mask, group=group, backend=backend)


def grpo(
    token_rewards: torch.Tensor,
    mask: torch.Tensor,
    group_ids: torch.Tensor,
    *,
    eps: float = 1e-6,
    correction: float = 1,
    backend: str = "auto",
) -> torch.Tensor:
    """GRPO (Shao et al., 2024): (score - group mean) / (group deviation + eps), on every token of the answer.

    Parameters
    ----------
    token_rewards, mask : tensor, shape (B, T)
    group_ids : tensor of integers, shape (B,)
    eps, correction : float
    backend : str

    Returns
    -------
    float32 tensor, shape (B, T)
    """
    scores = outcome_scores(token_rewards, mask, backend=backend)
    scores = group_advantages(scores, group_ids, mode="z", eps=eps, correction=correction, backend=backend)
    return _on_every_token(scores, mask)


def dr_grpo(
    token_rewards: torch.Tensor, mask: torch.Tensor, group_ids: torch.Tensor, *, backend: str = "auto"
) -> torch.Tensor:
    """Dr. GRPO (Liu et al., 2025): score minus group mean, without division, on every token of the answer.

    Parameters
    ----------
    token_rewards, mask : tensor, shape (B, T)
    group_ids : tensor of integers, shape (B,)
    backend : str

    Returns
    -------
    float32 tensor, shape (B, T)
    """
    scores = outcome_scores(token_rewards, mask, backend=backend)
    return _on_every_token(group_advantages(scores, group_ids, mode="mean", backend=backend), mask)


def rloo(
    token_rewards: torch.Tensor,
    mask: torch.Tensor,
    group_ids: torch.Tensor,
    *,
    on_singleton: Literal["zero", "keep"] = "zero",
    backend: str = "auto",
) -> torch.Tensor:
    """RLOO (Ahmadian et al., 2024): score minus the mean of the group's others, on every token of the answer.

    Parameters
    ----------
    token_rewards, mask : tensor, shape (B, T)
    group_ids : tensor of integers, shape (B,)
    on_singleton : {"zero", "keep"}
    backend : str

    Returns
    -------
    float32 tensor, shape (B, T)
    """
    scores = outcome_scores(token_rewards, mask, backend=backend)
    scores = group_advantages(scores, group_ids, mode="rloo", on_singleton=on_singleton, backend=backend)
    return _on_every_token(scores, mask)


def step_reinforce_plus_plus(
    progress: torch.Tensor,
    cu_steps: torch.Tensor,
    step_ids: torch.Tensor,
    *,
    gamma: float = 1.0,
    initial: float | torch.Tensor = 0.0,
    scored: torch.Tensor | None = None,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """REINFORCE++ over steps with progress rewards: returns per step, whitened over steps, on each step's tokens.

    Parameters
    ----------
    progress, cu_steps, step_ids, gamma, initial, scored, backend
        As for :func:`progrm_fast.kernels.steps.progress_advantages`, the operation that this is.

    Returns
    -------
    token_advantages : float32 tensor, shape of ``step_ids``
    step_returns : float32 tensor, shape (K,)
    """
    return progress_advantages(
        progress, cu_steps, step_ids, gamma=gamma, initial=initial, scored=scored, backend=backend
    )


def step_gae(
    progress: torch.Tensor,
    values: torch.Tensor,
    cu_steps: torch.Tensor,
    step_ids: torch.Tensor,
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
    initial: float | torch.Tensor = 0.0,
    scored: torch.Tensor | None = None,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """GAE over steps with progress rewards, whitened over steps, on each step's tokens.

    Parameters
    ----------
    values : tensor, shape (K,)
        Critic's value before each step.
    progress, cu_steps, step_ids, gamma, lam, initial, scored, backend
        As for :func:`progrm_fast.kernels.steps.progress_advantages`, the operation that this is.

    Returns
    -------
    token_advantages : float32 tensor, shape of ``step_ids``
    step_returns : float32 tensor, shape (K,)
    """
    return progress_advantages(
        progress,
        cu_steps,
        step_ids,
        gamma=gamma,
        lam=lam,
        values=values,
        initial=initial,
        scored=scored,
        backend=backend,
    )


def step_group_advantages(
    progress: torch.Tensor,
    cu_steps: torch.Tensor,
    group_ids: torch.Tensor,
    step_ids: torch.Tensor,
    *,
    gamma: float = 1.0,
    initial: float | torch.Tensor = 0.0,
    scored: torch.Tensor | None = None,
    scale: Literal["none", "batch"] = "none",
    eps: float = 1e-6,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Step returns minus the mean step return of the *other* trajectories of the prompt's group.

    .. math:: A_{i,t} = G_{i,t} - b_{-i}, \qquad
              b_{-i} = \frac{\sum_{j \ne i} \sum_s G_{j,s}}{\sum_{j \ne i} T_j}

    The policy chooses when to stop, so the number of steps T_i depends on its actions. A mean over steps with one
    turn index, or any pooled mean that contains trajectory i, then depends on i's own later actions through T_i and
    biases the gradient. b_{-i} is the same for all steps of i and a function of the others only, which are drawn
    independently: the gradient stays unbiased however long i runs.

    Parameters
    ----------
    progress, cu_steps, initial, scored, backend
        As for :func:`progrm_fast.kernels.steps.progress_rewards`.
    group_ids : tensor of integers, shape (B,)
        Prompt of each trajectory.
    step_ids : tensor of integers, any shape
        Packed index of each token's step; negative for none.
    gamma : float
        Discount per step.
    scale : {"none", "batch"}
        Leave the size, or divide by the standard deviation of the batch's step advantages (plus ``eps``). A group's
        own deviation would bring the bias back.
    eps : float

    Returns
    -------
    token_advantages : float32 tensor, shape of ``step_ids``
        0 for trajectories without another one in their group.
    step_returns : float32 tensor, shape (K,)
    """
    if scale not in ("none", "batch"):
        raise ValueError(f"scale: expected none or batch, got {scale!r}")
    rewards = progress_rewards(progress, cu_steps, initial=initial, scored=scored, backend=backend)
    returns = discounted_returns(rewards, gamma=gamma, cu_seqlens=cu_steps, backend=backend)
    n_rows = cu_steps.shape[0] - 1
    if group_ids.shape != (n_rows,):
        raise ValueError(f"group_ids: expected shape ({n_rows},), got {tuple(group_ids.shape)}")
    trajectory = torch.searchsorted(
        cu_steps[1:].contiguous(), torch.arange(progress.shape[0], device=progress.device), right=True
    )
    # Sums per trajectory and per group, in double; small tensors, no loop over time.
    lengths = cu_steps.diff().double()
    sums = torch.zeros_like(lengths).index_add_(0, trajectory, returns.double())
    same = group_ids[:, None] == group_ids[None, :]
    same.fill_diagonal_(False)
    other_steps = torch.where(same, lengths[None, :], 0).sum(1)
    other_sums = torch.where(same, sums[None, :], 0).sum(1)
    baseline = other_sums / other_steps.clamp(min=1)
    advantages = torch.where(other_steps[trajectory] > 0, returns.double() - baseline[trajectory], 0)
    if scale == "batch":
        advantages = advantages / (advantages.std(correction=0) + eps)
    return steps_to_tokens(advantages.to(returns.dtype), step_ids, backend=backend), returns


def outcome_scores(token_rewards: torch.Tensor, mask: torch.Tensor, *, backend: str = "auto") -> torch.Tensor:
    """Sum of each row's unmasked rewards, fp32, shape (B,).

    Parameters
    ----------
    token_rewards, mask : tensor, shape (B, T)
    backend : str
    """
    rows = torch.arange(token_rewards.shape[0], device=token_rewards.device)[:, None].expand(token_rewards.shape)
    ids = torch.where(mask != 0, rows, -1)
    return tokens_to_steps(token_rewards, ids, token_rewards.shape[0], reduce="sum", backend=backend)


def _on_every_token(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask != 0, scores[:, None], 0)
