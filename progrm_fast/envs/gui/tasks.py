"""Tasks: templates that draw instances, the three splits, and what success is.

A template is a function ``template(draw) -> Draft`` registered with ``@template(split)``. ``Draw`` gives it a world to
put records into and random words. A *way* is a list of moves that solves the task: ``tap(text)``,
``enter(label, text)``, ``answer(text)``, ``HOME``.
"""

from __future__ import annotations

import importlib
import random
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Literal

from progrm_fast.envs.gui.phone import Fact, Phone
from progrm_fast.envs.gui.world import World, make_world

__all__ = [
    "HOME",
    "SPLITS",
    "Draft",
    "Draw",
    "Move",
    "Split",
    "TaskSpec",
    "answer",
    "either",
    "enter",
    "tap",
    "task",
    "tasks",
    "template",
]

Split = Literal["train", "dev", "test"]
Move = tuple[str, ...]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

HOME: Move = ("home",)

# Instances of a template in each split; a training template has held-out instances in the test split. Fewer words of a
# kind than goals ask for leave some templates with fewer instances to train on.
INSTANCES: dict[Split, dict[Split, int]] = {
    "train": {"train": 60, "test": 8},
    "dev": {"dev": 10},
    "test": {"test": 8},
}


def tap(text: str) -> Move:
    """Click the element with this text, or whose text starts with it."""
    return ("tap", text)


def enter(label: str, text: str) -> Move:
    """Type into the field with this label."""
    return ("enter", label, text)


def either(*facts: Fact) -> frozenset[Fact]:
    """Return a milestone that any of the facts reaches."""
    return frozenset(facts)


def _name(facts: frozenset[Fact]) -> str:
    return " or ".join(sorted(" ".join(fact).strip() for fact in facts))


def answer(text: str) -> Move:
    """Answer the question."""
    return ("answer", text)


class Draw:
    """What a template draws from.

    Attributes
    ----------
    rng : random.Random
        The instance's own.
    world : dict
        The phone's contents, for the template to change.
    """

    def __init__(self, rng: random.Random, distractors: int) -> None:
        self.rng = rng
        self.world: World = make_world(rng, distractors)

    def people(self, n: int) -> list[str]:
        """Distinct contacts."""
        return self.rng.sample(sorted(self.world["contacts"]), n)

    def word(self, pool: Iterable[str], *without: str) -> str:
        """Return one of a pool, none of those named."""
        return self.rng.choice([word for word in pool if word not in without])


@dataclass(frozen=True)
class Draft:
    """What a template says of one instance.

    Attributes
    ----------
    goal : str
        What the agent is told.
    milestones : tuple of facts
        Facts that every way passes through before the end, ``either(...)`` where ways differ.
    final : tuple of facts
        The task is done as soon as all hold at the same time; each is a milestone too.
    ways : tuple of ways
        Lists of moves, each solving the task.
    also : tuple of facts
        Must hold at the end as well, and are no milestones: they come with one of the others.
    """

    goal: str
    milestones: tuple[Fact | frozenset[Fact], ...]
    final: tuple[Fact, ...]
    ways: tuple[tuple[Move, ...], ...]
    also: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class TaskSpec:
    """One task of the phone.

    Attributes
    ----------
    task_id : str
        ``template-number``; the same task on every machine.
    template, split, goal : str
        What it was drawn from, where it belongs, what the agent is told.
    milestones : tuple of sets of facts
        A milestone is reached as soon as one of its facts was ever true; the last ones are those of ``final``.
    milestone_names : tuple of str
        The same as text.
    final : frozenset of facts
        Success: all hold at the same time. A question is answered by the fact ``("answer", text)``.
    allowed : frozenset of facts
        What may be done for good; anything else of that kind ends the episode as a failure.
    ways : tuple of ways
        How a scripted expert solves it.
    world : dict
        What the phone holds at the start; copied for every episode.
    """

    task_id: str
    template: str
    split: Split
    goal: str
    milestones: tuple[frozenset[Fact], ...]
    milestone_names: tuple[str, ...]
    final: frozenset[Fact]
    allowed: frozenset[Fact]
    ways: tuple[tuple[Move, ...], ...] = field(repr=False)
    world: World = field(repr=False, compare=False, hash=False)

    def succeeded(self, phone: Phone) -> bool:
        """Verify success from the phone's state: all final facts hold and nothing else was done for good."""
        return self.final <= phone.facts and self.allowed.issuperset(phone.committed)

    def failed(self, phone: Phone) -> bool:
        """Tell whether success is out of reach: something wrong was done for good, or answered."""
        if phone.answer is not None and not self.succeeded(phone):
            return True
        return not self.allowed.issuperset(phone.committed)


