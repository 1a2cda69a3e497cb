"""Trajectories in and out, record by record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Literal

import orjson

from progrm_fast._gc import paused_gc
from progrm_fast.io.containers import Source, load_line, open_sources
from progrm_fast.io.files import FileError, display_name
from progrm_fast.io.format import put_at
from progrm_fast.io.formats import AUTO, Missing, Reading, is_step_record, steps_of, to_trajectory
from progrm_fast.io.step_records import EpisodeAssembler
from progrm_fast.records import ProgressLabels, ProgressScores, Trajectory

__all__ = [
    "dump_line",
    "labelled_record",
    "read_trajectories",
    "record_of",
    "scored_record",
    "write_labelled",
    "write_scored",
]


def read_trajectories(
    path: str | os.PathLike[str],
    *,
    id_field: str = "trajectory_id",
    group_by: str = "task_id",
    success_field: str = "success",
    success_threshold: float | None = None,
    source: str = AUTO,
    missing_success: Missing = "error",
    on_error: Literal["stop", "skip"] = "stop",
    skipped: list[str] | None = None,
) -> Iterator[Trajectory]:
    """Read trajectories from a file, one at a time.

    A record is an object with ``trajectory_id``, ``task_id``, ``success`` (true, false, or null for a run that is not
    over), optionally ``goal``, and ``steps`` (a list of objects with ``action``: a string or an object); or a record
    of one of the other formats in docs/formats.md, told apart by the fields it has. Fields that are not known here stay
    in ``Trajectory.record``. Blank lines are passed over.

    Parameters
    ----------
    path : path
        JSON lines, a JSON array, or one JSON object in a ``.json`` file, each plain, gzip or zstd, told apart by
        content; Parquet; a folder of such files; a folder that ``datasets`` saved; ``-`` for JSON lines from standard
        input.
    id_field, group_by, success_field : str
        Where the run's name, its task and its success stand; a dot enters an object (``meta.task``).
    success_threshold : float, optional
        With it, ``success_field`` holds a number, and a run succeeded when the number is at least this.
    source : str
        Name of the records' format; ``"auto"``: each record shows its own.
    missing_success : {"error", "success", "failure", "unfinished"}
        What to make of a record that does not state its success.
    on_error : {"stop", "skip"}
        What a bad record does: raise, or be left out with its message appended to ``skipped``.
    skipped : list of str, optional
        Receives a message for every record left out.

    Yields
    ------
    Trajectory
        In the order of the file.

    Raises
    ------
    FileError
        For a file that cannot be read or holds no trajectory and, with ``on_error="stop"``, for a malformed record, a
        missing field, a wrong type or a repeated id; the message starts with file and line (number of the record).
    """
    if on_error not in ("stop", "skip"):
        raise ValueError(f"on_error: expected 'stop' or 'skip', got {on_error!r}")
    reading = Reading(id_field, group_by, success_field, success_threshold, source, missing_success)
    seen: dict[str, int | str] = {}
    n_bad = 0
    for opened in open_sources(path):
        for parsed, problems in _trajectories(opened, reading, seen, on_error):
            if skipped is not None:
                skipped += problems
            n_bad += len(problems)
            yield from parsed
            parsed = []  # else two batches would be held while the next one is parsed
    if not seen:
        bad = f" ({n_bad} bad lines were left out)" if n_bad else ""
        raise FileError(f"{display_name(path)}: holds no trajectory{bad}")


def _trajectories(
    source: Source, reading: Reading, seen: dict[str, int | str], on_error: str
) -> Iterator[tuple[list[Trajectory], list[str]]]:
    """Yield the trajectories of each batch with the messages about those left out."""
    assembler: EpisodeAssembler | None = None
    started = 0  # record that began the episode in the making; 0 for none
    parsed: list[Trajectory] = []
    problems: list[str] = []

    def take(record: object, number: int) -> None:
        trajectory = to_trajectory(record, reading, number, source.stem)
        first = seen.get(trajectory.trajectory_id)
        if first is not None:
            where = f"line {first}" if isinstance(first, int) else first
            raise ValueError(f"{reading.id_field}: {trajectory.trajectory_id!r} was used already, in {where}")
        seen[trajectory.trajectory_id] = source.place(number) if source.in_folder else number
        parsed.append(trajectory)

    for batch in source.batches:
        failure: FileError | None = None
        with paused_gc():
            for number, payload in batch:
                try:
                    record = load_line(payload) if isinstance(payload, bytes) else payload
                    if isinstance(record, dict) and (assembler or is_step_record(record, reading)):
                        assembler = assembler or EpisodeAssembler(
                            source.stem, prefix=source.stem if source.in_folder else ""
                        )
                        first, finished = started or number, assembler.add(record)
                        if assembler.n_steps <= 1:
                            started = number * assembler.n_steps
                        if finished is not None:
                            take(finished, first)
                    else:
                        take(record, number)
                except ValueError as error:  # noqa: PERF203  # one bad record is not the next
                    message = f"{source.place(number)}: {error}"
                    if on_error == "stop":
                        failure = FileError(message)
                        break
                    problems.append(message)
        yield parsed, problems
        if failure is not None:
            raise failure
        parsed, problems = [], []
    last = assembler.finish() if assembler else None
    if last is not None:
        try:
            take(last, started)
        except ValueError as error:
            if on_error == "stop":
                raise FileError(f"{source.place(started)}: {error}") from None
            problems.append(f"{source.place(started)}: {error}")
        yield parsed, problems


def record_of(trajectory: Trajectory) -> Mapping[str, Any]:
    """Record that the trajectory was read from, or one of the format ``steps`` for a run made in Python."""
    if trajectory.record is not None:
        return trajectory.record
    return {
        "trajectory_id": trajectory.trajectory_id,
        "task_id": trajectory.task_id,
        "goal": trajectory.goal,
        "success": trajectory.success,
        "steps": trajectory.steps,
    }


def write_labelled(
    stream: IO[bytes],
    trajectories: Iterable[Trajectory],
    labels: Iterable[ProgressLabels],
    config_hash: str,
    source: str = AUTO,
) -> None:
    """Write each trajectory's record with its labels, one JSON line each, to a binary stream."""
    with paused_gc():
        for trajectory, label in zip(trajectories, labels, strict=True):
            stream.write(dump_line(labelled_record(trajectory, label, config_hash, source)))


