"""From successes to recipes, every case worked by hand. A letter is a step."""

from itertools import permutations

import numpy as np
import pytest

from progrm_fast import _C, ProgressAnnotator, Trajectory
from progrm_fast.annotation import recipes

PLAIN = {"screen_key": None, "drop_repeats": False, "mask_share": 0, "weights": "uniform"}


def successes(*words, task="t"):
    return [
        Trajectory(f"{task} {i}", task, "", True, [{"action": a} for a in word]) for i, word in enumerate(words)
    ]


def fit(*words, **options):
    """Recipes as (letters, supports, kind, n_successes, n_distinct), in the order of the library."""
    library = ProgressAnnotator(**(PLAIN | options)).fit(successes(*words)).library
    return [
        (
            "".join(key.text for key in r.steps),
            [key.support for key in r.steps],
            r.kind,
            r.n_successes,
            r.n_distinct,
        )
        for r in library
    ]


def letters(*words, **options):
    return sorted(found[0] for found in fit(*words, **options))


def progress(*words, **options):
    (recipe,) = ProgressAnnotator(**(PLAIN | options)).fit(successes(*words)).library
    return [key.progress for key in recipe.steps]


# clusters


@pytest.mark.parametrize(
    ("similarity", "value"),
    # abcd (4 steps) and abxyzw (6) have 2 steps in common
    [("max", 2 / 6), ("min", 2 / 4), ("dice", 4 / 10), ("jaccard", 2 / 8)],
)
def test_the_four_similarities_and_their_threshold(similarity, value):
    def n_clusters(threshold):
        return len(fit("abcd", "abxyzw", similarity=similarity, similarity_threshold=threshold))

    assert n_clusters(value) == 1
    assert n_clusters(value + 0.001) == 2


def test_similarities_are_rounded_before_they_are_compared():
    # 9/10 of two, and the third 7/10 and 6/10 like them: the mean distance is a little more than 1 - 0.65 in binary.
    assert ((1 - 7 / 10) + (1 - 6 / 10)) / 2 > 1 - 0.65
    words = ("abcdefghij", "abcdefghix", "abcdefuvwj")
    assert len(fit(*words, similarity_threshold=0.65)) == 1
    assert len(fit(*words, similarity_threshold=0.66)) == 2
    # The same for two runs: 3/10, and 0.1 * 3 is a little more.
    assert len(fit("abcdefghij", "abcqrstuvw", similarity_threshold=0.1 * 3)) == 1


@pytest.mark.parametrize(("threshold", "clusters"), [(0.3, 1), (0.375, 1), (0.38, 2), (0.75, 2), (0.76, 3)])
def test_linkage_is_by_the_average(threshold, clusters):
    # abcd - abce 3/4, abcd - ayzd 2/4, abce - ayzd 1/4: the third joins the others at 3/8
    assert len(fit("abcd", "abce", "ayzd", similarity_threshold=threshold)) == clusters


def test_repeats_count_in_support_and_not_in_linkage():
    # As above: were abce counted three times, ayzd would be at (2/4 + 3 * 1/4) / 4 < 0.375.
    found = fit("abcd", "abce", "abce", "abce", "ayzd", similarity_threshold=0.375, min_support=1)
    assert found == [("a", [5], "profile", 5, 3)]


def test_tasks_are_apart():
    runs = [*successes("ab"), *successes("ac", task="u")]
    library = ProgressAnnotator(**PLAIN).fit(runs).library
    assert [(r.task_id, [key.text for key in r.steps]) for r in library] == [("t", ["a", "b"]), ("u", ["a", "c"])]


def test_failures_and_runs_that_are_not_over_are_no_members():
    others = [Trajectory(str(s), "t", "", s, [{"action": "z"}]) for s in (False, None)]
    library = ProgressAnnotator(**PLAIN).fit([*successes("ab"), *others]).library
    assert [(len(r), r.n_successes) for r in library] == [(2, 1)]


# profile

# Similarities: abc - abxc 3/4, abc - bc 2/3, abxc - bc 2/4. The medoid is abc; columns a b (x) c, supports 2 3 1 3.
TRIO = ("abc", "abxc", "bc")


