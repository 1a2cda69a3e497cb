"""The registry of record formats, and the way from any record to a ``Trajectory``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from progrm_fast.io.chat_messages import ANTHROPIC, OPENAI
from progrm_fast.io.conversations import CONVERSATIONS
from progrm_fast.io.format import MISSING, Format, Record, Steps
from progrm_fast.io.kinds import kind_of
from progrm_fast.io.miniwob_demos import MINIWOB
from progrm_fast.io.step_records import EPISODES, looks_like_step
from progrm_fast.io.tau_bench import TAU_BENCH
from progrm_fast.records import Trajectory

__all__ = ["AUTO", "FORMATS", "STEP_RECORDS", "Reading", "detect", "glance", "steps_of", "to_trajectory"]

AUTO = "auto"
STEP_RECORDS = "gym-steps"  # one record a step: joined into records of the format `steps` before anything else
_DEFAULT_ID, _DEFAULT_TASK, _DEFAULT_SUCCESS = "trajectory_id", "task_id", "success"
_SHOWN = 12  # fields named in a message

Missing = Literal["error", "success", "failure", "unfinished"]
OUTCOMES: dict[str, bool | None] = {"success": True, "failure": False, "unfinished": None}


def _read_steps(record: Record) -> Steps:
    steps = record["steps"]
    if not isinstance(steps, list):
        raise ValueError(f"steps: expected a list, got {kind_of(steps)}")
    for index, step in enumerate(steps):
        if not isinstance(step, dict):
            raise ValueError(f"steps[{index}]: expected an object, got {kind_of(step)}")
        action = step.get("action")
        if not isinstance(action, (str, dict)):
            problem = f"expected a string or an object, got {kind_of(action)}" if "action" in step else "missing"
            raise ValueError(f"steps[{index}].action: {problem}")
        truth = step.get("true_progress")
        if truth is not None and (isinstance(truth, bool) or not isinstance(truth, (int, float))):
            raise ValueError(f"steps[{index}].true_progress: expected a number or null, got {kind_of(truth)}")
    return Steps(steps, [])


STEPS = Format(
    name="steps",
    title="this library's own: `steps`, each with an `action`",
    sign="`steps`",
    looks_like=lambda record: "steps" in record,
    read=_read_steps,
    holds=("steps",),
    goal=lambda record: "",
)

# name -> format; the first whose sign a record shows is taken
FORMATS = {known.name: known for known in (STEPS, TAU_BENCH, MINIWOB, ANTHROPIC, OPENAI, CONVERSATIONS, EPISODES)}


def detect(record: Record) -> Format:
    """Find the format of a record.

    Raises
    ------
    ValueError
        If it shows the sign of none; the message says what was seen and which formats there are.
    """
    for known in FORMATS.values():
        if known.looks_like(record):
            return known
    seen = ", ".join(f"{name} ({kind_of(value)})" for name, value in sorted(record.items())[:_SHOWN]) or "no field"
    more = f" and {len(record) - _SHOWN} more" if len(record) > _SHOWN else ""
    signs = "; ".join(f"{known.name}: {known.sign}" for known in FORMATS.values())
    raise ValueError(
        f"no known format of trajectories: found {seen}{more}; formats and their signs: {signs}; "
        f"{STEP_RECORDS}: `action` and `terminated`"
    )


@dataclass(frozen=True)
class Reading:
    """Where a record's names and outcome stand; see ``read_trajectories``."""

    id_field: str = _DEFAULT_ID
    group_by: str = _DEFAULT_TASK
    success_field: str = _DEFAULT_SUCCESS
    success_threshold: float | None = None
    source: str = AUTO
    missing_success: Missing = "error"

    def __post_init__(self) -> None:
        if self.source not in (AUTO, STEP_RECORDS, *FORMATS):
            names = ", ".join((AUTO, *FORMATS, STEP_RECORDS))
            raise ValueError(f"source: expected one of {names}, got {self.source!r}")
        if self.missing_success not in ("error", *OUTCOMES):
            expected = ", ".join(("error", *OUTCOMES))
            raise ValueError(f"missing_success: expected one of {expected}, got {self.missing_success!r}")

    def format_of(self, record: Record) -> Format:
        """Format of a record: the one that was named, else the one it shows the sign of."""
        if self.source in (AUTO, STEP_RECORDS):
            return detect(record)
        asked = FORMATS[self.source]
        for name in asked.holds[:1]:
            if name not in record:
                found = ", ".join(sorted(record)[:_SHOWN]) or "no field"
                raise ValueError(f"{name}: missing, and a record of the format {asked.name} has it; found {found}")
        return asked