Template = Callable[[Draw], Draft]
_TEMPLATES: dict[str, tuple[Split, int, Template]] = {}
_MODULES = ("people", "things", "mixed")


def template(split: Split, instances: int = 0) -> Callable[[Template], Template]:
    """Register a template; ``test`` is for those that training never sees. ``instances``: fewer than ``INSTANCES``."""

    def register(function: Template) -> Template:
        _TEMPLATES[function.__name__] = (split, instances or INSTANCES[split][split], function)
        return function

    return register


@cache
def _load() -> None:
    # The templates import this module.
    for module in _MODULES:
        importlib.import_module(f"progrm_fast.envs.gui.templates.{module}")


def task(task_id: str, distractors: int = 5) -> TaskSpec:
    """Return the task of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    _load()
    name, _, number = task_id.rpartition("-")
    if name not in _TEMPLATES:
        raise ValueError(f"task_id: expected the name of a task such as 'mail_send-0', got {task_id!r}")
    specs = _instances(name, distractors)
    index = int(number) if number.isascii() and number.isdigit() else len(specs)
    if index >= len(specs) or str(index) != number:
        raise ValueError(f"task_id: expected {name}-0 to {name}-{len(specs) - 1}, got {task_id!r}")
    return specs[index]


@lru_cache(maxsize=256)
def _instances(name: str, distractors: int) -> tuple[TaskSpec, ...]:
    home_split, n_home, function = _TEMPLATES[name]
    counts = {**INSTANCES[home_split], home_split: n_home}
    splits = [split for split, n in counts.items() for _ in range(n)]
    rng = random.Random(zlib.crc32(name.encode()))
    specs: list[TaskSpec] = []
    goals: set[str] = set()
    for _ in range(100 * len(splits)):
        if len(specs) == len(splits):
            break
        draw = Draw(rng, distractors)
        draft = function(draw)
        if draft.goal in goals:  # instances are told apart by their goals
            continue
        goals.add(draft.goal)
        milestones = tuple(
            dict.fromkeys(m if isinstance(m, frozenset) else either(m) for m in (*draft.milestones, *draft.final))
        )
        specs.append(
            TaskSpec(
                task_id=f"{name}-{len(specs)}",
                template=name,
                split=splits[len(specs)],
                goal=draft.goal,
                milestones=milestones,
                milestone_names=tuple(_name(facts) for facts in milestones),
                final=frozenset(draft.final + draft.also),
                allowed=frozenset().union(*milestones),
                ways=draft.ways,
                world=draw.world,
            )
        )
    if len(specs) < len(splits):
        raise RuntimeError(f"{name}: drew {len(specs)} different goals, {len(splits)} are needed")
    return tuple(specs)


def tasks(split: Split, distractors: int = 5) -> list[TaskSpec]:
    """Return the tasks of a split, in a fixed order.

    ``train``; ``dev``: templates of its own, for tuning; ``test``: held-out instances of the training templates, and
    templates that no other split has. No goal is in two splits.

    Raises
    ------
    ValueError
        If there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    _load()
    return [
        spec
        for name, (home_split, *_) in _TEMPLATES.items()
        if split in INSTANCES[home_split]
        for spec in _instances(name, distractors)
        if spec.split == split
    ]
