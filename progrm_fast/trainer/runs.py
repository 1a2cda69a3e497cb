"""What the loops share: optimizers, checkpoints to go on from, and the end of a run whose loss is no number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from progrm_fast.io.files import FileError
from progrm_fast.trainer.checkpoint import TrainingState, read_state, restore, save_checkpoint

__all__ = ["TrainingDivergedError", "diverged", "optimizer_of", "resume_state"]


class TrainingDivergedError(ValueError):
    """The loss or its gradient is no number; the state before that step was saved."""


def optimizer_of(model: torch.nn.Module, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.AdamW:
    """Return AdamW; biases and scales of normalisations do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98))


def resume_state(
    folder: Path,
    made_with: Mapping[str, Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    resume: bool,
) -> TrainingState:
    """Put the folder's checkpoint into model and optimizer, and say where it stands; step 0 where there is none.

    Raises
    ------
    FileError
        If there is a checkpoint and ``resume`` is not asked for, it was made with something else (options are named, of
        hashes that they differ), or it cannot be read.
    """
    place = folder / "checkpoint"
    state = read_state(place)
    if state is None:
        return TrainingState(0, None, made_with)
    if not resume:
        raise FileError(f"{folder}: holds a training run already: resume it, or choose another folder")
    for name, ours in made_with.items():
        theirs = state.made_with.get(name)
        if ours != theirs:
            differ = [f"{option}={was!r}, got {now!r}" for option, was, now in _differences(theirs, ours) if option]
            told = f": {'; '.join(differ)}" if differ else f", got other {name}"
            raise FileError(f"{folder}: expected the {name} of the run to resume{told}")
    restore(place, model, optimizer)
    return state


def _differences(was: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the options, with the sections they are in, that differ between two sets of them."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*now, *was]):
            yield from _differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif was != now:
        yield name, was, now


def diverged(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: TrainingState,
    loss: float,
    norm: float,
    unit: str,
) -> TrainingDivergedError:
    """Save the state before the bad step and return what to raise."""
    save_checkpoint(folder / "checkpoint", model, optimizer, state)
    return TrainingDivergedError(
        f"{unit} {state.step + 1}: the loss is {loss}, its gradient's norm {norm}; the state before it is in "
        f"{folder / 'checkpoint'}"
    )
