"""Records of any format as records of the format ``steps``, and the labels that a record carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from progrm_fast.io.format import MISSING, Place, Record
from progrm_fast.io.formats import AUTO, Reading, lookup, steps_of
from progrm_fast.io.jsonl import record_of
from progrm_fast.records import Trajectory

__all__ = ["StoredLabels", "labels_of", "step_columns", "steps_record"]

_LABELS = ("progress", "key_step")


class StoredLabels(NamedTuple):
    """Labels as a file holds them.

    Attributes
    ----------
    progress : list of float or None
        Progress after each step; None where there is no label.
    key_step : list of bool
        Whether the step is matched with a key step.
    annotation : dict
        What ``annotate`` says of the whole run: ``recipe``, ``matched``, ``of``, ``config``, ``reason``.
    """

    progress: list[float | None]
    key_step: list[bool]
    annotation: dict[str, Any]


def labels_of(trajectory: Trajectory, source: str = AUTO) -> StoredLabels | None:
    """Labels that a trajectory's record carries; None for one that was never annotated.

    Raises
    ------
    ValueError
        If the record has an ``annotation`` and labels that are not as ``annotate`` writes them.
    """
    record: Record = dict(record_of(trajectory))
    annotation = record.get("annotation")
    if not isinstance(annotation, dict):
        return None
    n = len(trajectory.steps)
    columns = step_columns(trajectory, _LABELS, source)
    progress, key_step = columns["progress"], columns["key_step"]
    if len(progress) != n or len(key_step) != n:
        raise ValueError(f"progress: expected {n} labels, one a step, got {len(progress)}")
    for t, (value, key) in enumerate(zip(progress, key_step, strict=True)):
        where = f"{trajectory.trajectory_id!r}: step {t + 1}"
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1
        ):
            raise ValueError(f"{where}: progress: expected a number from 0 to 1 or null, got {value!r}")
        if not isinstance(key, bool):
            raise ValueError(f"{where}: key_step: expected true or false, got {key!r}")
    return StoredLabels(progress, key_step, annotation)


def steps_record(trajectory: Trajectory, reading: Reading, lean: bool = False) -> Record:
    """Make a record of the format ``steps`` of a trajectory of any format.

    The fields of its record stay; ``trajectory_id``, ``task_id``, ``goal``, ``success`` and ``steps`` are added, with
    the labels where there are any. ``lean`` leaves out the field that the steps were read from (the messages, ...).
    """
    record: Record = dict(record_of(trajectory))
    known, found = steps_of(record, reading.source)
    made = {name: value for name, value in record.items() if not lean or name not in known.holds}
    # A number stays a number where it stands in its place.
    if reading.id_field != "trajectory_id" or lookup(record, "trajectory_id") is MISSING:
        made["trajectory_id"] = trajectory.trajectory_id
    if reading.group_by != "task_id" or lookup(record, "task_id") is MISSING:
        made["task_id"] = trajectory.task_id
    if trajectory.goal or "goal" in record:
        made["goal"] = trajectory.goal
    made["success"] = trajectory.success
    if known.name == "steps":
        made["steps"] = record["steps"]
        return made
    made["steps"] = [dict(step) for step in found.steps]
    if "annotation" in record:
        for name, values in step_columns(trajectory, _LABELS, reading.source).items():
            for step, value in zip(made["steps"], values, strict=True):
                step[name] = value
    return made


def step_columns(trajectory: Trajectory, names: Sequence[str], source: str = AUTO) -> dict[str, list[Any]]:
    """Fields of the steps by name, from wherever commands put them; None for a step that lacks one.

    An empty list stands for a field that a record without an object for each step does not have.
    """
    record: Record = dict(record_of(trajectory))
    known, found = steps_of(record, source)
    if known.name == "steps":
        holders = [dict(step) for step in trajectory.steps]
    elif found.places:
        holders = [_object_at(record, place) for place in found.places]
    else:
        stored = {name: record.get(name) for name in names}
        return {name: values if isinstance(values, list) else [] for name, values in stored.items()}
    return {name: [holder.get(name) for holder in holders] for name in names}


def _object_at(record: Record, place: Place) -> Record:
    value: Any = record
    for part in place:
        value = value[part]
    found: Record = value
    return found