def write_scored(
    stream: IO[bytes],
    trajectories: Iterable[Trajectory],
    scores: Iterable[ProgressScores],
    model: str,
    source: str = AUTO,
) -> None:
    """Write each trajectory's record with its scores, one JSON line each, to a binary stream."""
    with paused_gc():
        for trajectory, of_run in zip(trajectories, scores, strict=True):
            stream.write(dump_line(scored_record(trajectory, of_run, model, source)))


def labelled_record(
    trajectory: Trajectory, label: ProgressLabels, config_hash: str, source: str = AUTO
) -> dict[str, Any]:
    """Copy a trajectory's record with its labels.

    Each step gains ``progress`` (null where there is no label) and ``key_step``: in the object that stands for it, a
    tool call for example; a record without such objects (``episodes``) gains ``progress`` and ``key_step`` as lists.
    The record gains ``annotation``; labels of an earlier annotation are replaced and nothing else changes.
    """
    progress = list(label.progress)  # as float32 scalars, which print in their shortest form
    key_step = label.key_step.tolist()
    annotation: dict[str, Any] = {
        "recipe": label.recipe,
        "matched": label.matched,
        "of": label.of,
        "config": config_hash,
    }
    if label.reason is not None:
        annotation["reason"] = label.reason
    record = _with_columns(record_of(trajectory), {"progress": progress, "key_step": key_step}, source)
    return {**record, "annotation": annotation}


def scored_record(trajectory: Trajectory, scores: ProgressScores, model: str, source: str = AUTO) -> dict[str, Any]:
    """Copy a trajectory's record with its scores.

    Each step gains ``progress`` and ``reward``, null where the model gave no number, as for ``labelled_record``; the
    record gains ``scoring`` with the model's name. Labels of an annotation (``progress``, ``key_step``, ``annotation``)
    and earlier scores are replaced; nothing else changes.
    """
    columns = {"progress": list(scores.progress), "reward": list(scores.rewards)}
    # What an annotation said of a progress that is no longer there goes with it.
    record = _with_columns(record_of(trajectory), columns, source, without="key_step")
    record.pop("annotation", None)
    return {**record, "scoring": {"model": model}}


def _with_columns(
    record: Mapping[str, Any], columns: Mapping[str, list[Any]], source: str, without: str | None = None
) -> dict[str, Any]:
    """Copy a record with a field for each step put into the object that stands for it, and one field taken out."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if "steps" in record and source == AUTO:
        steps = [{**step, **row} for step, row in zip(record["steps"], rows, strict=True)]
        for step in steps if without is not None else ():
            step.pop(without, None)
        return {**record, "steps": steps}
    _, found = steps_of(dict(record), source)
    if found.places:
        return put_at(record, found.places, rows, without)
    return {name: value for name, value in {**record, **columns}.items() if name != without}


def dump_line(record: Mapping[str, Any]) -> bytes:
    """Write a record as one JSON line."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    try:
        return orjson.dumps(record, option=options)
    except TypeError:  # an integer of more than 64 bits
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=_plain_number)
        return text.encode() + b"\n"


def _plain_number(value: Any) -> float | None:
    number = float(str(value))  # float32's own shortest form, as orjson writes it
    return None if number != number else number
