"""Recipes and runs -> labels, every rule worked by hand. A letter is a step."""

import numpy as np
import pytest

from progrm_fast import ProgressAnnotator, Trajectory
from progrm_fast.annotation.labels import NO_RECIPE, NO_SUCCESS, TOO_FEW, UNFINISHED

PLAIN = {"screen_key": None, "drop_repeats": False, "mask_share": 0, "weights": "uniform"}


def run(word, success, name=None, task="t"):
    return Trajectory(name or f"{word} {success}", task, "", success, [{"action": letter} for letter in word])


def annotator_of(*words, **options):
    return ProgressAnnotator(**(PLAIN | options)).fit([run(word, True, str(i)) for i, word in enumerate(words)])


def label(annotator, word, success):
    (found,) = annotator.annotate([run(word, success)])
    return found


def progress(annotator, word, success):
    found = label(annotator, word, success)
    assert found.reason is None
    assert found.progress.dtype == np.float32
    return found.progress.tolist()


def recipe_of(annotator, word, success):
    found = label(annotator, word, success)
    return "".join(key.text for key in annotator.library[found.recipe].steps)


def f32(*values):
    return [float(np.float32(value)) for value in values]


# what a step is worth


def test_a_success_rises_at_its_key_steps_and_is_constant_in_between():
    annotator = annotator_of("abcd")
    found = label(annotator, "xaybbcxd", True)
    assert found.progress.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1]
    assert found.key_step.tolist() == [False, True, False, True, False, True, False, True]
    assert found.position.tolist() == [0, 1, 0, 2, 0, 3, 0, 4]
    assert (found.matched, found.of, found.trajectory_id) == (4, 4, "xaybbcxd True")
    assert (found.key_step.dtype, found.position.dtype) == (np.bool_, np.int32)


def test_a_success_that_went_past_a_key_step_has_the_label_of_the_last_one_reached():
    assert progress(annotator_of("abcd"), "axcx", True) == [0.25, 0.25, 0.75, 1]


@pytest.mark.parametrize(
    ("credit", "word", "values"),
    [
        ("matched", "ac", [0.2, 0.4]),  # c is the second key step matched
        ("last", "ac", [0.2, 0.6]),  # c is the third of the recipe
        ("matched", "xbxdx", [0, 0.2, 0.2, 0.4, 0.4]),
        ("last", "xbxdx", [0, 0.4, 0.4, 0.8, 0.8]),
        ("matched", "abc", [0.2, 0.4, 0.6]),
        ("last", "abc", [0.2, 0.4, 0.6]),
    ],
)
@pytest.mark.parametrize("success", [False, None])
def test_what_a_failure_is_paid_for(credit, word, values, success):
    annotator = annotator_of("abcde", failure_credit=credit)
    assert progress(annotator, word, success) == f32(*values)
    # What it reached is told all the same.
    assert label(annotator, word, success).position.max() == "abcde".index(max(word.replace("x", ""))) + 1


def test_failures_of_one_call_do_not_add_up():
    runs = [
        run("ab", False, "1"),
        run("", False, "2"),
        run("c", False, "3"),
        run("abc", True, "4"),
        run("a", False, "5"),
    ]
    labels = annotator_of("abcde").annotate(runs)
    assert [found.progress.tolist() for found in labels] == [
        f32(0.2, 0.4),
        [],
        f32(0.2),
        f32(0.2, 0.4, 1),
        f32(0.2),
    ]


def test_labels_are_those_of_the_recipes_weights():
    # abc, abxc, bc (see test_recipes): key steps a 7/24, b 5/9, c 1
    annotator = annotator_of("abc", "abxc", "bc", weights="time")
    assert progress(annotator, "axbyc", True) == f32(7 / 24, 7 / 24, 5 / 9, 5 / 9, 1)
    assert progress(annotator, "bx", False) == f32(7 / 24, 7 / 24)  # one key step, paid as the first
    assert progress(annotator, "abc", False) == f32(7 / 24, 5 / 9, 5 / 9)


def test_matches_sit_on_the_earliest_step_that_suffices():
    assert label(annotator_of("ab"), "aabb", True).key_step.tolist() == [True, False, True, False]


def test_a_step_that_is_passed_over_matches_nothing():
    steps = [{"action": "a", "result": "r"}] * 2 + [{"action": "b", "result": "r"}]
    annotator = ProgressAnnotator(weights="uniform", screen_key=None).fit([run("aab", True)])
    (found,) = annotator.annotate([Trajectory("x", "t", "", False, steps)])
    # Without the second a only two of aab are matched.
    assert found.position.tolist() == [1, 0, 3]
    (kept,) = (
        ProgressAnnotator(weights="uniform", screen_key=None, drop_repeats=False)
        .fit([run("aab", True)])
        .annotate([Trajectory("x", "t", "", False, steps)])
    )
    assert kept.position.tolist() == [1, 2, 3]


