"""Episodes of Gymnasium environments: Minari's arrays, one record an episode, or one record a step.

    {"id": 0, "observations": [o0, o1, o2], "actions": [a0, a1], "rewards": [...], "terminations": [...],
     "truncations": [...], "infos": {...}}

    {"episode_id": 0, "observation": o0, "action": a0, "reward": 0.0, "terminated": false, "info": {}}

An episode has one observation more than actions: the one a step led to is its result. Arrays of a Dict space are
objects of arrays, and are taken apart. An action that is a number or a list becomes its JSON text. A run succeeded when
its infos hold a ``success`` (or ``is_success``) that is true at the last step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from progrm_fast.io.format import MISSING, Format, Record, Steps
from progrm_fast.io.kinds import kind_of

__all__ = ["EPISODES", "EpisodeAssembler", "episode_records", "looks_like_step"]

_SUCCESS = ("success", "is_success")
_ENDS = ("terminated", "truncated", "termination", "truncation", "done")
_EPISODE = ("episode_id", "episode")


def _read(record: Record) -> Steps:
    n = _length(record["actions"], "actions")
    n_seen = _length(record.get("observations", []), "observations")
    if n_seen not in (0, n, n + 1):
        raise ValueError(f"observations: expected {n} or {n + 1}, one more than actions, got {n_seen}")
    columns = {"reward": "rewards", "terminated": "terminations", "truncated": "truncations"}
    known = {name: record[column] for name, column in columns.items() if column in record}
    for name, values in known.items():
        if not isinstance(values, list) or len(values) != n:
            got = f"{len(values)} values" if isinstance(values, list) else kind_of(values)
            raise ValueError(f"{columns[name]}: expected a list of {n} values, one an action, got {got}")
    steps = []
    for t in range(n):
        step: dict[str, Any] = {"action": as_action(_at(record["actions"], t))}
        if t < n_seen:
            step["observation"] = _at(record["observations"], t)
        if t + 1 < n_seen:
            step["result"] = _at(record["observations"], t + 1)
        step.update({name: values[t] for name, values in known.items()})
        steps.append(step)
    return Steps(steps, [])


def as_action(action: object) -> str | dict[str, Any]:
    """Give an action as a string or an object: what is neither, as its JSON text."""
    return action if isinstance(action, (str, dict)) else orjson.dumps(action).decode()


def _length(values: object, name: str) -> int:
    if isinstance(values, list):
        return len(values)
    if isinstance(values, dict) and values:
        lengths = {key: _length(inner, f"{name}.{key}") for key, inner in values.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{name}: expected arrays of one length, got {lengths}")
        return next(iter(lengths.values()))
    raise ValueError(f"{name}: expected a list or an object of lists, got {kind_of(values)}")


def _at(values: Any, t: int) -> Any:
    return values[t] if isinstance(values, list) else {key: _at(inner, t) for key, inner in values.items()}


def _goal(record: Record) -> str:
    stated = record.get("goal", record.get("mission"))
    return stated if isinstance(stated, str) else ""


def _trajectory_id(record: Record) -> Any:
    return record.get("id", MISSING)


def _success(record: Record) -> Any:
    infos = record.get("infos")
    for name in _SUCCESS:
        value = infos.get(name) if isinstance(infos, dict) else None
        if isinstance(value, list) and value:
            value = value[-1]
        if isinstance(value, (bool, int, float)):
            return value > 0
    return MISSING


EPISODES = Format(
    name="episodes",
    title="episodes of arrays (Minari's EpisodeData)",
    sign="`actions` and `observations` or `rewards`",
    looks_like=lambda record: "actions" in record and ("observations" in record or "rewards" in record),
    read=_read,
    holds=("observations", "actions", "rewards", "terminations", "truncations"),
    goal=_goal,
    trajectory_id=_trajectory_id,
    success=_success,
)


def looks_like_step(record: Record) -> bool:
    """Whether the record is one step of an episode: an action, and one of the flags that end an episode."""
    return "action" in record and "steps" not in record and any(name in record for name in _ENDS)


class EpisodeAssembler:
    """Joins records of single steps, in the order of the file, into records of whole episodes.

    An episode ends where ``episode_id`` (or ``episode``) changes; without one, after a step that terminated or was
    truncated. What its last step says under ``task_id``, ``goal``, ``mission``, ``success`` or in its ``info`` is said
    of the episode; one that names no task has ``task_id`` for its own, if that is not empty. Episodes without an id are
    numbered, after ``prefix`` and a hyphen if there is one.
    """

    def __init__(self, task_id: str = "", prefix: str = "") -> None:
        self._task_id = task_id
        self._prefix = prefix
        self._done: set[str] = set()
        self._steps: list[Record] = []
        self._episode: object = MISSING
        self._n = 0

    @property
    def n_steps(self) -> int:
        """Number of steps of the episode in the making."""
        return len(self._steps)

    def add(self, record: Record) -> Record | None:
        """Take in one step; return the episode that it completes or follows, if any."""
        if not looks_like_step(record):
            raise ValueError(f"expected a step with an action and one of {', '.join(_ENDS)}, got another record")
        episode = next((record[name] for name in _EPISODE if name in record), MISSING)
        finished = None
        if repr(episode) in self._done:
            raise ValueError(f"episode {episode!r}: expected its steps to stand together: sort them by episode")
        if self._steps and episode is not MISSING and episode != self._episode:
            finished = self.finish()
        self._steps.append(record)
        self._episode = episode
        if episode is MISSING and any(record.get(name) is True for name in _ENDS):
            finished = self.finish()
        return finished

    def finish(self) -> Record | None:
        """Return the episode in the making, if there is one."""
        steps, self._steps = self._steps, []
        if not steps:
            return None
        self._n += 1
        if self._episode is not MISSING:
            self._done.add(repr(self._episode))
        number = f"{self._prefix}-{self._n}" if self._prefix else self._n
        whole: Record = {"trajectory_id": number if self._episode is MISSING else self._episode}
        for name in ("task_id", "goal", "mission", "success"):
            if name in steps[-1]:
                whole["goal" if name == "mission" else name] = steps[-1][name]
        if self._task_id:
            whole.setdefault("task_id", self._task_id)
        if "success" not in whole:
            info = steps[-1].get("info")
            stated = (
                next((info[name] for name in _SUCCESS if name in info), None) if isinstance(info, dict) else None
            )
            if isinstance(stated, (bool, int, float)):
                whole["success"] = stated > 0
        rewards = [step.get("reward") for step in steps]
        if all(isinstance(reward, (int, float)) for reward in rewards):
            whole["total_reward"] = sum(rewards)
        whole["steps"] = [{**step, "action": as_action(step["action"])} for step in steps]
        for step, following in zip(whole["steps"], steps[1:], strict=False):
            if "observation" in following:
                step.setdefault("result", following["observation"])
        return whole


def episode_records(episodes: Iterable[Any], **fields: Any) -> Iterator[Record]:
    """Turn episode objects, such as ``minari.MinariDataset.iterate_episodes()`` gives, into JSON records.

    Parameters
    ----------
    episodes : iterable
        Objects with ``id``, ``observations``, ``actions``, ``rewards``, ``terminations``, ``truncations`` and ``infos``
        (those that are missing are left out); arrays, or dictionaries or tuples of arrays.
    **fields
        Added to every record, ``task_id`` and ``goal`` above all.

    Yields
    ------
    dict
        As ``Trajectory.record`` of the format ``episodes``, with ``total_reward`` besides.
    """
    names = ("id", "observations", "actions", "rewards", "terminations", "truncations", "infos")
    for episode in episodes:
        record = {name: plain(getattr(episode, name)) for name in names if hasattr(episode, name)}
        if isinstance(record.get("rewards"), list):
            record["total_reward"] = sum(record["rewards"])
        yield {**record, **fields}


def plain(value: Any) -> Any:
    """Turn arrays and tuples into lists, array scalars into numbers, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):  # a Tuple space: one array each
        return {str(index): plain(inner) for index, inner in enumerate(value)}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value
