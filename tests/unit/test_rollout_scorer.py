"""Scorers of rollouts whose steps are plain texts."""

import pytest

from progrm_fast import ProgressAnnotator, Trajectory
from progrm_fast.integrations.rollouts import make_scorer

WORDS = ["open", "compose", "send"]


def run(success, **fields):
    return Trajectory("r", "mail", "", success, [{"action": word, **fields} for word in WORDS])


def test_a_library_scores_what_the_policy_wrote():
    library = ProgressAnnotator(weights="uniform").fit([run(True)]).library  # there was no result to learn
    scorer = make_scorer({"library": library})
    (progress,) = scorer([run(None)])
    assert progress == pytest.approx([1 / 3, 2 / 3, 2 / 3])  # not known to be a success


def test_recipes_with_screens_are_refused_for_rollouts_without():
    library = ProgressAnnotator(weights="uniform").fit([run(True, result="# mail")]).library
    scorer = make_scorer({"library": library})
    with pytest.raises(ValueError, match=r"learned without the screen \(--screen-key none\).* 'result'"):
        scorer([run(True)])
    (progress,) = scorer([run(True, result="# mail")])
    assert progress == pytest.approx([1 / 3, 2 / 3, 1])
    assert scorer([]) == []