# the end


def test_a_success_ends_at_one_and_keeps_what_came_before():
    assert progress(annotator_of("abcd"), "abxx", True) == [0.25, 0.5, 0.5, 1]
    assert progress(annotator_of("abcd"), "xx", True) == [0, 1]
    assert progress(annotator_of("abcd", complete_success=False), "abxx", True) == [0.25, 0.5, 0.5, 0.5]


def test_a_failure_stays_at_the_last_but_one_key_step():
    annotator = annotator_of("abcd")
    found = label(annotator, "abcdx", False)
    assert found.progress.tolist() == [0.25, 0.5, 0.75, 0.75, 0.75]
    assert found.key_step.tolist() == [True, True, True, True, False]  # marked, although it is not paid for
    assert (found.matched, found.of) == (4, 4)
    assert progress(annotator_of("abcd", cap_failures=False), "abcdx", False) == [0.25, 0.5, 0.75, 1, 1]
    assert progress(annotator_of("abcd", failure_credit="last"), "bd", False) == [0.5, 0.75]


def test_a_failure_has_nothing_of_a_recipe_of_one_step():
    annotator = annotator_of("a")
    found = label(annotator, "xa", False)
    assert found.progress.tolist() == [0, 0]
    assert found.key_step.tolist() == [False, True]
    assert progress(annotator_of("a", cap_failures=False), "xa", False) == [0, 1]


@pytest.mark.parametrize("credit", ["matched", "last"])
def test_a_failure_stays_below_one_even_where_the_last_but_one_key_step_stands_there(credit):
    # Few share each step: the labels of a b c d are 1/2, 1, 1, 1 (see test_recipes).
    annotator = annotator_of(
        "ab", "cd", similarity_threshold=0, min_support=0.5, weights="time", failure_credit=credit
    )
    assert [key.progress for key in next(iter(annotator.library)).steps] == [0.5, 1, 1, 1]
    assert progress(annotator, "abcd", False) == [0.5, 0.5, 0.5, 0.5]
    assert progress(annotator, "abcd", True) == [0.5, 1, 1, 1]


# which recipe


def test_a_success_that_helped_to_make_a_recipe_takes_it():
    # abc and abd make abcd; another run that starts as abc does would take the recipe a, of which it has everything.
    options = {"similarity_threshold": 0.5, "min_support": 0.5}
    annotator = annotator_of("a", "abc", "abd", **options)
    assert recipe_of(annotator, "abc", True) == "abcd"
    assert progress(annotator, "abc", True) == [0.25, 0.5, 1]
    assert recipe_of(annotator, "abe", True) == "a"
    assert progress(annotator, "abe", True) == [1, 1, 1]
    # A failure is no member, and a recipe of one step says nothing of it.
    assert recipe_of(annotator, "abc", False) == "abcd"
    assert recipe_of(annotator, "ax", None) == "abcd"


def test_another_success_takes_the_recipe_of_which_it_has_most():
    annotator = annotator_of("abcd", "axy", similarity_threshold=1)
    assert recipe_of(annotator, "abc", True) == "abcd"  # 3/4 against 1/3
    assert recipe_of(annotator, "xy", True) == "axy"  # 0 against 2/3


def test_the_last_key_step_counts_for_nothing_when_a_failure_chooses():
    annotator = annotator_of("ab", "axyzw", similarity_threshold=1)
    assert recipe_of(annotator, "abxy", True) == "ab"  # 2/2 against 3/5
    assert recipe_of(annotator, "abxy", False) == "axyzw"  # 1/2 against 3/5
    assert recipe_of(annotator, "abx", False) == "ab"  # 1/2 against 2/5


def test_a_tie_goes_to_the_longer_recipe():
    annotator = annotator_of("ax", "abyz", similarity_threshold=1)
    assert recipe_of(annotator, "ab", True) == "abyz"  # 1/2 against 2/4
    assert recipe_of(annotator, "ab", False) == "abyz"
    assert recipe_of(annotator, "q", False) == "abyz"  # nothing against nothing


@pytest.mark.parametrize("success", [True, False])
def test_a_tie_of_equally_long_recipes_goes_to_the_smaller_id(success):
    annotator = annotator_of("ax", "ay", "az", similarity_threshold=1)
    assert label(annotator, "aq", success).recipe == min(recipe.recipe_id for recipe in annotator.library)


