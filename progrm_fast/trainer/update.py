"""One policy update: progress to advantages, advantages to tokens, clipped steps on the actor.

Advantages are worked out over all episodes of an iteration, by every process alike; each process then goes through its
own episodes, and gradients are summed (see ``distributed``). A minibatch is a set of steps (decisions), drawn from all
episodes.

Left out: adaptive KL weights, early stopping by divergence, off-policy data.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from progrm_fast.kernels.groups import group_advantages
from progrm_fast.kernels.kl import token_kl
from progrm_fast.kernels.steps import progress_advantages, progress_rewards, steps_to_tokens
from progrm_fast.policy.advantages import linear_baseline
from progrm_fast.policy.losses import masked_average, policy_loss, value_loss
from progrm_fast.reward_model.batches import length_buckets
from progrm_fast.trainer import distributed
from progrm_fast.trainer.actor import Actor, TokenBatch
from progrm_fast.trainer.config import RlSection
from progrm_fast.trainer.rewards import StepProgress
from progrm_fast.trainer.rollout import Episode, EpisodeStep

__all__ = [
    "EpisodeSummary",
    "NotFiniteError",
    "UpdateStats",
    "episode_returns",
    "frozen_pass",
    "step_advantages",
    "update_actor",
]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeSummary:
    """What all processes must know of an episode.

    Attributes
    ----------
    index : int
        Place among the episodes of the iteration.
    group : int
        Which task of the iteration it ran.
    success : bool
    progress : StepProgress
    values : float32 array, shape (n_steps,), or None
        The critic's value before each step.
    answer_tokens : int array, shape (n_steps,)
        Tokens of each answer.
    """

    index: int
    group: int
    success: bool
    progress: StepProgress
    values: npt.NDArray[np.float32] | None
    answer_tokens: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """Means over an iteration's updates."""

    loss: float
    kl: float
    clipped_share: float
    grad_norm: float
    value_loss: float
    model_seconds: float


class NotFiniteError(ArithmeticError):
    """The loss or its gradient is no number; the bad step was not taken, those before it in the iteration were."""

    def __init__(self, loss: float, norm: float) -> None:
        super().__init__(f"the loss is {loss}, its gradient's norm {norm}")


def step_advantages(episodes: Sequence[EpisodeSummary], config: RlSection) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the advantage and the return of every step of the iteration, float32, shape (K,), episodes packed."""
    progress = torch.from_numpy(np.concatenate([one.progress.progress for one in episodes]))
    scored = torch.from_numpy(np.concatenate([one.progress.scored for one in episodes]))
    lengths = [len(one.progress.progress) for one in episodes]
    cu_steps = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32)
    each = torch.arange(len(progress))
    if config.algorithm == "grpo":
        rewards = progress_rewards(progress, cu_steps, scored=scored)
        trajectory = torch.repeat_interleave(torch.arange(len(episodes)), torch.tensor(lengths))
        scores = torch.zeros(len(episodes)).index_add_(0, trajectory, rewards)
        groups = torch.tensor([one.group for one in episodes])
        advantages = group_advantages(scores, groups, mode="z")[trajectory]
        return advantages, scores[trajectory]
    values = None
    if config.algorithm == "ppo":
        values = torch.from_numpy(np.concatenate([one.values for one in episodes if one.values is not None]))
    elif config.baseline == "linear":
        values = linear_baseline(progress, cu_steps, gamma=config.gamma, scored=scored)
    return progress_advantages(
        progress,
        cu_steps,
        each,
        gamma=config.gamma,
        lam=config.lam if config.algorithm == "ppo" else 1.0,
        values=values,
        scored=scored,
    )


def episode_returns(episodes: Sequence[EpisodeSummary]) -> list[float]:
    """Return the sum of each episode's rewards: its last progress that has a number."""
    return [
        float(one.progress.progress[one.progress.scored][-1]) if one.progress.scored.any() else 0.0
        for one in episodes
    ]


@torch.no_grad()
def frozen_pass(
    actor: Actor, episodes: Sequence[Episode], config: RlSection
) -> tuple[list[torch.Tensor], list[npt.NDArray[np.float32]] | None]:
    """Return the log probabilities of all answers, one tensor a step, and the critic's values, one array an episode."""
    steps = [step for episode in episodes for step in episode.steps]
    lengths = [len(step.prompt) + len(step.answer) for step in steps]
    found: list[torch.Tensor] = [torch.empty(0)] * len(steps)
    values = np.zeros(len(steps), dtype=np.float32)
    for members in length_buckets(lengths, config.batch_tokens):
        batch = actor.batch([steps[i].prompt for i in members], [steps[i].answer for i in members])
        logp, value = actor.logp(batch, temperature=config.temperature)
        for row, i in enumerate(members):
            found[i] = logp[row, logp.shape[1] - len(steps[i].answer) :].cpu()
        if value is not None:
            values[members] = value.cpu().numpy()
    if actor.value is None:
        return found, None
    ends = np.cumsum([len(episode.steps) for episode in episodes])
    return found, np.split(values, ends[:-1])


