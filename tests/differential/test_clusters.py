"""Average linkage against its definition: merge the two clusters of the highest mean similarity while it suffices."""

from itertools import combinations

import numpy as np
import pytest

from progrm_fast.annotation.recipes import average_linkage


def by_definition(matrix, threshold):
    clusters = [[i] for i in range(len(matrix))]
    while len(clusters) > 1:
        means = {
            (x, y): matrix[np.ix_(clusters[x], clusters[y])].mean()
            for x, y in combinations(range(len(clusters)), 2)
        }
        x, y = max(means, key=means.get)
        if means[x, y] < threshold:
            break
        clusters[x] += clusters.pop(y)
    return {frozenset(cluster) for cluster in clusters}


@pytest.mark.parametrize("n", [2, 3, 5, 12, 70])
@pytest.mark.parametrize("threshold", [0, 0.3, 0.4, 0.5, 0.7, 1])
def test_average_linkage(n, threshold):
    rng = np.random.default_rng([n, int(10 * threshold)])
    for low, high in [(0.0, 1.0), (0.35, 0.65), (0.69, 0.71)]:
        similar = rng.uniform(low, high, n * (n - 1) // 2)
        matrix = np.ones((n, n))
        i, j = np.triu_indices(n, 1)
        matrix[i, j] = matrix[j, i] = similar
        found = average_linkage(similar, n, threshold)
        assert {frozenset(cluster) for cluster in found} == by_definition(matrix, threshold)
        assert sorted(member for cluster in found for member in cluster) == list(range(n))
        for medoid, *others in found:
            members = [medoid, *others]
            totals = {member: matrix[member, members].sum() for member in members}
            assert totals[medoid] == pytest.approx(max(totals.values()))
            assert sorted(others, key=lambda other: -matrix[medoid, other]) == others