def test_a_failure_takes_a_recipe_of_one_step_only_when_there_is_no_other():
    annotator = annotator_of("a", "xyz", similarity_threshold=1)
    assert recipe_of(annotator, "a", False) == "xyz"
    assert recipe_of(annotator, "a", None) == "xyz"
    assert recipe_of(annotator, "ab", True) == "a"
    assert recipe_of(annotator_of("a", "b", similarity_threshold=1), "b", False) in ("a", "b")


def test_runs_of_tasks_with_one_and_with_more_recipes_in_one_call():
    runs = [
        *[run(word, True, f"t{word}") for word in ("ab", "xyz")],
        run("pq", True, "u", task="u"),
        run("xy", False, "tf"),
        run("p", False, "uf", task="u"),
        run("b", False, "tg"),
    ]
    labels = ProgressAnnotator(similarity_threshold=1, **PLAIN).fit_annotate(runs)
    found = {each.trajectory_id: (each.progress.tolist(), each.position.tolist(), each.of) for each in labels}
    assert [each.trajectory_id for each in labels] == [each.trajectory_id for each in runs]
    assert found == {
        "tab": ([0.5, 1], [1, 2], 2),
        "txyz": (f32(1 / 3, 2 / 3, 1), [1, 2, 3], 3),
        "u": ([0.5, 1], [1, 2], 2),
        "tf": (f32(1 / 3, 2 / 3), [1, 2], 3),
        "uf": ([0.5], [1], 2),
        "tg": ([0.5], [2], 2),
    }


# no label, no steps


def no_label(found, reason, n):
    assert found.reason == reason
    assert found.recipe is None
    assert (found.matched, found.of) == (0, 0)
    assert found.progress.shape == (n,)
    assert np.isnan(found.progress).all()
    assert not found.key_step.any()
    assert not found.position.any()


def test_a_task_without_a_success_has_no_label():
    runs = [run("ab", False), run("a", None), run("", True)]
    labels = ProgressAnnotator(**PLAIN).fit_annotate(runs)
    for found, n in zip(labels, (2, 1, 0), strict=True):
        no_label(found, NO_SUCCESS, n)


def test_a_task_that_is_not_known_has_no_label():
    (found,) = annotator_of("ab").annotate([run("ab", True, task="other")])
    no_label(found, NO_RECIPE, 2)


def test_a_task_with_too_few_successes_has_no_label():
    runs = [run("ab", True, "1"), run("ac", True, "2"), run("a", False)]
    labels = ProgressAnnotator(min_successes=3, **PLAIN).fit_annotate(runs)
    for found, n in zip(labels, (2, 2, 1), strict=True):
        no_label(found, TOO_FEW, n)
    labels = ProgressAnnotator(min_successes=2, **PLAIN).fit_annotate(runs)
    assert [found.reason for found in labels] == [None] * 3


def test_runs_that_are_not_over():
    assert progress(annotator_of("ab"), "ab", None) == [0.5, 0.5]
    no_label(label(annotator_of("ab", unfinished="none"), "ab", None), UNFINISHED, 2)
    assert progress(annotator_of("ab", unfinished="none"), "ab", False) == [0.5, 0.5]


@pytest.mark.parametrize("success", [True, False, None])
def test_an_empty_run_has_an_empty_label(success):
    found = label(annotator_of("ab"), "", success)
    assert found.reason is None
    assert found.progress.shape == found.key_step.shape == found.position.shape == (0,)
    assert (found.matched, found.of) == (0, 2)


def test_no_runs():
    assert ProgressAnnotator().fit_annotate([]) == []
    assert annotator_of("ab").annotate([]) == []
    assert annotator_of("ab").annotate(iter([run("", False)]))[0].progress.size == 0


def test_a_relation_without_identity_still_ends_at_one():
    annotator = annotator_of("ab", match=lambda texts: [])
    assert progress(annotator, "ab", True) == [0, 1]
    assert progress(annotator, "ab", False) == [0, 0]


# explanations


def test_every_label_explains_itself():
    annotator = annotator_of("abc", "abxc", "bc", weights="time")
    explain = annotator.library.explain
    assert explain(label(annotator, "xbc", False)) == [
        "step 1: progress 0.000",
        "step 2: progress 0.292, key step 2 of 3 (taken by 3 of 3 successes): b",
        "step 3: progress 0.556, key step 3 of 3 (taken by 3 of 3 successes): c",
    ]
    assert explain(label(annotator, "", True)) == []
    (unknown,) = annotator.annotate([run("ab", True, task="other")])
    assert explain(unknown) == [
        "step 1: no label, the recipe library does not know the task",
        "step 2: no label, the recipe library does not know the task",
    ]