def is_step_record(record: Record, reading: Reading) -> bool:
    """Whether records like this one are single steps that have to be joined."""
    return reading.source == STEP_RECORDS or (reading.source == AUTO and looks_like_step(record))


def to_trajectory(record: object, reading: Reading, number: int = 0, name: str = "") -> Trajectory:
    """Make a trajectory of a record.

    Parameters
    ----------
    record : dict
        The record, of any known format.
    reading : Reading
        Where names and outcome stand.
    number, name : int, str
        Place in its file, from 1, and the file's name without folder and suffix (empty: a stream): where a record of
        another format than ``steps`` states no id, ``name-number`` is its id (``name`` alone where number is 0), and
        where it states neither task nor goal, ``name`` is its task.

    Raises
    ------
    ValueError
        If the record is of no known format or not as its format says.
    """
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, got {kind_of(record)}")
    known = reading.format_of(record)
    own = known is STEPS
    trajectory_id = _named(record, reading.id_field, _DEFAULT_ID, known.trajectory_id)
    if trajectory_id is None:
        if own:
            raise ValueError(f"{reading.id_field}: missing")
        trajectory_id = f"{name or 'run'}-{number}" if number or not name else name
    steps = known.read(record).steps
    goal = _goal(record, known)
    success = _success(record, reading, known)
    task_id = _task(record, reading, known, name)
    if task_id == name and not goal and not own and "task_id" not in record:
        record = {**record, "task_id": task_id}  # what is written says it too: the next file has another name
    return Trajectory(trajectory_id, task_id, goal, success, steps, record)


def glance(record: object, reading: Reading) -> tuple[str, bool, int]:
    """Read no more of a record than a plan of work needs: its task, whether it succeeded, and about how many steps.

    Raises
    ------
    ValueError
        Where these cannot be read; a record without this error may still be malformed.
    """
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, got {kind_of(record)}")
    known = reading.format_of(record)
    steps = record.get(known.holds[0])
    n_steps = len(steps) if isinstance(steps, list) else 0
    return _task(record, reading, known), _success(record, reading, known) is True, n_steps


def steps_of(record: Record, source: str = AUTO) -> tuple[Format, Steps]:
    """Format of a record and its steps with the places of their labels."""
    known = Reading(source=source).format_of(record)
    return known, known.read(record)


def _goal(record: Record, known: Format) -> str:
    goal = record.get("goal")
    if goal is None:
        goal = known.goal(record)
    if not isinstance(goal, str):
        raise ValueError(f"goal: expected a string, got {kind_of(goal)}")
    return goal


def _task(record: Record, reading: Reading, known: Format, name: str = "") -> str:
    task_id = _named(record, reading.group_by, _DEFAULT_TASK, known.task_id)
    if task_id is None:
        task_id = "" if known is STEPS else _goal(record, known) or name
        if not task_id:
            raise ValueError(f"{reading.group_by}: missing")
    return task_id


def _named(record: Record, path: str, default: str, stated: Any) -> str | None:
    value = lookup(record, path)
    if value is MISSING and path == default:
        value = stated(record)
    if value is MISSING:
        if path == default:
            return None
        raise ValueError(f"{path}: missing")
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{path}: expected a string or an integer, got {kind_of(value)}")


def _success(record: Record, reading: Reading, known: Format) -> bool | None:
    path, threshold = reading.success_field, reading.success_threshold
    value = lookup(record, path)
    if value is MISSING:
        stated = known.success(record) if path == _DEFAULT_SUCCESS else MISSING
        if stated is not MISSING:
            return bool(stated)
        if reading.missing_success in OUTCOMES:
            return OUTCOMES[reading.missing_success]
        if known is STEPS:
            raise ValueError(f"{path}: missing")
        raise ValueError(
            f"{path}: missing, and records of the format {known.name} need not state it: name the field that does "
            "(success_field), or say what a run without it is (missing_success)"
        )
    if value is None:
        return None
    if threshold is None:
        if isinstance(value, bool):
            return value
        hint = "; give a success threshold to read numbers" if isinstance(value, (int, float)) else ""
        raise ValueError(f"{path}: expected true, false or null, got {kind_of(value)}{hint}")
    if isinstance(value, (bool, int, float)):
        return value >= threshold
    raise ValueError(f"{path}: expected a number to hold against the threshold, got {kind_of(value)}")


def lookup(record: Record, path: str) -> Any:
    """Value at a path whose dots enter objects, a field of the whole name first; ``MISSING`` where there is none."""
    if path in record:
        return record[path]
    value: Any = record
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return MISSING
        value = value[part]
    return value
