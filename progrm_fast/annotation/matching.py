"""Texts to integers, and which of them match: the alphabet that the LCS core works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from progrm_fast.annotation.config import AnnotatorConfig
from progrm_fast.records import SymbolBatch

__all__ = ["Alphabet"]

Pairs = npt.NDArray[np.int64]


class Alphabet:
    """Numbers the step texts of many tasks for one call of the core.

    With exact matching equal texts get equal numbers, whatever their task. With another relation every task has numbers
    of its own, and ``relation`` holds the compatible pairs within each task, both ways round.
    """

    def __init__(self, config: AnnotatorConfig) -> None:
        self._config = config
        self._ids: dict[str, int] = {}  # a text's number is its place in this dictionary, plus what came before it
        self._earlier: list[str] = []
        self._pairs: list[Pairs] = []

    def encode_task(self, sequences: Iterable[Sequence[str]]) -> list[list[int]]:
        """Turn the sequences of one task, its runs and its recipes alike, into numbers."""
        ids = self._ids
        if self._config.match == "exact":
            return [[ids.setdefault(text, len(ids)) for text in texts] for texts in sequences]
        self._earlier += ids
        ids.clear()
        first = len(self._earlier)
        encoded = [[first + ids.setdefault(text, len(ids)) for text in texts] for texts in sequences]
        self._pairs.append(compatible_pairs(list(ids), self._config) + first)
        return encoded

    def __len__(self) -> int:
        return len(self._earlier) + len(self._ids)

    def texts(self) -> list[str]:
        """Return the texts of all symbols."""
        return [*self._earlier, *self._ids]

    @property
    def relation(self) -> Pairs | None:
        """Compatible pairs, int64 (n_pairs, 2); None where symbols match by equality."""
        if self._config.match == "exact":
            return None
        return (
            np.ascontiguousarray(np.concatenate(self._pairs)) if self._pairs else np.empty((0, 2), dtype=np.int64)
        )


def pack(sequences: Sequence[Sequence[int]]) -> SymbolBatch:
    """Pack lists of symbols that are known to be good: ``SymbolBatch.from_sequences`` looks at each one again."""
    offsets = np.zeros(len(sequences) + 1, dtype=np.int64)
    np.cumsum([len(sequence) for sequence in sequences], out=offsets[1:])
    symbols = np.fromiter(chain.from_iterable(sequences), dtype=np.int32, count=int(offsets[-1]))
    return SymbolBatch(symbols, offsets)


def compatible_pairs(texts: Sequence[str], config: AnnotatorConfig) -> Pairs:
    """Pairs (i, j) of texts that match, both ways round.

    Raises
    ------
    ValueError
        If a user's function returns something other than pairs of indices into ``texts``.
    """
    if config.match == "text":
        from rapidfuzz import fuzz, process

        ratios = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=100 * config.text_threshold)
        return np.argwhere(ratios > 0).astype(np.int64) if config.text_threshold else _all_pairs(len(texts))
    assert callable(config.match)
    if not texts:
        return np.empty((0, 2), dtype=np.int64)
    answer = config.match(texts)
    if not isinstance(answer, Iterable):
        raise ValueError(f"match: expected the function to return pairs of indices, got {type(answer).__name__}")
    rows = list(answer)
    try:
        pairs = np.asarray(rows)
    except ValueError:
        raise ValueError(
            "match: expected the function to return pairs of indices, got rows of different lengths"
        ) from None
    if pairs.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(
            f"match: expected the function to return pairs of indices, got {pairs.dtype} {pairs.shape}"
        )
    if pairs.min() < 0 or pairs.max() >= len(texts):
        raise ValueError(
            f"match: expected indices from 0 to {len(texts) - 1} from the function, got {pairs.min()} to {pairs.max()}"
        )
    return np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0).astype(np.int64)


def _all_pairs(n: int) -> Pairs:
    return np.argwhere(np.ones((n, n), dtype=np.bool_)).astype(np.int64)