@pytest.mark.parametrize(
    ("min_support", "found"),
    [
        (1, ("bc", [3, 3], "profile", 3, 3)),
        (0.67, ("bc", [3, 3], "profile", 3, 3)),  # 2.01 runs
        (0.66, ("abc", [2, 3, 3], "profile", 3, 3)),  # 1.98 runs
        (0.6, ("abc", [2, 3, 3], "profile", 3, 3)),
        (0.34, ("abc", [2, 3, 3], "profile", 3, 3)),
        (0.33, ("abxc", [2, 3, 1, 3], "profile", 3, 3)),
        (0, ("abxc", [2, 3, 1, 3], "profile", 3, 3)),
    ],
)
def test_a_profile_keeps_what_enough_runs_share(min_support, found):
    assert fit(*TRIO, min_support=min_support) == [found]


def test_repeats_weigh_in_a_profile():
    # abxc three times: x has 3 of 5
    assert fit("abc", "abxc", "abxc", "abxc", "bc", min_support=0.6) == [("abxc", [4, 5, 3, 5], "profile", 5, 3)]


def test_the_needed_support_is_rounded_before_it_is_rounded_up():
    assert 0.56 * 25 > 14
    assert fit(*["ab"] * 14, *["b"] * 11, min_support=0.56) == [("ab", [14, 25], "profile", 25, 2)]
    assert fit(*["ab"] * 13, *["b"] * 12, min_support=0.56) == [("b", [25], "profile", 25, 2)]


def test_unmatched_steps_stand_right_before_the_next_match():
    # The medoid ab is first of the two by canonical order; b opens nothing, xy stand before b, z behind.
    assert fit("ab", "axybz", min_support=0.5) == [("axybz", [2, 1, 1, 2, 1], "profile", 2, 2)]
    # Columns that a member lacks come before the steps it has in their place.
    assert letters("apb", "aqb", min_support=0.5) == ["apqb"]


def test_support_is_counted_again_on_what_was_kept():
    # abxyz (three times), then baxyz: its a joins a, so its b opens a column before it. bxq joins the earlier b, which
    # has 2 of 5 then, the later 3. When only the later is kept, bxq supports that.
    words = ["abxyz"] * 3 + ["baxyz", "bxq"]
    found = fit(*words, min_support=0.6, similarity_threshold=0.3)
    assert found == [("abxyz", [4, 4, 5, 4, 4], "profile", 5, 3)]


def test_order_of_alignment_is_by_similarity_to_the_medoid():
    # abcd - abce 3/4, abcd - abxyzd 3/6, abce - abxyzd 2/6. Medoid abcd, then abce: its e opens a column behind d.
    # abxyzd third: x y z open columns before d.
    assert letters("abcd", "abce", "abxyzd", min_support=0.3) == ["abcxyzde"]


def test_a_column_keeps_the_step_that_opened_it():
    # 0 ~ 1 ~ 2, but not 0 ~ 2: the second member joins the first's column, the third does not follow it there.
    symbols, offsets = np.array([0, 1, 2], dtype=np.int32), np.arange(4)
    relation = _C.MatchRelation(3, np.array([[0, 0], [1, 1], [2, 2], [0, 1], [1, 0], [1, 2], [2, 1]]))

    def profile(min_weight):
        ones = np.ones(3, dtype=np.int64)
        found, _ = _C.profile_consensus(
            symbols, offsets, np.array([0, 3]), ones, np.array([min_weight]), relation, 1
        )
        return found.tolist()

    assert profile(3) == []
    assert profile(2) == [0]
    assert profile(1) == [0, 2]


def test_ties_go_to_the_canonical_order_of_the_masked_texts():
    # z and q are masked: * k, m *, m k in canonical order, each pair one half alike. The medoid is * k; m * opens a
    # column before *; m k fits into m * k. In the order m k, m *, * k there would be a fourth column.
    found = fit("mk", "mq", "zk", mask_share=0.6, mask_min_runs=3, min_support=0)
    assert found == [("m*k", [2, 2, 2], "profile", 3, 3)]


def test_nothing_shared_widely_enough_leaves_the_medoid():
    found = fit("ab", "cd", similarity_threshold=0, min_support=0.6)
    assert found == [("ab", [1, 1], "medoid", 2, 2)]
    # ab - xb 1/2, xb - xy 1/2, ab - xy 0: the medoid is xb; each step is shared by two of three
    found = fit("ab", "xb", "xy", similarity_threshold=0, min_support=0.7)
    assert found == [("xb", [2, 2], "medoid", 3, 3)]


