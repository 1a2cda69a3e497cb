"""Properties that hold for every batch, whatever computes it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from progrm_fast import SymbolBatch
from progrm_fast.lcs import lcs_align, lcs_group_align, lcs_group_lengths, lcs_lengths

SEQUENCE = st.lists(st.integers(0, 5), max_size=90)
BATCH = st.lists(SEQUENCE, max_size=8)
RELATION = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20)
MATCH = st.one_of(st.none(), RELATION)


def transposed(match):
    return None if match is None else [(j, i) for i, j in match]


def matches(match, i, j):
    return i == j if match is None else (i, j) in match


@given(BATCH, BATCH, MATCH)
def test_swapping_the_sides_transposes_the_result(a, b, match):
    assert np.array_equal(lcs_lengths(a, b, match=match), lcs_lengths(b, a, match=transposed(match)).T)


@given(BATCH, MATCH)
def test_all_pairs_equal_the_cross_of_a_batch_with_itself(a, match):
    assert np.array_equal(lcs_lengths(a, match=match), lcs_lengths(a, a, match=match))


@given(SEQUENCE, SEQUENCE, MATCH)
def test_a_length_is_between_nothing_and_the_shorter_sequence(x, y, match):
    assert 0 <= lcs_lengths([x], [y], match=match)[0, 0] <= min(len(x), len(y))


@given(SEQUENCE, SEQUENCE, st.integers(0, 5), MATCH)
def test_one_more_symbol_adds_at_most_one(x, y, symbol, match):
    shorter, longer = lcs_lengths([x, [*x, symbol]], [y], match=match)[:, 0].tolist()
    assert shorter <= longer <= shorter + 1


@given(SEQUENCE, SEQUENCE)
def test_reversing_both_keeps_the_length(x, y):
    assert lcs_lengths([x], [y])[0, 0] == lcs_lengths([x[::-1]], [y[::-1]])[0, 0]


@given(BATCH, BATCH, MATCH)
def test_an_alignment_is_increasing_matches_what_it_says_and_has_the_length(a, b, match):
    batch = SymbolBatch.from_sequences(a)
    positions, lengths = lcs_align(batch, b, match=match), lcs_lengths(batch, b, match=match)
    for i, x in enumerate(a):
        block = positions[batch.offsets[i] : batch.offsets[i + 1]]
        for j, y in enumerate(b):
            column = block[:, j]
            used = column[column > 0]
            assert used.size == lengths[i, j]
            assert np.all(np.diff(used) > 0)
            assert all(matches(match, x[t], y[p - 1]) for t, p in enumerate(column.tolist()) if p)


@given(SEQUENCE, SEQUENCE, MATCH)
def test_each_match_is_on_the_earliest_step_and_item_that_suffice(x, y, match):
    """Stated on prefixes: the last match (t, p) is at the shortest prefixes whose LCS is still the optimum."""
    column = lcs_align([x], [y], match=match)[:, 0]
    steps = np.flatnonzero(column)
    n, m = len(x), len(y)
    for t in steps[::-1].tolist():
        p = int(column[t])
        best = lcs_lengths([x[:n]], [y[:m]], match=match)[0, 0]
        assert lcs_lengths([x[:n]], [y[:p]], match=match)[0, 0] == best
        assert lcs_lengths([x[:n]], [y[: p - 1]], match=match)[0, 0] < best
        assert lcs_lengths([x[: t + 1]], [y[:p]], match=match)[0, 0] == best
        assert lcs_lengths([x[:t]], [y[:p]], match=match)[0, 0] < best
        n, m = t, p - 1


@settings(max_examples=40)
@given(st.lists(BATCH, max_size=6))
def test_groups_equal_one_call_per_group(tasks):
    batch = SymbolBatch.from_sequences([x for task in tasks for x in task])
    groups = np.cumsum([0, *[len(task) for task in tasks]])
    lengths, offsets = lcs_group_lengths(batch, groups)
    for g, task in enumerate(tasks):
        full = lcs_lengths(task)
        assert np.array_equal(lengths[offsets[g] : offsets[g + 1]], full[np.triu_indices(len(task), 1)])


@settings(max_examples=40)
@given(st.lists(st.tuples(BATCH, BATCH), max_size=6), MATCH)
def test_group_alignments_equal_one_call_per_group(tasks, match):
    a = [x for left, _ in tasks for x in left]
    b = [y for _, right in tasks for y in right]
    a_groups = np.cumsum([0, *[len(left) for left, _ in tasks]])
    b_groups = np.cumsum([0, *[len(right) for _, right in tasks]])
    flat, offsets = lcs_group_align(a, b, a_groups, b_groups, match=match)
    for g, (left, right) in enumerate(tasks):
        assert np.array_equal(flat[offsets[g] : offsets[g + 1]], lcs_align(left, right, match=match).ravel())