def update_actor(
    actor: Actor,
    optimizer: torch.optim.Optimizer,
    mine: Sequence[tuple[int, Episode]],
    everyone: Sequence[EpisodeSummary],
    reference: Sequence[torch.Tensor] | None,
    config: RlSection,
    seed: Sequence[int],
) -> UpdateStats:
    """Update the actor in place.

    Parameters
    ----------
    actor, optimizer
    mine : sequence of (index, Episode)
        This process's episodes, in the order of their indices.
    everyone : sequence of EpisodeSummary
        All processes' episodes, in the order of their indices.
    reference : sequence of tensors, or None
        The SFT actor's log probabilities of each of my steps' answers; None without KL.
    config : RlSection
    seed : sequence of int
        Of the minibatches.

    Raises
    ------
    NotFiniteError
        If a loss or gradient is no number.
    """
    data = _data(mine, everyone, reference, config)
    n_steps = len(data.advantages)
    totals = np.zeros(5)
    n_updates, seconds = 0, 0.0
    actor.train()
    for epoch in range(config.epochs):
        order = np.random.default_rng([*seed, 3, epoch]).permutation(n_steps)
        for chosen in np.array_split(order, min(config.minibatches, n_steps)):
            before = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            sums = _gradient(actor, data, chosen, config)
            distributed.sum_gradients(actor.parameters())
            sums = np.sum(distributed.gather(sums), axis=0)
            norm = float(torch.nn.utils.clip_grad_norm_(actor.parameters(), config.max_grad_norm))
            if not (math.isfinite(sums[0]) and math.isfinite(norm)):
                raise NotFiniteError(float(sums[0]), norm)
            optimizer.step()
            totals += [*sums, norm]
            n_updates += 1
            seconds += time.perf_counter() - before
    actor.eval()
    loss, kl, clipped, value, norm = (totals / max(1, n_updates)).tolist()
    return UpdateStats(loss, kl, clipped, norm, value, seconds)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """What an iteration learns from: the steps of all episodes by number, and which of them are this process's."""

    steps: list[EpisodeStep]  # mine
    numbers: npt.NDArray[np.int64]  # of mine among all
    lengths: list[int]  # tokens of mine, prompt and answer
    reference: Sequence[torch.Tensor] | None  # log probabilities of mine
    answer_tokens: npt.NDArray[np.int64]  # of all
    advantages: torch.Tensor
    returns: torch.Tensor
    old_values: torch.Tensor | None


def _data(
    mine: Sequence[tuple[int, Episode]],
    everyone: Sequence[EpisodeSummary],
    reference: Sequence[torch.Tensor] | None,
    config: RlSection,
) -> _Data:
    advantages, returns = step_advantages(everyone, config)
    steps = [step for _, episode in mine for step in episode.steps]
    ends = np.cumsum([len(one.answer_tokens) for one in everyone])
    first = {one.index: int(end) - len(one.answer_tokens) for one, end in zip(everyone, ends, strict=True)}
    old_values = None
    if config.algorithm == "ppo":
        old_values = torch.from_numpy(np.concatenate([one.values for one in everyone if one.values is not None]))
    return _Data(
        steps=steps,
        numbers=np.array(
            [first[index] + t for index, episode in mine for t in range(len(episode.steps))], dtype=np.int64
        ),
        lengths=[len(step.prompt) + len(step.answer) for step in steps],
        reference=reference,
        answer_tokens=np.concatenate([one.answer_tokens for one in everyone]),
        advantages=advantages,
        returns=returns,
        old_values=old_values,
    )


def _gradient(
    actor: Actor, data: _Data, chosen: npt.NDArray[np.int64], config: RlSection
) -> npt.NDArray[np.float64]:
    """Add a minibatch's gradient, my share; return my shares of its loss, divergence, clipped tokens, critic's loss."""
    sums = np.zeros(4)
    own = np.flatnonzero(np.isin(data.numbers, chosen))
    n_tokens, n_chosen = float(data.answer_tokens[chosen].sum()), float(len(chosen))
    for members in _buckets(own, data.lengths, config.batch_tokens):
        steps = [data.steps[i] for i in members]
        rows = torch.from_numpy(data.numbers[members])
        batch = actor.batch([step.prompt for step in steps], [step.answer for step in steps])
        mask = batch.answer_mask
        logp, value = actor.logp(batch, temperature=config.temperature)
        old = _aligned([torch.from_numpy(step.logp) for step in steps], mask)
        spread = steps_to_tokens(data.advantages, _step_ids(batch, rows)).to(logp.device)
        loss, clipped = policy_loss(logp, old, spread, mask, clip=config.clip, normalizer=n_tokens)
        if data.reference is not None:
            against = _aligned([data.reference[i] for i in members], mask)
            # What stands beside an answer must not reach exp().
            kl = token_kl(torch.where(mask, logp, 0), against, mask=mask, estimator="k3")
            divergence = masked_average(kl, mask, normalizer=n_tokens)
            sums[1] += float(divergence.detach())
            loss = loss + config.kl * divergence
        if value is not None and data.old_values is not None:
            critic = value_loss(
                value[:, None],
                data.returns[rows, None].to(value.device),
                old_values=data.old_values[rows, None].to(value.device),
                clip=config.clip,
                normalizer=n_chosen,
            )
            sums[3] += float(critic.detach())
            loss = loss + config.value_weight * critic
        loss.backward()
        sums[0] += float(loss.detach())
        sums[2] += float(clipped) * float(mask.sum()) / n_tokens
    return sums


def _buckets(
    own: npt.NDArray[np.int64], lengths: Sequence[int], batch_tokens: int
) -> Iterator[npt.NDArray[np.int64]]:
    for members in length_buckets([lengths[i] for i in own], batch_tokens):
        yield own[members]


def _step_ids(batch: TokenBatch, numbers: torch.Tensor) -> torch.Tensor:
    """Which step of the iteration each token of the answers belongs to, -1 for none."""
    return torch.where(batch.answer_mask.cpu(), numbers[:, None], -1)


def _aligned(rows: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Put rows of values where the mask says, 0 elsewhere."""
    values = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
    values[mask] = torch.cat(list(rows)).to(mask.device)
    return values
