"""The state of a training run in a folder: model, optimizer, random states, position. No pickle anywhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from progrm_fast.io.files import FileError
from progrm_fast.io.folders import atomic_folder, settled_folder

__all__ = [
    "STATE_FILE",
    "TrainingState",
    "frozen_hash",
    "random_states",
    "read_state",
    "restore",
    "save_checkpoint",
    "set_random_states",
]

FORMAT = "progrm-fast training"
_FORMATS = (FORMAT, "progrm-fast reward model training")  # what it was called at first
VERSION = 1
STATE_FILE = "state.json"
_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_RANDOM = "random.safetensors"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a run stands, as plain JSON.

    Attributes
    ----------
    step : int
        Optimizer steps done.
    best : float or None
        Least evaluation loss so far.
    made_with : mapping
        What a resumed run must agree on: the options of the run and a hash of its data.
    """

    step: int
    best: float | None
    made_with: Mapping[str, Any]


def save_checkpoint(
    path: str | os.PathLike[str], model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: TrainingState
) -> None:
    """Write a checkpoint; the earlier one stays until the new one is whole.

    Raises
    ------
    FileError
        If it cannot be written; the earlier checkpoint is then untouched.
    """
    content = {"format": FORMAT, "version": VERSION, "step": state.step, "best": state.best}
    content["made_with"] = dict(state.made_with)
    with atomic_folder(path, STATE_FILE) as folder:
        try:
            save_file(_own_tensors(model), folder / _WEIGHTS)
            save_file(_optimizer_tensors(model, optimizer), folder / _OPTIMIZER)
            save_file(random_states(), folder / _RANDOM)
        except SafetensorError as error:
            raise FileError(f"{os.fspath(path)}: cannot be written: {error}") from error
        (folder / STATE_FILE).write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def read_state(path: str | os.PathLike[str]) -> TrainingState | None:
    """Read where a run stands; None where there is no checkpoint.

    Raises
    ------
    FileError
        If the checkpoint is of another version, or damaged.
    """
    name = os.fspath(path)
    folder = settled_folder(path)
    if not folder.exists():
        return None
    try:
        content = orjson.loads((folder / STATE_FILE).read_bytes())
        if not isinstance(content, dict) or content.get("format") not in _FORMATS:
            raise FileError(f"{name}: not a checkpoint: expected {STATE_FILE} with format {FORMAT!r}")
        if content.get("version") != VERSION:
            raise FileError(
                f"{name}: expected a checkpoint of version {VERSION}, got version {content.get('version')!r}: "
                "it can be resumed by the version of progrm-fast that wrote it"
            )
        return TrainingState(int(content["step"]), content["best"], content["made_with"])
    except OSError as error:
        raise FileError(f"{name}: cannot be read: {error.strerror or error}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise FileError(f"{name}: the checkpoint is damaged: {error!r}") from error


def restore(path: str | os.PathLike[str], model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put weights, optimizer and random states back as they were, bit for bit.

    Raises
    ------
    FileError
        If the checkpoint cannot be read, or does not fit the model.
    """
    folder = Path(path)
    try:
        weights = load_file(folder / _WEIGHTS)
        if set(weights) != set(_own_tensors(model)):
            differ = sorted(set(weights) ^ set(_own_tensors(model)))
            raise ValueError(f"expected the trained weights of this model, which differ in {', '.join(differ[:3])}")
        model.load_state_dict(weights, strict=False)
        moments = load_file(folder / _OPTIMIZER)
        for name, parameter in model.named_parameters():
            found = {key.removeprefix(f"{name}::"): moments[key] for key in moments if key.startswith(f"{name}::")}
            if found:
                optimizer.state[parameter] = {
                    # The count of steps stays on the CPU, as the optimizer makes it.
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in found.items()
                }
        set_random_states(load_file(folder / _RANDOM))
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise FileError(f"{os.fspath(path)}: the checkpoint is damaged: {error}") from error


def frozen_hash(model: torch.nn.Module) -> str:
    """Return a hash of the weights that are not trained, which a checkpoint leaves out."""
    content = hashlib.sha256()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            content.update(name.encode())
            content.update(parameter.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def _own_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Trained weights and buffers on the CPU, tied ones once."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    saved = model.state_dict()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in saved}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in (trained | buffers).items()}


def _optimizer_tensors(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}::{key}": value.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def random_states() -> dict[str, torch.Tensor]:
    """Return the states of torch's generators, one for each device."""
    states = {"cpu": torch.random.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def set_random_states(states: Mapping[str, torch.Tensor]) -> None:
    """Put the generators of the devices that are here into these states."""
    torch.random.set_rng_state(states["cpu"])
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if (state := states.get(f"cuda:{i}")) is not None:
            torch.cuda.set_rng_state(state, i)
