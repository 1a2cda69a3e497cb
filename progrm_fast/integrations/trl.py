"""TRL: a GRPO trainer whose advantages come from the progress of steps, one per token, shape (B, T)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from trl import GRPOTrainer

from progrm_fast.policy.advantages import step_group_advantages, step_reinforce_plus_plus

__all__ = ["ProgressGRPOTrainer", "StepProgress"]


@dataclass(frozen=True, eq=False)
class StepProgress:
    """Progress of a batch of completions.

    Attributes
    ----------
    progress : tensor, shape (K,)
        Progress after each step, completions packed.
    cu_steps : int32 tensor, shape (B + 1,)
        Offsets of the completions.
    step_ids : tensor of integers, shape (B, T)
        Packed index of each completion token's step; negative for none.
    scored : tensor, shape (K,), optional
        0 marks a step without a score.
    """

    progress: torch.Tensor
    cu_steps: torch.Tensor
    step_ids: torch.Tensor
    scored: torch.Tensor | None = None


class ProgressGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL may be absent where types are checked
    """GRPO with token advantages from progress; everything else is TRL's.

    Parameters
    ----------
    progress_func : callable
        ``progress_func(batch, inputs) -> StepProgress`` where ``batch`` is what TRL has just generated and scored
        (``completion_ids`` (B, T), ``completion_mask`` and so on) and ``inputs`` the rows of the data set.
    gamma : float
        Discount per step.
    baseline : {"group", "batch"}
        Mean of the other completions of the prompt (those of this process), or whitening over this process's steps.
    *args, **kwargs
        As for ``trl.GRPOTrainer``. Rewards of its ``reward_funcs`` are logged; they do not enter the advantages.
    """

    def __init__(
        self,
        *args: Any,
        progress_func: Callable[[dict[str, Any], list[dict[str, Any]]], StepProgress],
        gamma: float = 1.0,
        baseline: str = "group",
        **kwargs: Any,
    ) -> None:
        if baseline not in ("group", "batch"):
            raise ValueError(f"baseline: expected group or batch, got {baseline!r}")
        self.progress_func = progress_func
        self.progress_gamma = gamma
        self.progress_baseline = baseline
        super().__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        steps = self.progress_func(batch, inputs)
        mask = batch["completion_mask"] != 0
        if "tool_mask" in batch:
            mask = mask & (batch["tool_mask"] != 0)
        if steps.step_ids.shape != mask.shape:
            raise ValueError(f"step_ids: expected shape {tuple(mask.shape)}, got {tuple(steps.step_ids.shape)}")
        step_ids = torch.where(mask, steps.step_ids, -1)
        if self.progress_baseline == "batch":
            advantages, _ = step_reinforce_plus_plus(
                steps.progress, steps.cu_steps, step_ids, gamma=self.progress_gamma, scored=steps.scored
            )
        else:
            # TRL repeats each prompt num_generations times in a row.
            size = self.num_generations if self.model.training else self.num_generations_eval
            start = self.accelerator.process_index * len(inputs)
            rows = torch.arange(start, start + len(inputs), device=mask.device)
            advantages, _ = step_group_advantages(
                steps.progress,
                steps.cu_steps,
                rows // size,
                step_ids,
                gamma=self.progress_gamma,
                scored=steps.scored,
            )
        batch["advantages"] = advantages
        return batch