def test_one_distinct_success_is_its_own_recipe():
    assert fit("aba") == [("aba", [1, 1, 1], "single", 1, 1)]
    assert fit("aba", "aba") == [("aba", [2, 2, 2], "single", 2, 1)]


# strict


def test_strict_is_common_to_all():
    assert fit("abc", "abxc", "bc", recipe="strict") == [("bc", [3, 3], "strict", 3, 3)]
    assert fit("ab", "cd", recipe="strict", similarity_threshold=0) == [("ab", [1, 1], "medoid", 2, 2)]


def test_strict_looks_at_all_members_at_once():
    # The first two share ab and xy alike; the third decides.
    assert letters("xyab", "abxy", "zabz", recipe="strict", similarity_threshold=0) == ["ab"]
    assert letters("xyab", "abxy", "zxyz", recipe="strict", similarity_threshold=0) == ["xy"]


def test_among_longest_common_subsequences_the_earliest_positions_win():
    # abd and acd are both common to abcd (the medoid) and acbd: after two steps ab stands at (2, 3), ac at (3, 2).
    assert letters("abcd", "acbd", recipe="strict") == ["abd"]


def test_the_beam_says_so(monkeypatch):
    monkeypatch.setattr(recipes, "STRICT_MAX_NODES", 1)
    monkeypatch.setattr(recipes, "STRICT_BEAM_WIDTH", 1)
    assert fit("abcd", "acbd", recipe="strict") == [("abd", [2, 2, 2], "beam", 2, 2)]
    assert fit("abcd", "abxd", recipe="strict") == [("abd", [2, 2, 2], "strict", 2, 2)]


# more successes than max_members


def test_those_with_the_smallest_hash_are_clustered_and_the_others_support():
    # SHA-256 of ["a","b"] begins 0473, of ["a","b","c","d"] bb03, of ["a","b","c"] fa18.
    words = ("abcd", "abc", "ab")
    assert fit(*words, max_members=1) == [("ab", [3, 3], "single", 3, 3)]
    assert fit(*words, max_members=2) == [("ab", [3, 3], "profile", 3, 3)]
    assert fit(*words, max_members=3) == [("abc", [3, 3, 2], "profile", 3, 3)]
    assert progress(*words, max_members=1, weights="time") == pytest.approx(
        [(1 / 2 + 1 / 3 + 1 / 4) / 3, (1 + 2 / 3 + 2 / 4) / 3]
    )


def test_the_others_go_to_the_recipe_nearest_to_them():
    # xy 01f6, ab 0473 are clustered (apart); axy takes half of ab and all of xy.
    assert fit("ab", "xy", "xyz", "axy", "abc", max_members=2) == [
        ("ab", [2, 2], "single", 2, 2),
        ("xy", [3, 3], "single", 3, 3),
    ]


def test_a_tie_for_the_nearest_goes_to_the_longer_recipe():
    # ab 0473, abd a0f3 are clustered, and apart at threshold 0.7; abc (fa18) takes all of ab, two thirds of abd.
    assert fit("ab", "abd", "abc", max_members=2, similarity_threshold=0.7) == [
        ("ab", [2, 2], "single", 2, 2),
        ("abd", [1, 1, 1], "single", 1, 1),
    ]
    # abcd takes all of ab and all of abd: abd is longer.
    assert fit("ab", "abd", "abcd", max_members=2, similarity_threshold=0.7) == [
        ("ab", [1, 1], "single", 1, 1),
        ("abd", [2, 2, 2], "single", 2, 2),
    ]


def test_an_adopted_run_takes_its_recipe():
    runs = successes("ab", "xy", "axyb")
    labels = ProgressAnnotator(max_members=2, **PLAIN).fit_annotate(runs)
    # axyb matches two of two key steps of both; ties went to the first cluster.
    assert labels[2].recipe == labels[0].recipe
    assert labels[2].key_step.tolist() == [True, False, False, True]


# weights


def test_uniform_weights():
    assert progress("abcde") == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_time_weights_are_the_mean_time_of_the_supporters():
    # a at 1/3, 1/4; b at 2/3, 2/4, 1/2; c at the end of all
    assert progress(*TRIO, weights="time") == pytest.approx([7 / 24, 5 / 9, 1])
    # repeats count
    assert progress("abc", "abc", "abxc", "bc", weights="time") == pytest.approx([11 / 36, (4 / 3 + 1) / 4, 1])


