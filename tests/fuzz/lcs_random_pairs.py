"""Compare every implementation with the reference on many random pairs: lengths 0-900, alphabets 1-5000, relations.

`python tests/fuzz/lcs_random_pairs.py --pairs 200000 [--seed 0]`; exits with 1 at the first difference.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import numpy.typing as npt

from progrm_fast import SymbolBatch, lcs
from progrm_fast.lcs import lcs_align, lcs_lengths

BATCH = 40  # sequences a side: BATCH ** 2 pairs at a time


def random_batch(rng: np.random.Generator, alphabet: int, longest: int) -> SymbolBatch:
    lengths = rng.integers(0, longest + 1, BATCH)
    return SymbolBatch.from_sequences([rng.integers(0, alphabet, length) for length in lengths.tolist()])


def random_relation(rng: np.random.Generator, alphabet: int) -> npt.NDArray[np.int64] | None:
    kind = rng.integers(0, 3)
    if kind == 0:
        return None
    pairs = rng.integers(0, alphabet, (2 * alphabet, 2))
    if kind == 1:  # symmetric, irreflexive
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
    return pairs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    isas = [name for name, runs in lcs.available_isas().items() if runs and name != "reference"]
    done = 0
    while done < options.pairs:
        alphabet = int(rng.choice([1, 2, 5, 20, 100, 1000, 5000]))
        longest = rng.choice([8, 16, 32, 64, 130, 300, 900], 2).tolist()
        a, b = (random_batch(rng, alphabet, length) for length in longest)
        match = random_relation(rng, alphabet)
        for name, function, args in [
            ("lengths", lcs_lengths, (a, b)),
            ("all pairs", lcs_lengths, (a,)),
            ("alignments", lcs_align, (a, b)),
        ]:
            lcs.set_isa("reference")
            expected = function(*args, match=match, workers=2)
            for isa in isas:
                lcs.set_isa(isa)
                if not np.array_equal(function(*args, match=match, workers=2), expected):
                    print(f"{isa}: {name} differ from the reference (seed {options.seed}, after {done} pairs)")
                    return 1
            done += expected.size if name != "alignments" else 0
    print(f"{done} pairs agree with the reference under {', '.join(isas)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
