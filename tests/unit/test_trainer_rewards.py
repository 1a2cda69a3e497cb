"""How runs are told to the trainer's reward model, and what its window pays."""

import pytest

pytest.importorskip("transformers")  # with torch, what the trainer needs

import numpy as np

from progrm_fast.records import Trajectory
from progrm_fast.trainer.config import RewardSection
from progrm_fast.trainer.rewards import label_runs, told, windowed

STEPS = [
    {
        "action": {"type": "click", "target": {"class": "button", "text": "compose"}},
        "observation": "# mail\n3 button compose\n7 item ann party",
        "result": "# compose\nfield to :",
    },
    {
        "action": {"type": "input", "target": {"class": "field", "text": "to"}, "text": "ann, bob"},
        "observation": "# compose\n5 field to :",
        "result": "# compose\nfield to : ann, bob",
    },
]


def test_told_marks_words_by_their_place_in_the_goal_and_keeps_the_first_screen_alone():
    run = Trajectory("r", "t", "mail party to ann.", True, STEPS)
    first, second = told(run, [0.5, 1]).steps
    assert first == {
        "action": "click compose",
        "observation": "# mail * button compose item ann *to party *mail",
        "result": "# compose field to *party :",
        "progress": 0.5,
    }
    assert second == {
        "action": "input to *party ann *to , bob",
        "result": "# compose field to *party : ann *to , bob",
        "progress": 1.0,
    }


def test_a_quoted_word_is_marked_by_the_word_before_its_quote():
    steps = [{"action": 'type "q7X", ann', "observation": "#", "result": "# ok"}]
    run = Trajectory("r", "t", 'Enter the username "ann" and the password "q7X".', None, steps)
    assert told(run).steps[0]["action"] == 'type " q7X *password " , ann *username'


def test_told_takes_actions_that_are_plain_text():
    run = Trajectory("r", "t", "press send", None, [{"action": "click send", "observation": "#", "result": "# ok"}])
    assert told(run).steps[0] == {"action": "click send *press", "observation": "#", "result": "# ok"}


def test_a_window_pays_the_gain_over_its_steps():
    progress = np.array([0.25, 0.25, 0.75, 1.0], dtype=np.float32)
    assert windowed(progress, 1) is progress
    gains = np.diff(windowed(progress, 2), prepend=np.float32(0))
    assert gains.tolist() == [0.25, 0.25, 0.5, 0.75]


def test_a_step_without_a_number_spoils_no_other_window():
    progress = np.array([np.nan, 0.25, np.nan, 0.75, 1.0], dtype=np.float32)
    gains = np.diff(windowed(progress, 2), prepend=np.float32(0))
    assert gains.tolist() == [0, 0.25, 0.25, 0.5, 0.75]


def test_known_runs_are_labelled_again_and_do_not_count_twice(tmp_path):
    first = [Trajectory(f"a{i}", "t", "mail party to ann.", i < 2, STEPS[: 2 - i // 2]) for i in range(3)]
    labelled, library = label_runs("progrm-lcs", first, RewardSection())
    assert [len(run.steps) for run in labelled] == [2, 2, 1]
    library.save(tmp_path / "before.json")
    new = [Trajectory("b", "t", "mail party to ann.", False, STEPS[:1])]
    again, grown = label_runs("progrm-lcs", new, RewardSection(), library, known=first)
    assert [run.trajectory_id for run in again] == ["b", "a0", "a1", "a2"]
    assert again[1].steps == labelled[0].steps
    grown.save(tmp_path / "after.json")
    assert (tmp_path / "after.json").read_bytes() == (tmp_path / "before.json").read_bytes()
    counted = label_runs("progrm-lcs", first[:1], RewardSection(), library)[1]
    counted.save(tmp_path / "counted.json")
    assert (tmp_path / "counted.json").read_bytes() != (tmp_path / "before.json").read_bytes()