def test_time_weights_never_fall():
    # All columns of ab and cd are kept: a 1/2, b 2/2, c 1/2, d 2/2.
    assert progress("ab", "cd", similarity_threshold=0, min_support=0.5, weights="time") == [0.5, 1, 1, 1]


def test_steps_that_are_passed_over_take_time():
    steps = [{"action": "a", "result": "r"}] * 2 + [{"action": "b", "result": "s"}] * 2
    annotator = ProgressAnnotator(weights="time", drop_repeats=True, screen_key=None)
    (recipe,) = annotator.fit([Trajectory("r", "t", "", True, steps)]).library
    assert [(key.text, key.progress) for key in recipe.steps] == [("a", 0.25), ("b", 0.75)]


# matching


def test_text_match_in_recipes():
    runs = [
        Trajectory("1", "t", "", True, [{"action": "click button 1"}, {"action": "type hello"}]),
        Trajectory("2", "t", "", True, [{"action": "click button 2"}, {"action": "type help"}]),
    ]
    # ratio 26/28 and 16/19
    for threshold, steps in [(0.84, 2), (0.85, 1)]:
        annotator = ProgressAnnotator(match="text", text_threshold=threshold, **PLAIN)
        (recipe,) = annotator.fit(runs).library
        assert [key.support for key in recipe.steps] == [2] * steps
        assert recipe.steps[0].text == "click button 1"


def test_a_users_relation_in_recipes():
    def vowels_and_consonants(texts):
        kind = ["vowel" if text in "aeiou" else "consonant" for text in texts]
        return [(i, j) for i in range(len(texts)) for j in range(i, len(texts)) if kind[i] == kind[j]]

    assert fit("ab", "ec", match=vowels_and_consonants) == [("ab", [2, 2], "profile", 2, 2)]


def test_a_relation_without_identity():
    # Nothing matches itself, a matches b: the runs a and b are one cluster, of which each supports the other's step.
    assert fit("a", "b", match=lambda texts: [(0, 1)]) == [("a", [1], "profile", 2, 2)]
    assert fit("a", match=lambda texts: []) == [("a", [0], "single", 1, 1)]


# few successes, and identity


@pytest.mark.parametrize(("min_successes", "found"), [(1, 1), (2, 1), (3, 0)])
def test_min_successes_counts_repeats(min_successes, found):
    assert len(fit("ab", "ab", min_successes=min_successes)) == found


def test_empty_successes_teach_nothing():
    assert fit("", "") == []
    assert fit("", "ab") == [("ab", [1, 1], "single", 1, 1)]
    assert fit("", "ab", min_successes=2) == []


def test_a_recipe_is_named_after_its_content():
    def ids(*words, task="t", **options):
        runs = successes(*words, task=task)
        return [recipe.recipe_id for recipe in ProgressAnnotator(**(PLAIN | options)).fit(runs).library]

    assert ids("abc") == ids("abc", min_support=0.9)
    assert len({*ids("abc"), *ids("abd"), *ids("abc", "abc"), *ids("abc", task="u")}) == 4


def test_the_order_of_the_runs_changes_no_bit_of_the_times():
    # One sequence a b, that runs of 2, 3, 5, 7 and 11 steps take; their repeats of a are passed over.
    def repeating(n):
        steps = [*[{"action": "a", "result": "r"}] * (n - 1), {"action": "b", "result": "s"}]
        return Trajectory(str(n), "t", "", True, steps)

    def times(order):
        options = {"drop_repeats": True, "screen_key": None, "weights": "time"}
        (recipe,) = ProgressAnnotator(**options).fit(map(repeating, order)).library
        return [key.progress for key in recipe.steps]

    expected = times((2, 3, 5, 7, 11))
    assert expected == pytest.approx([(1 / 2 + 1 / 3 + 1 / 5 + 1 / 7 + 1 / 11) / 5, 1])
    assert all(times(order) == expected for order in permutations((2, 3, 5, 7, 11)))


def test_the_order_of_the_runs_changes_nothing():
    words = ["abcd", "acbd", "abd", "xy", "yx", "abcd"]
    assert fit(*words) == fit(*words[::-1])
