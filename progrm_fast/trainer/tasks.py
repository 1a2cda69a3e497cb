"""The environments by name: their tasks, how to open one, their expert, and their words."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from progrm_fast.envs.recording import TextEnv
from progrm_fast.trainer.config import EnvSection

__all__ = ["TaskSource", "open_tasks"]


@dataclass(frozen=True, slots=True)
class TaskSource:
    """Where episodes come from.

    Attributes
    ----------
    train, test : lists of str
        Task names.
    make_env : function () -> environment
    expert : function (noise) -> policy
    words : function (content) -> list of str
        What the environment can show, for a tokenizer of one's own; without ``content`` those of its interface alone.
    family : function (task name) -> str
        The same for tasks that differ in content alone.
    close : function ()
    """

    train: list[str]
    test: list[str]
    make_env: Callable[[], TextEnv]
    expert: Callable[[float], Any]
    words: Callable[[bool], list[str]]
    family: Callable[[str], str]
    close: Callable[[], None]


def open_tasks(config: EnvSection) -> TaskSource:
    """Open an environment's tasks.

    Raises
    ------
    ValueError
        If a name or pattern stands for no task, or a package is missing.
    """
    return _phone(config) if config.name == "phone" else _miniwob(config)


def _phone(config: EnvSection) -> TaskSource:
    from progrm_fast.envs import gui

    phone = gui.PhoneConfig(
        popup_rate=config.popup_rate, distractors=config.distractors, max_steps=config.max_steps
    )
    splits: dict[str, list[str]] = {
        split: [spec.task_id for spec in gui.tasks(split, config.distractors)] for split in gui.SPLITS
    }
    return TaskSource(
        train=_chosen(config.train, splits, "env.train"),
        test=_chosen(config.test, splits, "env.test"),
        make_env=lambda: gui.PhoneEnv("train", phone),
        expert=lambda noise: gui.Expert(noise, config.distractors),
        words=lambda content: list(gui.vocabulary(content=content)),
        family=lambda name: name.rpartition("-")[0],  # the template
        close=lambda: None,
    )


def _miniwob(config: EnvSection) -> TaskSource:
    try:
        from progrm_fast.envs import miniwob
    except ImportError as error:
        raise ValueError(f"env.name: miniwob needs the package {error.name}") from error
    made: list[Any] = []

    def make_env() -> TextEnv:
        made.append(miniwob.MiniWobEnv(max_steps=config.max_steps))
        env: TextEnv = made[-1]
        return env

    def close() -> None:
        for env in made:
            env.close()

    names = {"all": list(miniwob.TASKS)}
    return TaskSource(
        train=_chosen(config.train, names, "env.train"),
        test=_chosen(config.test, names, "env.test"),
        make_env=make_env,
        expert=miniwob.Expert,
        words=lambda _: [],
        family=str,
        close=close,
    )


def _chosen(patterns: Sequence[str], groups: dict[str, list[str]], option: str) -> list[str]:
    """Return the tasks that splits, names and patterns stand for, each once, in the order of the environment."""
    everything = list(dict.fromkeys(name for names in groups.values() for name in names))
    wanted: set[str] = set()
    for pattern in patterns:
        found = groups.get(pattern) or fnmatch.filter(everything, pattern)
        if not found:
            raise ValueError(
                f"{option}: no task matches {pattern!r}; there are {everything[0]}, ..., {everything[-1]}"
            )
        wanted.update(found)
    return [name for name in everything if name in wanted]
